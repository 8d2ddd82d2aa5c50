"""Jobs as real processes: they outlive whoever started them, take turns, stop, resume and are cleaned up."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from core import jobs, paths, runs
from core.errors import BardlabError
from core.runs import Run, State, Status
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


def test_a_run_started_twice_is_trained_once():
    """Two clicks: whichever worker comes second finds the work taken or done, and leaves it as it is."""
    run = make_run("transformer")
    jobs.start(run)
    with contextlib.suppress(BardlabError):
        jobs.start(run)
    workers = list(jobs._children)
    run = jobs.wait(run, 90)
    for worker in workers:
        worker.wait(60)

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
