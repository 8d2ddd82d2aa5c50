"""Start, stop, pause and resume a job. A job is a process of its own that lives on when page or server are gone.

Nothing here watches over the jobs. A stop that a worker ignores is enforced by whoever looks next (`look_after`): the
page or command that asked, any other page that shows the run, or a run that waits for the device.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

import psutil

from core import controls, devices, files, folder, memory, overdue, paths, processes, runs, turns
from core.errors import BardlabError
from core.runs import Run, State

BACK_OFF = 60.0
"""Seconds without a spare worker after one that died before it was used: the next would die of the same."""
MEMORY_LEFT = 300e6
"""Bytes of memory without which no further run is taken in: about what one needs before its model."""

_lock = Lock()
_not_before = 0.0
_spare: subprocess.Popen[bytes] | None = None
_probed = False
_children: list[subprocess.Popen[bytes]] = []


def start(run: Run) -> Run:
    """Begin or resume a run in a worker process. Returns the run as queued.

    The spare worker takes it, if one is warm and there is a place free; a run that has to wait gets a process of its
    own, which is small until its turn comes. Raises BardlabError as `claim` does.
    """
    run = claim(run)
    device = str(devices.resolve(run.need().device))
    with _lock:
        _reap()
        try:
            if not (turns.free(device) and _hand_to_spare(run)):
                _children.append(_spawn([str(run.path), device], run))
            folder.announce(run.path, _children[-1].pid)
        except psutil.Error:
            pass  # it has ended already, which its status tells
        except OSError as error:
            with contextlib.suppress(OSError):
                files.remove(run.path / folder.LAUNCHED)
            raise BardlabError(f"cannot start {run.slug}: {runs.explain(error)}") from None
    return runs.read(run.path)


def claim(run: Run) -> Run:
    """Put a run into the queue for this process to start, which nobody else can do then. Returns it as queued.

    Raises BardlabError as `check_startable` does, if there is no memory for another process, or the run's folder
    cannot be written.
    """
    check_startable(run)
    free = memory.available()
    if free < MEMORY_LEFT:
        raise BardlabError(f"only {free / 1e6:.0f} MB of memory are free; start {run.slug} when other runs have ended")
    device = devices.resolve(run.need().device)
    try:
        with folder.hold(run.path):
            now = runs.read_status(run.path)
            if now.state is State.FINISHED or (now.state is State.QUEUED and folder.worker_comes(run.path)):
                raise BardlabError(f"run {run.slug} was started meanwhile; there is nothing to start")
            runs.queue_again(replace(run, status=now), device.type)
            folder.announce(run.path, os.getpid())
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted; there is nothing to start") from None
    except OSError as error:
        raise BardlabError(f"cannot start {run.slug}: {runs.explain(error)}") from None
    except processes.Taken:
        raise BardlabError(f"a worker is busy with run {run.slug}; there is nothing to start") from None
    return runs.read(run.path)


def check_startable(run: Run) -> None:
    """Raise BardlabError if a run is damaged, shipped, busy, or has nothing left to do."""
    run.need()
    if run.shipped:
        raise BardlabError(f"{run.slug} ships with the product and cannot be trained further; start a run of your own")
    if runs.is_busy(run):
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to start")
    if run.state is State.FINISHED:
        raise BardlabError(f"run {run.slug} has finished its {run.status.step} steps; start a new run for more")


def stop(run: Run) -> Run:
    """Ask a run to finish its step, save its weights and end. Raises BardlabError if it is not under way."""
    if not run.state.active:
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to stop")
    return _asked(run, lambda: runs.request_stop(run), "stop")


def _asked(run: Run, ask: Callable[[], None], what: str) -> Run:
    """Ask something of a run and return it as it then is. Raises BardlabError if its folder takes no request."""
    try:
        ask()
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted; there is nothing to {what}") from None
    except OSError as error:
        raise BardlabError(f"cannot {what} {run.slug}: {runs.explain(error)}") from None
    return runs.read(run.path)


def pause(run: Run, step: int = 0) -> Run:
    """Ask a run to hold still in memory, now or once it has taken `step` steps. Raises BardlabError if it has ended."""
    _under_way(run, "pause")
    return _asked(run, lambda: controls.hold(run, step), "pause")


def proceed(run: Run) -> Run:
    """Let a paused run go on. Raises BardlabError if it has ended."""
    _under_way(run, "continue")
    return _asked(run, lambda: controls.release(run), "continue")


def single_step(run: Run, steps: int = 1) -> Run:
    """Let a paused run take so many steps and pause again. Raises BardlabError if it is not paused."""
    if run.state is not State.PAUSED:
        raise BardlabError(f"run {run.slug} is {run.state}; pause it first, then step")
    return _asked(run, lambda: controls.hold(run, run.status.step + steps), "step")


def change(run: Run, values: dict[str, object]) -> Run:
    """Change training settings of a run under way, such as `learning_rate`. Raises BardlabError if that cannot be."""
    _under_way(run, "change")
    return _asked(run, lambda: controls.order(run, values), "change")


def _under_way(run: Run, what: str) -> None:
    if not run.state.active or run.state is State.STOPPING:
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to {what}")


def wait(run: Run, seconds: float) -> Run:
    """Wait until a run has ended, at most `seconds`, and return it as it then is. A stop it ignores is enforced."""
    until = time.monotonic() + seconds
    while (run := look_after(runs.read(run.path))).state.active and time.monotonic() < until:
        time.sleep(0.1)
    return run


def wait_for_state(run: Run, state: State, seconds: float) -> Run:
    """Wait until a run is in a state, or has ended, at most `seconds`, and return it as it then is."""
    until = time.monotonic() + seconds
    while (run := runs.read(run.path)).state is not state and run.state.active and time.monotonic() < until:
        time.sleep(0.05)
    return run


def look_after(run: Run) -> Run:
    """Enforce a stop that has been ignored (`core.overdue`). Returns the run. Cheap when there is nothing to do."""
    if run.state in (State.STOPPING, State.LOST) and overdue.look_after(run.path):
        return runs.read(run.path)
    return run


def warm() -> None:
    """Keep one worker standing by, so that the next job starts at once. Cheap to call again and again.

    If this machine's speed on a rung is not known yet, another process times a few training steps, for the estimates.
    """
    from core import speed

    global _spare, _probed
    with _lock:
        _reap()
        if _spare is None and time.monotonic() >= _not_before:
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
    command = [sys.executable, "-m", "core.worker", *arguments]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((run.path / runs.LOG).open("ab")) if run else None
        return processes.spawn(command, paths.ROOT, log, inlet=arguments == ["--spare"])


def _reap() -> None:
    """Collect children that have ended, so that none stays behind as a zombie."""
    global _spare, _not_before
    _children[:] = [child for child in _children if child.poll() is None]
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
