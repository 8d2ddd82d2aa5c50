"""A whole run as one zip file, and back. Nothing in it is executed, nor written anywhere but into a new run."""

import contextlib
import io
import json
import math
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

import numpy as np
import torch

from core import files
from core.errors import BardlabError
from core.exchange import weights as exchange_weights
from core.exchange.export import EXPORT
from core.exchange.weight_files import safe_label
from core.models.contract import LanguageModel
from core.models.footprint import weightless
from core.models.ngram import NGram
from core.runs import checkpoints, editing, layout, owners, reading, records, requests
from core.runs import folder as runs_folder
from core.runs import names as runs_names
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.metrics import MetricsReader
from core.runs.state import Run, RunConfig, Start, Status
from core.texts import own
from core.texts.corpus import NAMES
from core.training.config import TrainConfig
from core.training.watch import Alert

LARGEST = 2 * 1024**3  # bytes, unpacked
MOST_FILES = 2000
MB = 1024**2
LIMITS = (
    (re.compile(r"(config|status|label)\.json"), MB),
    (re.compile(r"(alerts|changes)\.jsonl"), 8 * MB),
    (re.compile(r"samples\.jsonl"), 20 * MB),
    (re.compile(r"log\.txt"), 100 * MB),
    (re.compile(r"events\..*"), 100 * MB),
)
"""Bytes that a file of each kind may have, unpacked; weights as many as their settings ask for."""
KEPT_LOG = MB  # bytes of the log's end that are kept
MOST_SAMPLES = 10_001
LONGEST_SAMPLE = 200_000  # bytes of its line: the longest prompt and what is written after it
MOST_CURVES = 500
LONGEST_PROMPT = 10_000
OF_TABLES = 500 * MB  # bytes that counted tables may have: they are as large as the text makes them
HELP = "give the .zip that Export run made"
_KEPT = re.compile(
    r"(config|status|label)\.json|(samples|alerts|changes)\.jsonl|log\.txt|(model|best)\.safetensors|trainer\.pt"
    r"|events\.out\.tfevents\.[\w.-]{1,200}|snapshots/step-\d{1,9}\.safetensors"
)


def export_run(run: Run, target: Path | None = None) -> Path:
    """Write a run as one zip file, by default to `export/<slug>.zip` in its folder, and return the file.

    What only a resumed training needs (`trainer.pt`) is in it only if the run has not finished. Raises BardlabError if
    the run is damaged, a worker is busy with it, or the file cannot be written.
    """
    run.need()
    if run.state.active:
        raise BardlabError(f"run {run.slug} is {run.state}; stop it first, or wait until it has ended")
    file = target or run.path / EXPORT / f"{run.path.name}.zip"
    names = sorted(str(p.relative_to(run.path).as_posix()) for p in run.path.rglob("*") if p.is_file())
    left_out = {layout.TRAINER} if run.state is State.FINISHED else set()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(file, durable=False) as out, zipfile.ZipFile(out, "w") as archive:
            for name in (n for n in names if _KEPT.fullmatch(n) and n not in left_out):
                packed = zipfile.ZIP_STORED if name.endswith((".safetensors", ".pt")) else zipfile.ZIP_DEFLATED
                if name == runs_folder.CONFIG and run.owner != owners.GUEST:  # whose it was is told to nobody elsewhere
                    settings = run.need().model_copy(update={"owner": ""})
                    archive.writestr(f"{run.path.name}/{name}", runs_state.sealed(settings), packed)
                else:
                    archive.write(run.path / name, f"{run.path.name}/{name}", packed)
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {files.explain(error)}") from None
    return file


def bring_in(
    source: Path | str | bytes,
    name: str | None = None,
    *,
    file_name: str = "",
    text: str | None = None,
    device: str = "cpu",
) -> Run:
    """Make a run of a file, or its content: an exported run (.zip), or the weights of a model.

    What it is is read off its content. `text` is the one that a model of bare weights was trained on, `device` where
    it is measured. Raises BardlabError, in one line and leaving nothing behind, if it is neither.
    """
    if _holds_a_run(source):
        return import_run(source, name, file_name=file_name)
    return exchange_weights.import_pth(source, name, file_name=file_name, text=text, device=device)


def _holds_a_run(source: Path | str | bytes) -> bool:
    """True for a zip file without a pickle, which torch's own zip files have."""
    # Whatever is wrong with it is said by those who read it in earnest.
    with contextlib.suppress(Exception), _opened(source) as file, zipfile.ZipFile(file) as archive:
        return not any(name.endswith("data.pkl") for name in archive.namelist())
    return False


@contextlib.contextmanager
def _opened(source: Path | str | bytes) -> Iterator[IO[bytes]]:
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).expanduser().open("rb") as file:
        yield file


def import_run(source: Path | str | bytes, name: str | None = None, *, file_name: str = "") -> Run:
    """Make a run of an exported one, under a fresh address; a name that is taken here is not taken over.

    Everything in it is checked before the run is there: the paths, the sizes, the settings, the weights' shapes and
    checksum, the curves. Raises BardlabError, in one line and leaving nothing behind.
    """
    label = safe_label(file_name or ("the file" if isinstance(source, bytes) else source))
    name = None if name is None else runs_names.check_name(name)
    try:
        with editing.staging() as folder:
            with _opened(source) as file, zipfile.ZipFile(file) as archive:
                for inside, entry in _entries(archive, label).items():
                    _unpack(archive, entry, folder / inside, label)
            config = _settle(folder, label, name)
            return editing.adopt(folder, config.rung_key)
    except (BardlabError, MemoryError):
        raise
    except (OSError, ValueError) as error:
        why = files.explain(error) if isinstance(error, OSError) else str(error)
        raise BardlabError(f"{label} cannot be read ({_short(why)}); {HELP}") from None
    except Exception as error:  # zipfile raises whatever its decoders meet in a damaged file
        raise BardlabError(f"{label} is not a zip file, or is damaged ({type(error).__name__}); {HELP}") from None


def _free_name(run: Run, label: str) -> str:
    """Return an imported run's own name if that is free, else one made of the file's."""
    with contextlib.suppress(BardlabError):
        return runs_names.check_name(run.given or Path(label).stem)
    return runs_names.free_name(Path(label).stem)


def _entries(archive: zipfile.ZipFile, label: str) -> dict[str, zipfile.ZipInfo]:
    """Return what is to be unpacked, by its path in the run folder. Raises BardlabError on anything suspicious."""
    listed = archive.infolist()
    if len(listed) > MOST_FILES:
        raise BardlabError(f"{label} holds {len(listed):,} files; a run has at most {MOST_FILES:,}")
    if (size := sum(entry.file_size for entry in listed)) > LARGEST:
        raise BardlabError(f"{label} unpacks to {size / 1e9:.1f} GB; at most 2 GB are accepted")
    for entry in listed:
        name = entry.filename
        parts = name.rstrip("/").split("/")
        if not name.isprintable() or re.search(r'[\\:*?"<>|]', name) or any(p in ("", ".", "..") for p in parts):
            raise BardlabError(f"{label} holds a file with the unsafe name {_short(name)}; nothing was unpacked")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BardlabError(f"{label} holds a link, {_short(name)}; nothing was unpacked")
        if entry.flag_bits & 1:
            raise BardlabError(f"{label} is encrypted; {HELP}")
    names = [entry.filename for entry in listed]
    roots = [n.removesuffix(runs_folder.CONFIG) for n in names if re.fullmatch(r"([^/]+/)?config\.json", n)]
    weights = [n for n in names if n.endswith((".pth", ".pt", ".safetensors"))]
    if weights and not roots and not any(n.endswith(runs_folder.STATUS) for n in names):
        raise BardlabError(f"{label} is a packed folder with {_short(weights[0])} in it; unpack it and give that file")
    if len(roots) != 1 or len(set(names)) != len(names):
        raise BardlabError(f"{label} does not hold one run with its {runs_folder.CONFIG}; {HELP}")
    inside = {e.filename.removeprefix(roots[0]): e for e in listed if e.filename.startswith(roots[0])}
    return {path: entry for path, entry in inside.items() if _KEPT.fullmatch(path)}


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, label: str) -> None:
    target.parent.mkdir(exist_ok=True)
    for pattern, most in LIMITS:
        if pattern.fullmatch(target.name) and entry.file_size > most:
            what = f"{target.name} has {entry.file_size / MB:.0f} MB; at most {most / MB:.0f} MB are accepted"
            raise BardlabError(f"{label} is not taken: {what}")
    with archive.open(entry) as packed, target.open("xb") as out:
        left = entry.file_size
        while target.name == runs_folder.LOG and left > KEPT_LOG:  # of a long log, the end
            left -= len(packed.read(min(MB, left - KEPT_LOG))) or left
        shutil.copyfileobj(packed, out, MB)  # reads no more than the size that the archive declares


def _settle(folder: Path, label: str, name: str | None) -> RunConfig:
    """Check an unpacked run and write its settings, status and label anew. Raises BardlabError."""
    run = reading.read(folder)
    if run.damage or run.config is None:
        raise BardlabError(f"{label} holds a damaged run: {run.damage}")
    config = _sound(run.config, label)
    status = _ended(folder, label)
    with weightless():
        model = config.rung.build(config.model_config_, len(config.characters))
    if (folder / layout.WEIGHTS).exists():
        _check_weights(run, model, label)
    else:
        status.checkpoint_step = None
        if status.state is State.FINISHED:
            raise BardlabError(f"{label} holds a finished run without its {layout.WEIGHTS}; {HELP}")
    if status.state is State.FINISHED:
        (folder / layout.TRAINER).unlink(missing_ok=True)
    _settle_what_happened(folder, config)
    _settle_trainer(folder, config, model, label)
    samples = [len(line) for line in _lines(folder / runs_folder.SAMPLES)]
    if len(samples) > MOST_SAMPLES or max(samples, default=0) > LONGEST_SAMPLE:
        raise BardlabError(f"{label} holds more than {MOST_SAMPLES:,} samples, or one that is too long; {HELP}")
    _check_curves(folder, config, label)
    files.replace(folder / runs_folder.CONFIG, runs_state.sealed(editing.owned(config)))
    about = {"name": name or _free_name(run, label), "note": run.note}
    files.replace(folder / runs_folder.LABEL, json.dumps(about).encode())
    runs_folder.note(folder, f"imported from {label}")
    runs_state.write_status(folder, status)
    return config


def _lines(file: Path) -> Iterator[bytes]:
    if file.exists():
        with file.open("rb") as lines:
            yield from lines


def _settle_trainer(folder: Path, config: RunConfig, model: LanguageModel, label: str) -> None:
    """Load the state to resume from, check it, and write it anew. Raises BardlabError if it does not fit the run."""
    try:
        found = checkpoints.load_trainer_state(folder, _numbers(model))
    except BardlabError as error:
        raise BardlabError(f"{label} holds a damaged run: {str(error).rpartition('; ')[0]}") from None
    if found is None:
        return
    state, _ = found
    problem = None
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in state["model"].items()}
    if theirs != shapes and not model.grows_with_text:
        problem = "its weights do not fit its settings"
    elif state["done"] > (1 if model.closed_form else config.train.steps):
        problem = "it has taken more steps than were asked for"
    elif not _number(state.get("seconds")) or not _number(state.get("evaluated", 0)):
        problem = "its clock cannot be read"
    if problem:
        raise BardlabError(f"{label} holds a damaged {layout.TRAINER}: {problem}")
    with files.replacing(folder / layout.TRAINER) as out:
        torch.save(state, out)
    (folder / layout.PREVIOUS).unlink(missing_ok=True)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 <= value < 2**53


def _check_curves(folder: Path, config: RunConfig, label: str) -> None:
    """Read the curves. Raises BardlabError on names, steps or numbers of points that no training of the lab makes."""
    try:
        metrics = MetricsReader(folder).refresh()
    except Exception as error:
        raise BardlabError(f"{label} holds damaged curves ({type(error).__name__}); {HELP}") from None
    tags = metrics.tags()
    most = 2 * (config.train.steps + 1)  # reports and evaluations may fall on one step
    wrong = next((f"one is called {_short(tag)}" for tag in tags if not re.fullmatch(r"[\w./ -]{1,100}", tag)), None)
    if len(tags) > MOST_CURVES:
        wrong = f"there are {len(tags):,}"
    for tag in tags if wrong is None else ():
        steps, values = metrics.curve(tag)
        if len(steps) > most:
            wrong = f"{tag} has {len(steps):,} points, more than steps were asked for"
        elif len(steps) and not 0 <= steps.min() <= steps.max() <= config.train.steps:
            wrong = f"{tag} has steps that were not asked for"
        elif tag.startswith("time/") and not (np.isfinite(values).all() and (values >= 0).all()):
            wrong = f"{tag} is not finite"
    if wrong:
        raise BardlabError(f"{label} holds damaged curves: {wrong}")


def _sound(config: RunConfig, label: str) -> RunConfig:
    """Return the settings with every text in them of the form that the lab itself writes. Raises BardlabError."""
    characters = config.characters
    wrong = None
    if not 2 <= len(characters) <= own.MOST_CHARACTERS or characters != "".join(sorted(set(characters))):
        wrong = "its alphabet is not a sorted list of different characters"
    elif config.corpus not in NAMES and not own.is_own(config.corpus):
        wrong = f"it names no text of this lab: {_short(config.corpus)}"
    elif len(config.train.prompt) > LONGEST_PROMPT:
        wrong = f"its prompt has {len(config.train.prompt):,} characters"
    elif not re.fullmatch("[0-9a-f]{64}", config.corpus_sha256):
        wrong = "the hash of its text is none"
    else:
        try:
            characters.encode()
            datetime.fromisoformat(config.created)
        except ValueError:
            wrong = "its date or its alphabet cannot be read"
    if wrong:
        raise BardlabError(f"{label} holds a damaged run: {wrong}")
    slug = re.compile(r"[\w/-]{1,80}")
    known = {name: str(version)[:40] for name, version in config.versions.items() if slug.fullmatch(name)}
    update = {
        "preset": config.preset if config.preset in config.rung.presets else None,
        "parent": config.parent if config.parent and slug.fullmatch(config.parent) else None,
        "group": config.group if config.group and slug.fullmatch(config.group) else None,
        "claim": None,  # it was not measured here
        "race": None,  # its seconds are another machine's
        "entrant": None,
        "fault": config.fault if config.fault is None or slug.fullmatch(config.fault) else "unknown",
        "start": _sound_start(config.start),
        "heals": config.heals if config.heals and slug.fullmatch(config.heals) else None,
        "off": tuple(key for key in config.off[:500] if re.fullmatch(r"[\w.]{1,20}", key)),
        "versions": dict(list(known.items())[:20]),
    }
    return config.model_copy(update=update)


def _sound_start(start: Start | None) -> Start | None:
    """Return what a run says of the weights that it began with, as the lab itself would write it."""
    if start is None or not re.fullmatch(r"[\w/-]{1,80}", start.run) or not 0 <= start.step < 2**53:
        return None
    name, remark = (" ".join(reading.printable(text).split())[:200] for text in (start.name, start.remark))
    return Start(run=start.run, name=name, step=start.step, remark=remark)


def _ended(folder: Path, label: str) -> Status:
    """Return the status as that of a run that has ended. Raises BardlabError on numbers that cannot be."""
    try:
        status = runs_state.read_status(folder)
    except ValueError:
        raise BardlabError(f"{label} holds a damaged run: {runs_folder.STATUS} is not valid") from None
    for name, value in status.model_dump().items():
        if isinstance(value, int | float) and not (math.isfinite(value) and 0 <= value < 2**53):
            raise BardlabError(f"{label} holds a damaged run: {runs_folder.STATUS} gives {name} an impossible value")
    message = "failed where it was trained" if status.state is State.FAILED else f"imported from {label}"
    state = State.STOPPED if status.state.active or status.state is State.LOST else status.state
    device = status.device if status.device in ("cpu", "cuda", "mps") else ""
    return status.model_copy(update={"state": state, "message": message, "pid": None, "device": device})


def _settle_what_happened(folder: Path, config: RunConfig) -> None:
    """Write alerts and changed settings anew. Raises BardlabError if a setting was changed to what it cannot be."""
    changes = [change for change in requests.changes(folder) if change.name in requests.CHANGEABLE]
    for change in changes:
        TrainConfig.parse({**config.train.model_dump(), change.name: change.value}, "train.")
    if changes:
        requests.keep(folder, changes)
    else:
        (folder / requests.CHANGES).unlink(missing_ok=True)
    found = records.alerts(folder)
    (folder / records.FILE).unlink(missing_ok=True)
    for alert in found:
        records.append(folder, Alert(alert.step, _short(alert.kind), _short(alert.text, 400)))


def _numbers(model: LanguageModel) -> int:
    """How many numbers a model keeps, its buffers included."""
    return sum(tensor.numel() for tensor in model.state_dict().values())


def _check_weights(run: Run, model: LanguageModel, label: str) -> None:
    """Load the weights into the model they are said to be of. Raises BardlabError if they do not fit it."""
    numbers, steps = _numbers(model), layout.snapshot_steps(run.path)
    most = (
        OF_TABLES if model.grows_with_text else 8 * numbers + reading.LARGEST_HEADER
    )  # some buffers have 8 bytes each
    kinds: list[int | Literal["best"] | None] = [*steps, "best", None]
    for step in kinds:
        file = layout.weights_path(run.path, step)
        if file.exists():
            if not numbers <= file.stat().st_size <= most:  # before memory is taken for what is not there
                raise BardlabError(f"{label} holds weights that are too few or too many for its settings: {file.name}")
            _check_file(run, step, label)


def _check_file(run: Run, step: int | Literal["best"] | None, label: str) -> None:
    try:
        loaded, _ = checkpoints.load_model(run, step)
    except BardlabError as error:
        raise BardlabError(
            f"{label} holds weights that do not fit: {_short(str(error).partition(': ')[2], 120)}"
        ) from None
    if not loaded.closed_form and not all(bool(torch.isfinite(p).all()) for p in loaded.parameters()):
        raise BardlabError(f"{label} holds weights that are not finite (NaN or infinite)")
    if isinstance(loaded, NGram) and (problem := _unsound(loaded)):
        raise BardlabError(f"{label} holds a damaged n-gram: {problem}")


def _unsound(model: NGram) -> str | None:
    """Say what is wrong with counted tables, whose numbers point into one another."""
    for order in model.tables:
        entries, contexts = len(order.share), len(order.contexts)
        if not contexts and not entries:
            continue
        starts = order.starts.long()
        if len(starts) != contexts + 1 or len(order.left_over) != contexts or len(order.following) != entries:
            return "its tables differ in length"
        if int(starts[0]) != 0 or int(starts[-1]) != entries or bool((starts.diff() < 0).any()):
            return "its rows do not follow one another"
        if bool((order.contexts.diff() <= 0).any()) or int(order.following.min()) < 0:
            return "its contexts are not in order"
        if int(order.following.max()) >= model.vocab_size:
            return "it has more characters than its alphabet"
        if not bool(order.share.isfinite().all() and order.left_over.isfinite().all()):
            return "its shares are not finite"
    return None


def _short(text: str, longest: int = 60) -> str:
    """Text from a file, fit for one line."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
