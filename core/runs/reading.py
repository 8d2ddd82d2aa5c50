"""The run folder: create, read, list, rename, delete. The only code that knows its layout.

A run is a folder of files in standard formats; whoever shows it reads them, whoever trains writes them::

    config.json        what was asked for: rung, settings, corpus, seed, versions
    status.json        where it is now; replaced atomically by the worker, about twice a second
    label.json         what the learner says of it: its name, a note, whether it is pinned
    events.out.tfevents.*   every curve, as TensorBoard event files
    trainer.pt         all that a resumed run needs; trainer.previous.pt: the one before it
    model.safetensors  the newest weights for everybody else; best.safetensors: those of the lowest validation loss
    snapshots/         weights along the way
    knockouts/         what each part of the model is worth, measured on these weights
    samples.jsonl      text written at each evaluation
    alerts.jsonl       what the worker noticed (core/runs/records.py)
    changes.jsonl      settings changed on the way; requests to the worker lie beside it (core/runs/requests.py)
    log.txt            what the worker printed
    lock               held by the worker for as long as it lives
"""

import contextlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from core import files, paths
from core.errors import BardlabError
from core.runs import folder as runs_folder
from core.runs import titles
from core.runs.folder import (
    CONFIG,
    LABEL,
    LONGEST_NAME,
    LONGEST_TITLE,
    STATUS,
    State,
    folders,
    is_alive,
)
from core.runs.layout import LONGEST_NOTE, WEIGHTS
from core.runs.state import Run, RunConfig, Status, read_status

LARGEST_HEADER = 10 * 1024**2  # bytes before the numbers of a weights file; a header has some 100 a tensor


Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time (ns) of each file that a reading depends on; None for one that is not there."""
_known: dict[str, tuple[Stamp, Run]] = {}
KNOWN, SETTLED = 20_000, 0.05
"""How many readings are kept, and the age in seconds from which a file's time tells it from a later one."""


def read(path: Path) -> Run:
    """Read one run folder. Never raises for what is inside it: damage is reported in the run.

    What was read before is not read again while its files are the same; whether a worker is at it is always looked at.
    """
    return _look(str(path))


def _look(place: str) -> Run:
    stamp = _stamp(place)
    known = _known.get(place)
    if known is not None and known[0] == stamp:
        run = known[1]
    else:
        run = _read(Path(place))
        newest = max((file[2] for file in stamp if file), default=0)
        if time.time_ns() - newest > SETTLED * 1e9:
            if len(_known) >= KNOWN:
                _known.clear()
            _known[place] = stamp, run
    return replace(run, status=_as_seen(run.path, run.status)) if run.state.active else run


_READ = tuple(f"{os.sep}{name}" for name in (CONFIG, STATUS, LABEL, WEIGHTS))


def _stamp(place: str) -> Stamp:
    found: list[tuple[int, int, int] | None] = []
    for name in _READ:
        try:
            about = os.stat(place + name)
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _read(path: Path) -> Run:
    """Read one run folder, its state as it was written."""
    config, status, damage = None, Status(), None
    try:
        config = RunConfig.model_validate_json(runs_folder.checked(files.read(path / CONFIG)))
        _ = config.model_config_
    except BardlabError as error:
        damage, config = f"{CONFIG}: {error}", None
    except (OSError, ValueError) as error:
        damage, config = _reason(CONFIG, error), None
    try:
        status = read_status(path)
    except (OSError, ValueError) as error:
        damage = damage or _reason(STATUS, error)
    label = label_of(path)
    if not damage and (status.checkpoint_step is not None or (path / WEIGHTS).exists()):
        damage = _weights_damage(path / WEIGHTS)
    given = " ".join(printable(label.get("name")).split())[:LONGEST_NAME]
    name = given or (_title(config) if config else "") or path.name
    note = printable(label.get("note"))[:LONGEST_NOTE]
    return Run(path, name, config, status, damage, note, label.get("pinned") is True, given)


def _title(config: RunConfig) -> str:
    """What a run is called that nobody has named."""
    if not config.title:  # of an older version
        with contextlib.suppress(BardlabError):  # whose presets may be no longer
            return titles.title(config.rung, config.preset, config.model_config_, config.train)
    return " ".join(printable(config.title).split())[:LONGEST_TITLE]


def label_of(path: Path) -> dict[str, Any]:
    """What the learner says of a run; a damaged file says nothing."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads((path / LABEL).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def printable(value: object) -> str:
    """Text without signs that cannot be seen or would turn what follows them around."""
    return "".join(c for c in value if c.isprintable() or c == "\n") if isinstance(value, str) else ""


def _reason(file: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{file} is missing"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{file} is not valid" + (f" at {where}" if where else "") + f": {first['msg'].lower()}"
    return f"{file} cannot be read: {error}"


_judged: dict[tuple[int, int, int, int], str | None] = {}


def _weights_damage(path: Path) -> str | None:
    """Say what is wrong with a weights file as far as its size shows; loading it checks every number."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not about.st_size:
                return f"{WEIGHTS} is missing or empty"
            key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
            if key not in _judged:
                if len(_judged) > 4096:
                    _judged.clear()
                _judged[key] = _size_damage(file, about.st_size)
            return _judged[key]
    except OSError:
        return f"{WEIGHTS} is missing or empty"


def _size_damage(file: IO[bytes], size: int) -> str | None:
    """Compare a safetensors file's size with what its header announces."""
    length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        return f"{WEIGHTS}: its header announces {length:,} bytes"
    try:
        header = json.loads(file.read(length)) if length < size else {}
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return f"{WEIGHTS}: its header cannot be read"
    wanted = 8 + length + max(ends, default=0)
    return None if size == wanted else f"{WEIGHTS}: it has {size:,} bytes where its header announces {wanted:,}"


def _as_seen(path: Path, status: Status) -> Status:
    """Correct the state that the worker wrote last by what the folder shows now."""
    state = runs_folder.seen(path, status.state, status.pid, status.queued)
    if state is not State.LOST:
        return status if state is status.state else status.model_copy(update={"state": state})
    with contextlib.suppress(OSError, ValueError):  # it may have ended between the two looks
        status = read_status(path)
    if not status.state.active:
        return status
    where = f"step {status.checkpoint_step}" if status.checkpoint_step is not None else "the start"
    short = status.memory_needed and status.memory_free and status.memory_needed > status.memory_free
    why = ", probably out of memory: lower train.batch_size or the model's sizes" if short else ""
    message = f"the worker died{why}; Resume goes on from {where}"
    return status.model_copy(update={"state": State.LOST, "message": message, "eta_seconds": None})


LAST_WORDS = 3.0
"""Seconds that a worker may take to end once its run has."""


def is_busy(run: Run) -> bool:
    """True if a worker holds the run's lock, not counting one that has just ended and is on its way out."""
    until = time.monotonic() + (0.0 if run.state.active else LAST_WORDS)
    while (alive := is_alive(run.path)) and time.monotonic() < until:
        time.sleep(0.05)
    return alive


def list_runs(*, shipped: bool = False) -> list[Run]:
    """List the learner's runs, newest first; with `shipped`, those that came with the product after them."""
    found = [_look(place) for place in reversed(runs_folder.places())]
    found.sort(key=lambda run: run.config.created if run.config else "", reverse=True)  # those of one moment by name
    return found + (list(map(_look, runs_folder.places(paths.pretrained()))) if shipped else [])


def written() -> tuple[tuple[str, int], ...]:
    """Return every run's folder, those that ship too, with the time (ns) at which a file was last put into it."""
    found = []
    for parent in (paths.runs(), paths.pretrained()):
        with contextlib.suppress(OSError), os.scandir(parent) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found.append((entry.path, entry.stat().st_mtime_ns))
    return tuple(sorted(found))


def find(reference: str) -> Run:
    """Find a run by its slug, the name it was given, a unique beginning of its slug, or `pretrained/<stage>`.

    Not by its title, which several may have. Raises BardlabError if none or several fit.
    """
    if reference.startswith("pretrained/"):
        there = {f"pretrained/{path.name}": path for path in folders(paths.pretrained())}
        if reference not in there:
            shipped = ", ".join(there) or "none"
            raise BardlabError(f"no run {reference!r} ships with the product; these do: {shipped}")
        return read(there[reference])
    mine = folders()
    fits = [p for p in mine if p.name == reference] or [p for p in mine if reference and read(p).given == reference]
    fits = fits or [p for p in mine if reference and p.name.startswith(reference)]
    if len(fits) == 1:
        return read(fits[0])
    if fits:
        raise BardlabError(
            f"{reference!r} fits several runs: {', '.join(p.name for p in fits[:6])}; give more of the name"
        )
    raise BardlabError(f"no run {reference!r}; list them with: python -m core runs")
