"""Functions of one number, and activations of many."""

import math

import numpy as np
from numba import njit

from core.inference.kernels.intrinsics import ONE, OPTIONS, ZERO, power_of_two


@njit(**OPTIONS)
def exponential(x):  # type: ignore[no-untyped-def]
    """e^x, to a few parts in ten million: a loop over it is done for as many numbers at once as a register holds."""
    x = np.float32(-87) if x < np.float32(-87) else np.float32(88) if x > np.float32(88) else x
    doublings = x * np.float32(1 / math.log(2))
    whole = np.floor(doublings + np.float32(0.5))
    r = (doublings - whole) * np.float32(math.log(2))
    series = ONE + r * np.float32(1 / 7)
    series = ONE + series * r * np.float32(1 / 6)
    series = ONE + series * r * np.float32(1 / 5)
    series = ONE + series * r * np.float32(1 / 4)
    series = ONE + series * r * np.float32(1 / 3)
    series = ONE + series * r * np.float32(1 / 2)
    return (ONE + series * r) * power_of_two(np.int32(whole))


@njit(**OPTIONS)
def tanh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic tangent."""
    return ONE - np.float32(2) / (exponential(x + x) + ONE)


@njit(**OPTIONS)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^-x)."""
    return ONE / (ONE + exponential(-x))


@njit(**OPTIONS)
def activate(x, kind):  # type: ignore[no-untyped-def]
    """Apply an activation to the numbers of x where they stand; its number is its place in ACTIVATIONS."""
    if kind == 1:
        for i in range(len(x)):
            x[i] = x[i] if x[i] > 0 else ZERO
    elif kind == 2:
        for i in range(len(x)):
            x[i] = np.float32(0.5) * x[i] * (ONE + np.float32(math.erf(x[i] * np.float32(0.7071067811865476))))
    elif kind == 3:
        for i in range(len(x)):
            x[i] = x[i] * x[i] if x[i] > 0 else ZERO
    elif kind == 4:
        for i in range(len(x)):
            x[i] = tanh(x[i])
