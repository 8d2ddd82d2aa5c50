"""Takes what a paused run has in the memory of its GPUs out of it, and puts it back as it was."""

import gc

import torch
from torch import Tensor

from core.training.team import Order
from core.training.trainer import Trainer

MAIN = torch.device("cpu")


class Parked:
    """The parameters, gradients, buffers and optimiser state of a trainer, in main memory for a while.

    All who train with it do the same: the first tells them.
    """

    def __init__(self, trainer: Trainer) -> None:
        trainer.team.order(Order.PARK)
        self._trainer = trainer
        vars(trainer).pop("net", None)  # what averages gradients keeps a copy of them, and is made again when needed
        parts = trainer.optimizers.parts if "optimizers" in vars(trainer) else []
        states = [state for part in parts for state in part.state.values()]
        self._homes = [
            (state, name, value.device)
            for state in states
            for name, value in state.items()
            if isinstance(value, Tensor) and value.device != MAIN
        ]
        trainer.model.to(MAIN)
        for state, name, _ in self._homes:
            state[name] = state[name].to(MAIN)
        free_memory()

    def bring_back(self) -> None:
        """Put everything where it was, the same to the last bit."""
        self._trainer.team.order(Order.BRING_BACK)
        self._trainer.model.to(self._trainer.device)
        for state, name, home in self._homes:
            state[name] = state[name].to(home)


def free_memory() -> None:
    """Give back to the GPU what nothing in this process uses any more."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
