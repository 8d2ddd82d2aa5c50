"""Create, rename, annotate, pin, delete a run. What may not be done to another's run is refused here."""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from core import paths, system
from core.errors import BardlabError
from core.files import explain, replace
from core.runs import owners
from core.runs.folder import (
    CONFIG,
    LABEL,
    RESERVE,
    State,
    clear_requests,
    folders,
    forget_worker,
    is_alive,
    rankings,
    request_stop,
)
from core.runs.layout import LONGEST_NOTE
from core.runs.names import check_name, fresh_path
from core.runs.reading import is_busy, label_of, list_runs, printable, read
from core.runs.state import Run, RunConfig, Status, sealed, write_status

STAGING = ".importing-"  # beside the runs: what is being prepared to become one


def create(config: RunConfig, name: str | None = None) -> Run:
    """Make a run folder in state queued, with a fresh name such as `bigram-merry-puck`, or the one given.

    It belongs to whoever acts. Raises BardlabError, leaving nothing behind, if it cannot be written, or its owner may
    not let one more wait.
    """
    check_room()
    return _create(config, name)


def create_all(configs: Sequence[RunConfig]) -> list[Run]:
    """Make several run folders. Raises BardlabError as `create` does, leaving nothing behind, if one cannot be."""
    check_room(len(configs))
    made: list[Run] = []
    try:
        for config in configs:
            made.append(_create(config))
    except BardlabError:
        for run in made:
            delete(run)
        raise
    return made


def owned(config: RunConfig) -> RunConfig:
    """Return the configuration as one of whoever acts."""
    return config.model_copy(update={"owner": owners.signature()})


def check_room(count: int = 1, besides: Path | None = None) -> None:
    """Raise BardlabError if whoever acts may not let so many more runs wait, beside those that wait already.

    The run in the folder `besides` does not count: it is one of those that come.
    """
    who, most = owners.acting(), owners.most_waiting()
    if most is None or who.teaches:
        return
    waiting = sum(
        run.state is State.QUEUED and run.owner == who.name for run in map(read, folders()) if run.path != besides
    )
    if waiting + count > most:
        there = f"{waiting or 'none'} of yours {'wait' if waiting > 1 else 'waits'} already"
        raise BardlabError(
            f"{there} and {count} would come, where each may let {most} wait; "
            + ("wait until one has begun, or cancel one" if waiting else "take fewer at once")
        )


def _create(config: RunConfig, name: str | None = None) -> Run:
    root = paths.runs()
    for path in [root / name] if name else fresh_path(config.rung_key):
        try:
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise BardlabError(f"cannot make a run in {root}: {explain(error)}") from None
        break
    try:
        replace(path / CONFIG, sealed(owned(config)))
        replace(path / RESERVE, bytes(65_536))
        waits = Status(queued=time.time(), of=config.train.steps, message="waiting for a worker")
        write_status(path, waits.model_copy(update={"devices": config.train.devices}))
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BardlabError(f"cannot make a run in {root}: {explain(error)}") from None
    return read(path)


@contextlib.contextmanager
def staging() -> Iterator[Path]:
    """Yield an empty folder beside the runs in which one can be prepared; what is still there afterwards is removed.

    Its name holds the process, so that what a killed one left can be told (`clear_staging`). Raises OSError.
    """
    folder = paths.runs() / f"{STAGING}{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_staging(pid: int) -> None:
    """Remove what a process that has died was preparing."""
    for unfinished in paths.runs().glob(f"{STAGING}{pid}-*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def adopt(folder: Path, rung: str) -> Run:
    """Give a complete run folder beside the others a fresh name among them. Raises OSError."""
    names = {run.given for run in list_runs()}
    path = next(path for path in fresh_path(rung) if not path.exists() and path.name not in names)
    os.rename(folder, path)
    return read(path)


def queue_again(run: Run, device: str = "") -> None:
    """Put a run that ended before its last step back into state queued, for a kind of device. Raises OSError."""
    clear_requests(run.path)
    forget_worker(run.path)
    if not (run.path / RESERVE).exists():
        with contextlib.suppress(OSError):
            replace(run.path / RESERVE, bytes(65_536))
    update = {
        "state": State.QUEUED,
        "device": device or run.status.device,
        "devices": run.config.train.devices if run.config else 1,
        "queued": time.time(),
        "message": "waiting for a worker",
        "ended": None,
        "pid": None,
        "born": None,
        "only": "",
    }
    write_status(run.path, run.status.model_copy(update=update))


def rename(run: Run, name: str) -> Run:
    """Give a run another name to be shown by; its folder and address stay. Raises BardlabError on a bad name."""
    name = check_name(name, run)
    _own(run, "rename")
    return _relabel(run, name=name)


def annotate(run: Run, note: str) -> Run:
    """Keep a note with a run; an empty one takes it away. Raises BardlabError if it is over 2,000 characters long."""
    note = printable(note).strip()
    if len(note) > LONGEST_NOTE:
        raise BardlabError(f"the note has {len(note):,} characters; at most {LONGEST_NOTE:,} are kept, shorten it")
    _own(run, "annotate")
    return _relabel(run, note=note)


def pin(run: Run, pinned: bool) -> Run:
    """Put a run at the head of every list, or back to its place."""
    _own(run, "pin")
    return _relabel(run, pinned=pinned)


def _relabel(run: Run, **changes: object) -> Run:
    try:
        replace(run.path / LABEL, json.dumps({**label_of(run.path), **changes}, ensure_ascii=False).encode())
    except OSError as error:
        raise BardlabError(f"cannot change {run.slug}: {explain(error, naming=True)}") from None
    return read(run.path)


def delete(run: Run) -> None:
    """Remove a run and everything in it. Raises BardlabError while a worker is busy with it."""
    _own(run, "delete")
    if is_busy(run):
        if run.state.active:
            raise BardlabError(f"run {run.slug} is {run.state}; stop it first, then delete it")
        raise BardlabError(f"the worker of {run.slug} is still ending; delete it in a moment")
    _end_rankings(run.path)
    doomed = run.path.with_name(f".deleted-{run.path.name}-{secrets.token_hex(4)}")
    try:
        system.persist(lambda: os.rename(run.path, doomed))
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted already; there is nothing to delete") from None
    except OSError as error:
        raise BardlabError(f"cannot delete {run.slug}: {explain(error)}") from None
    shutil.rmtree(doomed, ignore_errors=True)


def _end_rankings(path: Path) -> None:
    """Ask the rankings in a run's folder to end, and give them a moment; those that take longer find it gone."""
    alive = [job for job in rankings(path) if is_alive(job)]
    for job in alive:
        with contextlib.suppress(OSError):
            request_stop(job)
    until = time.monotonic() + 5.0
    while any(is_alive(job) for job in alive) and time.monotonic() < until:
        time.sleep(0.05)


def _own(run: Run, what: str) -> None:
    if run.shipped:
        raise BardlabError(f"{run.slug} ships with the product; only your own runs can be changed ({what})")
    owners.check(run.owner, run.slug, what)
