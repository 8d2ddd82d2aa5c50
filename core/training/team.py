"""Those who train one model together: each a process with a device of its own, which takes its share of every batch.

The first leads: it alone runs the training loop, hears what is asked, writes, and gives an order before anything in
which all take part. The others do nothing but follow. What it takes to talk to each other is in `ranks.py`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from core.training.trainer import Trainer

RATES = ("learning_rate", "muon_learning_rate")
"""What may be changed from one step to the next, and is told with the order to take it."""


class Order(IntEnum):
    """What all are to do next."""

    END = 0
    STEP = 1
    MEAN = 2
    """Add up the losses of the steps since the last time."""
    COMPILE = 3
    TIME = 4
    """Find out how long a step takes without a compiler."""
    PARK = 5
    """Leave the devices' memory to others for a while."""
    BRING_BACK = 6


class Team:
    """A process that trains alone: the whole batch is its share, and there is nobody to tell."""

    rank, size = 0, 1
    pids: tuple[int, ...] = ()
    """The processes of all that are on this machine."""

    @property
    def leads(self) -> bool:
        """True for the one that decides, measures and writes."""
        return self.rank == 0

    def begin(self, trainer: "Trainer") -> None:
        """Let all go on from where the first is: its weights, its optimisers, its place in the data."""

    def net(self, model: nn.Module) -> nn.Module:
        """Return what runs the model forward in a step, such that its gradients become those of the whole batch."""
        return model

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's rows of a batch (B, T)."""
        return rows

    def seed(self, seed: int, step: int) -> None:
        """Let what the coming step draws, such as dropout, be this process's own."""

    def order(self, what: Order, rates: Mapping[str, float] | None = None) -> None:
        """Tell the others what comes; `rates` holds the learning rates that change before it."""

    def mean(self, losses: Tensor) -> Tensor:
        """Return the losses (N,) of the last N steps, each the mean over all shares of its batch."""
        return losses
