"""Two processes that train one model together: the curve of one alone, and a state that anybody can go on from."""

import os
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core import system
from core.ladder.registry import RUNGS
from core.texts.corpus import load
from core.training.config import TrainConfig
from core.training.parking import Parked
from core.training.ranks import Ranks, follow, meet
from core.training.team import Order, Team
from core.training.trainer import Trainer
from tests.conftest import TINY

FEW = {"batch_size": 4, "learning_rate": 3e-3, "precision": "float32"}
SMOOTH = {"dropout": 0.0, "activation": "gelu"}
"""Without the kink of ReLU: a unit that the last digit puts on its other side has another gradient from then on."""
CALM = {"steps": 200, "optimizer": "muon", "muon_learning_rate": 0.003}
"""At its default rate Muon makes 0.01 of a last digit within 50 steps of this model, in one process as in two."""
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "adamw": ("transformer", SMOOTH, {"steps": 200}),
    "muon": ("transformer", SMOOTH, {**CALM, "grad_clip": 0.5, "cooldown": 0.5}),
    "short": ("recurrent", {}, {"steps": 20, "window": 16, "short_first": 0.7}),
    "batch norm": ("mlp", {"batch_norm": True, "dropout": 0.0}, {"steps": 40, "window": 16}),
    "unused weights": ("wavenet", {}, {"steps": 20, "window": 16}),
    "dropout": ("transformer", {"dropout": 0.2}, {"steps": 12}),
}
HALF = 6


def made(case: str, team: Team | None = None) -> Trainer:
    key, settings, train = CASES[case]
    torch.manual_seed(0)
    config = RUNGS[key].config.parse({**TINY[key]["model"], **settings})
    text, train_config = load(), TrainConfig.parse({**FEW, **train})
    model = RUNGS[key].build(config, text.tokenizer.size)
    return Trainer(model, train_config, text.train_ids, torch.device("cpu"), team=team)


def lead(trainer: Trainer, steps: int) -> list[float]:
    """Take so many steps, parked and changed in their learning rate on the way, and return the loss of each."""
    trainer.rates = {HALF + 2: {"learning_rate": 1e-3}}
    taken = [trainer.step() for _ in range(steps // 2)]
    Parked(trainer).bring_back()
    taken += [trainer.step() for _ in range(steps - len(taken))]
    losses: list[float] = trainer.team.mean(torch.stack(taken)).tolist()
    return losses


@cache
def alone_through(case: str) -> tuple[Trainer, list[float]]:
    """Train a case to its end in this process alone."""
    trainer = made(case)
    return trainer, lead(trainer, trainer.total)


def together(rank: int, meeting: Path) -> dict[str, tuple[list[float], dict[str, Any]]]:
    """Be one of two processes that train each case. Returns losses and states, of which only the first knows."""
    meet(torch.device("cpu"), rank, 2, system.interface("127.0.0.1"), init_method=f"file://{meeting}")
    team, found = Ranks(rank, 2, torch.device("cpu")), {}
    parts: list[tuple[str, str, int | None]] = [(case, case, None) for case in CASES]
    parts += [("dropout", "halfway", HALF), ("dropout", "resumed", None)]
    for case, name, steps in parts:
        trainer = made(case, team)
        if name == "resumed" and team.leads:
            trainer.load_state_dict(found["halfway"][1])
        team.begin(trainer)
        if team.leads:
            losses = lead(trainer, (steps or trainer.total) - trainer.done)
            found[name] = losses, {**deepcopy(trainer.state_dict()), "norm": float(trainer.grad_norm)}
            team.order(Order.END)
        else:
            follow(trainer, team)
    team.leave()
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[float], dict[str, Any]]]:
    """What two processes made of each case, of which this one is the first."""
    meeting = tmp_path_factory.mktemp("ranks") / "meeting"
    code = "import sys; from pathlib import Path; from tests.core.training import test_ranks as t; "
    code += "t.together(1, Path(sys.argv[1]))"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(meeting)], env={**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR"}
    )
    found = together(0, meeting)
    assert other.wait(60) == 0
    return found


def largest(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """The largest difference between two sets of weights, those left out that batch normalisation takes out again."""
    names = [name for name in a if not name.endswith(("linear.bias", "norm.mean"))]
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in names)


@pytest.mark.parametrize("case", [case for case in CASES if case != "dropout"])
def test_two_processes_take_the_steps_of_one(found: dict[str, Any], case: str):
    """The same losses to 1e-4, the same gradient norm before clipping, the same place in the data, alike weights."""
    (alone, losses), (theirs, state) = alone_through(case), found[case]

    assert len(theirs) == alone.total and theirs[0] != theirs[-1]
    assert max(abs(a - b) for a, b in zip(losses, theirs, strict=True)) < 1e-4
    assert state["norm"] == pytest.approx(float(alone.grad_norm), abs=1e-3)
    assert torch.equal(state["batches"], alone.batches.state())
    assert largest(alone.model.state_dict(), state["model"]) < 1e-3


def test_a_run_with_dropout_that_is_resumed_goes_on_to_the_last_digit(found: dict[str, Any]):
    """On as many processes as before; though only what the first of them knows was kept."""
    (whole, end), (first, _), (rest, again) = (found[name] for name in ("dropout", "halfway", "resumed"))

    assert whole == first + rest and len(first) == HALF
    assert largest(end["model"], again["model"]) == 0.0


def test_each_process_drops_other_units(found: dict[str, Any]):
    """So the curve is not that of one process, which draws for the whole batch at once; its start is."""
    losses, (theirs, _) = lead(made("dropout"), 3), found["dropout"]
    plain = made("dropout")
    plain.model.eval()
    x, y = plain.batch()

    assert theirs[:3] != pytest.approx(losses, abs=1e-6)
    assert theirs[0] == pytest.approx(plain._loss(plain.model, x, y).item(), abs=0.1)


def test_one_process_goes_on_where_two_were(found: dict[str, Any]):
    """The state of a run says nothing of how many trained it."""
    went_on, (alone, _) = made("muon"), alone_through("muon")
    went_on.load_state_dict(found["muon"][1])

    assert went_on.done == went_on.total
    assert went_on.optimizers.learning_rate == pytest.approx(alone.optimizers.learning_rate)
    assert went_on.first_loss() == pytest.approx(alone.first_loss(), abs=1e-4)
