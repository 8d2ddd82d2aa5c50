"""Names and paths of the files in a run folder."""

import re
from pathlib import Path
from typing import Literal

TRAINER, PREVIOUS = "trainer.pt", "trainer.previous.pt"
WEIGHTS, BEST, SNAPSHOTS, KNOCKOUTS = "model.safetensors", "best.safetensors", "snapshots", "knockouts"
NOVELTY = "novelty.json"  # what was counted of its snapshots
START = "start.safetensors"  # of a run that began from the weights of another: those
SUMS = "sums.npz"  # in the folder of a ranking: what it has measured so far
SPEED = ".speed.json"  # beside the runs: how fast this machine was
LONGEST_NOTE = 2000


def snapshot_path(path: Path, step: int) -> Path:
    """Return where the weights of `step` are kept."""
    return path / SNAPSHOTS / f"step-{step:06d}.safetensors"


def weights_path(path: Path, step: int | Literal["best"] | None = None) -> Path:
    """Return the file of the newest weights, of a snapshot `step`, or of the best on the validation split."""
    return path / WEIGHTS if step is None else path / BEST if step == "best" else snapshot_path(path, step)


def knockouts_path(path: Path, step: int | None, method: str) -> Path:
    """Return where the knock-outs of the newest weights (or of `step`) by one method are kept."""
    return ranking_path(path, step, method).with_suffix(".json")


def ranking_path(path: Path, step: int | None, method: str) -> Path:
    """Return the folder of the job that measures them: its lock, its status, its requests, what it has so far."""
    return path / KNOCKOUTS / f"{'newest' if step is None else f'step-{step:06d}'}-{method}"


def snapshot_steps(path: Path) -> list[int]:
    """List the steps whose weights were kept, in order."""
    names = (p.name for p in (path / SNAPSHOTS).glob("step-*.safetensors"))
    return sorted(int(m[1]) for n in names if (m := re.fullmatch(r"step-(\d+)\.safetensors", n)))
