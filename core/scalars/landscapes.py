"""Surfaces of two variables on which optimisers are raced."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from core.scalars.autograd import Value
from core.scalars.optimizers import SGD

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
