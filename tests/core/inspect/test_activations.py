"""The histograms of hidden layers share their edges, and what is said of the layers follows from their numbers."""

import dataclasses

import numpy as np
import pytest
import torch

from core.inspect.activations import BINS, LayerHealth, health, verdict
from core.inspect.trace import hooked, trace
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from tests.conftest import TINY

V = 11


def build(key: str, **changes: object) -> LanguageModel:
    torch.manual_seed(0)
    return RUNGS[key].build(RUNGS[key].config.parse({**TINY[key]["model"], **changes}), V)


def looked_at(model: LanguageModel) -> list[LayerHealth]:
    ids = torch.randint(V, (3, 13), generator=torch.Generator().manual_seed(1))
    return health(model, ids[:, :-1], ids[:, 1:])


def test_edges_are_one_for_all_layers_and_hold_the_largest_gradient():
    model = build("mlp", n_hidden=3, init_gain=0.3)
    layers = looked_at(model)
    deviations = [layer.gradient_std for layer in layers]

    assert deviations[0] < deviations[1] < deviations[2]
    for layer in layers:
        np.testing.assert_allclose(layer.edges, np.linspace(-1, 1, BINS + 1), atol=1e-12)
        np.testing.assert_array_equal(layer.gradient_edges, layers[0].gradient_edges)
        np.testing.assert_allclose(layer.gradient_edges, -layer.gradient_edges[::-1], atol=1e-12)
        assert layer.counts.sum() == pytest.approx(1) and layer.gradient_counts.sum() == pytest.approx(1)
    ends = [layer.gradient_counts[[0, -1]].sum() for layer in layers]
    assert 0.01 <= ends[2] < 0.1 and ends[0] == 0  # the last layer's gradient is the largest: 1 % lies beyond
    assert layers[2].gradient_edges[-1] > deviations[2]


@pytest.mark.parametrize(("key", "changes"), [("residual", {}), ("transformer", {"activation": "gelu"})])
def test_the_edges_of_layers_without_a_bound_hold_all_but_a_thousandth(key: str, changes: dict[str, object]):
    model = build(key, **changes)
    layers = looked_at(model)
    ids = torch.randint(V, (3, 13), generator=torch.Generator().manual_seed(1))[:, :-1]
    run = trace(model.eval(), ids)
    tops = [float(run[bend.tap].flatten().quantile(0.999)) for bend in model.nonlinearities()]

    assert layers[0].edges[0] == pytest.approx(-0.2 if changes else 0.0)
    assert layers[0].edges[-1] == pytest.approx(max(tops), rel=1e-5)
    if changes:
        assert all(layer.saturated == 0 and layer.dead == 0 for layer in layers)


def test_a_layer_that_nothing_listens_to_gets_no_gradient():
    model = build("mlp", n_hidden=2, init_gain=0.3).train()
    with hooked([(model.hidden[1].drop, torch.zeros_like)]):
        layers = looked_at(model)

    assert model.training
    assert [layer.gradient_std for layer in layers] == [0, 0]
    assert layers[0].gradient_edges[-1] > 0
    assert verdict(layers) == "2 of 2 layers get no gradient at all."


def test_a_bigram_has_no_hidden_layer():
    assert looked_at(build("bigram")) == []
    assert verdict([]) == "This rung has no hidden layer."


GOOD = LayerHealth("a", "tanh", 10, 0.0, 0.5, 0.1, 0, np.zeros(1), np.zeros(1), 1.0, np.zeros(1), np.zeros(1))


def layer(**changes: object) -> LayerHealth:
    return dataclasses.replace(GOOD, **changes)


def test_what_is_said_of_saturation_depends_on_how_it_began():
    full, other = layer(name="b", saturated=0.4), layer(saturated=0.3)
    began_full, began_well = [GOOD, layer(name="b", saturated=0.3)], [layer(saturated=0.9), layer(name="b")]

    assert verdict([other, full]).startswith("40% of b is saturated and passes no gradient: the weights began too lar")
    assert verdict([other, full], began_full).startswith("40% of b is saturated (30% before the first step) and passes")
    assert verdict([other, full], began_well).startswith("40% of b is saturated, 10% before the first step: training")
    assert verdict([layer(saturated=0.25)]) == "Healthy: at most 25% saturated, no dead units."


def test_what_is_said_of_dead_quiet_and_fading_layers():
    dead = [layer(dead=2), layer(name="b", dead=2, units=5)]

    assert verdict(dead) == "2 of 5 units of b are dead: they give the same on every character."
    quiet = [layer(std=0.019), layer(name="b", std=0.01)]
    assert verdict(quiet) == "b hardly moves (standard deviation 0.010): its input is too small."
    assert "hardly" not in verdict([layer(std=0.02)])
    assert verdict([layer(gradient_std=0.0), GOOD]) == "1 of 2 layers get no gradient at all."
    fading = verdict([layer(gradient_std=0.002), layer(gradient_std=1.0)])
    assert fading == "The gradient that reaches the first layer is 500 times smaller than at the last."
    assert verdict([layer(gradient_std=0.01), layer(gradient_std=1.0)]).startswith("Healthy: at most 10% saturated, no")
    assert verdict([layer(kind="relu", saturated=0.9), GOOD]) == (
        "Healthy: at most 10% saturated, no dead units, and gradients of like size from the first layer to the last."
    )
