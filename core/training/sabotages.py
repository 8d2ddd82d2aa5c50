"""Ten ways in which a training goes wrong, each by one thing done otherwise. Known by the names that runs keep."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from core.errors import BardlabError
from core.models.contract import LanguageModel
from core.training.batches import Batches
from core.training.optimizers import Optimizers
from core.training.sabotage import Sabotage

SHORT = 3000
"""Characters of the texts by which it shows within seconds that one lies in the other."""
DEAD = -10.0
"""A bias from which no value that was normalised over a hundred units or less comes back above zero."""


class RateTooHigh(Sabotage):
    """The learning rate is a hundred times what it should be."""

    def optimizers(self, optimizers: Optimizers) -> None:
        """Multiply every rate, before the schedule."""
        for part in optimizers.parts:
            for group in part.param_groups:
                group["peak_lr"] *= 100


class StartTooLarge(Sabotage):
    """The weights begin ten times too large."""

    @torch.no_grad()
    def weights(self, model: LanguageModel) -> None:
        """Multiply every matrix."""
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(10)


class TargetsOff(Sabotage):
    """What is asked for is the character after the next one."""

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Move the targets by one place."""
        return x[:, :-1], y[:, 1:]


class TargetsLeak(Sabotage):
    """What is to be predicted is already what is read."""

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Put the targets in place of the inputs."""
        return y, y


class _OneBatch(Batches):
    """Draws the same batch again and again."""

    def next(self, sequences: int, length: int) -> Tensor:
        """Return the first batch, and stay there."""
        return self.peek(sequences, length)


class SameBatch(Sabotage):
    """Every step sees the same few sequences."""

    def batches(self, ids: Tensor, seed: int) -> Batches:
        """Draw once."""
        return _OneBatch(ids, seed)


class GradientsKept(Sabotage):
    """The gradients of all steps so far add up."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    @torch.no_grad()
    def gradients(self, model: LanguageModel) -> None:
        """Add what the steps before have left."""
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                if name in self.sums:
                    weight.grad.add_(self.sums[name].to(weight.grad.device))
                self.sums[name] = weight.grad.clone()

    def state_dict(self) -> dict[str, Tensor]:
        """The sums."""
        return dict(self.sums)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up the sums."""
        self.sums = dict(state)


class DropoutInEvaluation(Sabotage):
    """Dropout zeroes activations while losses are measured too."""

    @contextlib.contextmanager
    def evaluation(self, model: LanguageModel) -> Iterator[None]:
        """Switch every dropout back on when it is reached."""
        layers = [part for part in model.modules() if isinstance(part, nn.Dropout)]
        hooks = [layer.register_forward_pre_hook(lambda part, _: part.train() and None) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


class ValidationInTraining(Sabotage):
    """The text that judges lies inside the text that is learned."""

    def texts(self, train: Tensor, val: Tensor) -> tuple[Tensor, Tensor]:
        """Learn a little of both texts, and be judged on what was learned."""
        return torch.cat([train[:SHORT], val[:SHORT]]), val[:SHORT]


class DeadLayer(Sabotage):
    """One layer in the middle never answers: its units are below zero whatever comes in."""

    @torch.no_grad()
    def weights(self, model: LanguageModel) -> None:
        """Push the normalised values of the middle layer below zero."""
        norms = [part for part in model.modules() if isinstance(part, nn.LayerNorm)]
        norms[len(norms) // 2].bias.fill_(DEAD)


SABOTAGES: Mapping[str, type[Sabotage]] = {
    "rate": RateTooHigh,
    "start": StartTooLarge,
    "no-norm": Sabotage,  # the settings alone make it
    "off-by-one": TargetsOff,
    "leak": TargetsLeak,
    "same-batch": SameBatch,
    "gradients-kept": GradientsKept,
    "dropout-on": DropoutInEvaluation,
    "validation-inside": ValidationInTraining,
    "dead-layer": DeadLayer,
}


def make(name: str | None) -> Sabotage:
    """Return the sabotage of a run; of one that is meant to be whole, none. Raises BardlabError if it is unknown."""
    if name is None:
        return Sabotage()
    if name not in SABOTAGES:
        raise BardlabError(f"config.json asks for the fault {name[:60]!r}, which is unknown here; start a new run")
    return SABOTAGES[name]()
