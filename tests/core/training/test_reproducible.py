"""Kernels that add up in a fixed order: asked for on an NVIDIA GPU alone, and given up where there is none."""

import os
from collections.abc import Iterator

import pytest
import torch
from torch._inductor import config as inductor

from core.ladder.registry import RUNGS
from core.training import reproducible
from core.training.config import TrainConfig
from core.training.trainer import Trainer
from tests.conftest import TINY

CPU, TEXT = torch.device("cpu"), torch.arange(400) * 7 % 11


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the process as it was."""
    deterministic = torch.are_deterministic_algorithms_enabled(), inductor.deterministic
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(deterministic[0])
    inductor.deterministic = deterministic[1]
    torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


def test_a_gpu_is_asked_for_them_and_nothing_else_is():
    for device in ("cpu", "mps"):
        reproducible.switch_on(torch.device(device))
        assert not torch.are_deterministic_algorithms_enabled()
    reproducible.switch_on(torch.device("cuda", 1))

    assert torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    assert inductor.deterministic and os.environ["CUBLAS_WORKSPACE_CONFIG"] in (":4096:8", ":16:8")
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_an_operation_that_has_none_costs_the_promise_not_the_run():
    """torch's own refusal, at the first step: the step is taken again, dropout and all, and one line says so."""
    torch.manual_seed(0)
    rung = RUNGS["transformer"]
    config = TrainConfig.parse(TINY["transformer"]["train"])
    made = [Trainer(rung.build(rung.config.parse(TINY["transformer"]["model"]), 11), config, TEXT, CPU) for _ in "ab"]
    made[1].model.load_state_dict(made[0].model.state_dict())
    reproducible.switch_on(torch.device("cuda"))
    made[0].model.ln_final.register_forward_hook(refused)
    losses = []
    for each in made:
        torch.manual_seed(5)
        losses.append(float(each.step()))

    assert losses[0] == losses[1] and not torch.are_deterministic_algorithms_enabled()
    assert len(made[0].remarks) == 1 and made[0].remarks[0].startswith("this run repeats to rounding only: ")
    assert not made[1].remarks


def refused(module: object, inputs: object, output: object) -> None:
    """Ask torch for what it has no deterministic form of."""
    torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]), accumulate=False)


def test_other_errors_are_none_of_this():
    assert not reproducible.is_lacking(RuntimeError("out of memory"))
