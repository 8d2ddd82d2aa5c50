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
    alerts.jsonl       what the worker noticed (core/alerts.py)
    changes.jsonl      settings changed on the way; requests to the worker lie beside it (core/controls.py)
    log.txt            what the worker printed
    lock               held by the worker for as long as it lives
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from core import files, folder, paths, processes, stages
from core.config import Device, Settings, TrainConfig
from core.errors import BardlabError
from core.files import explain as explain
from core.files import replace as replace
from core.files import replacing as replacing
from core.folder import CONFIG as CONFIG
from core.folder import LABEL as LABEL
from core.folder import LAUNCHED as LAUNCHED
from core.folder import LOCK as LOCK
from core.folder import LOG as LOG
from core.folder import LONGEST_NAME as LONGEST_NAME
from core.folder import PAUSE as PAUSE
from core.folder import RESERVE as RESERVE
from core.folder import SAMPLES as SAMPLES
from core.folder import START_GRACE as START_GRACE
from core.folder import STATUS as STATUS
from core.folder import STOP as STOP
from core.folder import TURN as TURN
from core.folder import State as State
from core.folder import clear_requests as clear_requests
from core.folder import folders as folders
from core.folder import hold as hold
from core.folder import is_alive as is_alive
from core.folder import note as note
from core.folder import stop_requested as stop_requested
from core.meters import Meters
from core.stages import Stage

TRAINER, PREVIOUS = "trainer.pt", "trainer.previous.pt"
WEIGHTS, BEST, SNAPSHOTS, KNOCKOUTS = "model.safetensors", "best.safetensors", "snapshots", "knockouts"
LARGEST_HEADER = 10 * 1024**2  # bytes before the numbers of a weights file; a header has some 100 a tensor
STAGING = ".importing-"  # beside the runs: what is being prepared to become one
SPEED = ".speed.json"  # beside the runs: how fast this machine was
TRAINING, COMPILING = "training", "compiling the model before its first step, which may take a minute"
LONGEST_NOTE = 2000


class RunConfig(BaseModel):
    """What was asked for; written once, before the first step."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: str
    preset: str | None = None
    model: dict[str, Any]
    train: TrainConfig
    corpus: str
    corpus_sha256: str
    characters: str
    device: Device = "auto"
    created: str
    versions: dict[str, str] = {}
    parent: str | None = None
    """The run that this one repeats with something changed."""
    group: str | None = None
    """The sweep that this run belongs to."""
    memory_needed: float | None = None
    """Bytes that it was estimated to take in all, if whoever started it looked."""

    @property
    def rung(self) -> Stage:
        """The rung's entry in the registry."""
        return stages.get(self.stage)

    @property
    def model_config_(self) -> Settings:
        """The model's settings, validated."""
        return self.rung.config.parse(self.model, "model.")


class Status(BaseModel):
    """Where a run is now; written by the worker alone."""

    model_config = ConfigDict(extra="ignore")

    state: State = State.QUEUED
    step: int = 0
    of: int = 0
    message: str = ""
    device: str = ""
    pid: int | None = None
    born: float | None = None
    """When the process `pid` was made: a later process with the same number is another one."""
    only: str = ""
    """The name of the one device that the run waits for, if not any of its kind will do."""
    queued: float = 0.0
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0
    eta_seconds: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    characters: int = 0
    parameters: int | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    impossible: int = 0
    best_val_loss: float | None = None
    best_step: int | None = None
    checkpoint_step: int | None = None
    meters: Meters | None = None
    device_name: str = ""
    """What the hardware is called; empty in runs that were made before it was noted, as are the next three."""
    threads: int | None = None
    """How many cores computed, if it was a processor."""
    precision: str = ""
    """The number format of the matrix products."""
    compiled: bool | None = None
    memory_needed: float | None = None
    """Bytes that the run was estimated to take in all, and that were free when it began."""
    memory_free: float | None = None

    @field_validator("device")
    @classmethod
    def _known(cls, device: str) -> str:
        """Of a device that no worker could have written, nothing is kept."""
        return device if device in ("cpu", "cuda", "mps") else ""


@dataclass(frozen=True)
class Sample:
    """Text written at one evaluation."""

    step: int
    val_loss: float | None
    prompt: str
    text: str


@dataclass(frozen=True)
class Run:
    """One run as it was at the moment of reading. `damage` says why it cannot be used, if so."""

    path: Path
    name: str
    config: RunConfig | None
    status: Status
    damage: str | None = None
    note: str = ""
    pinned: bool = False

    @property
    def slug(self) -> str:
        """The run's address: its folder's name, or `pretrained/<stage>` for one that ships."""
        return f"pretrained/{self.path.name}" if self.shipped else self.path.name

    @property
    def shipped(self) -> bool:
        """True for a run that came with the product."""
        return self.path.parent == paths.pretrained()

    @property
    def state(self) -> State:
        """The state, corrected by what the folder shows: a stop asked for, a worker that died."""
        return self.status.state

    @property
    def stage(self) -> str:
        """The rung's key, or an empty text if the configuration cannot be read."""
        return self.config.stage if self.config else ""

    @property
    def usable(self) -> bool:
        """True if there are weights to look at."""
        return self.damage is None and (self.path / WEIGHTS).exists()

    def need(self) -> RunConfig:
        """Return the configuration. Raises BardlabError if the run is damaged."""
        if self.damage or self.config is None:
            raise BardlabError(f"run {self.slug} is damaged: {self.damage}; delete it, or restore the file")
        return self.config


# --- reading ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> Run:
    """Read one run folder. Never raises for what is inside it: damage is reported in the run."""
    config, status, damage = None, Status(), None
    try:
        config = RunConfig.model_validate_json(folder.checked(files.read(path / CONFIG)))
        _ = config.model_config_
    except BardlabError as error:
        damage, config = f"{CONFIG}: {error}", None
    except (OSError, ValueError) as error:
        damage, config = _reason(CONFIG, error), None
    try:
        status = read_status(path)
    except (OSError, ValueError) as error:
        damage = damage or _reason(STATUS, error)
    label = _label(path)
    if not damage and (status.checkpoint_step is not None or (path / WEIGHTS).exists()):
        damage = _weights_damage(path / WEIGHTS)
    name = " ".join(_shown(label.get("name")).split())[:LONGEST_NAME] or path.name
    note = _shown(label.get("note"))[:LONGEST_NOTE]
    return Run(path, name, config, _as_seen(path, status), damage, note, label.get("pinned") is True)


def _label(path: Path) -> dict[str, Any]:
    """What the learner says of a run; a damaged file says nothing."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads((path / LABEL).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _shown(value: object) -> str:
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
    state = folder.seen(path, status.state, status.pid, status.queued)
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


def read_status(path: Path) -> Status:
    """Return a run's status as it was written. Raises OSError, or ValueError if it is damaged."""
    return Status.model_validate_json(folder.checked(files.read(path / STATUS)))


def sealed(settings: BaseModel) -> bytes:
    """Return the file of a configuration or a status: JSON that ends in its own checksum."""
    return folder.sealed(settings.model_dump_json(indent=2).encode())


def is_busy(run: Run) -> bool:
    """True if a worker holds the run's lock, not counting one that has just ended and is on its way out."""
    until = time.monotonic() + (0.0 if run.state.active else 3.0)
    while (alive := is_alive(run.path)) and time.monotonic() < until:
        time.sleep(0.05)
    return alive


def list_runs(*, shipped: bool = False) -> list[Run]:
    """List the learner's runs, newest first; with `shipped`, those that came with the product after them."""
    found = sorted(
        (read(p) for p in folders()), key=lambda r: (r.config.created if r.config else "", r.slug), reverse=True
    )
    return found + ([read(p) for p in folders(paths.pretrained())] if shipped else [])


def written() -> tuple[tuple[str, int], ...]:
    """Return every run's folder, those that ship too, with the time (ns) at which a file was last put into it."""
    found = []
    for path in (*folders(), *folders(paths.pretrained())):
        with contextlib.suppress(OSError):
            found.append((str(path), path.stat().st_mtime_ns))
    return tuple(found)


def find(reference: str) -> Run:
    """Find a run by its slug, its name, a unique beginning of its slug, or `pretrained/<stage>`.

    Raises BardlabError if none or several fit.
    """
    if reference.startswith("pretrained/"):
        there = {f"pretrained/{path.name}": path for path in folders(paths.pretrained())}
        if reference not in there:
            shipped = ", ".join(there) or "none"
            raise BardlabError(f"no run {reference!r} ships with the product; these do: {shipped}")
        return read(there[reference])
    mine = folders()
    fits = [p for p in mine if p.name == reference] or [p for p in mine if read(p).name == reference]
    fits = fits or [p for p in mine if reference and p.name.startswith(reference)]
    if len(fits) == 1:
        return read(fits[0])
    if fits:
        raise BardlabError(
            f"{reference!r} fits several runs: {', '.join(p.name for p in fits[:6])}; give more of the name"
        )
    raise BardlabError(f"no run {reference!r}; list them with: python -m core runs")


def samples(path: Path) -> list[Sample]:
    """Return the text written at each evaluation so far, oldest first; a half-written last line is passed over."""
    found = []
    with contextlib.suppress(OSError):
        for line in (path / SAMPLES).read_text(encoding="utf-8", errors="replace").split("\n"):
            with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
                row = json.loads(line)
                loss = None if row["val_loss"] is None else float(row["val_loss"])
                found.append(Sample(int(row["step"]), loss, str(row["prompt"]), str(row["text"])))
    return found


_EVALUATION = re.compile(rb'^\{"step": (\d{1,12}), "val_loss": ([0-9.e+-]{1,30}),', re.MULTILINE)


def validation_curve(path: Path) -> list[tuple[int, float]]:
    """Return (step, validation loss) of each evaluation, read off the samples, which is far faster than the events."""
    found = []
    with contextlib.suppress(OSError):
        for step, loss in _EVALUATION.findall((path / SAMPLES).read_bytes()):
            with contextlib.suppress(ValueError):
                found.append((int(step), float(loss)))
    return found


def log_tail(path: Path, characters: int = 4000) -> str:
    """Return the end of what the worker printed."""
    try:
        with (path / LOG).open("rb") as file:
            file.seek(-min(4 * characters, file.seek(0, os.SEEK_END)), os.SEEK_END)
            text = file.read(4 * characters).decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.rsplit("\r", 1)[-1] for line in text.split("\n")]  # a progress bar rewrites its line: keep the last
    return "\n".join(lines)[-characters:]


# --- writing ---------------------------------------------------------------------------------------------------------

_ADJECTIVES = "brave fair gentle merry noble quiet sweet swift valiant wise bold bright gallant golden honest mild"
_NOUNS = (
    "ariel banquo beatrice cordelia duncan hamlet hermia horatio imogen juliet lear miranda oberon ophelia orlando "
)
_NOUNS += "portia prospero puck rosalind titania viola"


def create(config: RunConfig, name: str | None = None) -> Run:
    """Make a run folder in state queued, with a fresh name such as `bigram-merry-puck`, or the one given.

    Raises BardlabError, leaving nothing behind, if it cannot be written.
    """
    root = paths.runs()
    for path in [root / name] if name else _fresh(config.stage):
        try:
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise BardlabError(f"cannot make a run in {root}: {explain(error)}") from None
        break
    try:
        replace(path / CONFIG, sealed(config))
        replace(path / RESERVE, bytes(65_536))
        write_status(path, Status(queued=time.time(), of=config.train.steps, message="waiting for a worker"))
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BardlabError(f"cannot make a run in {root}: {explain(error)}") from None
    return read(path)


def _fresh(stage: str) -> Iterator[Path]:
    """Yield folders that a new run may have, until one is free."""
    for attempt in range(1000):
        words = f"{secrets.choice(_ADJECTIVES.split())}-{secrets.choice(_NOUNS.split())}"
        yield paths.runs() / (f"{stage}-{words}" + (f"-{attempt}" if attempt > 20 else ""))


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


def adopt(folder: Path, stage: str) -> Run:
    """Give a complete run folder beside the others a fresh name among them. Raises OSError."""
    names = {run.name for run in list_runs()}
    path = next(path for path in _fresh(stage) if not path.exists() and path.name not in names)
    os.rename(folder, path)
    return read(path)


def write_status(path: Path, status: Status) -> None:
    """Replace status.json. If the disk is full, the run's small reserve is given up to say how the run ended."""
    folder.put_status(path, status.model_dump_json(indent=2).encode(), ended=not status.state.active)


def request_stop(run: Run) -> None:
    """Ask the worker to finish its step, save and end. Raises OSError."""
    folder.request_stop(run.path)


def queue_again(run: Run, device: str = "") -> None:
    """Put a run that ended before its last step back into state queued, for a kind of device. Raises OSError."""
    clear_requests(run.path)
    (run.path / LAUNCHED).unlink(missing_ok=True)
    if not (run.path / RESERVE).exists():
        with contextlib.suppress(OSError):
            replace(run.path / RESERVE, bytes(65_536))
    update = {
        "state": State.QUEUED,
        "device": device or run.status.device,
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


def check_name(name: str, run: Run | None = None) -> str:
    """Return a name as it is kept, in one line. Raises BardlabError if it is none, or would stand for another run.

    A name that is another run's address, whether that is the learner's own or ships, would hide one of the two.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not re.fullmatch(r"[\w .,:;()+=%#&'’/-]+", name):
        raise BardlabError("a name has 1 to 60 letters, digits, spaces or simple signs; give another one")
    if name.startswith("pretrained/"):
        raise BardlabError(f"{name!r} is an address of a run that ships with the product; give another name")
    if any(name in (other.name, other.slug) and (run is None or other.path != run.path) for other in list_runs()):
        raise BardlabError(f"another run is called {name!r}; give another name")
    return name


def free_name(wanted: str) -> str:
    """Return a name like the one wanted that no run has: without signs that names lack, with a number if need be."""
    stem = " ".join(re.sub(r"[^\w .,:;()+=%#&'’-]", " ", wanted).split())[: LONGEST_NAME - 5] or "imported"
    taken = {word for run in list_runs() for word in (run.name, run.slug)}
    return stem if stem not in taken else next(f"{stem} {n}" for n in itertools.count(2) if f"{stem} {n}" not in taken)


def annotate(run: Run, note: str) -> Run:
    """Keep a note with a run; an empty one takes it away. Raises BardlabError if it is over 2,000 characters long."""
    note = _shown(note).strip()
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
        replace(run.path / LABEL, json.dumps({**_label(run.path), **changes}, ensure_ascii=False).encode())
    except OSError as error:
        raise BardlabError(f"cannot write in {run.path}: {explain(error)}") from None
    return read(run.path)


def delete(run: Run) -> None:
    """Remove a run and everything in it. Raises BardlabError while a worker is busy with it."""
    _own(run, "delete")
    if is_busy(run):
        raise BardlabError(f"run {run.slug} is {run.state}; stop it first, then delete it")
    doomed = run.path.with_name(f".deleted-{run.path.name}-{secrets.token_hex(4)}")
    try:
        processes.persist(lambda: os.rename(run.path, doomed))
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted already; there is nothing to delete") from None
    except OSError as error:
        raise BardlabError(f"cannot delete {run.slug}: {explain(error)}") from None
    shutil.rmtree(doomed, ignore_errors=True)


def _own(run: Run, what: str) -> None:
    if run.shipped:
        raise BardlabError(f"{run.slug} ships with the product; only your own runs can be changed ({what})")


def append_sample(path: Path, sample: Sample) -> None:
    """Add the text of one evaluation."""
    with (path / SAMPLES).open("a", encoding="utf-8") as file:
        file.write(_sample_line(sample))


def _sample_line(sample: Sample) -> str:
    row = {"step": sample.step, "val_loss": sample.val_loss, "prompt": sample.prompt, "text": sample.text}
    return json.dumps(row, ensure_ascii=False) + "\n"


def drop_samples_after(path: Path, step: int) -> None:
    """Forget text of evaluations that a resumed run will make again."""
    kept = [s for s in samples(path) if s.step <= step]
    replace(path / SAMPLES, "".join(_sample_line(sample) for sample in kept).encode())


def snapshot_path(path: Path, step: int) -> Path:
    """Return where the weights of `step` are kept."""
    return path / SNAPSHOTS / f"step-{step:06d}.safetensors"


def weights_path(path: Path, step: int | Literal["best"] | None = None) -> Path:
    """Return the file of the newest weights, of a snapshot `step`, or of the best on the validation split."""
    return path / WEIGHTS if step is None else path / BEST if step == "best" else snapshot_path(path, step)


def knockouts_path(path: Path, step: int | None, method: str) -> Path:
    """Return where the knock-outs of the newest weights (or of `step`) by one method are kept."""
    return path / KNOCKOUTS / f"{'newest' if step is None else f'step-{step:06d}'}-{method}.json"


def snapshot_steps(path: Path) -> list[int]:
    """List the steps whose weights were kept, in order."""
    names = (p.name for p in (path / SNAPSHOTS).glob("step-*.safetensors"))
    return sorted(int(m[1]) for n in names if (m := re.fullmatch(r"step-(\d+)\.safetensors", n)))
