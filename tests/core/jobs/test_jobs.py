"""Jobs as real processes: they outlive whoever started them, take turns, stop, resume and are cleaned up."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core import paths
from core.errors import BardlabError
from core.jobs import control, processes, queue, turns, work
from core.ladder.registry import RUNGS
from core.runs import editing, folder, layout, reading, records
from core.runs.folder import State
from core.runs.state import Run, Status
from core.system import Lock
from core.training.trainer import Trainer
from tests.conftest import make_run
from tests.forks import template

LONG = {"steps": 5000, "eval_every": 10, "sample_chars": 1}
"""Much longer than any test: it ends only because it is stopped."""


@pytest.fixture(autouse=True)
def tidy(home: object) -> Iterator[None]:
    """End every process of the test, whether it passed or not, and first the spare that an earlier test left."""
    if left := processes._spare:
        left.kill()
        left.wait()
        processes.reap()
    processes._not_before = 0.0
    paths.runs().mkdir(parents=True)
    (paths.runs() / layout.SPEED).write_text("{}")  # as if this machine had been timed: no probe
    yield
    processes._dismiss_spare()
    for child in [*processes.children, *([processes._spare] if processes._spare else [])]:
        if child is not processes._spare:
            child.kill()
        child.wait()
    processes.reap()
    for run in reading.list_runs():  # those that another process started
        if folder.is_alive(run.path) and run.status.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.status.pid, signal.SIGKILL)
    assert not processes.children and processes._spare is None


def until(run: Run, reached: Callable[[Run], bool], seconds: float = 90) -> Run:
    """Wait until a run looks as wanted."""
    patience = time.monotonic() + seconds
    while not reached(found := reading.read(run.path)):
        assert time.monotonic() < patience, f"still {found.state}: {found.status.message}\n{records.log_tail(run.path)}"
        time.sleep(0.02)
    return found


def training(run: Run) -> bool:
    return run.state is State.RUNNING and (run.status.checkpoint_step or 0) >= 10


def refused(what: str) -> "pytest.RaisesExc[BardlabError]":
    """Expect one line of refusal."""
    return pytest.raises(BardlabError, match=rf"\A[^\n]*{what}[^\n]*\Z")


@pytest.mark.started
def test_a_job_is_a_process_of_its_own_that_ends_by_itself():
    run = control.start(make_run("bigram"))
    assert run.state in (State.QUEUED, State.RUNNING)
    run = control.wait(run, 90)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.pid not in (None, os.getpid())
    assert "bigram on cpu" in records.log_tail(run.path)


def test_a_job_outlives_the_process_that_started_it():
    """The parent is gone before the job has begun; the job still ends as it should."""
    script = "\n".join(
        [
            "from core.jobs import control",
            "from tests.conftest import make_run",
            "print(control.start(make_run('transformer', steps=30)).slug, flush=True)",
        ]
    )
    parent = subprocess.run(
        [sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    run = reading.find(parent.stdout.strip())
    run = until(run, lambda r: not r.state.active)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.step == 30 and run.damage is None


def test_stop_resume_and_what_is_refused_meanwhile():
    """One job through its life: refused what makes no sense, stopped with its weights, resumed, stopped again."""
    run = until(control.start(make_run("transformer", **LONG)), training)
    with refused("is running; there is nothing to start"):
        control.start(run)
    with refused("is running; stop it first, then delete it"):
        editing.delete(run)
    assert run.path.exists()

    assert control.stop(run).state in (State.STOPPING, State.STOPPED)
    stopped = control.wait(run, 60)
    assert stopped.state is State.STOPPED and stopped.usable
    assert stopped.status.checkpoint_step == stopped.status.step >= 10
    with refused("is stopped; there is nothing to stop"):
        control.stop(stopped)

    again = until(control.start(stopped), lambda r: r.state is State.RUNNING and r.status.step > stopped.status.step)
    assert again.status.pid != stopped.status.pid
    control.stop(again)
    again = control.wait(again, 60)
    assert again.state is State.STOPPED
    until(again, lambda r: not folder.is_alive(r.path))
    editing.delete(again)
    assert not run.path.exists()


@pytest.mark.started
def test_the_spare_worker_takes_the_next_job():
    """A worker stands by, is kept until it is needed, and becomes the worker of the next run."""
    processes.warm()
    spare = processes.spare_pid()
    processes.warm()
    assert spare is not None and processes.spare_pid() == spare
    run = control.start(make_run("bigram"))
    assert processes.spare_pid() is None
    run = control.wait(run, 90)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.pid == spare
    assert "bigram on cpu" in records.log_tail(run.path)


def test_a_spare_that_died_is_not_waited_for():
    processes.warm()
    spare = processes._spare
    assert spare is not None
    spare.kill()
    os.waitid(os.P_PID, spare.pid, os.WEXITED | os.WNOWAIT)  # it is gone, and nobody has noticed
    run = control.wait(control.start(make_run("bigram")), 90)

    assert run.state is State.FINISHED and run.status.pid != spare.pid


def test_a_spare_that_died_unused_is_not_started_again_at_once(monkeypatch: pytest.MonkeyPatch):
    """Whatever it died of would end the next one too: there is a pause, in which jobs start cold."""
    processes.warm()
    spare = processes._spare
    assert spare is not None
    spare.kill()
    spare.wait()
    for _ in range(3):
        processes.warm()
        assert processes.spare_pid() is None
    monkeypatch.setattr(processes, "_not_before", time.monotonic() - 1)
    processes.warm()
    assert processes.spare_pid() not in (None, spare.pid)


def test_the_spare_is_kept_for_a_run_that_need_not_wait():
    """Beside a run on the device, the next one waits in a small process of its own, which loads no torch."""
    processes.warm()
    spare = processes.spare_pid()
    with template.starting(), Lock(turns.slots("cpu")[0].lock_path):  # the small ones: a fork has all of the template
        run = until(control.start(make_run("bigram")), lambda r: r.status.message == "waiting for the cpu")
        assert processes.spare_pid() == spare != run.status.pid
        waiter = psutil.Process(run.status.pid)
        assert waiter.memory_info().rss < 30e6
        assert not [m.path for m in waiter.memory_maps() if re.search("torch|numpy|pandas|pydantic", m.path)]
        assert Path(f"/proc/{waiter.pid}/oom_score_adj").read_text() == "500\n"
        line = [run, control.start(make_run("bigram"))]
        until(line[1], lambda r: bool(r.status.message.endswith(f"behind {run.name}")))
        assert [r.slug for r in queue.queue("cpu")] == [r.slug for r in line]
    assert [control.wait(each, 90).state for each in line] == [State.FINISHED] * 2


def test_a_step_that_fails_leaves_the_spare_standing(monkeypatch: pytest.MonkeyPatch):
    """A GPU that is full or broken must not end it: it takes the next rung, and then the job."""
    tried: list[str] = []

    def step(trainer: Trainer) -> None:
        tried.append(type(trainer.model).__name__)
        if len(tried) == len(RUNGS):
            os.write(inlet, b"some/run\n")
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(Trainer, "step", step)
    outlet, inlet = os.pipe()
    with os.fdopen(outlet) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert work.stand_by() == "some/run"
    os.close(inlet)
    assert len(set(tried)) == len(RUNGS)


def test_a_dismissed_spare_leaves():
    processes.warm()
    spare = processes._spare
    assert spare is not None
    processes._dismiss_spare()

    assert spare.wait(60) == 0
    assert processes.spare_pid() is None


def test_a_job_that_cannot_be_started_is_refused_in_one_line_and_starts_later():
    run = make_run("bigram")
    in_the_way = run.path / folder.LOG
    in_the_way.mkdir()
    with pytest.raises(BardlabError, match=f"^cannot start {run.slug}: is a directory: {re.escape(str(in_the_way))}$"):
        control.start(run)
    assert not processes.children
    in_the_way.rmdir()

    assert control.wait(control.start(reading.read(run.path)), 90).state is State.FINISHED


def test_one_device_one_run_at_a_time():
    """The second waits its turn behind the first, by name, can be told to stop waiting, and runs once it is free."""
    first = until(control.start(make_run("transformer", **LONG)), training)
    second = control.start(make_run("bigram"))
    third = control.start(make_run("bigram"))
    for waiting in (second, third):
        seen = until(waiting, lambda r: r.status.message.startswith("waiting for the cpu"))
        assert seen.state is State.QUEUED and seen.status.message == f"waiting for the cpu, behind {first.name}"
    with refused("is queued; stop it first"):
        editing.delete(reading.read(second.path))
    control.stop(reading.read(third.path))
    assert control.wait(third, 60).status.message == "stopped while it waited"
    assert reading.read(first.path).state is State.RUNNING
    control.stop(first)
    second = control.wait(second, 60)

    assert second.state is State.FINISHED, second.status.message
    stopped = reading.read(first.path)
    assert stopped.state is State.STOPPED
    assert (second.status.started or 0) >= (stopped.status.ended or 0)


def test_a_killed_job_frees_the_device():
    """No worker, no lock: the next run does not wait for a dead one."""
    first = until(control.start(make_run("transformer", **LONG)), training)
    assert first.status.pid is not None
    os.kill(first.status.pid, signal.SIGKILL)
    second = control.wait(control.start(make_run("bigram")), 90)

    assert second.state is State.FINISHED
    assert reading.read(first.path).state is State.LOST


def test_what_is_asked_of_a_run_deleted_meanwhile():
    run = make_run("bigram")
    editing.delete(run)
    for ask in (
        control.stop,
        control.pause,
        editing.delete,
        lambda run: control.change(run, {"learning_rate": 0.1}),
        control.start,
    ):
        with refused("deleted"):
            ask(run)
    assert list(paths.runs().glob("[!.]*")) == []


def test_no_run_is_taken_in_without_memory_for_it(monkeypatch: pytest.MonkeyPatch):
    run = make_run("bigram")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 100_000_000}))
    with refused("only 100 MB of memory are free; start bigram-[a-z-]+ when other runs have ended"):
        control.start(run)
    assert not processes.children


def test_what_cannot_be_started(finished: Run):
    """A finished run and a damaged one are refused in one line, and no process is started for them."""
    with refused(r"has finished its 4 steps; start a new run for more"):
        control.start(finished)
    with refused("is finished; there is nothing to stop"):
        control.stop(finished)
    (finished.path / folder.CONFIG).write_bytes(b"{")
    with refused("is damaged: config.json"):
        control.start(reading.read(finished.path))

    assert not processes.children
    assert Status.model_validate_json((finished.path / folder.STATUS).read_bytes()) == finished.status


def test_a_run_started_four_times_at_once_gets_one_worker():
    """Four tabs or terminals at once: one of them starts it, the others are told so."""
    run = make_run("transformer")
    told = []

    def click() -> None:
        try:
            control.start(run)
        except BardlabError as error:
            told.append(str(error))

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    (worker,) = processes.children
    run = control.wait(run, 90)
    worker.wait(60)

    assert len(told) == 3 and all(re.search("there is nothing to start", line) for line in told)
    assert reading.read(run.path) == run and run.state is State.FINISHED
    assert [s.step for s in records.samples(run.path)] == [0, 2, 4]


def test_a_run_deleted_before_its_worker_came_does_not_come_back():
    run = control.start(make_run("bigram"))
    with contextlib.suppress(BardlabError):
        editing.delete(run)
        assert not run.path.exists()
    for child in list(processes.children):
        child.wait(90)

    assert reading.list_runs() == [] or reading.read(run.path).state is State.FINISHED
