"""A job's folder without what its files mean: their names, its lock, its requests, its status as plain JSON.

It knows no model and no library that takes long to load: a run that waits for its turn needs nothing else, and there
may be many of those. Everybody else uses `core.runs.reading`, which hands these functions on.
"""

import contextlib
import json
import os
import re
import time
import zlib
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from core import files, paths, system
from core.runs import layout

CONFIG, STATUS, LABEL, SAMPLES, LOG = "config.json", "status.json", "label.json", "samples.jsonl", "log.txt"
LOCK, STOP, PAUSE, TURN, LAUNCHED, RESERVE = "lock", "stop", "pause", "turn", "launched", ".reserve"
JOB, PULSE = "job.json", "pulse"
PULSE_EVERY = 2.0  # seconds between two beats of a worker on another machine
PULSE_GRACE = 15.0  # seconds without one after which it is taken for dead
START_GRACE = 20.0  # seconds a fresh job may take until its worker holds the lock, if that is not known to be alive
LONGEST_NAME, LONGEST_TITLE = 60, 120
RANK = "rank"
"""What the status of a ranking names as its task; that of a training names none."""


class State(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"

    @property
    def active(self) -> bool:
        """True while a worker is, or should be, busy with the run."""
        return self in (State.QUEUED, State.RUNNING, State.PAUSED, State.STOPPING)


def folders(parent: Path | None = None) -> list[Path]:
    """List the folders of the learner's own runs, or those in `parent`, by name."""
    return [Path(place) for place in places(parent)]


def places(parent: Path | None = None) -> list[str]:
    """List the same folders as text: thousands of paths take long to make."""
    try:
        with os.scandir(parent or paths.runs()) as entries:
            return sorted(entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def rankings(run: Path) -> list[Path]:
    """List the folders of the rankings in a run's folder."""
    try:
        with os.scandir(f"{run}{os.sep}{layout.KNOCKOUTS}") as entries:  # asked of thousands: no path is made
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    return [run / layout.KNOCKOUTS / name for name in names]


def jobs() -> list[Path]:
    """List the folders of all jobs: the learner's runs, and the rankings of these and of those that ship."""
    mine = folders()
    return mine + [job for run in (*mine, *folders(paths.pretrained())) for job in rankings(run)]


def is_ranking(path: Path) -> bool:
    """True if a job's folder is that of a ranking, inside its run's."""
    return path.parent.name == layout.KNOCKOUTS


# --- what its files say ----------------------------------------------------------------------------------------------

_SEAL = re.compile(rb',\n  "crc32": "([0-9a-f]{8})"\n}\s*\Z')


def sealed(body: bytes) -> bytes:
    """Return a JSON object, indented by two, whose last member is the CRC-32 of all bytes before it.

    A flipped bit mostly leaves valid JSON, with another number in it. A file without the member is read unchecked.
    """
    body = body.removesuffix(b"\n}")
    return body + b',\n  "crc32": "%08x"\n}' % zlib.crc32(body)


def checked(content: bytes) -> bytes:
    """Return the content of a file as it is. Raises ValueError if its bytes are not those that were sealed."""
    found = _SEAL.search(content)
    if found and int(found[1], 16) != zlib.crc32(content[: found.start()]):
        raise ValueError('it does not match its checksum (whoever edits it by hand takes "crc32" out)')
    return content


def read_status(path: Path) -> dict[str, Any]:
    """Return a run's status as it was written. Raises OSError, or ValueError if it is damaged."""
    try:
        status = json.loads(checked(files.read(path / STATUS)))
        State(status["state"])
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return {name: value for name, value in status.items() if name != "crc32"}


def write_status(path: Path, status: dict[str, Any]) -> None:
    """Replace a run's status. Raises OSError."""
    put_status(path, json.dumps(status, indent=2).encode(), ended=not State(status["state"]).active)


def put_status(path: Path, body: bytes, *, ended: bool) -> None:
    """Replace status.json by a JSON object. Raises OSError.

    If the disk is full, the run's small reserve is given up to say how it ended.
    """
    content = sealed(body)
    try:
        files.replace(path / STATUS, content)
    except OSError as error:
        if not ended or error.errno not in files.FULL or not (path / RESERVE).exists():
            raise
        (path / RESERVE).unlink()
        files.replace(path / STATUS, content)


def resumes_from(status: dict[str, Any]) -> str:
    """Say from where a run with this status would go on."""
    if status.get("task") == RANK:
        return "where it was"
    step = status.get("checkpoint_step")
    return "the start" if step is None else f"step {step}"


def name(path: Path) -> str:
    """Return the name that a job is shown by: its run's label's, its title, or its folder's."""
    if is_ranking(path):
        return f"the ranking of {name(path.parent.parent)}"
    for file, key, longest in ((LABEL, "name", LONGEST_NAME), (CONFIG, "title", LONGEST_TITLE)):
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            found = json.loads((path / file).read_text(encoding="utf-8"))[key]
            if said := " ".join("".join(c for c in found if c.isprintable()).split())[:longest]:
                return said
    return path.name


def note(path: Path, line: str) -> None:
    """Add a dated line to the run's log."""
    with contextlib.suppress(OSError), (path / LOG).open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")


# --- who is at work --------------------------------------------------------------------------------------------------


def hold(path: Path) -> system.Lock:
    """Return the lock that a worker holds for as long as it lives; entering it twice raises `Taken`."""
    return system.Lock(path / LOCK, patience=5)


def sent(path: Path) -> dict[str, str] | None:
    """Return under which `job` of which `cluster` a run was sent to other machines, None if it runs on this one."""
    try:
        job = json.loads((path / JOB).read_bytes())
        return {"cluster": str(job["cluster"]), "job": str(job["job"])}
    except (OSError, ValueError, LookupError, TypeError):
        return None


def put_job(path: Path, cluster: str, job: str) -> None:
    """Keep with a run under which job of which cluster it was sent. Raises OSError."""
    files.replace(path / JOB, json.dumps({"cluster": cluster, "job": job}).encode(), durable=True)


def forget_worker(path: Path) -> None:
    """Take away what tells of the last worker, before another one is started. Raises OSError."""
    for name in (LAUNCHED, JOB, PULSE):
        (path / name).unlink(missing_ok=True)


def is_alive(path: Path) -> bool:
    """True if a worker holds the run's lock. One on another machine, whose lock cannot be seen, leaves its pulse."""
    if not (path / JOB).exists():
        return system.is_locked(path / LOCK)
    try:
        return time.time() - (path / PULSE).stat().st_mtime < PULSE_GRACE
    except OSError:
        return False


def announce(path: Path, pid: int) -> None:
    """Leave word of which process is to become the run's worker, so that its death before it begins is seen at once."""
    files.replace(path / LAUNCHED, json.dumps([pid, system.born(pid)]).encode())


def worker_comes(path: Path) -> bool | None:
    """True if the process that is to become the run's worker lives, None if nobody said which one it is.

    Of a run that was sent to a cluster, the cluster knows; until it says otherwise, its worker comes.
    """
    if (path / JOB).exists():
        return True
    try:
        pid, born = json.loads(files.read(path / LAUNCHED))
        return system.same(int(pid), float(born))
    except (OSError, ValueError, TypeError):
        return None


def seen(path: Path, state: State, pid: int | None, queued: float) -> State:
    """Correct the state that the worker wrote last by what the folder shows: a stop asked for, a worker that died."""
    if not state.active:
        return state
    if is_alive(path):
        return State.STOPPING if stop_requested(path) else state
    if state is State.QUEUED:
        coming = worker_comes(path) if pid is None else False  # one that had come has gone
        if coming or (coming is None and time.time() - queued < START_GRACE):
            return state
    return State.LOST


# --- what it is asked ------------------------------------------------------------------------------------------------


def request_stop(path: Path) -> None:
    """Ask the worker to finish its step, save and end. Raises OSError."""
    if not stop_requested(path):  # the first request counts from when it was made
        (path / STOP).touch()


def stop_requested(path: Path) -> bool:
    """True if somebody asked the run to stop."""
    return (path / STOP).exists()


def stop_age(path: Path) -> float | None:
    """Return how many seconds ago the run was asked to stop, None if it was not."""
    try:
        return time.time() - (path / STOP).stat().st_mtime
    except OSError:
        return None


def clear_requests(path: Path) -> None:
    """Withdraw all requests: to stop, to hold still, to take another turn."""
    for request in (STOP, PAUSE, TURN):
        files.remove(path / request)
