"""The live loss chart. Only new points travel to the browser, which holds zoom, smoothing and all else set there.

Of every curve a message holds the columns step, seconds, characters and value, one after another, as float32.
"""

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui.components.shared.toolkit import declare, floats, message

LONGEST = 20_000
"""A curve with more points than this is thinned before it is sent."""

_curves = declare("curves", "Chart of curves", "curves")


@dataclass(frozen=True)
class Curve:
    """One line: points are appended only. When points are taken back, the curve must get another `id`."""

    id: str
    label: str
    kind: str
    """`train` is smoothed, over its faint raw line; `val` is drawn as it is, with dots."""
    group: str
    """The run: one legend entry a group."""
    step: NDArray[np.float64]
    seconds: NDArray[np.float64]
    characters: NDArray[np.float64]
    value: NDArray[np.float64]
    """All four (n,)."""
    flops_per_step: float = 0.0
    """What one step of the run costs; 0 if it is not known."""
    ghost: bool = False
    """Drawn faint, behind the others: what was there before."""
    hue: int | None = None
    """Its rung's place in the theme's colours, of which a second run gets a shade. None: any that is free."""
    twin: bool = False
    """One of several alike, such as seeds: all of one hue in the same colour, and thin."""


@dataclass(frozen=True)
class Landmark:
    """A dashed horizontal line, a loss to compare with."""

    label: str
    value: float
    help: str


@dataclass(frozen=True)
class Mark:
    """A small flag on the x axis: something happened to this run at this step."""

    group: str
    step: float
    label: str


def curves(
    curves: Sequence[Curve],
    landmarks: Sequence[Landmark] = (),
    marks: Sequence[Mark] = (),
    *,
    live: bool,
    key: str,
    interval: float = 1.0,
    eager: bool = True,
    y_label: str = "loss (nats per character)",
    height: int = 380,
) -> None:
    """Draw curves on shared axes. Call it in an `st.fragment`: while `live`, the chart reruns it every `interval` s.

    As long as there is no point at all it asks more often, if `eager`: the first one is expected any moment.
    """
    pending = f"{key}:have"

    def remember() -> None:
        poll = st.session_state[key].get("poll")
        if poll:
            st.session_state[pending] = poll["have"]

    header = {
        "serial": uuid.uuid4().hex,
        "key": key,
        "live": live,
        "interval": max(0.1, interval),
        "eager": eager,
        "y_label": y_label,
        "height": height,
        "landmarks": [asdict(mark) for mark in landmarks if math.isfinite(mark.value)],
        "marks": [asdict(mark) for mark in marks],
    }
    have = st.session_state.pop(pending, {})  # nothing pending: a new page or a full rerun, so everything is sent
    _curves(key=key, data=pack(header, curves, have), on_poll_change=remember)


def pack(header: Mapping[str, object], curves: Sequence[Curve], have: Mapping[str, int]) -> bytes:
    """Encode one message: of each curve, what follows the `have[id]` points that the browser holds already."""
    entries: list[dict[str, object]] = []
    for curve in curves:
        stride = _stride(len(curve.value))
        name = curve.id if stride == 1 else f"{curve.id}/{stride}"
        start, rows = _rows(curve.value, stride, max(0, int(have.get(name, 0))))
        columns = [np.asarray(column)[rows] for column in (curve.step, curve.seconds, curve.characters, curve.value)]
        about = {"label": curve.label, "kind": curve.kind, "group": curve.group, "flops": curve.flops_per_step}
        about |= {"ghost": curve.ghost, "hue": curve.hue, "twin": curve.twin}
        entries.append({"id": name, "from": start, "n": len(rows), "columns": floats(columns), **about})
    return message({**header, "curves": entries})


def _stride(points: int) -> int:
    """The power of two by which a curve is thinned; 1 if it is short enough."""
    return 1 << ((points - 1) // LONGEST).bit_length() if points else 1


def _rows(value: NDArray[np.float64], stride: int, have: int) -> tuple[int, NDArray[np.intp]]:
    """Return the first row to send, counted as the browser counts, and the indices of it and all later ones.

    Thinning keeps the smallest and the largest value of every `2 * stride` points. Only full groups are sent, so what
    has been sent never changes; the doubling of the stride, which changes it, also changes the curve's name.
    """
    n = len(value)
    if stride == 1:
        start = min(have, n)
        return start, np.arange(start, n)
    width = 2 * stride
    first = min(have // 2, n // width)
    groups = value[first * width : n // width * width].reshape(-1, width)
    usable = np.isfinite(groups)
    lowest = np.where(usable, groups, np.inf).argmin(axis=1)
    highest = np.where(usable, groups, -np.inf).argmax(axis=1)
    pairs = np.sort(np.stack([lowest, highest], axis=1), axis=1)
    return 2 * first, (pairs + width * (first + np.arange(len(groups)))[:, None]).ravel()
