"""Several GPUs, of which this machine has none: who gets which, and what a paused run keeps of its own."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch
from safetensors.torch import load_file

from core import files, paths, system
from core.jobs import control, processes, turns, work
from core.jobs.waiting import Place
from core.runs import folder, layout, reading, records, state
from core.runs.folder import State
from core.runs.state import Run
from core.system import Lock
from core.training import gpus, parking
from core.training.trainer import Trainer
from tests.conftest import TINY, make_run

GPUS = ("GPU-a1", "GPU-b2")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """A machine with two GPUs; what is entered into the stack is given back at the end."""
    monkeypatch.setattr(gpus, "names", lambda: GPUS)
    paths.runs().mkdir(parents=True)
    with ExitStack() as stack:
        yield stack


def waiting(stack: ExitStack, only: str = "") -> Run:
    """Make a run that waits for a GPU, its lock held by this process."""
    run = make_run("bigram")
    stack.enter_context(folder.hold(run.path))
    state.write_status(run.path, run.status.model_copy(update={"device": "cuda", "only": only}))
    return reading.read(run.path)


def ask(run: Run, device: str = "cuda") -> tuple[Lock, turns.Slot] | None:
    """Let a run look twice whether it is its turn."""
    found = ask_for(run, device, 1)
    return found[0] if found else None


def ask_for(run: Run, device: str, count: int) -> list[tuple[Lock, turns.Slot]] | None:
    tries = iter([False, False, True])
    return turns.wait_for((device,), run.path, lambda: next(tries), lambda line: None, count=count)


def begins(run: Run) -> None:
    state.write_status(run.path, run.status.model_copy(update={"state": State.RUNNING}))


def test_each_run_gets_a_gpu_of_its_own_as_long_as_there_are_any(two: ExitStack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BARDLAB_JOBS_PER_DEVICE", "2")
    given = []
    for _ in range(4):
        run = waiting(two)
        found = ask(run)
        assert found
        two.callback(found[0].release)
        given.append((found[1].device, found[0].path.name))
        begins(run)

    assert given == [
        ("cuda:0", ".device-cuda-GPU-a1.lock"),
        ("cuda:1", ".device-cuda-GPU-b2.lock"),
        ("cuda:0", ".device-cuda-GPU-a1-1.lock"),
        ("cuda:1", ".device-cuda-GPU-b2-1.lock"),
    ]
    assert ask(waiting(two)) is None and not turns.free("cuda")


def test_who_waits_for_one_gpu_keeps_nobody_from_the_other(two: ExitStack):
    """The first in the queue wants the second GPU alone, which is taken: the next one gets the first GPU."""
    busy = Lock(turns.slots("cuda:1")[0].lock_path)
    assert busy.take()
    first, second = waiting(two, only="cuda-GPU-b2"), waiting(two)
    assert ask(first, "cuda:1") is None
    found = ask(second)
    assert found and found[1].device == "cuda:0"
    begins(second)
    busy.release()
    third = waiting(two)
    assert ask(third) is None  # the first comes before it
    again = ask(first, "cuda:1")
    assert again and again[1].device == "cuda:1"
    again[0].release(), found[0].release()


def test_a_run_of_two_gpus_waits_for_both_and_holds_neither_meanwhile(two: ExitStack, monkeypatch: pytest.MonkeyPatch):
    """Two places on one GPU are no two GPUs, and whoever comes later waits behind it."""
    monkeypatch.setenv("BARDLAB_JOBS_PER_DEVICE", "2")
    busy = [Lock(slot.lock_path) for slot in turns.slots("cuda:0")]
    assert all(lock.take() for lock in busy)
    wide, later = waiting(two), waiting(two)

    assert ask_for(wide, "cuda", 2) is None and ask(later) is None
    assert not any(system.is_locked(slot.lock_path) for slot in turns.slots("cuda:1"))
    busy[1].release()
    found = ask_for(wide, "cuda", 2)
    assert found and sorted(slot.device for _, slot in found) == ["cuda:0", "cuda:1"]
    begins(wide)
    assert ask(later) is not None
    for lock in (busy[0], *(lock for lock, _ in found)):
        lock.release()


def test_a_paused_run_asks_for_its_own_gpu_again(two: ExitStack, monkeypatch: pytest.MonkeyPatch):
    run = waiting(two)
    told: dict[str, object] = {}
    place = Place("cuda", run.path, lambda: False, told.update)
    other = Lock(turns.slots("cuda")[0].lock_path)
    assert other.take() and place.take() and place.device == "cuda:1" and told["only"] == ""
    place.give_up()
    other.release()
    assert place.take() and place.device == "cuda:1" and told["only"] == "cuda-GPU-b2" and told["device"] == "cuda"
    assert not system.is_locked(turns.slots("cuda")[0].lock_path)
    place.give_up()


def test_a_paused_run_of_several_gpus_asks_for_its_own_again(two: ExitStack, monkeypatch: pytest.MonkeyPatch):
    """Of four, those that it was on, and only both of them."""
    monkeypatch.setattr(gpus, "names", lambda: (*GPUS, "GPU-c3", "GPU-d4"))
    run, told = waiting(two), dict[str, object]()
    tries = iter([False] * 2 + [True])
    place = Place("cuda", run.path, lambda: next(tries), told.update, 2)
    first, second, third, _ = (Lock(slot.lock_path) for slot in turns.slots("cuda"))
    assert first.take() and place.take() and place.devices == ("cuda:1", "cuda:2")
    place.give_up()
    first.release()
    assert second.take() and not place.take() and told["only"] == "cuda-GPU-b2 cuda-GPU-c3"
    assert not system.is_locked(third.path)
    second.release()
    tries = iter([False])
    assert place.take() and place.devices == ("cuda:1", "cuda:2") and system.is_locked(third.path)
    place.give_up()


@pytest.mark.parametrize(
    ("visible", "there", "expected"),
    [
        ("1", ["GPU-a1", "GPU-b2"], ("GPU-b2",)),
        ("GPU-b, 0", ["GPU-a1", "GPU-b2"], ("GPU-b2", "GPU-a1")),
        ("0,7,1", ["GPU-a1", "GPU-b2"], ("GPU-a1",)),
        ("-1", ["GPU-a1"], ()),
        ("", ["GPU-a1"], ()),
        ("2,3", [], ("2", "3")),
        ("MIG-5/1/0", ["GPU-a1"], ("MIG-5/1/0",)),
    ],
)
def test_what_cuda_visible_devices_names(visible: str, there: list[str], expected: tuple[str, ...]):
    assert gpus._chosen(visible, there) == expected
    for name in expected:
        assert "/" not in turns.Slot("cuda:0", f"cuda-{name}").lock_path.name


def test_without_a_driver_tool_torch_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "_by_number", list)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)

    assert gpus.names.__wrapped__() == ("0", "1", "2")


def trainer(rung: str, steps: int, **train: object) -> Trainer:
    from core.ladder.registry import RUNGS
    from core.texts.corpus import load

    model, config = RUNGS[rung].settings(None, TINY[rung]["model"], {**TINY[rung]["train"], **train})
    torch.manual_seed(3)
    corpus = load()
    found = Trainer(RUNGS[rung].build(model, corpus.tokenizer.size), config, corpus.train_ids, torch.device("cpu"))
    for _ in range(steps):
        found.step()
    return found


def flat(value: object) -> list[torch.Tensor]:
    """Every tensor in a state."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in flat(part)]


def held(trainer: Trainer) -> list[torch.Tensor]:
    """What a trainer has in its device's memory, kept there as long as the list is."""
    parts = [part for p in trainer.model.parameters() for part in (p, p.grad) if part is not None]
    parts += flat([part.state_dict()["state"] for part in trainer.optimizers.parts])
    return [part.data for part in parts]


@pytest.mark.parametrize(("rung", "optimizer"), [("transformer", "muon"), ("mlp", "adamw"), ("residual", "sgd")])
def test_a_parked_trainer_goes_on_as_if_it_had_stayed(rung: str, optimizer: str, monkeypatch: pytest.MonkeyPatch):
    """`cpu:0` stands for main memory here: torch copies between it and `cpu`, as it would to and from a GPU."""
    monkeypatch.setattr(parking, "MAIN", torch.device("cpu:0"))
    stayed, moved = (trainer(rung, 3, optimizer=optimizer) for _ in range(2))
    for each in (stayed, moved):
        torch.manual_seed(4)  # dropout draws from it
        each._loss(each.model, *each.batch()).backward()
    before = held(moved)
    parked = parking.Parked(moved)
    assert not {tensor.data_ptr() for tensor in before} & {tensor.data_ptr() for tensor in held(moved)}
    parked.bring_back()
    gradients = [[p.grad for p in each.model.parameters()] for each in (stayed, moved)]
    assert all(torch.equal(a, b) for a, b in zip(*map(flat, gradients), strict=True)) and flat(gradients)
    for each in (stayed, moved):
        torch.manual_seed(5)
        each.step(), each.step()

    assert all(torch.equal(a, b) for a, b in zip(flat(stayed.state_dict()), flat(moved.state_dict()), strict=True))


def test_a_run_that_lent_its_place_ends_as_one_that_did_not(monkeypatch: pytest.MonkeyPatch):
    """Paused, parked, its place lent to another run and taken again."""
    monkeypatch.setattr(parking, "MAIN", torch.device("cpu:0"))
    parkings: list[parking.Parked] = []
    park = parking.Parked.__init__

    def counted(self: parking.Parked, trainer: Trainer) -> None:
        park(self, trainer)
        parkings.append(self)

    monkeypatch.setattr(parking.Parked, "__init__", counted)
    settings = {"steps": 12, "eval_every": 4, "sample_chars": 1}
    whole = work.work(make_run("transformer", **settings).path)
    run, other = make_run("transformer", **settings), make_run("bigram")
    files.replace(run.path / folder.PAUSE, b"5")
    states = []

    def page() -> None:
        control.wait_for_state(run, State.PAUSED, 60)
        control.start(other)
        states.append(control.wait(other, 90).state)
        control.proceed(reading.read(run.path))

    thread = threading.Thread(target=page)
    thread.start()
    ended = work.work(run.path)
    thread.join()
    for child in processes.children:
        child.wait(60)
    processes.reap()

    assert states == [State.FINISHED] and len(parkings) == 1
    assert ended.state is State.FINISHED and records.samples(ended.path) == records.samples(whole.path)
    ours, theirs = load_file(ended.path / layout.WEIGHTS), load_file(whole.path / layout.WEIGHTS)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_had_ended_is_not_read_again_until_it_has_changed(monkeypatch: pytest.MonkeyPatch):
    """Nor is it overlooked when it waits again, though its status is as long as before."""
    run = make_run("bigram")
    state.write_status(run.path, run.status.model_copy(update={"state": State.FAILED, "device": "cuda"}))
    os.utime(run.path / folder.STATUS, (1e9, 1e9))
    assert turns.queue() == [] and turns.queue() == []
    with monkeypatch.context() as patch, folder.hold(run.path):
        patch.setattr(folder, "read_status", lambda path: pytest.fail("it was read again"))
        assert turns.queue() == []
    state.write_status(run.path, run.status.model_copy(update={"state": State.QUEUED, "device": "cuda"}))
    with folder.hold(run.path):
        assert turns.queue("cuda") == [run.path]
