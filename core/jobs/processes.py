"""Starts worker processes and keeps one warm."""

import atexit
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock

from core import paths, system
from core.runs import folder

BACK_OFF = 60.0
"""Seconds without a spare worker after one that died before it was used: the next would die of the same."""

lock = Lock()
_not_before = 0.0
_spare: subprocess.Popen[bytes] | None = None
_probed = False
children: list[subprocess.Popen[bytes]] = []


def warm() -> None:
    """Keep one worker standing by, so that the next job starts at once. Cheap to call again and again.

    If this machine's speed on a rung is not known yet, another process times a few training steps, for the estimates;
    and one compiles what writes texts, if that is not done yet.
    """
    from core.inference import loader
    from core.jobs import timing

    global _spare, _probed
    with lock:
        reap()
        if _spare is None and not paths.cluster() and time.monotonic() >= _not_before:
            _spare = spawn(["--spare"], None)
        if not _probed:
            _probed = True
            if not timing.all_known():
                children.append(spawn(["--probe", "aside"], None))
            if not loader.built():
                children.append(spawn(["--compile"], None))


def spare_pid() -> int | None:
    """Return the process id of the worker standing by, if there is one."""
    with lock:
        reap()
        return _spare.pid if _spare else None


def hand_to_spare(path: Path) -> bool:
    """Give a job to the warm worker. False if there is none."""
    global _spare
    if _spare is None or _spare.stdin is None:
        return False
    spare, inlet, _spare = _spare, _spare.stdin, None
    try:
        inlet.write(f"{path}\n".encode())
        inlet.close()
    except OSError:
        return False
    children.append(spare)
    return True


def spawn(arguments: list[str], job: Path | None) -> subprocess.Popen[bytes]:
    """Start a worker process, its output going to the log in the job's folder."""
    command = [sys.executable, "-m", "core.jobs.worker", *arguments]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((job / folder.LOG).open("ab")) if job else None
        return system.spawn(command, paths.ROOT, log, inlet=arguments == ["--spare"])


def reap() -> None:
    """Collect children that have ended, so that none stays behind as a zombie."""
    global _spare, _not_before
    children[:] = [child for child in children if child.poll() is None]
    if _spare is not None and _spare.poll() is not None:
        _close_inlet(_spare)
        _spare = None
        _not_before = time.monotonic() + BACK_OFF


@atexit.register
def _dismiss_spare() -> None:
    if _spare is not None:
        _close_inlet(_spare)  # it reads the end of its input and leaves


def _close_inlet(spare: subprocess.Popen[bytes]) -> None:
    if spare.stdin is not None:
        with contextlib.suppress(OSError):
            spare.stdin.close()
