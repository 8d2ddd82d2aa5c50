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

from core import devices, jobs, paths, runs, turns, worker
from core.errors import BardlabError
from core.processes import Lock
from core.runs import Run, State, Status
from core.stages import STAGES
from core.training import Trainer
from tests.conftest import make_run

LONG = {"steps": 5000, "eval_every": 10, "sample_chars": 1}
"""Much longer than any test: it ends only because it is stopped."""


@pytest.fixture(autouse=True)
def tidy(home: object) -> Iterator[None]:
    """End every process of the test, whether it passed or not."""
    jobs._not_before = 0.0
    paths.runs().mkdir(parents=True)
    (paths.runs() / runs.SPEED).write_text("{}")  # as if this machine had been timed: no probe
    yield
    jobs._dismiss_spare()
    for child in [*jobs._children, *([jobs._spare] if jobs._spare else [])]:
        if child is not jobs._spare:
            child.kill()
        child.wait()
    jobs._reap()
    for run in runs.list_runs():  # those that another process started
        if runs.is_alive(run.path) and run.status.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.status.pid, signal.SIGKILL)
    assert not jobs._children and jobs._spare is None


def until(run: Run, reached: Callable[[Run], bool], seconds: float = 90) -> Run:
    """Wait until a run looks as wanted."""
    patience = time.monotonic() + seconds
    while not reached(found := runs.read(run.path)):
        assert time.monotonic() < patience, f"still {found.state}: {found.status.message}\n{runs.log_tail(run.path)}"
        time.sleep(0.02)
    return found


def training(run: Run) -> bool:
    return run.state is State.RUNNING and (run.status.checkpoint_step or 0) >= 10


def refused(what: str) -> "pytest.RaisesExc[BardlabError]":
    """Expect one line of refusal."""
    return pytest.raises(BardlabError, match=rf"\A[^\n]*{what}[^\n]*\Z")


def test_a_job_is_a_process_of_its_own_that_ends_by_itself():
    run = jobs.start(make_run("bigram"))
    assert run.state in (State.QUEUED, State.RUNNING)
    run = jobs.wait(run, 90)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.pid not in (None, os.getpid())
    assert "bigram on cpu" in runs.log_tail(run.path)


def test_a_job_outlives_the_process_that_started_it():
    """The parent is gone before the job has begun; the job still ends as it should."""
    script = "\n".join(
        [
            "from core import jobs",
            "from tests.conftest import make_run",
            "print(jobs.start(make_run('transformer', steps=30)).slug, flush=True)",
        ]
    )
    parent = subprocess.run(
        [sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    run = runs.find(parent.stdout.strip())
    run = until(run, lambda r: not r.state.active)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.step == 30 and run.damage is None


def test_stop_resume_and_what_is_refused_meanwhile():
    """One job through its life: refused what makes no sense, stopped with its weights, resumed, stopped again."""
    run = until(jobs.start(make_run("transformer", **LONG)), training)
    with refused("is running; there is nothing to start"):
        jobs.start(run)
    with refused("is running; stop it first, then delete it"):
        runs.delete(run)
    assert run.path.exists()

    assert jobs.stop(run).state in (State.STOPPING, State.STOPPED)
    stopped = jobs.wait(run, 60)
    assert stopped.state is State.STOPPED and stopped.usable
    assert stopped.status.checkpoint_step == stopped.status.step >= 10
    with refused("is stopped; there is nothing to stop"):
        jobs.stop(stopped)

    again = until(jobs.start(stopped), lambda r: r.state is State.RUNNING and r.status.step > stopped.status.step)
    assert again.status.pid != stopped.status.pid
    jobs.stop(again)
    again = jobs.wait(again, 60)
    assert again.state is State.STOPPED
    runs.delete(again)
    assert not run.path.exists()


def test_the_spare_worker_takes_the_next_job():
    """A worker stands by, is kept until it is needed, and becomes the worker of the next run."""
    jobs.warm()
    spare = jobs.spare_pid()
    jobs.warm()
    assert spare is not None and jobs.spare_pid() == spare
    run = jobs.start(make_run("bigram"))
    assert jobs.spare_pid() is None
    run = jobs.wait(run, 90)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.pid == spare
    assert "bigram on cpu" in runs.log_tail(run.path)


def test_a_spare_that_died_is_not_waited_for():
    jobs.warm()
    spare = jobs.spare_pid()
    assert spare is not None
    os.kill(spare, signal.SIGKILL)
    run = jobs.wait(jobs.start(make_run("bigram")), 90)

    assert run.state is State.FINISHED and run.status.pid != spare


def test_a_spare_that_died_unused_is_not_started_again_at_once(monkeypatch: pytest.MonkeyPatch):
    """Whatever it died of would end the next one too: there is a pause, in which jobs start cold."""
    jobs.warm()
    spare = jobs._spare
    assert spare is not None
    spare.kill()
    spare.wait()
    for _ in range(3):
        jobs.warm()
        assert jobs.spare_pid() is None
    monkeypatch.setattr(jobs, "_not_before", time.monotonic() - 1)
    jobs.warm()
    assert jobs.spare_pid() not in (None, spare.pid)


def test_the_spare_is_kept_for_a_run_that_need_not_wait():
    """Beside a run on the device, the next one waits in a small process of its own, which loads no torch."""
    jobs.warm()
    spare = jobs.spare_pid()
    with Lock(turns.slots("cpu")[0].lock_path):
        run = until(jobs.start(make_run("bigram")), lambda r: r.status.message == "waiting for the cpu")
        assert jobs.spare_pid() == spare != run.status.pid
        waiter = psutil.Process(run.status.pid)
        assert waiter.memory_info().rss < 30e6
        assert not [m.path for m in waiter.memory_maps() if re.search("torch|numpy|pandas|pydantic", m.path)]
        assert Path(f"/proc/{waiter.pid}/oom_score_adj").read_text() == "500\n"
        line = [run, jobs.start(make_run("bigram"))]
        until(line[1], lambda r: bool(r.status.message.endswith(f"behind {run.name}")))
        assert [r.slug for r in devices.queue("cpu")] == [r.slug for r in line]
    assert [jobs.wait(each, 90).state for each in line] == [State.FINISHED] * 2


def test_a_step_that_fails_leaves_the_spare_standing(monkeypatch: pytest.MonkeyPatch):
    """A GPU that is full or broken must not end it: it takes the next rung, and then the job."""
    tried: list[str] = []

    def step(trainer: Trainer) -> None:
        tried.append(type(trainer.model).__name__)
        if len(tried) == len(STAGES):
            os.write(inlet, b"some/run\n")
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(Trainer, "step", step)
    outlet, inlet = os.pipe()
    with os.fdopen(outlet) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert worker.stand_by() == "some/run"
    os.close(inlet)
    assert len(set(tried)) == len(STAGES)


def test_a_dismissed_spare_leaves():
    jobs.warm()
    spare = jobs._spare
    assert spare is not None
    jobs._dismiss_spare()

    assert spare.wait(60) == 0
    assert jobs.spare_pid() is None


def test_one_device_one_run_at_a_time():
    """The second waits its turn behind the first, by name, can be told to stop waiting, and runs once it is free."""
    first = until(jobs.start(make_run("transformer", **LONG)), training)
    second = jobs.start(make_run("bigram"))
    third = jobs.start(make_run("bigram"))
    for waiting in (second, third):
        seen = until(waiting, lambda r: r.status.message.startswith("waiting for the cpu"))
        assert seen.state is State.QUEUED and seen.status.message == f"waiting for the cpu, behind {first.name}"
    with refused("is queued; stop it first"):
        runs.delete(runs.read(second.path))
    jobs.stop(runs.read(third.path))
    assert jobs.wait(third, 60).status.message == "stopped while it waited"
    assert runs.read(first.path).state is State.RUNNING
    jobs.stop(first)
    second = jobs.wait(second, 60)

    assert second.state is State.FINISHED, second.status.message
    stopped = runs.read(first.path)
    assert stopped.state is State.STOPPED
    assert (second.status.started or 0) >= (stopped.status.ended or 0)


def test_a_killed_job_frees_the_device():
    """No worker, no lock: the next run does not wait for a dead one."""
    first = until(jobs.start(make_run("transformer", **LONG)), training)
    assert first.status.pid is not None
    os.kill(first.status.pid, signal.SIGKILL)
    second = jobs.wait(jobs.start(make_run("bigram")), 90)

    assert second.state is State.FINISHED
    assert runs.read(first.path).state is State.LOST


def test_what_is_asked_of_a_run_deleted_meanwhile():
    run = make_run("bigram")
    runs.delete(run)
    for ask in (jobs.stop, jobs.pause, runs.delete, lambda run: jobs.change(run, {"learning_rate": 0.1}), jobs.start):
        with refused("deleted"):
            ask(run)
    assert list(paths.runs().glob("[!.]*")) == []


def test_no_run_is_taken_in_without_memory_for_it(monkeypatch: pytest.MonkeyPatch):
    run = make_run("bigram")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 100_000_000}))
    with refused("only 100 MB of memory are free; start bigram-[a-z-]+ when other runs have ended"):
        jobs.start(run)
    assert not jobs._children


def test_what_cannot_be_started(finished: Run):
    """A finished run and a damaged one are refused in one line, and no process is started for them."""
    with refused(r"has finished its 4 steps; start a new run for more"):
        jobs.start(finished)
    with refused("is finished; there is nothing to stop"):
        jobs.stop(finished)
    (finished.path / runs.CONFIG).write_bytes(b"{")
    with refused("is damaged: config.json"):
        jobs.start(runs.read(finished.path))

    assert not jobs._children
    assert Status.model_validate_json((finished.path / runs.STATUS).read_bytes()) == finished.status


def test_a_run_started_four_times_at_once_gets_one_worker():
    """Four tabs or terminals at once: one of them starts it, the others are told so."""
    run = make_run("transformer")
    told = []

    def click() -> None:
        try:
            jobs.start(run)
        except BardlabError as error:
            told.append(str(error))

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    (worker,) = jobs._children
    run = jobs.wait(run, 90)
    worker.wait(60)

    assert len(told) == 3 and all(re.search("there is nothing to start", line) for line in told)
    assert runs.read(run.path) == run and run.state is State.FINISHED
    assert [s.step for s in runs.samples(run.path)] == [0, 2, 4]


def test_a_run_deleted_before_its_worker_came_does_not_come_back():
    run = jobs.start(make_run("bigram"))
    with contextlib.suppress(BardlabError):
        runs.delete(run)
        assert not run.path.exists()
    for child in list(jobs._children):
        child.wait(90)

    assert runs.list_runs() == [] or runs.read(run.path).state is State.FINISHED
