"""Start, stop and resume a job. A job is a process of its own that lives on when the page or the server is gone."""

import atexit
import contextlib
import os
import subprocess
import sys
import time
from threading import Lock

from core import paths, runs
from core.errors import BardlabError
from core.runs import Run, State

_lock = Lock()
_spare: subprocess.Popen[bytes] | None = None
_probed = False
_children: list[subprocess.Popen[bytes]] = []


def start(run: Run) -> Run:
    """Begin or resume a run in a worker process, the spare one if it is warm. Returns the run as queued.

    Raises BardlabError as `check_startable` does.
    """
    check_startable(run)
    try:
        runs.queue_again(run)
    except OSError as error:
        raise BardlabError(f"cannot start {run.slug}: {runs.explain(error)}") from None
    with _lock:
        _reap()
        if not _hand_to_spare(run):
            _children.append(_spawn([str(run.path)], run))
    return runs.read(run.path)


def check_startable(run: Run) -> None:
    """Raise BardlabError if a run is damaged, shipped, busy, or has nothing left to do."""
    run.need()
    if run.shipped:
        raise BardlabError(f"{run.slug} ships with the product and cannot be trained further; start a run of your own")
    if runs.is_busy(run):
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to start")
    if run.state is State.FINISHED:
        raise BardlabError(f"run {run.slug} has finished all its {run.status.of} steps; start a new run for more")


def stop(run: Run) -> Run:
    """Ask a run to finish its step, save its weights and end. Raises BardlabError if it is not under way."""
    if not run.state.active:
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to stop")
    runs.request_stop(run)
    return runs.read(run.path)


def wait(run: Run, seconds: float) -> Run:
    """Wait until a run has ended, at most `seconds`, and return it as it then is."""
    until = time.monotonic() + seconds
    while (run := runs.read(run.path)).state.active and time.monotonic() < until:
        time.sleep(0.1)
    return run


def warm() -> None:
    """Keep one worker standing by, so that the next job starts at once. Cheap to call again and again.

    If this machine's speed on a rung is not known yet, another process times a few training steps, for the estimates.
    """
    from core import speed

    global _spare, _probed
    with _lock:
        _reap()
        if _spare is None:
            _spare = _spawn(["--spare"], None)
        if not _probed and not speed.all_known():
            _probed = True
            _children.append(_spawn(["--probe"], None))


def spare_pid() -> int | None:
    """Return the process id of the worker standing by, if there is one."""
    with _lock:
        _reap()
        return _spare.pid if _spare else None


def _hand_to_spare(run: Run) -> bool:
    global _spare
    if _spare is None or _spare.stdin is None:
        return False
    spare, inlet, _spare = _spare, _spare.stdin, None
    try:
        inlet.write(f"{run.path}\n".encode())
        inlet.close()
    except OSError:
        return False
    _children.append(spare)
    return True


def _spawn(arguments: list[str], run: Run | None) -> subprocess.Popen[bytes]:
    log = (run.path / runs.LOG).open("ab") if run else None
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "core.worker", *arguments],
            cwd=paths.ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE if arguments == ["--spare"] else subprocess.DEVNULL,
            stdout=log or subprocess.DEVNULL,
            stderr=log or subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        if log:
            log.close()


def _reap() -> None:
    """Collect children that have ended, so that none stays behind as a zombie."""
    global _spare
    _children[:] = [child for child in _children if child.poll() is None]
    if _spare is not None and _spare.poll() is not None:
        _close_inlet(_spare)
        _spare = None


@atexit.register
def _dismiss_spare() -> None:
    if _spare is not None:
        _close_inlet(_spare)  # it reads the end of its input and leaves


def _close_inlet(spare: subprocess.Popen[bytes]) -> None:
    if spare.stdin is not None:
        with contextlib.suppress(OSError):
            spare.stdin.close()
