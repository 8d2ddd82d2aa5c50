"""Start, stop, pause and resume a job. A job is a process of its own that lives on when page or server are gone.

What may not be done to another's run (core/runs/owners.py) is refused here, whoever asks.

Nothing here watches over the jobs. A stop that a worker ignores is enforced by whoever looks next (`look_after`): the
page or command that asked, any other page that shows the run, or a run that waits for the device.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core import files as core_files
from core import system
from core.errors import BardlabError
from core.jobs import overdue, turns
from core.jobs.launchers import launcher
from core.models import memory
from core.runs import editing, folder, owners, reading, requests
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.state import Run, RunConfig

MEMORY_LEFT = 300e6
"""Bytes of memory without which no further run is taken in: about what one needs before its model."""


def start(run: Run) -> Run:
    """Begin or resume a run in a worker process. Returns the run as queued.

    The spare worker takes it, if one is warm and there is a place free; a run that has to wait gets a process of its
    own, which is small until its turn comes. Raises BardlabError as `claim` does.
    """
    run = claim(run)
    launch(run.path, _device(run.need()), run.slug)
    return reading.read(run.path)


def begin(config: RunConfig) -> Run:
    """Make a run and start it. Raises BardlabError before it is made if nothing could take it in."""
    check_place(config)
    return start(editing.create(config))


def check_place(config: RunConfig) -> None:
    """Raise BardlabError if a run could not be taken in now: no memory, no such device, no cluster that answers."""
    check_memory(config.title or config.rung_key)
    _device(config)


def _device(config: RunConfig) -> str:
    return launcher.chosen().device(config.device, config.train.devices)


def launch(path: Path, device: str, name: str) -> None:
    """Give a job that was put into the queue a worker. Raises BardlabError, naming it, if there can be none."""
    launcher.chosen().start(path, device, name)


def work(run: Run) -> Run:
    """Begin or resume a run and follow it to its end: in this process, or where new jobs are sent to."""
    return carry_out(take(run))


def take(run: Run) -> Run:
    """Put a run into the queue for this process to carry out, or send it where new jobs are sent to."""
    return claim(run) if launcher.chosen().here else start(run)


def carry_out(run: Run, log: Callable[[str], None] | None = None) -> Run:
    """Do a run that was taken to its end, in this process, or follow it where it was sent to."""
    if launcher.of(run.path).here:
        from core.jobs import work as jobs_work

        return jobs_work.work(run.path, log=log)
    return follow(run)


def follow(run: Run) -> Run:
    """Wait until a run on other machines has ended; Ctrl-C asks it to stop, a second one leaves it alone."""
    try:
        return wait(run, math.inf)
    except KeyboardInterrupt:
        return wait(stop(reading.read(run.path)), 60.0)


def claim(run: Run) -> Run:
    """Put a run into the queue for this process to start, which nobody else can do then. Returns it as queued.

    Raises BardlabError as `check_startable` does, if there is no memory for another process, or the run's folder
    cannot be written.
    """
    check_startable(run)
    editing.check_room(besides=run.path)
    check_memory(run.slug)
    device = turns.kind_of(_device(run.need()))
    try:
        with folder.hold(run.path):
            now = runs_state.read_status(run.path)
            if now.state is State.FINISHED or (now.state is State.QUEUED and folder.worker_comes(run.path)):
                raise BardlabError(f"run {run.slug} was started meanwhile; there is nothing to start")
            if folder.sent(run.path):  # one that was given up may still be there, behind a fault of the network
                launcher.of(run.path).kill(run.path, force=True)
            editing.queue_again(replace(run, status=now), device)
            folder.announce(run.path, os.getpid())
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted; there is nothing to start") from None
    except OSError as error:
        raise BardlabError(f"cannot start {run.slug}: {core_files.explain(error, naming=True)}") from None
    except system.Taken:
        raise BardlabError(f"a worker is busy with run {run.slug}; there is nothing to start") from None
    return reading.read(run.path)


def check_memory(name: str) -> None:
    """Raise BardlabError if there is no memory for another process, where that is to run on this machine."""
    if not launcher.chosen().here:
        return
    free = memory.available()
    if free < MEMORY_LEFT:
        raise BardlabError(f"only {free / 1e6:.0f} MB of memory are free; start {name} when other runs have ended")


def check_startable(run: Run) -> None:
    """Raise BardlabError if a run is damaged, shipped, another's, busy, or has nothing left to do."""
    run.need()
    if run.shipped:
        raise BardlabError(f"{run.slug} ships with the product and cannot be trained further; start a run of your own")
    owners.check(run.owner, run.slug, "start")
    if reading.is_busy(run):
        ending = f"the worker of {run.slug} is still ending; start it in a moment"
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to start" if run.state.active else ending)
    if run.state is State.FINISHED:
        raise BardlabError(f"run {run.slug} has finished its {run.status.step} steps; start a new run for more")


def stop(run: Run) -> Run:
    """Ask a run to finish its step, save its weights and end. Raises BardlabError if it is not under way."""
    if not run.state.active:
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to stop")
    return look_after(_asked(run, lambda: requests.request_stop(run), "stop"))


def _asked(run: Run, ask: Callable[[], None], what: str) -> Run:
    """Ask something of a run and return it as it then is. Raises BardlabError if that may not be, or cannot."""
    owners.check(run.owner, run.slug, what)
    try:
        ask()
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted; there is nothing to {what}") from None
    except OSError as error:
        raise BardlabError(f"cannot {what} {run.slug}: {core_files.explain(error, naming=True)}") from None
    return reading.read(run.path)


def pause(run: Run, step: int = 0) -> Run:
    """Ask a run to hold still in memory, now or once it has taken `step` steps. Raises BardlabError if it has ended."""
    _under_way(run, "pause")
    return _asked(run, lambda: requests.hold(run, step), "pause")


def proceed(run: Run) -> Run:
    """Let a paused run go on. Raises BardlabError if it has ended."""
    _under_way(run, "continue")
    return _asked(run, lambda: requests.release(run), "continue")


def single_step(run: Run, steps: int = 1) -> Run:
    """Let a paused run take so many steps and pause again. Raises BardlabError if it is not paused."""
    if run.state is not State.PAUSED:
        raise BardlabError(f"run {run.slug} is {run.state}; pause it first, then step")
    return _asked(run, lambda: requests.hold(run, run.status.step + steps), "step")


def change(run: Run, values: dict[str, object]) -> Run:
    """Change training settings of a run under way, such as `learning_rate`. Raises BardlabError if that cannot be."""
    _under_way(run, "change")
    return _asked(run, lambda: requests.order(run, values), "change")


def _under_way(run: Run, what: str) -> None:
    if not run.state.active or run.state is State.STOPPING:
        raise BardlabError(f"run {run.slug} is {run.state}; there is nothing to {what}")


def wait(run: Run, seconds: float) -> Run:
    """Wait until a run has ended, at most `seconds`, and return it as it then is. A stop it ignores is enforced."""
    until = time.monotonic() + seconds
    while (run := look_after(reading.read(run.path))).state.active and time.monotonic() < until:
        time.sleep(0.1)
    return run


def wait_for_state(run: Run, state: State, seconds: float) -> Run:
    """Wait until a run is in a state, or has ended, at most `seconds`, and return it as it then is."""
    until = time.monotonic() + seconds
    while (run := reading.read(run.path)).state is not state and run.state.active and time.monotonic() < until:
        time.sleep(0.05)
    return run


def look_after(run: Run) -> Run:
    """End a worker that has ignored a stop for too long, and hear of one on another machine.

    Returns the run, with the reason why it waits if it does; cheap when there is nothing to do.
    """
    if run.state not in (State.QUEUED, State.STOPPING, State.LOST):
        return run
    if overdue.look_after(run.path):
        return reading.read(run.path)
    if run.state is State.QUEUED and (line := launcher.of(run.path).waits(run.path)):
        return replace(run, status=run.status.model_copy(update={"message": line}))
    return run
