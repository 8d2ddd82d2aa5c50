"""Five ways to turn a gradient into a step, and five landscapes to walk down with them.

Every optimiser is given the same gradients, by the chain rule of autograd.py; they differ in what they remember of the
earlier ones. Those of torch take the same steps.
"""

import math
from collections.abc import Sequence

from core.scalars.autograd import Value


class SGD:
    """Step against the gradient. Base of the others: those differ in `change`."""

    def __init__(self, params: Sequence[Value], lr: float) -> None:
        self.params, self.lr = list(params), lr
        self.first = [0.0] * len(self.params)  # a running mean of each gradient, where one is kept
        self.second = [0.0] * len(self.params)  # a running mean of its square
        self.steps = 0

    def step(self) -> None:
        """Move every parameter once, by its `grad`."""
        self.steps += 1
        for i, p in enumerate(self.params):
            p.data -= self.lr * self.change(i, p)

    def change(self, i: int, p: Value) -> float:
        """What to subtract from parameter number i, up to the learning rate."""
        return p.grad


class Momentum(SGD):
    """A heavy ball: velocity builds up along a slope and cancels out across it (Polyak 1964)."""

    def change(self, i: int, p: Value) -> float:
        """The velocity: nine tenths of the last, and the gradient."""
        self.first[i] = 0.9 * self.first[i] + p.grad
        return self.first[i]


class RMSProp(SGD):
    """Divide by the recent size of the gradient, so that steep and flat directions move alike (Hinton 2012)."""

    def change(self, i: int, p: Value) -> float:
        """The gradient over its root mean square."""
        self.second[i] = 0.99 * self.second[i] + 0.01 * p.grad * p.grad
        return p.grad / (math.sqrt(self.second[i]) + 1e-8)


class Adam(SGD):
    """Momentum and RMSProp together, their early means corrected for starting at 0 (Kingma and Ba 2014)."""

    def change(self, i: int, p: Value) -> float:
        """The mean gradient over its root mean square (algorithm 1)."""
        self.first[i] = 0.9 * self.first[i] + 0.1 * p.grad
        self.second[i] = 0.999 * self.second[i] + 0.001 * p.grad * p.grad
        mean = self.first[i] / (1 - 0.9**self.steps)
        square = self.second[i] / (1 - 0.999**self.steps)
        return mean / (math.sqrt(square) + 1e-8)


class AdamW(Adam):
    """Adam, and besides it every parameter shrinks a little (Loshchilov and Hutter 2019)."""

    def __init__(self, params: Sequence[Value], lr: float, weight_decay: float = 0.01) -> None:
        super().__init__(params, lr)
        self.weight_decay = weight_decay

    def change(self, i: int, p: Value) -> float:
        """Adam's change and the decay, which Adam's division does not touch (algorithm 2)."""
        return super().change(i, p) + self.weight_decay * p.data


OPTIMIZERS: dict[str, type[SGD]] = {
    "SGD": SGD,
    "Momentum": Momentum,
    "RMSProp": RMSProp,
    "Adam": Adam,
    "AdamW": AdamW,
}
