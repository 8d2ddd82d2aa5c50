"""Whose turn it is on a device: places, the queue, and the wait for both. Loads no torch."""

import contextlib
import itertools
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import files, paths
from core.runs import folder
from core.runs.folder import State
from core.system import Lock, is_locked
from core.training import gpus

LOOK = 2.0  # seconds between two looks at who is in front, or fifty times what a look takes


@dataclass(frozen=True)
class Slot:
    """A place for one run on one device."""

    device: str
    """As torch calls it: `cpu`, `mps`, `cuda:1`."""
    name: str
    """What the device is called in every process: a GPU's number may differ from one to the next."""
    number: int = 0

    @property
    def lock_path(self) -> Path:
        """The file whose lock means that the place is taken."""
        base = re.sub(r"[^\w-]+", "-", self.name)
        return paths.runs() / (f".device-{base}-{self.number}.lock" if self.number else f".device-{base}.lock")


def kind_of(device: str) -> str:
    """Return `cuda` for `cuda:1`."""
    return device.partition(":")[0]


def per_device() -> int:
    """Return how many runs share a device: 1, or what the environment variable BARDLAB_JOBS_PER_DEVICE says.

    Each worker goes by the value it was started with.
    """
    try:
        return max(1, int(os.environ.get("BARDLAB_JOBS_PER_DEVICE", "1")))
    except ValueError:
        return 1


def slots(*devices: str) -> list[Slot]:
    """List the places of a kind of device, or of some such as `cuda:1`: first one on each, then the second."""
    kind = kind_of(devices[0])
    there = [(kind, kind)]
    if kind == "cuda":
        there = [(f"cuda:{number}", f"cuda-{name}") for number, name in enumerate(gpus.names())]
    return [
        Slot(torch_name, name, number)
        for number in range(per_device())
        for torch_name, name in there
        if kind in devices or torch_name in devices
    ]


def wait_for(
    devices: Sequence[str],
    me: Path,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
    look_after: Callable[[Path], object] = lambda path: None,
    count: int = 1,
) -> list[tuple[Lock, Slot]] | None:
    """Wait until it is this run's turn on a device, or on `count` of several: on all of them at once.

    `devices` names a kind of device, which stands for all of it, or those that will do.

    Returns the lock of each place, held, and the place.

    First come, first served, unless somebody moved a run in the queue. Every waiting worker looks at the queue by
    itself, so there is no scheduler that could die; `look_after` is called with each run in front. Returns None if
    `should_stop` said yes first.
    """
    kind = kind_of(devices[0])
    places = slots(*devices)
    told, pause, look = "", 0.05, 0.0
    paths.runs().mkdir(parents=True, exist_ok=True)
    while not should_stop():
        found: dict[str, tuple[Lock, Slot]] = {}
        for place in places:
            if place.device in found or is_locked(place.lock_path) or not _first(me, place):
                continue
            lock = Lock(place.lock_path)
            if lock.take():
                if _first(me, place):  # nobody was moved in front meanwhile
                    found[place.device] = lock, place
                    if len(found) == count:
                        return list(found.values())
                else:
                    lock.release()
        for lock, _ in found.values():  # too few
            lock.release()
        if pause >= 0.4 and time.monotonic() > look:  # it is not just changing hands: say who is in front
            began = time.monotonic()
            ahead = _ahead_of(me, kind)
            for path in ahead:
                look_after(path)
            waiting = f"waiting for the {kind}" + (f", behind {folder.name(ahead[0])}" if ahead else "")
            if waiting != told:
                say(waiting)
                told = waiting
            look = time.monotonic() + max(LOOK, 50 * (time.monotonic() - began))
        time.sleep(pause)
        pause = min(0.5, pause * 2)
    return None


def free(device: str) -> bool:
    """True if a run that came now would find a place at once: one is free, and nobody waits for it."""
    return not queue(kind_of(device)) and any(not is_locked(place.lock_path) for place in slots(device))


@dataclass(frozen=True)
class _Entry:
    """A run that says it waits."""

    turn: float
    slug: str
    path: Path
    only: tuple[str, ...]
    """The names of the devices that it waits for, if not any of their kind will do."""

    def takes(self, place: Slot) -> bool:
        """True if it waits for this place, among others or alone."""
        return not self.only or place.name in self.only


def queue(kind: str | None = None) -> list[Path]:
    """List the folders of the jobs that wait for a kind of device, or for any, in the order in which they get it."""
    return [entry.path for entry in _entries(kind)]


def _entries(kind: str | None = None) -> list[_Entry]:
    found = [entry for path in _under_way() if (entry := _entry(path, kind)) and folder.is_alive(path)]
    return sorted(found, key=lambda entry: (entry.turn, entry.slug))


_ended: dict[Path, tuple[int, int, int]] = {}
"""Jobs that had ended when somebody looked: inode, size and time (ns) of the status that said so."""
KNOWN, SETTLED = 20_000, 0.05
"""How many of them are kept, and the age in seconds from which a file's time tells it from a later one."""


def _under_way() -> list[Path]:
    """List the folders of the jobs that have not ended; those that have are not read again while they are the same."""
    found = []
    for path in folder.jobs():
        with contextlib.suppress(OSError, ValueError):
            about = os.stat(f"{path}{os.sep}{folder.STATUS}")
            stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
            if _ended.get(path) == stamp:
                continue
            if State(folder.read_status(path)["state"]).active:
                found.append(path)
            elif time.time_ns() - about.st_mtime_ns > SETTLED * 1e9:
                if len(_ended) >= KNOWN:
                    _ended.clear()
                _ended[path] = stamp
    return found


def _entry(path: Path, kind: str | None) -> _Entry | None:
    try:
        status = folder.read_status(path)
        if status["state"] != State.QUEUED or not status["device"] or kind not in (None, status["device"]):
            return None
        if folder.sent(path):  # it waits in a cluster's line
            return None
        return _Entry(turn(path, status.get("queued")), path.name, path, _named(status.get("only")))
    except (OSError, ValueError, LookupError):
        return None


def _named(only: object) -> tuple[str, ...]:
    return tuple(only.split()) if isinstance(only, str) else ()


def sent(kind: str | None = None) -> list[Path]:
    """List the folders of the jobs that wait in a cluster's line for a kind of device, in the order of their coming."""
    found = []
    for path in _under_way():
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            if (path / folder.JOB).exists():
                status = folder.read_status(path)
                if status["state"] == State.QUEUED and kind in (None, status["device"]):
                    found.append((float(status.get("queued") or 0.0), path))
    return [path for _, path in sorted(found)]


def turn(path: Path, queued: object) -> float:
    """Return the number that orders the queue: when the run came, or what `set_turn` wrote instead."""
    try:
        return float((path / folder.TURN).read_text())
    except (OSError, ValueError):
        return float(queued) if isinstance(queued, float | int) else 0.0


def set_turn(path: Path, number: float) -> None:
    """Move a run to another place in the queue."""
    files.replace(path / folder.TURN, repr(number).encode())


def _first(me: Path, place: Slot) -> bool:
    """True if of those who wait for a place this run comes first; also if it has only just put itself there."""
    return all(entry.path == me for entry in [e for e in _entries(kind_of(place.device)) if e.takes(place)][:1])


def _ahead_of(me: Path, kind: str) -> list[Path]:
    """List the runs that come before `me` on the device: those that have it, then those whose turn is earlier."""
    line = queue(kind)
    busy = []
    for path in _under_way():
        with contextlib.suppress(OSError, ValueError, LookupError):
            status = folder.read_status(path)
            state = State(status["state"])
            at_work = state.active and state is not State.QUEUED and status["device"] == kind
            if at_work and not folder.sent(path) and folder.is_alive(path):
                busy.append((state is State.PAUSED, path))
    return [path for _, path in sorted(busy) if path != me] + list(itertools.takewhile(lambda p: p != me, line))
