"""What a run will cost before it is started: parameters, arithmetic and memory exactly, time from measurements.

Parameters, floating-point operations and the bytes kept for the backward pass are read off the real model, run on
torch's `meta` device, which has shapes but no numbers. Seconds come from step times measured on this machine.
"""

import contextlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from core import devices, paths, runs, stages
from core.config import Settings, TrainConfig
from core.models.contract import parameter_count, parameter_table
from core.runs import RunConfig
from core.stages import Stage
from core.training import Trainer

EXAMPLES = 40  # measured step times kept for each rung and device


@dataclass(frozen=True)
class Cost:
    """What a model with these settings is made of and takes."""

    parameters: int
    parts: tuple[tuple[str, int], ...]
    """(component, parameters) of each top-level part; they add up to `parameters`."""
    window: int
    """Characters in one training sequence."""
    steps: int
    """Optimiser steps; one for a model that is fitted in closed form."""
    flops_per_step: float
    """Floating-point operations of one training step, forward and backward."""
    memory_bytes: int
    """Weights, gradients, optimiser state and activations kept for the backward pass."""
    grows_with_text: bool = False
    """True if parameters and memory are decided by the text; the two above then leave that part out."""


@dataclass(frozen=True)
class _Shape:
    parameters: int
    parts: tuple[tuple[str, int], ...]
    window: int
    closed_form: bool
    flops: float
    kept_bytes: int
    grows_with_text: bool


@lru_cache(maxsize=256)
def _shape_of(stage_key: str, model_json: str, vocab_size: int, window: int) -> _Shape:
    """Run one sequence through the model on the `meta` device and note its FLOPs and what it keeps for backward."""
    stage = stages.get(stage_key)
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor  # views of one storage count once
        return tensor

    with torch.device("meta"), contextlib.ExitStack() as stack:
        model = stage.build(stage.config.model_validate_json(model_json), vocab_size)
        window = window or model.context
        counter = stack.enter_context(FlopCounterMode(display=False))
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t))
        ids = torch.zeros((1, window), dtype=torch.long)  # (1, T)
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    softmax = 8.0 * window * vocab_size  # the loss itself, which the counter of matrix products leaves out
    kept_bytes = sum(t.untyped_storage().nbytes() for t in kept.values())
    flops = counter.get_total_flops() + softmax
    return _Shape(
        parameter_count(model),
        tuple(parameter_table(model)),
        window,
        model.closed_form,
        flops,
        kept_bytes,
        model.grows_with_text,
    )


def cost(stage: Stage, model: Settings, train: TrainConfig, vocab_size: int) -> Cost:
    """Read the cost of a run off its model, without allocating it."""
    shape = _shape_of(stage.key, model.model_dump_json(), vocab_size, train.window)
    states = {"sgd": 0, "muon": 1, "adamw": 2}[train.optimizer]
    memory = 4 * shape.parameters * (2 + states) + shape.kept_bytes * train.batch_size
    steps = 1 if shape.closed_form else train.steps
    flops = shape.flops if shape.closed_form else 3.0 * shape.flops * train.batch_size
    return Cost(shape.parameters, shape.parts, shape.window, steps, flops, memory, shape.grows_with_text)


def fitting_batch(config: RunConfig, device: str) -> int:
    """Estimate the largest batch of a run that fits a device's memory, a half of the one that did not at most.

    Zero if not even one sequence would. A tenth of the memory is left to what the estimate does not know of.
    """
    one, two = (
        cost(
            config.rung,
            config.model_config_,
            config.train.model_copy(update={"batch_size": size}),
            len(config.characters),
        ).memory_bytes
        for size in (1, 2)
    )
    room = 0.9 * torch.cuda.mem_get_info()[1] if device == "cuda" else 0.9 * psutil.virtual_memory().total
    fits = math.floor((room - (2 * one - two)) / max(1, two - one))
    return max(0, min(fits, config.train.batch_size // 2))


# --- seconds ---------------------------------------------------------------------------------------------------------


def _file() -> Path:
    return paths.runs() / runs.SPEED


def _measured() -> dict[str, list[list[float]]]:
    try:
        table = json.loads(_file().read_text())
        return {str(k): [[float(a), float(b)] for a, b in v] for k, v in table.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


@lru_cache(maxsize=1)
def best_device() -> str:
    """Return the kind of device that `auto` means on this machine."""
    return devices.resolve("auto").type


def known(stage: Stage, device: str) -> bool:
    """True if this machine's speed on this rung has been measured."""
    return bool(_measured().get(f"{stage.key}/{device}"))


def all_known() -> bool:
    """True if this machine's speed on every rung has been measured."""
    return all(known(stage, best_device()) for stage in stages.STAGES.values())


def seconds_per_step(stage: Stage, device: str, flops: float) -> float | None:
    """Estimate the time of one training step from measured ones, or None if nothing was measured yet.

    Between two measured costs the time is interpolated on logarithmic axes; beyond the largest it grows with the
    arithmetic, and below the smallest it stays, since there the overhead of a step rules.
    """
    points = sorted((f, s) for f, s in _measured().get(f"{stage.key}/{device}", []) if f > 0 and s > 0)
    if not points:
        return None
    below = [p for p in points if p[0] <= flops]
    above = [p for p in points if p[0] > flops]
    if not below:
        return above[0][1]
    if not above:
        return below[-1][1] * flops / below[-1][0]
    (f0, s0), (f1, s1) = below[-1], above[0]
    share = math.log(flops / f0) / math.log(f1 / f0)
    return math.exp(math.log(s0) + share * math.log(s1 / s0))


def estimate_seconds(
    stage: Stage, built: Cost, train: TrainConfig, device: str, validation_characters: int
) -> float | None:
    """Estimate the wall time of a whole run, its evaluations included."""
    step = seconds_per_step(stage, device, built.flops_per_step)
    if step is None:
        return None
    if built.steps == 1:
        return step
    forward = step / 3 / (train.batch_size * built.window)  # seconds a character: a third of forward and backward
    evaluations = math.ceil(built.steps / train.eval_every)
    return built.steps * step + evaluations * forward * validation_characters


def record(config: RunConfig, device: str, steps_per_second: float) -> None:
    """Remember how fast a real run was, so that the next estimate is better."""
    if steps_per_second > 0:
        built = cost(config.rung, config.model_config_, config.train, len(config.characters))
        _remember(f"{config.stage}/{device}", built.flops_per_step, 1 / steps_per_second)


def _remember(key: str, flops: float, seconds: float) -> None:
    table = _measured()
    near = [row for row in table.get(key, []) if abs(math.log(row[0] / flops)) > 0.05]  # the newest of its kind counts
    table[key] = ([*near, [flops, seconds]])[-EXAMPLES:]
    with contextlib.suppress(OSError):
        paths.runs().mkdir(parents=True, exist_ok=True)
        runs.replace(_file(), json.dumps(table).encode())


def _probes(stage: Stage) -> Iterator[tuple[Settings, TrainConfig]]:
    """Two or three settings of a rung that span its presets' cost, cheap enough to time at once."""
    for preset in ("seconds", "minutes", "reference"):
        if preset in stage.presets:
            model, train = stage.settings(preset, {}, {})
            yield (
                model,
                train.model_copy(update={"batch_size": 1 if preset == "reference" else min(16, train.batch_size)}),
            )


def probe(stage: Stage, device: torch.device, train_ids: Tensor, vocab_size: int) -> None:
    """Time a few real training steps of a rung on this machine, and remember them (a second or two in all)."""
    for model_config, train_config in _probes(stage):
        trainer = Trainer(stage.build(model_config, vocab_size), train_config, train_ids, device)
        trainer.step()  # the first also pays for starting up
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < 3 or (len(times) < 20 and time.perf_counter() - began < 0.6):
            t = time.perf_counter()
            trainer.step()
            times.append(time.perf_counter() - t)
        built = cost(stage, model_config, train_config, vocab_size)
        _remember(f"{stage.key}/{device.type}", built.flops_per_step, min(times))
