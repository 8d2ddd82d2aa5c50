"""torch.compile: when it is worth its time, where its results are kept, and how long it will take."""

import hashlib
import os
from pathlib import Path

import torch

from core import paths
from core.settings import Settings
from core.training.config import TrainConfig

GAIN = 0.4
"""Share of a step that a compiled model saves on a GPU."""
COLD, WARM = 30.0, 4.0
"""Seconds to compile one graph, and to load one that was compiled before."""


def folder() -> Path:
    """Where the compiler keeps what it made: TORCHINDUCTOR_CACHE_DIR, if set, or beside the learner's runs.

    Its own choice would be the folder for temporary files, which is emptied at every start of the machine.
    """
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or paths.home() / "data" / "compiled")


def use_folder() -> None:
    """Tell the compiler."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder())


def lengths(window: int, short_first: float) -> tuple[int, ...]:
    """Return the lengths of sequence that a run trains on, in the order in which they come; each takes a graph."""
    parts = (4, 2, 1) if short_first else (1,)
    return tuple(dict.fromkeys(max(1, window // part) for part in parts))


def seconds(graphs: int, warm: bool) -> float:
    """Estimate what compiling takes."""
    return graphs * (WARM if warm else COLD)


def is_worth_it(steps: int, step_seconds: float, graphs: int, warm: bool) -> bool:
    """True if so many steps, of so many seconds each without a compiler, gain twice as much as compiling takes.

    Twice, since both are estimates, and the learner waits for the one before anything is to be seen.
    """
    return steps * step_seconds * GAIN > 2 * seconds(graphs, warm)


def estimated_seconds(
    settings: Settings, vocab_size: int, train: TrainConfig, window: int, device: str, steps: int, step_seconds: float
) -> float:
    """Estimate how long a run will compile before its first step: 0 if it will not.

    `step_seconds` is a step's time without a compiler, `window` the characters in a sequence, `device` its kind.
    """
    graphs, warm = len(lengths(window, train.short_first)), is_known(settings, vocab_size, train, window, device)
    if not is_asked_for(train, device, steps, step_seconds, graphs, warm):
        return 0.0
    return seconds(graphs, warm)


def is_asked_for(train: TrainConfig, device: str, steps: int, step_seconds: float, graphs: int, warm: bool) -> bool:
    """True if the settings want a compiled model for so many steps; `auto` does on a GPU where it is worth it."""
    if train.compile == "auto":
        return device == "cuda" and is_worth_it(steps, step_seconds, graphs, warm)
    return train.compile == "on"


def is_known(settings: Settings, vocab_size: int, train: TrainConfig, window: int, device: str) -> bool:
    """True if a model of these sizes was compiled before for such batches."""
    return _mark(settings, vocab_size, train, window, device).exists()


def remember(settings: Settings, vocab_size: int, train: TrainConfig, window: int, device: str) -> None:
    """Note that a model was compiled. Raises OSError."""
    mark = _mark(settings, vocab_size, train, window, device)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _mark(settings: Settings, vocab_size: int, train: TrainConfig, window: int, device: str) -> Path:
    """Return the empty file that stands for what the compiler was given."""
    given = (
        type(settings).__name__,
        settings.model_dump_json(),
        vocab_size,
        train.batch_size,
        lengths(window, train.short_first),
        train.precision,
        device,
        torch.__version__,
    )
    return folder() / f"done-{hashlib.sha256(repr(given).encode()).hexdigest()[:16]}"
