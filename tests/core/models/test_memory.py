"""What is done where memory is short: the error comes from the allocation itself, as on a device that is full."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core import evaluation
from core.evaluation import evaluate
from core.ladder.registry import RUNGS
from core.models import memory
from core.models.memory import at_once, is_out_of_memory
from tests.conftest import TINY

TEXT = torch.arange(3000) * 7 % 11


class FullDevice(TorchDispatchMode):
    """A device that cannot allocate more than so many numbers at once: it raises what torch's allocator does."""

    def __init__(self, room: int, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.room, self.error, self.refused = room, error, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {id(leaf) for leaf in tree_leaves((args, kwargs))}
        fresh = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and id(leaf) not in given]
        if not func.is_view and sum(leaf.numel() for leaf in fresh) > self.room:
            self.refused += 1
            raise self.error()
        return result


def cuda_says() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def blas_says() -> Exception:
    return RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def apple_says() -> Exception:
    return RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)")


@pytest.mark.parametrize("error", [cuda_says, blas_says, apple_says])
@pytest.mark.parametrize("key", TINY)
def test_evaluation_takes_fewer_windows_where_memory_is_short(
    key: str, error: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
):
    """The same loss over as many characters, found with as many rows as fit, down to a single window."""
    monkeypatch.setattr(evaluation, "at_once", lambda device: 65_536)
    rung = RUNGS[key]
    torch.manual_seed(0)
    model = rung.build(rung.config.parse(TINY[key]["model"]), 11)
    plenty = evaluate(model, TEXT)
    window = evaluation.evaluation_window(model)
    with FullDevice(window * 70, error) as device:
        found = evaluate(model, TEXT)

    assert device.refused > 1 and model.training
    assert found.loss == pytest.approx(plenty.loss, rel=1e-6) and found.predictions == plenty.predictions == 2999


def test_what_does_not_fit_at_all_is_raised():
    """As is, once a single window is too much; and any other error at once."""
    rung = RUNGS["transformer"]
    model = rung.build(rung.config.parse(TINY["transformer"]["model"]), 11)
    with FullDevice(10, cuda_says), pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        evaluate(model, TEXT)
    with FullDevice(10, lambda: RuntimeError("shapes differ")) as device, pytest.raises(RuntimeError, match="shapes"):
        evaluate(model, TEXT)
    assert device.refused == 1 and model.training


def test_what_an_attempt_held_is_free_before_the_next():
    """Or the smaller attempt would fail as well: no result of the refused one is alive."""
    rung = RUNGS["mlp"]
    model = rung.build(rung.config.parse(TINY["mlp"]["model"]), 11)
    alive: list[weakref.ref[Tensor]] = []
    model.embed.register_forward_hook(lambda module, inputs, output: alive.append(weakref.ref(output)))
    gc.disable()
    try:
        with FullDevice(256 * 150, cuda_says):
            evaluate(model, TEXT)
    finally:
        gc.enable()

    assert len(alive) > 2 and not any(reference() is not None for reference in alive)


@pytest.mark.parametrize(("gigabytes", "characters"), [(8, 16_384), (11.9, 16_384), (24, 65_536)])
def test_small_cards_are_given_less_at_once(gigabytes: float, characters: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: type("Card", (), {"total_memory": gigabytes * 1e9})
    )
    assert at_once(torch.device("cuda", 1)) == characters
    assert at_once(torch.device("cpu")) == 2048
    assert memory.SMALL_CARD == 12e9


def test_every_way_of_saying_that_memory_is_out():
    """Torch's own on a CPU is provoked for real."""
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    said = [refused.value, MemoryError(), cuda_says(), blas_says(), apple_says()]
    said.append(RuntimeError("Triton Error [CUDA]: out of memory"))

    assert all(is_out_of_memory(error) for error in said)
    assert not is_out_of_memory(RuntimeError("no kernel image is available")) and not is_out_of_memory(OSError(28, "x"))
