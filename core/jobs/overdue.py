"""Ends a worker that ignores a request to stop. Whoever looks at the run next does it; nothing watches over jobs."""

import contextlib
import time
from pathlib import Path

from core import system
from core.jobs.launchers import launcher
from core.runs import folder
from core.runs.folder import State

STOP_GRACE = 15.0
"""Seconds a worker has to follow a request to stop before it is sent SIGTERM."""
KILL_GRACE = 5.0
"""Seconds it then has before it is killed."""


def look_after(path: Path) -> bool:
    """Enforce a stop that has been ignored: SIGTERM to the worker and its children, later SIGKILL.

    Of a job on other machines, write down how it ended if its worker could not. Cheap when there is nothing to do. Any
    number of readers may call it for the same run. True if anything was done.
    """
    if launcher.of(path).look_after(path):
        return True
    age = folder.stop_age(path)
    if age is None:
        return False  # nobody asked
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        status = folder.read_status(path)
        state = folder.seen(path, State(status["state"]), status.get("pid"), float(status.get("queued") or 0.0))
        done = False
        if state is State.STOPPING and age >= STOP_GRACE:
            killing = age >= STOP_GRACE + KILL_GRACE
            done = launcher.of(path).kill(path, force=killing)
            if done and killing:
                until = time.monotonic() + 2.0
                while folder.is_alive(path) and time.monotonic() < until:
                    time.sleep(0.02)
                state = State.STOPPING if folder.is_alive(path) else State.LOST
        if state is State.LOST:
            _close(path, age)
            done = True
        return done
    return False


def _close(path: Path, age: float) -> None:
    """Say of a run that died after it was asked to stop that it is stopped."""
    with contextlib.suppress(system.Taken, OSError, ValueError), folder.hold(path):
        status = folder.read_status(path)
        if State(status["state"]).active:
            where = folder.resumes_from(status)
            message = f"did not stop within {age:.0f} s and was ended; Resume goes on from {where}"
            update = {"state": State.STOPPED, "message": message, "ended": time.time(), "meters": None}
            folder.clear_requests(path)
            folder.write_status(path, status | update)
