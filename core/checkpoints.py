"""Weights on disk: written whole or not at all, read without running anything that is in the file."""

import io
import json
import os
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from core import runs
from core.corpus import CharTokenizer
from core.errors import BardlabError
from core.models.contract import LanguageModel
from core.runs import Run
from core.training import Trainer


def seed_everything(seed: int) -> None:
    """Set every generator that a model might draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def save(path: Path, trainer: Trainer) -> None:
    """Write `trainer.pt`, then the newest weights. Raises OSError; what was there before then stays whole."""
    buffer = io.BytesIO()  # torch.save itself reports a full disk as a RuntimeError about positions
    torch.save(trainer.state_dict(), buffer)
    with runs.replacing(path / runs.TRAINER) as file:
        file.write(buffer.getbuffer())
    runs.replace(path / runs.WEIGHTS, _weights(trainer.model, trainer.done), durable=True)


def snapshot(path: Path, trainer: Trainer) -> None:
    """Keep a copy of the weights of this step, as a second name of the newest weights where the disk allows it."""
    target = runs.snapshot_path(path, trainer.done)
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path / runs.WEIGHTS, target)  # `replace` gives the newest weights a new file each time
    except OSError:
        runs.replace(target, (path / runs.WEIGHTS).read_bytes())


def _weights(model: LanguageModel, step: int) -> bytes:
    return packed({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, step)


def packed(state: dict[str, torch.Tensor], step: int) -> bytes:
    """Return weights as the content of a safetensors file that knows their step and their checksum."""
    content = save_tensors(state, metadata={"step": str(step)})
    return save_tensors(state, metadata={"step": str(step), "crc32": _crc32(content)})


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


def fingerprint(run: Run, step: int | None = None) -> str:
    """Return the checksum of a run's newest weights or of a snapshot: other weights, other checksum.

    Raises BardlabError if there are none.
    """
    try:
        with runs.weights_path(run.path, step).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            stored = json.loads(file.read(size)).get("__metadata__", {}).get("crc32")
            return str(stored) if stored else f"{zlib.crc32(file.read()):08x}"
    except (OSError, ValueError, OverflowError, MemoryError, AttributeError):
        what = "no weights yet" if step is None else f"no weights of step {step} any more"
        raise BardlabError(f"run {run.slug} has {what}; choose another run or step") from None


def load_trainer_state(path: Path) -> dict[str, Any] | None:
    """Return what `save` wrote, or None if there is nothing yet. Raises BardlabError if the file is damaged."""
    file = path / runs.TRAINER
    if not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        _ = state["model"], state["done"]
    except Exception as error:  # torch raises whatever its unpickler meets in a damaged file
        raise _unusable(file, error) from None
    return state


def restore(path: Path, trainer: Trainer) -> bool:
    """Put a trainer where `save` left it; False if nothing was saved. Raises BardlabError if the file is damaged."""
    state = load_trainer_state(path)
    if state is None:
        return False
    try:
        trainer.load_state_dict(state)
    except Exception as error:  # whatever a state of another shape makes of it
        raise _unusable(path / runs.TRAINER, error) from None
    return True


def _unusable(file: Path, error: Exception) -> BardlabError:
    return BardlabError(f"{file.name} is damaged ({_first_line(error)}); start a new run with the same settings")


def load_model(run: Run, step: int | None = None) -> tuple[LanguageModel, CharTokenizer]:
    """Load a run's model in evaluation mode on the CPU, with its newest weights or those of a snapshot `step`.

    Raises BardlabError if the run is damaged or has no weights yet.
    """
    config = run.need()
    file = runs.weights_path(run.path, step)
    if not file.exists():
        raise BardlabError(
            f"run {run.slug} has no weights{'' if step is None else f' of step {step}'} yet; train it first"
        )
    with torch.random.fork_rng():
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
    file = run.path / runs.WEIGHTS if step is None else runs.snapshot_path(run.path, step)
    try:
        with safe_open(file, framework="np") as weights:
            found: NDArray[np.float64] = weights.get_tensor(name).astype(np.float64)
            return found
    except (SafetensorError, OSError) as error:
        raise BardlabError(f"run {run.slug}: {file.name} gives no {name}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
