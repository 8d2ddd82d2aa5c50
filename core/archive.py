"""A whole run as one zip file, and back. Nothing in it is executed, nor written anywhere but into a new run."""

import contextlib
import io
import json
import math
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

import torch

from core import alerts, checkpoints, controls, interchange, paths, runs, texts
from core.alerts import Alert
from core.config import TrainConfig
from core.corpus import NAMES
from core.errors import BardlabError
from core.export import EXPORT
from core.metrics import MetricsReader
from core.models.contract import parameter_count
from core.runs import Run, RunConfig, State, Status

LARGEST = 2 * 1024**3  # bytes, unpacked
MOST_FILES = 2000
SMALL = 8 * 1024**2  # bytes: more than any settings, status or label have
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
    left_out = {runs.TRAINER} if run.state is State.FINISHED else set()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with runs.replacing(file, durable=False) as out, zipfile.ZipFile(out, "w") as archive:
            for name in (n for n in names if _KEPT.fullmatch(n) and n not in left_out):
                packed = zipfile.ZIP_STORED if name.endswith((".safetensors", ".pt")) else zipfile.ZIP_DEFLATED
                archive.write(run.path / name, f"{run.path.name}/{name}", packed)
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {runs.explain(error)}") from None
    return file


def bring_in(source: Path | str | bytes, name: str | None = None, *, file_name: str = "") -> Run:
    """Make a run of a file, or its content: an exported run (.zip), or a reference GPT's .pth or .safetensors.

    What it is is read off its content. Raises BardlabError, in one line and leaving nothing behind, if it is neither.
    """
    if _holds_a_run(source):
        return import_run(source, name, file_name=file_name)
    return interchange.import_pth(source, name, file_name=file_name)


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
    label = interchange.safe_label(file_name or "the file" if isinstance(source, bytes) else source)
    staging = paths.runs() / f".importing-{secrets.token_hex(6)}"
    try:
        staging.mkdir(parents=True)
        with _opened(source) as file, zipfile.ZipFile(file) as archive:
            for inside, entry in _entries(archive, label).items():
                _unpack(archive, entry, staging / inside)
        config = _settle(staging, label)
        run = runs.adopt(staging, config.stage)
    except BardlabError:
        raise
    except (OSError, ValueError) as error:
        why = runs.explain(error) if isinstance(error, OSError) else str(error)
        raise BardlabError(f"{label} cannot be read ({_short(why)}); {HELP}") from None
    except Exception as error:  # zipfile raises whatever its decoders meet in a damaged file
        raise BardlabError(f"{label} is not a zip file, or is damaged ({type(error).__name__}); {HELP}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return _named(run, name)


def _named(run: Run, name: str | None) -> Run:
    """Give an imported run the name asked for, or else its own if that is free."""
    own = run.name
    try:
        return runs.rename(run, own if name is None else name)
    except BardlabError:
        if name is not None:
            runs.delete(run)
            raise
        return runs.rename(run, run.path.name)


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
    roots = [n.removesuffix(runs.CONFIG) for n in names if re.fullmatch(r"([^/]+/)?config\.json", n)]
    if len(roots) != 1 or len(set(names)) != len(names):
        raise BardlabError(f"{label} does not hold one run with its {runs.CONFIG}; {HELP}")
    inside = {e.filename.removeprefix(roots[0]): e for e in listed if e.filename.startswith(roots[0])}
    return {path: entry for path, entry in inside.items() if _KEPT.fullmatch(path)}


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    if (target.suffix == ".json" or target.name in (alerts.FILE, controls.CHANGES)) and entry.file_size > SMALL:
        raise BardlabError(f"{target.name} has {entry.file_size / 1e6:.0f} MB; {HELP}")
    with archive.open(entry) as packed, target.open("xb") as out:
        shutil.copyfileobj(packed, out, 1 << 20)  # reads no more than the size that the archive declares


def _settle(folder: Path, label: str) -> RunConfig:
    """Check an unpacked run and write its settings, status and label anew. Raises BardlabError."""
    run = runs.read(folder)
    if run.damage or run.config is None:
        raise BardlabError(f"{label} holds a damaged run: {run.damage}")
    config = _sound(run.config, label)
    status = _ended(folder, label)
    if (folder / runs.WEIGHTS).exists():
        _check_weights(run, config, label)
    else:
        status.checkpoint_step = None
        if status.state is State.FINISHED:
            raise BardlabError(f"{label} holds a finished run without its {runs.WEIGHTS}; {HELP}")
    if status.state is State.FINISHED:
        (folder / runs.TRAINER).unlink(missing_ok=True)
    _settle_what_happened(folder, config)
    checkpoints.load_trainer_state(folder)
    try:
        MetricsReader(folder).refresh()
    except Exception as error:
        raise BardlabError(f"{label} holds damaged curves ({type(error).__name__}); {HELP}") from None
    runs.replace(folder / runs.CONFIG, runs.sealed(config))
    runs.replace(folder / runs.LABEL, json.dumps({"name": run.name, "note": run.note}).encode())
    runs.note(folder, f"imported from {label}")
    runs.write_status(folder, status)
    return config


def _sound(config: RunConfig, label: str) -> RunConfig:
    """Return the settings with every text in them of the form that the lab itself writes. Raises BardlabError."""
    characters = config.characters
    wrong = None
    if not 2 <= len(characters) <= texts.MOST_CHARACTERS or characters != "".join(sorted(set(characters))):
        wrong = "its alphabet is not a sorted list of different characters"
    elif config.corpus not in NAMES and not texts.is_own(config.corpus):
        wrong = f"it names no text of this lab: {_short(config.corpus)}"
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
        "versions": dict(list(known.items())[:20]),
    }
    return config.model_copy(update=update)


def _ended(folder: Path, label: str) -> Status:
    """Return the status as that of a run that has ended. Raises BardlabError on numbers that cannot be."""
    try:
        status = runs.read_status(folder)
    except ValueError:
        raise BardlabError(f"{label} holds a damaged run: {runs.STATUS} is not valid") from None
    for name, value in status.model_dump().items():
        if isinstance(value, int | float) and not (math.isfinite(value) and 0 <= value < 2**53):
            raise BardlabError(f"{label} holds a damaged run: {runs.STATUS} gives {name} an impossible value")
    message = "failed where it was trained" if status.state is State.FAILED else f"imported from {label}"
    state = State.STOPPED if status.state.active or status.state is State.LOST else status.state
    device = status.device if status.device in ("cpu", "cuda", "mps") else ""
    return status.model_copy(update={"state": state, "message": message, "pid": None, "device": device})


def _settle_what_happened(folder: Path, config: RunConfig) -> None:
    """Write alerts and changed settings anew. Raises BardlabError if a setting was changed to what it cannot be."""
    changes = [change for change in controls.changes(folder) if change.name in controls.CHANGEABLE]
    for change in changes:
        TrainConfig.parse({**config.train.model_dump(), change.name: change.value}, "train.")
    if changes:
        controls.keep(folder, changes)
    else:
        (folder / controls.CHANGES).unlink(missing_ok=True)
    found = alerts.alerts(folder)
    (folder / alerts.FILE).unlink(missing_ok=True)
    for alert in found:
        alerts.append(folder, Alert(alert.step, _short(alert.kind), _short(alert.text, 400)))


def _check_weights(run: Run, config: RunConfig, label: str) -> None:
    """Load the weights into the model they are said to be of. Raises BardlabError if they do not fit it."""
    with torch.device("meta"):
        model = config.rung.build(config.model_config_, len(config.characters))
    for step in ("best", None):
        if runs.weights_path(run.path, step).exists():
            _check_file(run, step, parameter_count(model), label)


def _check_file(run: Run, step: Literal["best"] | None, parameters: int, label: str) -> None:
    if runs.weights_path(run.path, step).stat().st_size < parameters:  # before memory is taken for what is not there
        raise BardlabError(f"{label} holds weights that are too few for its settings")
    try:
        loaded, _ = checkpoints.load_model(run, step)
    except BardlabError as error:
        raise BardlabError(
            f"{label} holds weights that do not fit: {_short(str(error).partition(': ')[2], 120)}"
        ) from None
    if not loaded.closed_form and not all(bool(torch.isfinite(p).all()) for p in loaded.parameters()):
        raise BardlabError(f"{label} holds weights that are not finite (NaN or infinite)")


def _short(text: str, longest: int = 60) -> str:
    """Text from a file, fit for one line."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
