"""The one seam at which a training may be made to go wrong on purpose, to learn from."""

import contextlib
from collections.abc import Mapping

from torch import Tensor

from core.models.contract import LanguageModel
from core.training.batches import Batches
from core.training.optimizers import Optimizers


class Sabotage:
    """What a training asks before it does a thing that can be done wrongly. Here every answer is the right one.

    The training knows no fault: a fault is a subclass that answers one of these otherwise. What it keeps from step to
    step goes through `state_dict`, so that a run that is resumed goes on exactly as it would have.
    """

    def texts(self, train: Tensor, val: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ids (N,) to learn from and those (M,) to be judged on."""
        return train, val

    def weights(self, model: LanguageModel) -> None:
        """Look at the fresh weights, before the first step."""

    def batches(self, ids: Tensor, seed: int) -> Batches:
        """Return what draws the batches."""
        return Batches(ids, seed)

    def optimizers(self, optimizers: Optimizers) -> None:
        """Look at the fresh optimisers, before the first step."""

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets (B, T) each to train on."""
        return x, y

    def gradients(self, model: LanguageModel) -> None:
        """Look at the gradients of a step, before they are measured and used."""

    def evaluation(self, model: LanguageModel) -> contextlib.AbstractContextManager[None]:
        """Return what to hold open while losses are measured."""
        return contextlib.nullcontext()

    def state_dict(self) -> dict[str, Tensor]:
        """What is kept from step to step; mostly nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state_dict`."""
