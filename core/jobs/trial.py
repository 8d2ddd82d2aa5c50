"""A device is tried before a run trusts it, and what it is and was asked for is noted with the run."""

import torch

from core.evaluation import evaluate
from core.jobs.timing import fitting_batch
from core.ladder.registry import RUNGS
from core.models import memory
from core.runs.state import RunConfig, Status
from core.training import devices
from core.training.config import TrainConfig
from core.training.trainer import Trainer


def settle(wanted: str, device: torch.device) -> tuple[torch.device, str]:
    """Return the device that a run computes on: `device`, or, if that fails and `auto` was wanted, the CPU; and why.

    To be asked when the run's turn on the device has come: before, it would take memory from those who compute there.
    """
    if wanted != "auto" or device.type == "cpu":
        return device, ""
    reason = devices.usable(device) or (_rehearse(device) if device.type == "mps" else None)
    if reason is None:
        return device, ""
    return torch.device("cpu"), f"the {device.type} device cannot be used ({reason}), so this run takes the CPU"


def _rehearse(device: torch.device) -> str | None:
    """Take one tiny training step and evaluation of the bigram and the Transformer; say what failed, if anything."""
    sizes = {"bigram": {}, "transformer": {"n_layer": 1, "n_head": 2, "d_model": 16, "context": 16, "trigrams": 768}}
    ids = torch.arange(200) * 7 % 11  # (N,)
    try:
        for key, size in sizes.items():
            model = RUNGS[key].build(RUNGS[key].config.parse(size), 11)
            trainer = Trainer(model, TrainConfig(steps=1, batch_size=2, window=16), ids, device)
            trainer.step()
            evaluate(trainer.model, ids.to(device))
            trainer.model.diagnostics(trainer.train_ids)
    except Exception as error:  # whatever such a device cannot do
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return None


def note(status: Status, trainer: Trainer, config: RunConfig) -> None:
    """Write into a run's status what it computes on, in which format, and what memory it needs and finds."""
    device = trainer.device
    status.device_name = devices.name_of(device)
    status.threads = torch.get_num_threads() * trainer.team.size if device.type == "cpu" else None
    status.precision = devices.precision_name(trainer.precision)
    status.compiled = trainer.compiles
    status.memory_needed = config.memory_needed
    status.memory_free = float(memory.room(device))


def out_of_memory(config: RunConfig, kind: str) -> str:
    """Say what would fit, after a run on a kind of device ran out of memory. Never raises."""
    batch = config.train.batch_size
    try:
        fits = fitting_batch(config, torch.device(kind))
    except Exception:  # a GPU may answer nothing any more
        return f"out of memory on this {kind} with train.batch_size {batch}; lower it, or the model's sizes"
    if fits:
        return f"out of memory with train.batch_size {batch}; about {fits} would fit on this {kind}"
    return f"out of memory on this {kind} even for single sequences; lower the model's sizes or train.window"
