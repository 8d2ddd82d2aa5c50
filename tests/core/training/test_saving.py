"""Saving beside training: what is written is the moment it was taken, whole, in order, and its failure is heard."""

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as load_tensors

from core import files
from core.jobs import recorder, work
from core.ladder.registry import RUNGS
from core.runs import checkpoints, layout
from core.runs import state as runs_state
from core.runs.checkpoints import Writer, packed, take
from core.runs.folder import State
from core.training.config import TrainConfig
from core.training.trainer import Trainer
from tests.conftest import TINY, make_run


def trainer(**changes: object) -> Trainer:
    torch.manual_seed(0)
    rung = RUNGS["transformer"]
    model = rung.build(rung.config.parse(TINY["transformer"]["model"]), 11)
    config = TrainConfig.parse({"steps": 50, "batch_size": 4, "optimizer": "muon", **changes})
    return Trainer(model, config, torch.arange(400) * 7 % 11, torch.device("cpu"))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold every file back, as a slow disk does, until it opens."""
    opened, replace = threading.Event(), files.replace

    def slow(path: Path, content: bytes, *, durable: bool = False) -> None:
        if path.suffix == ".safetensors":
            assert opened.wait(60)
        replace(path, content, durable=durable)

    monkeypatch.setattr(files, "replace", slow)
    yield opened
    opened.set()


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, gate: threading.Event):
    """Steps are taken before the file is there; it holds the state of the step at which it was taken, all of it."""
    one, other, writer = trainer(), trainer(), Writer(tmp_path)
    for each in (other, one):
        torch.manual_seed(1)
        for _ in range(5):
            each.step()
    writer.write(take(one, {"watch": [1]}))
    for _ in range(5):
        one.step()
    assert writer.step is None and not writer.idle and not list(tmp_path.glob("*.*"))
    gate.set()
    writer.settle()

    assert writer.step == 5 and writer.idle
    resumed = trainer()
    restored = checkpoints.restore(tmp_path, resumed)
    assert restored is not None and restored.extra == {"watch": [1]} and resumed.done == 5
    weights = load_tensors((tmp_path / layout.WEIGHTS).read_bytes())
    assert all(torch.equal(weights[name], value) for name, value in other.model.state_dict().items())
    for _ in range(5):
        resumed.step()
    ours, theirs = resumed.model.state_dict(), one.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    writer.close()


def test_the_next_checkpoint_waits_for_the_one_before(tmp_path: Path, gate: threading.Event):
    """Files come in order: weights, what keeps them, the state to resume from; then those of the next."""
    one, writer = trainer(), Writer(tmp_path)
    one.step()
    writer.write(take(one), best=True, keep=True)
    one.step()
    second = threading.Thread(target=lambda: writer.write(take(one)))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    gate.set()
    second.join(60)
    writer.settle()

    steps = [int(header(tmp_path / name)["step"]) for name in (layout.WEIGHTS, layout.BEST)]
    assert steps == [2, 1] and header(layout.snapshot_path(tmp_path, 1))["step"] == "1"
    states = [torch.load(tmp_path / name, weights_only=True)["done"] for name in (layout.TRAINER, layout.PREVIOUS)]
    assert states == [2, 1] and writer.step == 2
    writer.close()


def header(file: Path) -> dict[str, str]:
    content = file.read_bytes()
    found: dict[str, str] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return found


@pytest.mark.parametrize("hear", [Writer.settle, lambda writer: writer.write(take(trainer()))])
def test_a_failure_is_raised_to_whoever_comes_next(tmp_path: Path, hear: Callable[[Writer], object]):
    """Once; and what was on disk before stays what could be resumed."""
    writer = Writer(tmp_path)
    writer.write(take(trainer()))
    writer.settle()
    kept = writer.step
    (tmp_path / layout.WEIGHTS).unlink()
    (tmp_path / layout.WEIGHTS).mkdir()
    one = trainer()
    one.step()
    writer.write(take(one))
    with pytest.raises(OSError):
        hear(writer)
    assert writer.step == kept == 0
    assert torch.load(tmp_path / layout.TRAINER, weights_only=True)["done"] == 0
    writer.settle()
    writer.close()


def test_a_run_ends_with_everything_on_disk(gate: threading.Event):
    """However slow the disk: finished is said only when the last weights are there to be resumed or loaded."""
    threading.Timer(0.5, gate.set).start()
    run = work.work(make_run("transformer", steps=4, eval_every=2).path)

    assert run.state is State.FINISHED and run.status.checkpoint_step == 4
    assert torch.load(run.path / layout.TRAINER, weights_only=True)["done"] == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")]


def test_weights_are_serialised_once_with_their_checksum():
    """The placeholder gives way to the checksum of the very bytes that follow the header."""
    state = {'a"crc32":"00000000"': torch.arange(7.0), "b": torch.ones(3, 5, dtype=torch.bfloat16), "c": torch.ones(0)}
    content = packed(state, 12)
    start = 8 + int.from_bytes(content[:8], "little")
    about = json.loads(content[8:start])["__metadata__"]

    assert about == {"step": "12", "crc32": f"{zlib.crc32(content[start:]):08x}"}
    found = checkpoints._checked(content)
    assert found.keys() == state.keys() and all(torch.equal(found[name], value) for name, value in state.items())
    with pytest.raises(Exception, match="checksum"):
        checkpoints._checked(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["first", "last"])
def test_one_number_that_is_none_is_found(spoilt: float, where: str):
    """Among all weights in one go; large finite ones, whose sum of squares would overflow, are let through."""
    one = trainer()
    parameters = list(one.model.parameters())
    with torch.no_grad():
        parameters[3].fill_(3e38)
        assert recorder._finite(one)
        parameters[0 if where == "first" else -1].view(-1)[-1] = spoilt
    assert not recorder._finite(one)


@pytest.mark.parametrize("load", ["model", "checkpoint"])
def test_reading_weights_draws_nothing_and_asks_no_gpu(
    load: str, finished: runs_state.Run, monkeypatch: pytest.MonkeyPatch
):
    """On a machine with several GPUs, keeping their random states would start CUDA in the server, and warn."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: pytest.fail("asked a GPU"))
    before = torch.get_rng_state()
    if load == "model":
        checkpoints.load_model(finished)
    else:
        from core.exchange import weights as exchange_weights

        exchange_weights.import_pth(exchange_weights.export_pth(finished))
    assert torch.equal(torch.get_rng_state(), before)
