"""A LayerNorm that can be listened to is the one that is trained, and its scale can be held like any part."""

import pytest
import torch

from core.inspect.evaluation_set import EvaluationSet
from core.inspect.interventions.ablation import interventions, means
from core.inspect.trace import intervening, trace
from core.ladder.registry import RUNGS
from core.models.normalise import LayerNorm
from tests.conftest import TINY

V = 11


def test_listened_to_it_gives_the_same_and_says_one_over_the_deviation():
    torch.manual_seed(0)
    norm, x = LayerNorm(16), 3 * torch.randn(2, 5, 16) + 1
    torch.nn.init.normal_(norm.weight)
    fused = norm(x)
    heard: list[torch.Tensor] = []
    norm.scale.register_forward_hook(lambda _, __, out: heard.append(out))

    torch.testing.assert_close(norm(x), fused)
    torch.testing.assert_close(heard[0], 1 / x.std(-1, correction=0, keepdim=True))


@pytest.mark.parametrize("key", ["residual", "transformer"])
def test_each_norm_stands_on_the_board_and_held_at_its_mean_it_is_linear(key: str):
    """With every scale held, twice the last input of a norm, measured from its shift, is twice its output."""
    torch.manual_seed(0)
    rung = RUNGS[key]
    model = rung.build(rung.config.parse({**TINY[key]["model"], "norm": "pre" if key == "transformer" else True}), V)
    norms = [part for part in model.parts() if part.taps[0].endswith(".scale")]
    assert len(norms) == sum(isinstance(module, LayerNorm) for module in model.modules())

    ids = torch.randint(V, (4, 12))
    data = EvaluationSet(ids[:, :-1], ids[:, 1:], torch.zeros(4, 11, dtype=torch.long))
    filling = means(model, data, norms)
    last = norms[-1]
    (name,) = last.taps
    module = model.get_submodule(name.removesuffix(".scale"))
    with torch.no_grad(), intervening(model, interventions([last], filling)):
        x = torch.randn(1, 3, module.weight.shape[0])
        shift = module.bias
        torch.testing.assert_close(module(2 * x) - shift, 2 * (module(x) - shift))
    assert float(trace(model, data.inputs, name).activations[name].std()) > 0
