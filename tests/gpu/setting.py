"""What every row of the check shares: the device, the sizes, the peer, where results go."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from core import paths
from core.bench.peer import Peer
from core.jobs.timing import synchronise
from core.ladder.registry import RUNGS
from core.runs import checkpoints
from core.texts.corpus import load
from core.training.trainer import Trainer

TINY_MODEL = {"n_layer": 2, "n_head": 2, "d_model": 16, "context": 16, "dropout": 0.1}
TINY_TRAIN = {"steps": 8, "batch_size": 4, "eval_every": 4, "sample_chars": 20}
SHORT = {"steps": 8, "batch_size": 4, "window": 16, "eval_every": 4, "sample_chars": 20}
TINY = {
    "transformer": (TINY_MODEL, TINY_TRAIN),
    "mlp": ({"context": 4, "d_embed": 4, "d_hidden": 16}, SHORT),
    "recurrent": ({"d_embed": 4, "d_hidden": 8, "bptt": 8}, SHORT),
    "residual": ({"context": 4, "d_embed": 4, "width": 16, "depth": 4}, SHORT),
    "wavenet": ({"n_layer": 3, "channels": 8, "skip_channels": 8}, SHORT),
    "bigram": ({}, SHORT),
}


@dataclass
class Setting:
    """One run of the check. A rehearsal goes through the same lines on the CPU with tiny models."""

    out: Path
    beside: Path | None
    rehearse: bool
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the rows before found, by row."""

    @property
    def device(self) -> torch.device:
        """The GPU, or the CPU of a rehearsal."""
        return torch.device("cpu" if self.rehearse else "cuda")

    def count(self, real: int, tiny: int) -> int:
        """How often, or how much: less in a rehearsal."""
        return tiny if self.rehearse else real

    def settings(self, rung: str, preset: str, model: dict[str, Any] | None = None, **train: Any) -> tuple[Any, Any]:
        """A rung's settings, tiny in a rehearsal."""
        small, short = TINY[rung] if self.rehearse else ({}, {})
        return RUNGS[rung].settings(preset, {**small, **(model or {})}, {**short, **train})

    def trainer(self, rung: str, preset: str, model: dict[str, Any] | None = None, **train: Any) -> Trainer:
        """A fresh trainer, seeded as its settings say."""
        sizes, training = self.settings(rung, preset, model, **train)
        checkpoints.seed_everything(training.seed)
        corpus = load()
        built = Trainer(RUNGS[rung].build(sizes, corpus.tokenizer.size), training, corpus.train_ids, self.device)
        built.model.train()
        return built

    def peer(self, compiled: bool) -> Peer:
        """The peer at the reference's sizes."""
        assert self.beside is not None
        sizes, _ = self.settings("transformer", "reference")
        return Peer(self.beside, sizes, load().tokenizer.size, device=self.device, compiled=compiled)

    def say(self, line: str) -> None:
        """Print a line and keep it."""
        print(line, flush=True)
        with (self.out / "log.txt").open("a") as log:
            log.write(line + "\n")

    def child(self, code: str, seconds: float = 120.0) -> dict[str, Any]:
        """Run Python in a fresh process; what it prints last is JSON."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=paths.ROOT,
            timeout=seconds,
        )
        if done.returncode:
            raise RuntimeError(f"a child failed: {done.stderr.strip()[-1500:]}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer


def block(setting: Setting, step: Callable[[], object], steps: int) -> float:
    """Milliseconds a step of a block that waits for the device only at its ends."""
    synchronise(setting.device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(setting.device)
    return 1000 * (time.perf_counter() - began) / steps


def used_by_process(pid: int | None = None) -> dict[int, float]:
    """MB of GPU memory of each process, as nvidia-smi tells; nothing where there is none."""
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[int, float] = {}
    for line in told.splitlines():
        first, _, second = line.partition(",")
        if first.strip().isdigit():
            found[int(first)] = float(second) if second.strip().isdigit() else float("nan")
    return {k: v for k, v in found.items() if pid in (None, k)}
