"""What gradient descent looks like: landscapes as grids, and a small net's answers while it is being fitted."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.scalars.landscapes import SURFACES, Footstep, Surface, descend
from core.scalars.net import TASKS, Net, fit
from core.scalars.optimizers import OPTIMIZERS

Floats = NDArray[np.float64]
FRAMES = 40
"""Pictures of the answers along a fit."""
GRID = 48
"""Places along each axis at which a net is asked."""


def walk(surface_key: str, optimizer: str, lr: float, steps: int, start: tuple[float, float]) -> list[Footstep]:
    """Walk down a landscape from `start`; shorter than `steps` + 1 places if it ran off the map."""
    surface = SURFACES[surface_key]
    return descend(
        Surface(surface.title, surface.formula, start, surface.minima, surface.x_range, surface.y_range),
        OPTIMIZERS[optimizer],
        lr,
        steps,
    )


def lowest(surface: Surface) -> float:
    """Return the height of the landscape's minima."""
    return min(float(surface.formula(x, y)) for x, y in surface.minima)  # type: ignore[arg-type]


def heights(surface: Surface, across: int = 120) -> Floats:
    """Return the landscape (across, across) scaled to 0 ... 1, lowest y first; logarithmic, so that valleys show."""
    x, y = np.meshgrid(np.linspace(*surface.x_range, across), np.linspace(*surface.y_range, across))
    values = np.asarray(surface.formula(x, y), dtype=np.float64) - lowest(surface)  # (across, across)
    span = float(values.max())
    scaled: Floats = np.log1p(np.maximum(values, 0) * 200 / span) / math.log1p(200)
    return scaled


@dataclass(frozen=True)
class Fit:
    """A small net learning, as it can be shown."""

    losses: list[float]
    """Mean squared error before each step, and after the last."""
    frame_steps: list[int]
    """The steps of which there is a picture."""
    frames: Floats
    """(F, GRID, GRID) answers over the plane, lowest y first; or (F, GRID) over the line, for one input."""
    parameters: int
    diverged: bool


def fitted(task: str, hidden: int, optimizer: str, lr: float, steps: int, seed: int, reach: float) -> Fit:
    """Fit a net with one hidden layer to a task's points; inputs of the pictures go from -reach to reach."""
    points = TASKS[task]
    inputs = len(points[0][0])
    net = Net(inputs, hidden, 1, seed=seed)
    line = np.linspace(-reach, reach, GRID)  # (GRID,)
    grid = line[:, None] if inputs == 1 else np.stack(np.meshgrid(line, line), axis=-1)  # (GRID, 1) or (GRID, GRID, 2)
    losses: list[float] = []
    frame_steps: list[int] = []
    frames: list[Floats] = []
    every = max(1, steps // FRAMES)
    for step, loss in enumerate(fit(net, points, OPTIMIZERS[optimizer](net.parameters(), lr), steps)):
        losses.append(loss)
        if step % every == 0 or step == steps:
            frame_steps.append(step)
            frames.append(answers(net, grid))
    diverged = not math.isfinite(losses[-1])
    return Fit(losses, frame_steps, np.stack(frames), len(net.parameters()), diverged)


def answers(net: Net, inputs: Floats) -> Floats:
    """Return the net's first output at inputs (..., n) all at once: the same sums as its own, on arrays."""
    out = inputs
    with np.errstate(all="ignore"):  # a net that has diverged answers what it answers
        for layer in net.layers:
            weights = np.array([[w.data for w in neuron.weights] for neuron in layer.neurons])  # (outputs, inputs)
            bias = np.array([neuron.bias.data for neuron in layer.neurons])  # (outputs,)
            out = out @ weights.T + bias  # (..., outputs)
            if not layer.neurons[0].linear:
                out = np.tanh(out)
        return np.nan_to_num(out[..., 0])
