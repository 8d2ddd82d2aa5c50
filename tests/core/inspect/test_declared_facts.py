"""The table beside the paper, twins, and the landscapes of the first page: each against an independent answer."""

import math

import numpy as np
import pytest

from core.inspect.paper import Departure, departures
from core.ladder.registry import RUNGS
from core.models.transformer import TransformerConfig
from core.runs import editing
from core.runs.state import Run
from core.scalars.landscapes import SURFACES
from core.scalars.net import Net
from core.scalars.pictures import GRID, answers, fitted, heights, lowest, walk
from core.studies.differences import twins_of
from core.training.config import TrainConfig
from tests.conftest import make_run


def rows(**model: object) -> dict[str, Departure]:
    config, train = RUNGS["transformer"].settings("reference", model, {})
    assert isinstance(config, TransformerConfig)
    return {row.topic: row for row in departures(config, train, 65)[0]}


def test_the_reference_stands_beside_the_paper_as_it_is():
    found = rows()

    assert found["Size"].model == "6 blocks, d_model = 384, 6 heads of 64, 10,788,929 parameters."
    assert "pre-norm" in found["Residual connections and LayerNorm"].model
    assert not found["Residual connections and LayerNorm"].kept
    assert found["Feed-forward layer"].kept and "1536 wide, 4 times" in found["Feed-forward layer"].model
    assert found["Scaled dot-product attention"].model == "The same, with d_k = 64, a table 64 × 6 × 256 × 256 a step."
    assert found["Scaled dot-product attention"].kept
    assert "without bias, the output matrix with bias" in found["Heads"].model and not found["Heads"].kept
    assert found["Dropout"].model.startswith("0.2: on the attention weights, on what attention adds, on what the feed")
    assert found["Optimiser"].model.startswith("AdamW with β = 0.9, 0.999, ε = 1e-08")
    assert found["Learning rate"].model == "Constant 0.0003, no warm-up."
    assert found["Batches"].model == "64 windows of 256 characters: 16,384."


@pytest.mark.parametrize(
    ("changes", "topic", "kept"),
    [
        ({"norm": "post"}, "Residual connections and LayerNorm", True),
        ({"positions": "sinusoidal"}, "Positions", True),
        ({"positions": "rotary"}, "Positions", False),
        ({"activation": "gelu"}, "Feed-forward layer", False),
        ({"dropout": 0.0}, "Dropout", False),
    ],
)
def test_a_changed_setting_changes_its_row(changes: dict[str, object], topic: str, kept: bool):
    assert rows(**changes)[topic].kept is kept
    if topic == "Dropout":
        assert rows(**changes)[topic].model == "None."


def test_the_schedule_is_read_off_the_optimiser():
    config, _ = RUNGS["transformer"].settings("reference", {}, {})
    train = TrainConfig(steps=100, warmup=10, cooldown=0.5, learning_rate=0.01)
    found = {row.topic: row for row in departures(config, train, 65)[0]}

    assert found["Learning rate"].model == "0.01 after 10 steps of warm-up, falling over the last 50% of the run."


# --- twins -----------------------------------------------------------------------------------------------------------


def changed(run: Run, model: dict[str, object] | None = None, train: dict[str, object] | None = None) -> Run:
    config = run.need()
    update: dict[str, object] = {"model": {**config.model, **(model or {})}}
    if train:
        update["train"] = config.train.model_copy(update=train)
    return editing.create(config.model_copy(update=update))


def test_twins_differ_in_one_setting_and_nothing_else():
    run = make_run("mlp")
    twin, other_seed = changed(run, {"dropout": 0.2}), changed(run, {"dropout": 0.2}, {"seed": 7})
    two_things, same = changed(run, {"dropout": 0.2, "d_hidden": 8}), changed(run)
    among = [two_things, other_seed, same, run, twin, changed(run, {"dropout": 0.4}), make_run("residual")]

    assert [t.need().model["dropout"] for t in twins_of(run, "dropout", among)] == [0.2, 0.4]
    assert twins_of(run, "dropout", among)[0].path == twin.path
    assert twins_of(run, "no such setting", among) == []


# --- landscapes ------------------------------------------------------------------------------------------------------


def test_plain_steps_follow_the_slope_of_the_formula():
    """The gradient by central differences, the step by hand."""
    formula = SURFACES["rosenbrock"].formula
    x, y, path = -1.5, 2.0, walk("rosenbrock", "SGD", 0.003, 5, (-1.5, 2.0))
    for place in path:
        assert (place.x, place.y) == (pytest.approx(x), pytest.approx(y))
        slope_x = (formula(x + 1e-6, y) - formula(x - 1e-6, y)) / 2e-6
        slope_y = (formula(x, y + 1e-6) - formula(x, y - 1e-6)) / 2e-6
        assert place.grad_x == pytest.approx(slope_x, rel=1e-4) and place.grad_y == pytest.approx(slope_y, rel=1e-4)
        x, y = x - 0.003 * slope_x, y - 0.003 * slope_y
    assert len(path) == 6


@pytest.mark.parametrize("key", list(SURFACES))
def test_a_landscape_is_lowest_at_its_minima(key: str):
    surface = SURFACES[key]
    drawn = heights(surface, 240)
    row, column = np.unravel_index(drawn.argmin(), drawn.shape)
    x, y = (np.linspace(*span, 240)[at] for span, at in ((surface.x_range, column), (surface.y_range, row)))

    assert drawn.max() == pytest.approx(1) and drawn.min() >= 0
    assert min(math.hypot(x - a, y - b) for a, b in surface.minima) < 0.25
    assert float(surface.formula(x, y)) >= lowest(surface) - 1e-12


def test_a_walk_off_the_map_ends():
    assert len(walk("ravine", "SGD", 30.0, 200, (-4.0, 1.5))) < 200


def test_pictures_of_a_fit_are_the_nets_own_answers():
    net = Net(2, 3, 1, seed=5)
    inputs = np.array([[0.3, -1.0], [2.0, 0.5]])
    own = [net(list(map(float, row)))[0].data for row in inputs]

    np.testing.assert_allclose(answers(net, inputs), own, rtol=1e-12)


def test_fitting_lowers_the_loss_and_keeps_pictures_of_the_way():
    found = fitted("xor", 4, "Adam", 0.05, 60, seed=1, reach=2.0)

    assert not found.diverged and found.losses[-1] < found.losses[0] / 2
    assert found.frames.shape == (len(found.frame_steps), GRID, GRID)
    assert found.frame_steps[0] == 0 and found.frame_steps[-1] == 60
    assert found.parameters == 2 * 4 + 4 + 4 + 1
