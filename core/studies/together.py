"""Runs that are wanted together: looked for, made, shared, resumed and stopped; nothing here has to stay alive.

Whoever wants the same runs next finds them, whatever became of them: those that have ended count, those under way are
shared, those that were stopped or failed go on, and what was deleted is made again.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from core import paths, system
from core.errors import BardlabError
from core.jobs import control
from core.runs import editing, folder, owners, reading
from core.runs.folder import State
from core.runs.state import Run, RunConfig

PATIENCE = 60.0
"""Seconds to wait for somebody else who starts the same runs at this moment."""
START_SECONDS = 3.0
"""What a run takes before its first step and after its last: a process, and the libraries that it loads."""
WORTH = (State.FINISHED, State.RUNNING, State.STOPPING, State.PAUSED, State.QUEUED, State.STOPPED, State.LOST)
"""Which of several runs of one kind counts, the best first; then those that failed."""


class Wanted(Protocol):
    """One run that is wanted."""

    @property
    def title(self) -> str:
        """What it is called among the others."""

    @property
    def config(self) -> RunConfig:
        """What it is, if it has to be made."""

    def is_met_by(self, run: Run) -> bool:
        """True if a run is this one."""


@dataclass(frozen=True)
class Cause:
    """What runs are wanted for."""

    name: str
    """How it is called in a sentence, such as `the claim 'memory'`."""
    key: str
    """A file's name."""
    hint: str = "the same command goes on from there"
    """What to do about a run that has stopped or failed."""

    @property
    def lock(self) -> system.Lock:
        """Held by whoever starts its runs."""
        paths.runs().mkdir(parents=True, exist_ok=True)
        return system.Lock(paths.runs() / f".{self.key}.lock", PATIENCE)


class Gathered:
    """Runs wanted together, as they are at the moment of reading."""

    runs: Mapping[tuple[str, int], Run | None]
    """By name and seed, None for one that is not there."""

    @cached_property
    def there(self) -> list[Run]:
        """The runs that there are."""
        return [run for run in self.runs.values() if run]

    @property
    def active(self) -> list[Run]:
        """The runs under way, or waiting for their turn."""
        return [run for run in self.there if run.state.active]

    @property
    def done(self) -> list[Run]:
        """The runs that have come to their end."""
        return [run for run in self.there if run.state is State.FINISHED]

    @property
    def whole(self) -> bool:
        """True if all runs have come to their end."""
        return len(self.done) == len(self.runs)


def best(runs: Iterable[Run]) -> Run | None:
    """Return the run that counts of several of one kind; None if there is none."""
    order = {state: place for place, state in enumerate(WORTH)}
    return min(runs, key=lambda run: order.get(run.state, len(order)), default=None)


def current(runs: Iterable[Run]) -> Run | None:
    """Return the run that counts of several of one kind, each as it is now; None if there is none."""
    now = (control.look_after(reading.read(run.path)) for run in runs if not run.damage)
    return best(run for run in now if not run.damage)


def _take(wanted: Wanted, among: Sequence[Run]) -> Run:
    """Return the run that is wanted, made if there is none. To be called by whoever holds the lock."""
    mine = (run for run in among if not run.damage and wanted.is_met_by(run) and _serves(run))
    return best(mine) or editing.create(wanted.config)


def _serves(run: Run) -> bool:
    """True if a run is done, is being done, or may be gone on with by whoever acts."""
    return run.state is State.FINISHED or _comes(run) or owners.acting().may_change(run.owner)


def _comes(run: Run) -> bool:
    """True if a worker is at a run, or will be."""
    return run.state.active and (folder.is_alive(run.path) or bool(folder.worker_comes(run.path)))


def begin(cause: Cause, needed: Sequence[Wanted]) -> list[Run]:
    """Start, or go on with, all that is lacking of the runs needed, through the queue. Returns those started.

    Runs that somebody else has begun are shared. Raises BardlabError if there is no memory for another process, or one
    cannot be started; what was started goes on.
    """
    started = []
    try:
        with cause.lock:
            there = reading.list_runs()
            for each in needed:
                run = _take(each, there)
                if run.state is State.FINISHED or _comes(run):
                    continue
                started.append(control.start(run))
    except system.Taken:
        raise BardlabError(f"somebody else is starting {cause.name}; look again in a moment") from None
    except OSError as error:
        raise BardlabError(f"cannot start {cause.name}: {error.strerror or error}") from None
    return started


def cancel(active: Iterable[Run]) -> int:
    """Ask runs under way to stop. Returns how many; what they have is kept."""
    asked = 0
    for run in reversed([*active]):  # those that wait first, so that none gets its turn meanwhile
        with contextlib.suppress(BardlabError):  # it has ended by itself, or another shares it
            control.stop(run)
            asked += 1
    return asked


def work_off(cause: Cause, needed: Sequence[Wanted], say: Callable[[str], None]) -> None:
    """Do all runs needed in this process, one after another.

    Each waits for its turn on the device as every run does; one that another process is at is waited for. Raises
    BardlabError if a run was stopped or has failed.
    """
    for place, each in enumerate(needed, 1):
        name = f"{cause.key} {place}/{len(needed)}: {each.title}"
        while True:
            try:
                with cause.lock:
                    run = _take(each, reading.list_runs())
                    mine = run.state is not State.FINISHED and not _comes(run)
                    if mine:
                        run = control.take(run)
            except system.Taken:
                raise BardlabError(f"somebody else is starting {cause.name}; try again") from None
            if mine:
                began = time.monotonic()
                run = control.carry_out(run, log=lambda line: None)
                if run.state is State.FINISHED:
                    say(f"{name}: loss {run.status.val_loss or 0:.4f} in {time.monotonic() - began:.0f} s")
            elif run.state is not State.FINISHED:
                say(f"{name}: another process is at it")
                run = control.wait(run, 3600.0)
            if run.state is State.FINISHED:
                break
            if mine or run.state.active:
                raise BardlabError(f"{run.slug} of {cause.name} is {run.state}: {run.status.message}; {cause.hint}")
