"""A run that several processes compute: what it may ask for, what reaches them, and what is left when one dies."""

import subprocess
import threading
import time
from typing import Any

import psutil
import pytest
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from core.errors import BardlabError
from core.jobs import control, timing, turns
from core.ladder import cost, registry
from core.runs import folder, plan, reading, records, requests, state
from core.runs.folder import State
from core.runs.metrics import MetricsReader
from core.runs.state import Run
from core.system import Lock
from core.training import devices
from tests.conftest import make_run
from tests.forks import template

TWO = {"devices": 2, "steps": 12, "eval_every": 4, "sample_chars": 5}


def test_what_cannot_be_shared_is_refused_before_there_is_a_run(monkeypatch: pytest.MonkeyPatch):
    """Too many for the machine, for the batch, for sequences that come first, for counting."""
    monkeypatch.setattr(devices.psutil, "cpu_count", lambda logical=True: 4)

    def refusal(rung: str, model: dict[str, Any] | None = None, device: str = "cpu", **train: Any) -> str:
        with pytest.raises(BardlabError) as caught:
            plan.plan(rung, model=model, train=train, device=device)
        return str(caught.value)

    assert refusal("mlp", devices=6, batch_size=12) == (
        "train.devices is 6, and there are 4 processor cores; give at most 4"
    )
    assert refusal("mlp", devices=4, batch_size=6) == (
        "train.devices 4 does not divide the 6 sequences of a step; give 3, or a train.batch_size that it divides"
    )
    assert refusal("mlp", devices=2, batch_size=2, window=11, short_first=0.5) == (
        "train.devices 2 does not divide the 11 sequences of 2 characters, which train.short_first asks for, of a "
        "step; give 1, or a train.batch_size that it divides"
    )
    assert "counting is done by one device" in refusal("bigram", {"fit": "count"}, devices=2)
    assert "from 1 to 64" in refusal("mlp", devices=0)
    assert plan.plan("mlp", train={"devices": 4}, device="cpu").train.devices == 4


def test_what_it_takes_is_told_for_all_of_them(monkeypatch: pytest.MonkeyPatch):
    """The whole step's arithmetic, the memory of each process on a CPU together, the threads shared out."""
    monkeypatch.setattr(devices, "threads", lambda: 3)
    rung = registry.get("transformer")
    config = plan.plan("transformer", train={"batch_size": 32}, device="cpu")
    one, two = (
        cost.cost(rung, config.model_config_, config.train.model_copy(update={"devices": n}), 65) for n in (1, 2)
    )

    assert two.flops_per_step == pytest.approx(one.flops_per_step) and two.step.flops == pytest.approx(
        one.step.flops / 2
    )
    assert one.memory_bytes / 2 < two.memory_bytes < one.memory_bytes
    assert timing.in_all(two, "cpu") == 2 * two.memory_bytes + 3 * timing.HELD["cpu"]
    assert timing.in_all(two, "cuda") - timing.in_all(one, "cuda") == two.memory_bytes - one.memory_bytes
    assert [devices.share_of_threads(n) for n in (1, 2, 4)] == [3, 1, 1]


def borrows() -> Lock:
    """Take the place of the paused run, as another run would that waits for it, and keep it."""
    run = make_run("bigram")
    with folder.hold(run.path):
        state.write_status(run.path, run.status.model_copy(update={"device": "cpu"}))
        (got, _), *_ = turns.wait_for(("cpu",), run.path, lambda: False, lambda line: None) or ()
        state.write_status(run.path, run.status.model_copy(update={"state": State.STOPPED}))
    return got


def asks_and_kills(made: Run, found: dict[str, Any]) -> None:
    """Do as a page does, and then as a machine does that is short of memory."""
    control.pause(control.wait_for_state(reading.read(made.path), State.RUNNING, 60), 6)
    run = control.wait_for_state(reading.read(made.path), State.PAUSED, 120)
    found["paused"] = run.status
    found["lent"] = borrows()
    workers = [each for each in psutil.Process().children() if str(run.path) in each.cmdline()]
    control.change(run, {"learning_rate": 0.002})
    control.single_step(run)
    patience = time.monotonic() + 60
    while (run := reading.read(run.path)).status.step < 7 and time.monotonic() < patience:
        found["waited"] |= run.state is State.QUEUED and run.status.message.startswith("waiting for the cpu")
        if found["waited"]:
            found["lent"].release()
        time.sleep(0.02)
    found["stepped"] = control.wait_for_state(run, State.PAUSED, 60).status
    found["workers"] = workers
    workers[1].kill()


@pytest.mark.long
def test_what_is_asked_reaches_all_and_a_dead_process_ends_the_run_lost(monkeypatch: pytest.MonkeyPatch):
    """Paused, its place lent, stepped, changed; one process killed: lost at once, none stays, and it is resumable.

    At first the processes are started as ever, the second time they are forks.
    """
    monkeypatch.setattr(subprocess_handler, "Popen", template.Started)
    made, found = make_run("transformer", **TWO), dict[str, Any]()
    found["waited"] = False
    asker = threading.Thread(target=asks_and_kills, args=(made, found))
    asker.start()
    run = control.work(made)
    asker.join()

    paused, stepped = found["paused"], found["stepped"]
    assert found["waited"]
    assert (paused.state, paused.step, paused.devices) == (State.PAUSED, 6, 2)
    assert (stepped.step, stepped.checkpoint_step) == (7, 7) and requests.current(run)["learning_rate"] == 0.002
    assert folder.read_status(run.path)["state"] == State.LOST and len(found["workers"]) == 2
    assert run.status.message in [f"process {n} of 2 was ended by SIGKILL; Resume goes on from step 7" for n in (1, 2)]
    assert not psutil.wait_procs(found["workers"], 10)[1]

    monkeypatch.setattr(subprocess_handler, "Popen", subprocess.Popen)
    run = control.work(run)
    assert run.state is State.FINISHED and run.status.step == 12, run.status.message
    assert [alert.text for alert in records.alerts(run.path)] == ["learning_rate changed from 0.001 to 0.002"]
    rates = dict(zip(*(column.tolist() for column in MetricsReader(run.path).refresh().curve("train/lr")), strict=True))
    assert rates[12] == pytest.approx(0.002) and rates[6] == pytest.approx(0.001)
