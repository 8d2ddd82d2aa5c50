"""The chart of curves: losses while they are learned, and every other line, band or cloud of points over one axis.

Only new points travel to the browser, which holds zoom, smoothing and all else set there. Of every curve a message
holds the columns step, seconds, characters and value, one after another, as float32.
"""

import math
import re
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import streamlit as st
from numpy.typing import ArrayLike, NDArray

from pages.feeds import open_feed
from pages.ui.components.shared.toolkit import declare, floats, heard, message

LONGEST = 20_000
"""A curve with more points than this is thinned before it is sent."""

_ADDRESS = {
    "x": "step|seconds|clock|characters|flops",
    "log": "x|y|xy|none",
    "smooth": r"0(\.[0-9]{1,6})?",
    "y": "robust",
    "zoom": r"(-?[0-9.]{1,20}(e[+-]?[0-9]{1,3})?(,|$)){4}",
}
"""What the page's address may say of its main chart. The browser reads it; see curves_state.js."""

_curves = declare("curves", "Chart of curves", "curves")


@dataclass(frozen=True)
class Curve:
    """One line: points are appended only. When points are taken back, the curve must get another `id`."""

    id: str
    label: str
    kind: str
    """`train` is smoothed, over its faint raw line; `val` is drawn as it is, with dots; `fit` is a dashed line, and of
    `points` there are only dots."""
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
    clock: NDArray[np.float64] | None = None
    """When each point was reached, in seconds since 1970 (n,)."""
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    """The band around the line, both (n,)."""
    names: Sequence[str] = ()
    """What each point is called, if it has a name of its own."""
    hue: int | None = None
    """Its rung's place in the theme's colours, of which a second run gets a shade. None: any that is free."""
    twin: bool = False
    """One of several alike, such as seeds: all of one hue in the same colour, and thin."""


def plain_curve(
    label: str,
    kind: str,
    x: ArrayLike,
    y: ArrayLike,
    *,
    low: NDArray[np.float64] | None = None,
    high: NDArray[np.float64] | None = None,
    names: Sequence[str] = (),
    hue: int | None = None,
) -> Curve:
    """A curve over an axis of its own, all of which is known: it is of no run, and does not grow."""
    across, value = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    content = zlib.crc32(value.tobytes(), zlib.crc32(across.tobytes()))
    name = f"{label}:{kind}:{content:08x}"
    return Curve(name, label, kind, label, across, across, across, value, low=low, high=high, names=names, hue=hue)


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


@dataclass(frozen=True)
class Handle:
    """A value at the right end of the chart that can be dragged up and down, with a band around it."""

    value: float | None
    """None as long as it was not dragged: it then waits at the end of the curves."""
    within: float
    """Half the height of the band."""


@dataclass(frozen=True)
class Growth:
    """What has become of a chart since its fragment was drawn."""

    curves: Sequence[Curve]
    marks: Sequence[Mark]
    said: Mapping[str, Mapping[str, object]]
    """What the lines of text that move with it say now, by their names (live_line.py)."""
    standing: str
    """Stands for all that only drawing the fragment again would show: it is, once this differs from what was drawn."""


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
    x_label: str = "",
    log: str = "",
    height: int = 380,
    palette: str = "runs",
    main: bool = False,
    handle: Handle | None = None,
    dragged: Callable[[float], None] | None = None,
    grown: Callable[[], Growth] | None = None,
    standing: str = "",
) -> None:
    """Draw curves on shared axes. Call it in an `st.fragment`: while `live`, the chart reruns it every `interval` s.

    As long as there is no point at all it asks more often, if `eager`: the first one is expected any moment. With
    `x_label` the x axis is of that alone, not of training; `log` names the axes ("x", "y", "xy") that are logarithmic
    at first. On all charts of one `palette` a group has the same colour. How the `main` chart of a page is drawn stands
    in the page's address. Where the `handle` is let go, `dragged` is called with its value. With `grown`, the chart
    asks for that instead, and reruns the fragment only if what is `standing` there is no longer so.
    """
    pending = f"{key}:have"

    def remember() -> None:
        poll = heard(key, "poll")
        if poll:
            st.session_state[pending] = poll["have"]

    def let_go() -> None:
        value = (heard(key, "dragged") or {}).get("value")
        if dragged and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            dragged(float(value))

    header: dict[str, object] = {
        "serial": uuid.uuid4().hex,
        "key": key,
        "live": live,
        "interval": max(0.1, interval),
        "eager": eager,
        "y_label": y_label,
        "x_label": x_label,
        "log": log,
        "palette": palette,
        "main": main,
        "height": height,
        "landmarks": [asdict(mark) for mark in landmarks if math.isfinite(mark.value)],
        "marks": [asdict(mark) for mark in marks],
        "handle": asdict(handle) if handle else None,
        "standing": standing,
        "feed": "",
    }
    if live and grown:

        def answer(have: Mapping[str, int]) -> bytes:
            now = grown()
            news = {"marks": [asdict(mark) for mark in now.marks], "said": now.said, "standing": now.standing}
            return pack({**header, **news}, now.curves, have)

        header["feed"] = open_feed(f"{key}:{curves[0].group if curves else ''}", answer)
    have = st.session_state.pop(pending, {})  # nothing pending: a new page or a full rerun, so everything is sent
    _curves(key=key, data=pack(header, curves, have), on_poll_change=remember, on_dragged_change=let_go)


def not_in_address(parameters: Mapping[str, str]) -> list[str]:
    """What an address says of the main chart that is none of its words."""
    said = ((name, parameters[name]) for name in _ADDRESS if name in parameters)
    return [f"{name}={value}" for name, value in said if not re.fullmatch(_ADDRESS[name], value[:200])]


def pack(header: Mapping[str, object], curves: Sequence[Curve], have: Mapping[str, int]) -> bytes:
    """Encode one message: of each curve, what follows the `have[id]` points that the browser holds already."""
    entries: list[dict[str, object]] = []
    for curve in curves:
        stride = _stride(len(curve.value))
        name = curve.id if stride == 1 else f"{curve.id}/{stride}"
        start, rows = _rows(curve.value, stride, max(0, int(have.get(name, 0))))
        columns = [np.asarray(column)[rows] for column in (curve.step, curve.seconds, curve.characters, curve.value)]
        about: dict[str, object] = {"label": curve.label, "kind": curve.kind, "group": curve.group}
        about["flops"] = curve.flops_per_step
        about |= {"ghost": curve.ghost, "names": [curve.names[row] for row in rows] if curve.names else []}
        about |= {"hue": curve.hue, "twin": curve.twin}
        if curve.clock is not None and len(curve.clock) and curve.clock[0] > 0:
            about |= {"since": float(curve.clock[0]), "clock": floats(curve.clock[rows] - curve.clock[0])}
        if curve.low is not None and curve.high is not None:
            about["band"] = floats([curve.low[rows], curve.high[rows]])
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
