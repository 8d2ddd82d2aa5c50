"""How long a run will take and whether it fits: times from measurements, what is to be done from core/ladder/cost.py.

Seconds come from steps, evaluations and characters timed on this machine: the time of each is taken as a sum of what an
operation, a FLOP, a byte and a weight cost, and these rates are those that fit the measured times best.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import files, paths
from core.evaluation import evaluate
from core.ladder import registry
from core.ladder.cost import Cost, Work, cost, lowers
from core.ladder.rung import Rung
from core.models import memory
from core.runs import layout
from core.runs.state import RunConfig
from core.sampling import SamplingConfig, generate
from core.settings import Settings
from core.training import compiling, devices
from core.training.config import TrainConfig
from core.training.trainer import Trainer

EXAMPLES = 40  # measured times kept of each kind
CONTEXT = 0.5e9
"""Bytes that a GPU keeps for a process that uses it, before anything was measured."""
HELD = {"cpu": 0.3e9}
"""Bytes of main memory that a worker holds before it has a model."""
MEETING = 1e-3
"""Seconds a step that several processes are taken to need to agree on it, whatever the model: not measured."""
EXCHANGED = {"cpu": 1e9, "cuda": 1e10}
"""Bytes a second that each is taken to send while gradients are averaged: not measured."""
FULL = 0.6
"""Seconds that the probe spends on the steps of a preset."""


def fitting_batch(config: RunConfig, device: torch.device, text_length: int = 0) -> int:
    """Estimate the largest batch of a run that fits a device's memory, a half of the one that did not at most.

    Zero if not even one sequence would. A tenth of the memory is left to what the estimate does not know of.
    """
    room = 0.9 * memory.room(device)

    def fits(size: int) -> bool:
        train = config.train.model_copy(update={"batch_size": size})
        vocab = len(config.characters)
        return cost(config.rung, config.model_config_, train, vocab, device.type, text_length).training_bytes <= room

    low, high = 0, config.train.batch_size // 2
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def shortage(config: RunConfig, device: str, text_length: int = 0) -> str | None:
    """Say in one line that a run is likely to need more memory than there is; None if it should fit.

    Of a GPU nothing is asked, which would take some of its memory: what its memory is has been noted by the probe.
    """
    return too_little(total_bytes(config, device, text_length), device)


def too_little(needed: float, device: str, who: str = "this run") -> str | None:
    """Say in one line that so many bytes are more than a device has left; None if they are not.

    Of a cluster's machines nothing is known here.
    """
    if paths.cluster():
        return None
    kind = device.partition(":")[0]
    there = _context(kind)[1] if kind == "cuda" else float(memory.available())
    if not there or needed <= there:
        return None
    return (
        f"{who} needs about {needed / 1e9:.1f} GB of memory and {there / 1e9:.1f} GB are free; "
        "lower train.batch_size, train.window or the model's sizes"
    )


def total_bytes(config: RunConfig, device: str, text_length: int = 0) -> float:
    """What a worker with this run takes in all: its model and training, and what it holds before it has any."""
    kind = device.partition(":")[0]
    return in_all(
        cost(config.rung, config.model_config_, config.train, len(config.characters), kind, text_length), kind
    )


def in_all(built: Cost, device: str) -> float:
    """What a worker with a run of this cost takes in all on a device: on each, of several GPUs.

    Several processes on a CPU share its memory, also with the one that launched them.
    """
    kind = device.partition(":")[0]
    if kind == "cuda":
        return built.memory_bytes + _context(kind)[0]
    return built.devices * (built.memory_bytes + HELD["cpu"]) + (HELD["cpu"] if built.devices > 1 else 0.0)


def _file() -> Path:
    return paths.runs() / layout.SPEED


def _measured() -> dict[str, Any]:
    """The table of this machine: what each kind of device is called, its memory, and rows of (work, seconds)."""
    found: dict[str, Any] = {"names": {}, "memory": {}, "times": {}}
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
        table = json.loads(_file().read_text())
        found["names"] = {str(k): str(v) for k, v in table.get("names", {}).items()}
        found["memory"] = {str(k): (float(v[0]), float(v[1])) for k, v in table.get("memory", {}).items()}
        for key, rows in table.get("times", {}).items():
            rows = [[float(x) for x in row] for row in rows]
            found["times"][str(key)] = [r for r in rows if len(r) == 6 and all(0 <= x < 1e30 for x in r) and r[5] > 0]
    return found


def _context(kind: str) -> tuple[float, float]:
    """Bytes that a GPU keeps for each process, and its memory in all; 0 if that was never looked at."""
    found = _measured()["memory"].get(kind, (CONTEXT, 0.0))
    return float(found[0]), float(found[1])


def best_device() -> str:
    """Return the kind of device that `auto` means on this machine."""
    return devices.resolve("auto").type


def place(config: RunConfig) -> str:
    """Return the device that a run's setting means on this machine."""
    return best_device() if config.device == "auto" else config.device


def _key(what: str, rung: str, kind: str, name: str, lowered: bool) -> str:
    return f"{what}|{rung}|{kind}|{name}|{16 if lowered else 32}"


def _rows(what: str, rung: Rung, device: str, lowered: bool) -> list[list[float]]:
    """What was timed, on this hardware in this precision, or failing that in the other."""
    table, kind = _measured(), device.partition(":")[0]
    name = devices.processor() if kind == "cpu" else table["names"].get(kind, "")
    for each in (lowered, not lowered):
        if rows := table["times"].get(_key(what, rung.key, kind, name, each)):
            return list(rows)
    return []


def known(rung: Rung, device: str) -> bool:
    """True if this machine's speed on this rung has been measured."""
    return any(_rows("step", rung, device, lowered) for lowered in (True, False))


def all_known() -> bool:
    """True if this machine's speed on every rung has been measured."""
    return all(known(rung, best_device()) for rung in registry.RUNGS.values())


def _predict(rows: list[list[float]], work: Work) -> float | None:
    """Estimate the seconds of some work from timed ones; None if there are none.

    Rates that are not negative, by least squares of the relative error. Work that was timed itself takes what it took.
    """
    if not rows:
        return None
    for row in reversed(rows):
        if all(math.isclose(a, b, rel_tol=0.02) for a, b in zip(row[:5], work.row, strict=True)):
            return row[5]
    import numpy as np
    from scipy.optimize import nnls

    table = np.array(rows)  # (rows, 6)
    scale = np.maximum(table[:, :5].max(axis=0), 1e-30)  # (5,)
    rates, _ = nnls(table[:, :5] / scale / table[:, 5:], np.ones(len(rows)))  # (5,)
    return float((np.array(work.row) / scale) @ rates) or None


def seconds_per_step(rung: Rung, device: str, built: Cost, train: TrainConfig) -> float | None:
    """Estimate the time of one training step, or None if nothing was measured yet."""
    kind = device.partition(":")[0]
    own = _predict(_rows("step", rung, device, lowers(train.precision, kind)), built.step)
    if own is None or built.devices == 1:
        return own
    slower = devices.threads() / devices.share_of_threads(built.devices) if kind == "cpu" else 1.0
    sent = 2 * (1 - 1 / built.devices) * 4 * built.parameters
    return own * slower + MEETING + sent / (EXCHANGED["cuda"] if kind == "cuda" else EXCHANGED["cpu"])


def estimate_seconds(
    rung: Rung,
    model: Settings,
    built: Cost,
    train: TrainConfig,
    device: str,
    validation_characters: int,
    vocab_size: int,
) -> float | None:
    """Estimate the wall time of a whole run: compiling, steps, evaluations and the text that each of them writes."""
    step = seconds_per_step(rung, device, built, train)
    if step is None:
        return None
    kind = device.partition(":")[0]
    prepared = 0.0
    if not built.closed_form and not (built.fused and train.compile == "auto"):
        prepared = compiling.estimated_seconds(model, vocab_size, train, built.window, kind, built.steps, step)
    once = validation_characters + (0 if built.closed_form else max(2048, min(20_000, _trained(built, train))))
    evaluation = _predict(_rows("evaluation", rung, device, False), built.evaluation * once) or 0.0
    writing = _predict(_rows("writing", rung, device, False), built.writing * train.sample_chars) or 0.0
    evaluations = math.ceil(built.steps / train.eval_every)
    return prepared + built.steps * step + evaluations * evaluation + (evaluations + 1) * writing


def _trained(built: Cost, train: TrainConfig) -> int:
    """A hundredth of the arithmetic between two evaluations, as characters of training text that they measure."""
    return 3 * train.eval_every * train.batch_size * built.window // 100


def record(config: RunConfig, device: str, steps_per_second: float, name: str | None = None) -> None:
    """Remember how fast a real run was, so that the next estimate is better."""
    if steps_per_second > 0:
        kind = device.partition(":")[0]
        built = cost(config.rung, config.model_config_, config.train, len(config.characters), kind)
        named = name or (devices.processor() if kind == "cpu" else _measured()["names"].get(kind, ""))
        lowered = lowers(config.train.precision, kind)
        _remember(_key("step", config.rung_key, kind, named, lowered), built.step, 1 / steps_per_second)


def _remember(key: str, work: Work, seconds: float) -> None:
    table = _measured()

    def alike(row: list[float]) -> bool:
        return all(math.isclose(a, b, rel_tol=0.02) for a, b in zip(row[:5], work.row, strict=True))

    rows = [row for row in table["times"].get(key, []) if not alike(row)]  # the newest of its kind counts
    table["times"][key] = ([*rows, [*work.row, seconds]])[-EXAMPLES:]
    _, _, kind, name, _ = key.split("|", 4)
    table["names"][kind] = name
    _write(table)


def _write(table: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        paths.runs().mkdir(parents=True, exist_ok=True)
        files.replace(_file(), json.dumps(table).encode())


def note_memory(device: torch.device) -> None:
    """Remember what a GPU keeps for a process that uses it, and how much it has. For a process that uses it already."""
    if device.type != "cuda":
        return
    with contextlib.suppress(Exception):
        free, total = torch.cuda.mem_get_info(device)
        mine = total - free - torch.cuda.memory_reserved(device)
        table = _measured()
        table["memory"]["cuda"] = (float(min(mine, 2 * CONTEXT)), float(total))
        _write(table)


def probe(rung: Rung, device: torch.device, train_ids: Tensor, vocab_size: int) -> None:
    """Time training steps, evaluations and writing of each preset of a rung on this machine, and remember them.

    Each preset's step is timed at its own batch and at a quarter of it, which tells what a sequence adds; where that
    takes seconds, as that of the reference does on a processor, at smaller ones. What does not fit the device's memory
    is passed over.
    """
    name = devices.name_of(device)
    for preset in rung.presets:
        model, train = rung.settings(preset, {}, {})
        train = train.model_copy(update={"short_first": 0.0, "compile": "off"})
        try:
            _probe_preset(rung, model, train, device, name, train_ids, vocab_size)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            memory.let_go(error)
    note_memory(device)


def _probe_preset(
    rung: Rung, model: Settings, train: TrainConfig, device: torch.device, name: str, ids: Tensor, vocab_size: int
) -> None:
    lowered = lowers(train.precision, device.type)

    def built(batch: int) -> tuple[Cost, TrainConfig]:
        sized = train.model_copy(update={"batch_size": batch})
        return cost(rung, model, sized, vocab_size, device.type), sized

    first = built(train.batch_size)[0]
    whole = train.batch_size if device.type != "cpu" or first.step.flops < 2e10 else min(4, train.batch_size)
    batches = [whole] if first.closed_form else sorted({max(1, whole // 4), whole})
    trainer = None
    for batch in batches:
        found, sized = built(batch)
        trainer = Trainer(rung.build(model, vocab_size), sized, ids, device)
        if first.closed_form:
            seconds = timed(trainer.step, device, 0.0)
        else:
            for _ in range(3):  # the first also pay for starting up
                trainer.step()
            seconds = timed(trainer.step, device, FULL / len(batches))
        _remember(_key("step", rung.key, device.type, name, lowered), found.step, seconds)
    assert trainer is not None
    some = ids[: (4_000 if device.type == "cpu" else 65_537)].to(device)
    evaluation = timed(lambda: evaluate(trainer.model, some), device, 0.05)
    key = _key("evaluation", rung.key, device.type, name, False)
    _remember(key, first.evaluation * (len(some) - 1), evaluation)
    few = SamplingConfig(tokens=24)
    writing = timed(lambda: list(generate(trainer.model, [0], few)), device, 0.05)
    _remember(_key("writing", rung.key, device.type, name, False), first.writing * few.tokens, writing)


def timed(work: Callable[[], object], device: torch.device, least: float) -> float:
    """Return the mean seconds of some work, done again until `least` seconds have passed; on a GPU in full blocks.

    Only the ends of a block wait for the GPU: a step that waits is not how a run goes.
    """
    took: list[float] = []
    block = 10 if device.type != "cpu" and least else 1
    while not took or sum(took) * block < least:
        synchronise(device)
        began = time.perf_counter()
        for _ in range(block):
            work()
        synchronise(device)
        took.append((time.perf_counter() - began) / block)
    return sorted(took)[len(took) // 2]


def synchronise(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
