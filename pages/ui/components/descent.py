"""Something that moves step by step towards the lowest loss: paths over a landscape, or a net fitted to points.

One picture for each step at the left, the loss at the right; playing and stepping happen in the browser.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

_HTML = """<div class="descent" data-step="0">
  <div class="controls" role="group" aria-label="Steps"></div>
  <div class="legend"></div>
  <div class="plots">
    <div class="plot wide"><canvas class="picture" role="img"></canvas></div>
    <div class="plot"><canvas class="loss" role="img" aria-label="Loss at each step"></canvas></div>
  </div>
</div>"""

_descent = st.components.v2.component(
    "bardlab_descent",
    html=_HTML,
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


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
        "fields": _packed(fields),
        "lines": _packed(lines),
        "frameSteps": list(frame_steps),
        "colours": list(colours),
        "clickable": clickable,
        "labels": labels,
    }
    content["serial"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    result = _descent(data=content, key=key, on_place_change=lambda: None)
    place = result.get("place") if result else None
    return (float(place["x"]), float(place["y"])) if place else None


def _packed(values: NDArray[np.float64] | None) -> dict[str, object] | None:
    if values is None:
        return None
    return {"shape": values.shape, "base64": base64.b64encode(values.astype("<f4").tobytes()).decode()}
