"""Five ways to turn a gradient into a step, and five landscapes to walk down with them.

Every optimiser is given the same gradients, by the chain rule of autograd.py; they differ in what they remember of the
earlier ones. Those of torch take the same steps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from core.models.autograd import Value

# --- from a gradient to a step ---------------------------------------------------------------------------------------


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

# --- landscapes ------------------------------------------------------------------------------------------------------

T = TypeVar("T", Value, float)


def bowl(x: T, y: T) -> T:
    """Equally steep all round."""
    return x * x + y * y


def ravine(x: T, y: T) -> T:
    """Fifty times as steep across as along."""
    return 0.1 * x * x + 5.0 * y * y


def rosenbrock(x: T, y: T) -> T:
    """A bent valley with a flat floor (Rosenbrock 1960, with 10 for his 100)."""
    return (1.0 - x) ** 2 + 10.0 * (y - x * x) ** 2


def beale(x: T, y: T) -> T:
    """Flat plains between steep walls (Beale 1958)."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y * y * y) ** 2


def saddle(x: T, y: T) -> T:
    """Uphill to both sides, downhill ahead and behind, and level in the middle; it flattens out far away."""
    return x * x - y * y + 0.1 * y * y * y * y


@dataclass(frozen=True)
class Surface:
    """A landscape over (x, y). `formula` takes plain numbers, arrays (for contours) and Values (for gradients)."""

    title: str
    formula: Callable[..., Value]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]


SURFACES: dict[str, Surface] = {
    "bowl": Surface("Bowl", bowl, (-2.5, 2.0), ((0, 0),), (-3, 3), (-3, 3)),
    "ravine": Surface("Ravine", ravine, (-4.0, 1.5), ((0, 0),), (-5, 5), (-2, 2)),
    "rosenbrock": Surface("Rosenbrock's valley", rosenbrock, (-1.5, 2.0), ((1, 1),), (-2, 2), (-1, 3)),
    "beale": Surface("Beale's plains", beale, (-1.0, 1.5), ((3, 0.5),), (-4.5, 4.5), (-2, 2)),
    "saddle": Surface("Saddle", saddle, (-2.0, 0.01), ((0, 5**0.5), (0, -(5**0.5))), (-3, 3), (-3, 3)),
}


class Footstep(NamedTuple):
    """One place on the way down, and the gradient there."""

    x: float
    y: float
    height: float
    grad_x: float
    grad_y: float


def descend(surface: Surface, optimizer: type[SGD], lr: float, steps: int) -> list[Footstep]:
    """Walk from the surface's start; return the places visited, `steps` + 1 unless the walk runs off the map.

    The walk ends where the height is no longer finite or a coordinate exceeds a thousand: the learning rate was too
    high.
    """
    x, y = Value(surface.start[0], name="x"), Value(surface.start[1], name="y")
    walker = optimizer([x, y], lr)
    path: list[Footstep] = []
    for _ in range(steps + 1):
        height = surface.formula(x, y)
        height.backward()
        path.append(Footstep(x.data, y.data, height.data, x.grad, y.grad))
        walker.step()
        if not (math.isfinite(height.data) and abs(x.data) < 1000 and abs(y.data) < 1000):
            break
    return path
