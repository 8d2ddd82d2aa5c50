"""Live curves on a canvas: only new points travel, and zoom, legend and hover survive every update.

The component, not a timer on the server, asks for more: while the run lives and the tab is visible it sends how many
points of each curve it has, which reruns the enclosing fragment, and gets the rest. A hidden tab costs nothing.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

MOST_POINTS = 20_000
"""A longer curve is thinned to every second, fourth, ... point, its id telling which."""

Values = NDArray[np.float64]
_HERE = Path(__file__)
_component = st.components.v2.component(
    "bardlab_curves",
    html='<div class="root"></div>\n<!-- filled in by curves.js -->',
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Curve:
    """One line: values (n,) against step, seconds and characters (n,) each. Points are only ever appended."""

    id: str
    label: str
    kind: str
    """`train` is drawn smoothed over its faint raw line, `val` as it is, with dots."""
    group: str
    """The run: one colour for all its curves."""
    step: Values
    seconds: Values
    characters: Values
    value: Values


@dataclass(frozen=True)
class Landmark:
    """A horizontal line to compare with."""

    label: str
    value: float
    help: str = ""


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step of a run."""

    group: str
    step: float
    label: str


def curves(
    shown: Sequence[Curve],
    landmarks: Sequence[Landmark] = (),
    marks: Sequence[Mark] = (),
    *,
    live: bool,
    key: str,
    interval: float = 1.0,
    y_label: str = "loss (nats per character)",
    height: int = 380,
) -> None:
    """Draw curves; while `live`, ask for new points every `interval` seconds (four times as often before the first).

    Call it inside a fragment: each question reruns that fragment and nothing else.
    """
    have = st.session_state.pop(f"{key}:have", None) or {}
    header: dict[str, Any] = {
        "live": live,
        "interval": interval,
        "yLabel": y_label,
        "height": height,
        "key": key,
        "landmarks": [vars(mark) for mark in landmarks],
        "marks": [vars(mark) for mark in marks],
    }

    def remember() -> None:
        st.session_state[f"{key}:have"] = dict(st.session_state[key].poll["have"])

    _component(data=pack(header, shown, have), key=key, on_poll_change=remember)


def pack(header: Mapping[str, Any], shown: Sequence[Curve], have: Mapping[str, int]) -> bytes:
    """Pack a header and the points from `have[id]` on: length, JSON, padding to 4 bytes, then float32 columns."""
    rows, blobs = [], []
    for curve in shown:
        total = len(curve.value)
        stride = 1
        while total > stride * MOST_POINTS:
            stride *= 2
        name = curve.id if stride == 1 else f"{curve.id}/{stride}"
        points = range(0, total, stride)
        first = min(int(have.get(name, 0)), len(points))
        part = slice(first * stride, None, stride)
        columns = [column[part] for column in (curve.step, curve.seconds, curve.characters, curve.value)]
        rows.append(
            {
                "id": name,
                "label": curve.label,
                "kind": curve.kind,
                "group": curve.group,
                "from": first,
                "count": len(points) - first,
            }
        )
        blobs += [np.ascontiguousarray(column, dtype="<f4").tobytes() for column in columns]
    text = json.dumps({**header, "curves": rows}).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + b"".join(blobs)
