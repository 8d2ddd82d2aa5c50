"""Weights on disk: written whole or not at all, read without running anything that is in the file."""

import contextlib
import io
import json
import os
import random
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from core import files
from core.errors import BardlabError
from core.ladder import registry
from core.models.contract import LanguageModel, parameter_count
from core.runs import layout, records, requests, torch_files
from core.runs.folder import SAMPLES, STATUS
from core.runs.state import Run
from core.settings import Settings
from core.texts.tokenizer import CharTokenizer
from core.training.trainer import Trainer


def seed_everything(seed: int) -> None:
    """Set every generator that a model might draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


SETTINGS = "settings"
"""What the header of a weights file calls the rung and the model's settings, for whoever gets the file alone."""

OF_STATES = 64 * 1024**2
"""Bytes of `trainer.pt` beside the weights and their averages; the random states take a few thousand."""

NO_CHECKSUM = "00000000"
"""Stands in a file of weights until its checksum, of as many digits, is known."""
Step = int | Literal["best"]
"""Which kept weights: those of a snapshot's step, or the ones with the lowest validation loss."""


@dataclass(frozen=True)
class Restored:
    """Where a run goes on from."""

    extra: dict[str, Any] = field(default_factory=dict)
    """What else was handed to `take`."""
    fallback: str | None = None
    """Why the newest state could not be used, if an older one had to be."""


@dataclass(frozen=True)
class Checkpoint:
    """All that a run goes on from, apart from the trainer: training may go on while it is written."""

    step: int
    state: dict[str, Any]
    """What `trainer.pt` will hold, on the CPU."""
    about: Mapping[str, str]
    """What the file of weights says of them."""


def take(trainer: Trainer, extra: dict[str, Any] | None = None) -> Checkpoint:
    """Copy the state of a trainer, and whatever else is to be found again."""
    state: dict[str, Any] = _apart({**trainer.state_dict(), "extra": extra or {}})
    return Checkpoint(trainer.done, state, about(trainer.model.config))


def _apart(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: _apart(part) for name, part in value.items()}
    return [_apart(part) for part in value] if isinstance(value, list) else value


def write(path: Path, checkpoint: Checkpoint, *, best: bool = False, keep: bool = False) -> None:
    """Replace the newest weights and the state to resume from. Raises OSError; what was there before stays whole.

    The weights are kept as the best so far too, or as a snapshot of their step, if asked for. A run goes on from
    `trainer.pt` alone, so it is written last: what a killed worker had written before it belongs to steps that are
    taken again. It is a zip archive with a checksum of each of its parts, and the one before it is kept.
    """
    weights = packed(
        {name: value.contiguous() for name, value in checkpoint.state["model"].items()},
        checkpoint.step,
        checkpoint.about,
    )
    files.replace(path / layout.WEIGHTS, weights, durable=True)
    del weights
    if best:
        _second_name(path / layout.WEIGHTS, path / layout.BEST)
    if keep:
        snapshot = layout.snapshot_path(path, checkpoint.step)
        snapshot.parent.mkdir(exist_ok=True)
        _second_name(path / layout.WEIGHTS, snapshot)
    buffer = io.BytesIO()  # torch.save itself reports a full disk as a RuntimeError about positions
    torch.save(checkpoint.state, buffer)
    with files.replacing(path / layout.TRAINER) as file:
        file.write(buffer.getbuffer())
        if (path / layout.TRAINER).exists():
            _second_name(path / layout.TRAINER, path / layout.PREVIOUS)


class Writer:
    """Writes checkpoints of a run in a thread of its own, one after another, while training goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.step: int | None = None
        """The newest step that was written whole and can be resumed from."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def write(self, checkpoint: Checkpoint, *, best: bool = False, keep: bool = False) -> None:
        """Begin to write a checkpoint as `write` does. Raises OSError if the one before it could not be written."""
        self.settle()
        self._writing = self._thread.submit(self._write, checkpoint, best, keep)

    @property
    def idle(self) -> bool:
        """True unless something is being written just now."""
        return self._writing is None or self._writing.done()

    def settle(self) -> None:
        """Wait until everything is on disk. Raises OSError if it could not be written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait for the end of what is being written, and end the thread."""
        self._thread.shutdown()

    def _write(self, checkpoint: Checkpoint, best: bool, keep: bool) -> None:
        write(self.path, checkpoint, best=best, keep=keep)
        self.step = checkpoint.step


def _second_name(source: Path, target: Path) -> None:
    """Make `target` what `source` is now: a second name where the disk allows it, else a copy.

    The two part again when `source` is replaced, since that gives it a new file.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}-link.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
        os.replace(part, target)
    except OSError:
        files.replace(target, source.read_bytes(), durable=True)
    finally:
        part.unlink(missing_ok=True)


def tidy(path: Path) -> None:
    """Remove what a killed worker left half-written. For the worker that holds the run.

    It may have died in the middle of any file that workers write: checkpoints have a thread of their own.
    """
    weights = (layout.TRAINER, layout.PREVIOUS, layout.WEIGHTS, layout.BEST)
    files.clear_parts(path, *weights, STATUS, SAMPLES, records.FILE, requests.CHANGES)
    files.clear_parts(path / layout.SNAPSHOTS, "step-")


def weights(model: LanguageModel, step: int) -> bytes:
    """Return a model's weights as the content of a file that also knows its rung and settings."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    return packed(state, step, about(model.config))


def about(settings: Settings) -> dict[str, str]:
    """Return what a file of weights says of them: which rung and which of the model's settings they are of."""
    rung = next((key for key, rung in registry.RUNGS.items() if type(settings) is rung.config), None)
    return {SETTINGS: json.dumps({"stage": rung, "model": settings.model_dump()})} if rung else {}


def packed(state: dict[str, torch.Tensor], step: int, said: Mapping[str, str] | None = None) -> bytes:
    """Return weights as the content of a safetensors file that knows their step and their checksum."""
    content = save_tensors(state, metadata={"step": str(step), **(said or {}), "crc32": NO_CHECKSUM})
    start = 8 + int.from_bytes(content[:8], "little")
    named = f'"crc32":"{NO_CHECKSUM}"'.encode(), f'"crc32":"{_crc32(content)}"'.encode()
    return content[:start].replace(*named) + memoryview(content)[start:]


def _crc32(content: bytes) -> str:
    """Return the checksum of the numbers in a safetensors file, which follow its header."""
    start = 8 + int.from_bytes(content[:8], "little")
    return f"{zlib.crc32(memoryview(content)[start:]):08x}"


def _checked(content: bytes) -> dict[str, torch.Tensor]:
    """Read weights; if the file carries a checksum, they must agree with it. Raises SafetensorError if not."""
    tensors = load_tensors(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    if header.get("__metadata__", {}).get("crc32", _crc32(content)) != _crc32(content):
        raise SafetensorError("its checksum does not agree with its content")
    return tensors


def fingerprint(run: Run, step: Step | None = None) -> str:
    """Return the checksum of a run's newest weights or of a snapshot: other weights, other checksum.

    Raises BardlabError if there are none.
    """
    try:
        with layout.weights_path(run.path, step).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            stored = json.loads(file.read(size)).get("__metadata__", {}).get("crc32")
            return str(stored) if stored else f"{zlib.crc32(file.read()):08x}"
    except (OSError, ValueError, OverflowError, MemoryError, AttributeError):
        what = "no weights yet" if step is None else f"no weights of step {step} any more"
        raise BardlabError(f"run {run.slug} has {what}; choose another run or step") from None


def load_trainer_state(path: Path, parameters: int | None = None) -> tuple[dict[str, Any], str | None] | None:
    """Return what `write` left and, if the newest file is damaged, why the one before it was taken.

    `parameters`: the numbers of the model, by default as many as its newest weights have. None if nothing was saved
    yet. Raises BardlabError if all there is is damaged.
    """
    newest, previous = path / layout.TRAINER, path / layout.PREVIOUS
    if not newest.exists() and not previous.exists():
        return None
    largest = _largest_trainer(path, parameters)
    try:
        return _read_trainer(newest, largest), None
    except Exception as error:  # whatever a damaged file makes of it
        reason = f"{newest.name} is damaged ({_first_line(error)})"
    with contextlib.suppress(Exception):
        return _read_trainer(previous, largest), reason
    raise BardlabError(f"{reason}; start a new run with the same settings")


def _largest_trainer(path: Path, parameters: int | None) -> int:
    """Bytes that `trainer.pt` may have: each number with two averages of its gradient, and the random states."""
    with contextlib.suppress(OSError):
        kept = (path / layout.WEIGHTS).stat().st_size
        return 4 * max(kept, 4 * (parameters or 0)) + OF_STATES
    return 16 * (parameters or 0) + OF_STATES


def _read_trainer(file: Path, largest: int) -> dict[str, Any]:
    torch_files.check_checksums(file, largest)
    state = torch_files.load(file, file.name, largest)
    if not isinstance(state, dict) or not isinstance(state.get("model"), Mapping):
        raise ValueError("it holds no model")
    if type(done := state.get("done")) is not int or done < 0:
        raise ValueError("it does not say how many steps were taken")
    if not isinstance(state.get("extra", {}), dict):
        raise ValueError("what it says of the run cannot be read")
    return state


def restore(path: Path, trainer: Trainer) -> Restored | None:
    """Put a trainer where `write` left it; None if there is nothing. Raises BardlabError if all there is is damaged."""
    found = load_trainer_state(path, parameter_count(trainer.model))
    if found is None:
        return None
    state, fallback = found
    try:
        trainer.load_state_dict(state)
    except Exception as error:  # whatever a state of another shape makes of it
        raise BardlabError(
            f"{layout.TRAINER} is damaged ({_first_line(error)}); start a new run with the same settings"
        ) from None
    if fallback:
        os.replace(
            path / layout.PREVIOUS, path / layout.TRAINER
        )  # or the next save would keep the damaged one beside it
    return Restored(state.get("extra", {}), fallback)


def load_model(run: Run, step: Step | None = None) -> tuple[LanguageModel, CharTokenizer]:
    """Load a run's model in evaluation mode on the CPU: its newest weights, those of a snapshot `step`, or the `best`.

    Raises BardlabError if the run is damaged or has no weights yet.
    """
    config = run.need()
    file = layout.weights_path(run.path, step)
    if not file.exists():
        which = "" if step is None else " kept as the best" if step == "best" else f" of step {step}"
        raise BardlabError(f"run {run.slug} has no weights{which} yet; train it first")
    with torch.random.fork_rng(devices=[]):
        model = config.rung.build(config.model_config_, len(config.characters))
    try:
        model.load_state_dict(_checked(file.read_bytes()), strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise BardlabError(f"run {run.slug} is damaged: {file.name}: {_first_line(error)}") from None
    return model.eval(), CharTokenizer(config.characters)


def load_tensor(run: Run, name: str, step: int | None = None) -> NDArray[np.float64]:
    """Read one weight of a run, of its newest weights or of a snapshot, without the rest.

    Raises BardlabError if there is no such file or weight, or if the file is damaged.
    """
    file = run.path / layout.WEIGHTS if step is None else layout.snapshot_path(run.path, step)
    try:
        with safe_open(file, framework="pt") as opened:  # numpy has no bfloat16, in which shipped weights are kept
            found: NDArray[np.float64] = opened.get_tensor(name).double().numpy()
            return found
    except (SafetensorError, OSError) as error:
        raise BardlabError(f"run {run.slug}: {file.name} gives no {name}: {_first_line(error)}") from None


def tensors(run: Run) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a run's newest ones, by name, off the head of their file.

    Raises BardlabError if there is no such file or it is damaged.
    """
    file = run.path / layout.WEIGHTS
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BardlabError(f"run {run.slug}: {file.name} cannot be read: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
