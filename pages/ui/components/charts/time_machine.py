"""The time machine: one scrubber over a run's snapshots moves curve, map, bars, sample, heads and careers together.

All frames are in the browser, so scrubbing asks the server for nothing; the step is kept in the URL by the browser.
While the run is live the component asks now and then, and the answer brings the frames that it lacks.

A message holds the two curves and every new frame: places, probabilities and careers as float32, attention as lower
triangles, row by row, one byte a weight, in steps of 1/255.
"""

import math
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.inspect.embeddings import Map, classes_of
from core.inspect.history import ACTIVATION_EDGES, Answer, Career, Milestone
from core.runs.state import Sample
from core.texts.character_classes import CLASSES
from pages.ui.components.shared.toolkit import declare, floats, heard, message
from pages.ui.plots.colours import SEQUENTIAL, colour_table

BARS = 14
"""Characters among the bars: the likeliest at any snapshot."""
POINTS = 800
"""A curve with more points than this is thinned to means before it is sent."""
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
_machine = declare("time_machine", "Time machine", "machine")


@dataclass(frozen=True)
class Frame:
    """One snapshot, as far as it can be shown."""

    step: int
    val_loss: float | None
    place: Map | None
    answer: Answer
    sample: Sample | None
    """The text written at this step, or at the last evaluation before it."""


@dataclass(frozen=True)
class Film:
    """A run from its first snapshot to its newest."""

    id: str
    """Names what the frames depend on besides their step: the run and the prompt."""
    steps: int
    """Where the run ends."""
    characters: str
    tokens: str
    """The end of the prompt: what the attention maps are about."""
    frames: Sequence[Frame]
    careers: Sequence[Career]
    milestones: Sequence[Milestone]
    train: Curve
    val: Curve
    bigram: float
    """The counted bigram's loss."""
    hue: int = 0
    """The rung's place in the theme's colours."""
    hidden: Sequence[str] = ()
    """The hidden layers whose activations the frames hold."""


def time_machine(film: Film, *, live: bool, key: str, interval: float = 2.0, start: int | None = None) -> None:
    """Draw it. Call it in an `st.fragment`: while `live` that is rerun every `interval` s for what is new.

    `start` is the step to begin with, the last frame otherwise.
    """
    pending = f"{key}:have"

    def remember() -> None:
        if poll := heard(key, "poll"):
            st.session_state[pending] = poll

    have = st.session_state.pop(pending, {})
    _machine(key=key, data=pack(film, have, live=live, interval=interval, start=start), on_poll_change=remember)


def pack(film: Film, have: dict[str, Any], *, live: bool, interval: float, start: int | None) -> bytes:
    """Encode one message; frames that the browser `have`s already, by film and steps, are left out."""
    steps = [frame.step for frame in film.frames]
    known = list(have.get("steps", ())) if have.get("film") == film.id else []
    skip = len(known) if known == steps[: len(known)] else 0
    fresh = film.frames[skip:]
    first = film.frames[0].answer.pattern if film.frames else None
    board = None if first is None else {"L": first.shape[0], "H": first.shape[1], "T": first.shape[2]}
    header = {
        "serial": uuid.uuid4().hex,
        "film": film.id,
        "from": skip,
        "of": film.steps,
        "frames": [_about(frame, film.careers, at) for at, frame in enumerate(fresh, skip)],
        "characters": list(film.characters),
        "classes": [CLASSES.index(kind) for kind in classes_of(film.characters)],
        "class_names": CLASSES,
        "bars": _bars(film.frames),
        "careers": [{"key": c.key, "title": c.title, "help": c.help, "lines": c.lines} for c in film.careers],
        "milestones": [{"step": m.step, "label": m.label, "help": m.help} for m in film.milestones],
        "curves": [[floats(column) for column in _thinned(curve)] for curve in (film.train, film.val)],
        "bigram": film.bigram if math.isfinite(film.bigram) else None,
        "hue": film.hue,
        "board": board,
        "edges": floats(ACTIVATION_EDGES),
        "hidden": film.hidden,
        "tokens": list(film.tokens),
        "scale": colour_table(SEQUENTIAL).hex(),
        "live": live,
        "interval": interval,
        "start": start,
    }
    return message(header)


def film_id(*parts: object) -> str:
    """Name what a film depends on."""
    return f"{zlib.crc32(repr(parts).encode()):08x}"


def _about(frame: Frame, careers: Sequence[Career], at: int) -> dict[str, Any]:
    sample, pattern = frame.sample, frame.answer.pattern
    triangles = None if pattern is None else pattern[:, :, *np.tril_indices(pattern.shape[-1])]
    return {
        "step": frame.step,
        "val": frame.val_loss if frame.val_loss is not None and math.isfinite(frame.val_loss) else None,
        "explained": None if frame.place is None else frame.place.explained,
        "places": None if frame.place is None else floats(frame.place.places),
        "chances": floats(frame.answer.probabilities),
        "careers": [floats(career.values[at]) for career in careers],
        "activations": floats(frame.answer.activations),
        "pattern": None if triangles is None else np.rint(triangles * 255).astype(np.uint8),
        "sample": None if sample is None else {"step": sample.step, "prompt": sample.prompt, "text": sample.text},
    }


def _bars(frames: Sequence[Frame]) -> list[int]:
    """The characters that are likeliest at any snapshot, likeliest at the last one first."""
    if not frames:
        return []
    chances = np.stack([frame.answer.probabilities for frame in frames])  # (S, V)
    chosen = np.argsort(-chances.max(axis=0), kind="stable")[:BARS]
    order: list[int] = chosen[np.argsort(-chances[-1][chosen], kind="stable")].tolist()
    return order


def _thinned(curve: Curve) -> Curve:
    """Means of neighbouring points, POINTS of them at most; what is not finite is left out."""
    step, value = curve
    usable = np.isfinite(value)
    step, value = step[usable], value[usable]
    width = -(-len(value) // POINTS)
    if width <= 1:
        return step, value
    cut = len(value) // width * width
    return step[:cut].reshape(-1, width).mean(axis=1), value[:cut].reshape(-1, width).mean(axis=1)
