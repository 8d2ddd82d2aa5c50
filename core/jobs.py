"""Start, stop, pause and resume a job. A job is a process of its own that lives on when page or server are gone.

Nothing here watches over the jobs. A stop that a worker ignores is enforced by whoever looks next (`look_after`): the
page or command that asked, any other page that shows the run, or a run that waits for the device.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from threading import Lock

import psutil
from filelock import Timeout

from core import controls, paths, runs
from core.errors import BardlabError
from core.runs import Run, State

STOP_GRACE = 15.0
"""Seconds a worker has to follow a request to stop before it is sent SIGTERM."""
KILL_GRACE = 5.0
"""Seconds it then has before it is killed."""

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
        _note_worker(run, _children[-1].pid)
    return runs.read(run.path)


def _note_worker(run: Run, pid: int) -> None:
    """Leave word of who is to become the run's worker, so that its death before it begins is seen at once."""
    with contextlib.suppress(psutil.Error, OSError):
        born = psutil.Process(pid).create_time()
        runs.replace(run.path / runs.LAUNCHED, json.dumps([pid, born]).encode())


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
    runs.request_stop(run)
    return runs.read(run.path)


def pause(run: Run, step: int = 0) -> Run:
    """Ask a run to hold still in memory, now or once it has taken `step` steps. Raises BardlabError if it has ended."""
    _under_way(run, "pause")
    controls.hold(run, step)
    return runs.read(run.path)


def proceed(run: Run) -> Run:
    """Let a paused run go on. Raises BardlabError if it has ended."""
    _under_way(run, "continue")
    controls.release(run)
    return runs.read(run.path)


def single_step(run: Run, steps: int = 1) -> Run:
    """Let a paused run take so many steps and pause again. Raises BardlabError if it is not paused."""
    if run.state is not State.PAUSED:
        raise BardlabError(f"run {run.slug} is {run.state}; pause it first, then step")
    controls.hold(run, run.status.step + steps)
    return runs.read(run.path)


def change(run: Run, values: dict[str, object]) -> Run:
    """Change training settings of a run under way, such as `learning_rate`. Raises BardlabError if that cannot be."""
    _under_way(run, "change")
    controls.order(run, values)
    return runs.read(run.path)


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
    """Enforce a stop that has been ignored: SIGTERM to the worker's process group, later SIGKILL. Returns the run.

    Cheap when there is nothing to do. Any number of readers may call it for the same run.
    """
    if run.state not in (State.STOPPING, State.LOST):
        return run
    try:
        age = time.time() - (run.path / runs.STOP).stat().st_mtime
    except OSError:
        return run  # nobody asked
    if run.state is State.STOPPING and age >= STOP_GRACE:
        killing = age >= STOP_GRACE + KILL_GRACE
        if _signal(run, signal.SIGKILL if killing else signal.SIGTERM) and killing:
            until = time.monotonic() + 2.0
            while runs.is_alive(run.path) and time.monotonic() < until:
                time.sleep(0.02)
        run = runs.read(run.path)
    if run.state is State.LOST:
        _close(run, age)
        run = runs.read(run.path)
    return run


def _signal(run: Run, number: signal.Signals) -> bool:
    """Send a signal to the process group of a run's worker, if the process is still the one that wrote the status."""
    pid, born = run.status.pid, run.status.born
    if not pid or born is None or pid == os.getpid() or not runs.same_process(pid, born):
        return False
    try:
        if os.getpgid(pid) == pid:  # a leader's group is its own; a worker in a terminal shares its shell's
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except OSError:
        return False
    return True


def _close(run: Run, age: float) -> None:
    """Say of a run that died after it was asked to stop that it is stopped."""
    where = "the start" if run.status.checkpoint_step is None else f"step {run.status.checkpoint_step}"
    message = f"did not stop within {age:.0f} s and was ended; Resume goes on from {where}"
    with contextlib.suppress(Timeout, OSError), runs.hold(run.path):
        now = runs.read_status(run.path)
        if now.state.active:
            update = {"state": State.STOPPED, "message": message, "ended": time.time(), "meters": None}
            runs.clear_requests(run.path)
            runs.write_status(run.path, now.model_copy(update=update))


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
