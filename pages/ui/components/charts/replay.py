"""A run that learns, as a film of one that has ended or live, with what it wrote before and writes now.

While the run is live the component asks for what is new; the film plays in the browser alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.runs.state import Sample
from pages.ui.components.shared.toolkit import declare, floats, message

POINTS = 300
"""A curve with more points than this is thinned, least where it begins, since most is learned there."""
EASE = 2.2
LETTERS = 240
"""How much of a text is sent: more than there is room for."""
_replay = declare("replay", "A model that learns", "replay")


@dataclass(frozen=True)
class Learning:
    """What one run shows of its learning."""

    id: str
    title: str
    colour: int
    """Its rung's place in the theme's colours."""
    at: int
    of: int
    """Steps taken, and asked for."""
    steps: NDArray[np.float64]
    losses: NDArray[np.float64]
    seconds: NDArray[np.float64]
    evaluations: Sequence[tuple[int, float]]
    """Step and validation loss."""
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Level:
    """A loss to compare with."""

    label: str
    value: float
    colour: int | None = None


def replay(
    film: Learning | None,
    own: Learning | None,
    levels: Sequence[Level],
    size: int,
    *,
    live: bool,
    key: str,
    interval: float = 0.5,
) -> None:
    """Draw it. Call it in an `st.fragment`: while `live`, the component reruns that every `interval` seconds."""
    header = {
        "film": None if film is None else _packed(film),
        "own": None if own is None else _packed(own),
        "marks": [{"label": each.label, "value": each.value, "colour": each.colour} for each in levels],
        "size": size,
        "live": live,
        "interval": interval if own is None or len(own.steps) else 0.05,
    }
    _replay(key=key, data=message({**header}), on_poll_change=lambda: None)


def _packed(run: Learning) -> dict[str, Any]:
    steps, losses, seconds = thinned(run.steps, run.losses, run.seconds)
    return {
        "id": run.id,
        "title": run.title,
        "colour": run.colour,
        "at": run.at,
        "of": run.of,
        "steps": floats(steps),
        "losses": floats(losses),
        "seconds": floats(seconds),
        "evaluations": [list(each) for each in run.evaluations if math.isfinite(each[1])],
        "samples": [{"step": each.step, "text": each.text[:LETTERS]} for each in run.samples],
    }


def thinned(
    steps: NDArray[np.float64], losses: NDArray[np.float64], seconds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return means of neighbouring points, few at the beginning and more towards the end; the ends stay as they are."""
    usable = np.isfinite(losses)
    steps, losses, seconds = steps[usable], losses[usable], seconds[usable]
    if len(steps) <= POINTS:
        return steps, losses, seconds
    starts = np.unique((np.linspace(0, 1, POINTS, endpoint=False) ** EASE * len(steps)).astype(int))
    counts = np.diff(np.append(starts, len(steps)))
    return steps[starts + counts - 1], np.add.reduceat(losses, starts) / counts, seconds[starts + counts - 1]
