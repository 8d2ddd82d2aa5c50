"""Several processes that train one model together, by torch.distributed: gloo between processors, NCCL between GPUs.

Each holds a whole copy of the model and the optimiser, draws the same batches and computes on its share of each;
DistributedDataParallel averages the gradients while they are computed, so all copies take the same step.
"""

import datetime
import io
import math
import os
import platform
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.models.normalise import OverBatch
from core.training.parking import Parked
from core.training.team import RATES, Order, Team
from core.training.trainer import Trainer

MEETING = datetime.timedelta(minutes=10)
"""How long one waits for another to be there, and to answer within a step."""
PATIENCE = datetime.timedelta(days=20)
"""How long the others wait for an order: a paused run gives none."""


def meet(device: torch.device, rank: int, size: int, interface: str | None, **where: Any) -> None:
    """Meet the other processes, wherever `where` says, to talk to them over one network interface alone.

    The environment variables that name an interface, if set, decide instead.
    """
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if interface:
            os.environ.setdefault(name, interface)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=size, timeout=MEETING, **where)


class Ranks(Team):
    """One of several processes that have met; `name` says on which machine it is, where there are several."""

    def __init__(self, rank: int, size: int, device: torch.device, name: str = "") -> None:
        self.rank, self.size, self.device = rank, size, device
        self._talk = dist.new_group(backend="gloo", timeout=PATIENCE)
        mine = (platform.node(), os.getpid(), name)
        all_of = [mine] * size
        dist.all_gather_object(all_of, mine, group=self._talk)
        self.pids = tuple(pid for host, pid, _ in all_of if host == mine[0])
        self.names = tuple(dict.fromkeys(where for *_, where in all_of))

    def net(self, model: nn.Module) -> nn.Module:
        """Wrap the model. What its layers measure of a batch, they measure of the whole batch.

        Looking for weights without a gradient also keeps the gradients in the buckets that they have at first, so that
        a run that is resumed adds up in the same order.
        """
        for layer in model.modules():
            if isinstance(layer, OverBatch):
                layer.total = _Total.apply
        places = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            model, device_ids=places, forward_sync_buffers=False, find_unused_parameters=True
        )

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's rows of a batch (B, T), of which there are as many for each."""
        own: Tensor = rows.tensor_split(self.size)[self.rank]
        return own

    def seed(self, seed: int, step: int) -> None:
        """Seed by run, step and rank alone: nothing has to be kept of the others for a run to be resumed."""
        torch.manual_seed(((seed << 20) + step) * self.size + self.rank)

    def order(self, what: Order, rates: Mapping[str, float] | None = None) -> None:
        """Tell all others, if this is the first."""
        if self.leads:
            said = [float(what), *((rates or {}).get(name, math.nan) for name in RATES)]
            dist.broadcast(torch.tensor(said, dtype=torch.float64), 0, group=self._talk)

    def hear(self) -> tuple[Order, dict[str, float]]:
        """Wait for an order of the first."""
        said = torch.zeros(1 + len(RATES), dtype=torch.float64)
        dist.broadcast(said, 0, group=self._talk)
        what, *rates = said.tolist()
        return Order(int(what)), {name: value for name, value in zip(RATES, rates, strict=True) if value == value}

    def mean(self, losses: Tensor) -> Tensor:
        """Average over all."""
        self.order(Order.MEAN)
        dist.all_reduce(losses)
        return losses / self.size

    def begin(self, trainer: Trainer) -> None:
        """Let all go on from where the first is: its weights, its optimisers, its place in the data."""
        buffer = io.BytesIO()
        if self.leads:
            torch.save(trainer.state_dict(), buffer)
        size = torch.tensor(buffer.getbuffer().nbytes)
        dist.broadcast(size, 0, group=self._talk)
        content = torch.zeros(int(size), dtype=torch.uint8)
        if self.leads:
            content.copy_(torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8))
        dist.broadcast(content, 0, group=self._talk)
        if not self.leads:
            state: dict[str, Any] = torch.load(
                io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True
            )
            trainer.load_state_dict(state)

    def leave(self) -> None:
        """Talk to nobody any more."""
        dist.destroy_process_group()


def follow(trainer: Trainer, team: Ranks) -> None:
    """Do what the first orders, until it ends."""
    trainer.wants_norm = False
    losses: list[Tensor] = []
    parked: Parked | None = None
    while True:
        what, rates = team.hear()
        if what is Order.STEP:
            trainer.rates = {trainer.done: rates}
            losses.append(trainer.step())
        elif what is Order.MEAN:
            trainer.mean_loss(losses)
            losses.clear()
        elif what is Order.COMPILE:
            trainer.compile_now()
        elif what is Order.TIME:
            _ = trainer.eager_seconds
        elif what is Order.PARK:
            parked = Parked(trainer)
        elif what is Order.BRING_BACK:
            if parked:
                parked.bring_back()
        else:
            return


def is_left_alone(error: Exception) -> bool:
    """True if an error only says that another process is gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in text or "nccl" in text


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of each is the sum of all."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        """Add up."""
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Add up what each of the losses makes of it."""
        total = grad.clone()
        dist.all_reduce(total)
        return total
