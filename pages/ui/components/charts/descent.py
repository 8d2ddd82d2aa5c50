"""Something that moves step by step towards the lowest loss: paths over a landscape, or a net fitted to points.

One picture for each step at the left, the loss at the right; playing and stepping happen in the browser.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from pages.ui.components.shared.toolkit import declare, floats, message

_descent = declare("descent", "Descent, step by step")


@dataclass(frozen=True)
class Walker:
    """One thing that moves: a line of the loss chart, and a path if it has places."""

    label: str
    colour: str
    losses: list[float]
    """At each step, all positive: the axis is logarithmic."""
    places: list[tuple[float, float]] = field(default_factory=list)
    end: str = ""
    """What happened to it after its last step, if anything did."""


@dataclass(frozen=True)
class Dot:
    """A mark on the picture."""

    x: float
    y: float
    kind: str
    """start, minimum, high or low (a point to be fitted, by its target)."""


def descent(
    walkers: Sequence[Walker],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    key: str,
    steps: int,
    loss_label: str,
    dots: Sequence[Dot] = (),
    fields: NDArray[np.float64] | None = None,
    lines: NDArray[np.float64] | None = None,
    frame_steps: Sequence[int] = (0,),
    colours: Sequence[str] = (),
    clickable: bool = False,
    labels: tuple[str, str] = ("x", "y"),
) -> tuple[float, float] | None:
    """Draw it. Returns where the learner has just clicked on the picture, or None.

    `fields` (F, rows, columns) in 0 ... 1, lowest row first, or `lines` (F, n) over the x range hold one frame for each
    of `frame_steps`. `colours` is a scale for the fields; without one they are drawn in shades of the text.
    """
    content = {
        "walkers": [asdict(w) for w in walkers],
        "x": x_range,
        "y": y_range,
        "steps": steps,
        "lossLabel": loss_label,
        "dots": [asdict(dot) for dot in dots],
        "fields": None if fields is None else floats(fields),
        "fieldShape": None if fields is None else fields.shape,
        "lines": None if lines is None else floats(lines),
        "lineLength": 0 if lines is None else lines.shape[1],
        "frameSteps": list(frame_steps),
        "colours": list(colours),
        "clickable": clickable,
        "labels": labels,
    }
    result = _descent(data=message(content), key=key, on_place_change=lambda: None)
    place = result.get("place") if result else None
    return (float(place["x"]), float(place["y"])) if place else None
