"""The loss curves of a run, with landmarks and flags."""

import math
from collections.abc import Iterable

import numpy as np
import streamlit as st

from core.runs import records
from core.runs.folder import State
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_LOSS, VAL_LOSS
from core.runs.state import Run
from core.studies import landmarks
from pages.ui import loaders
from pages.ui.components.charts.curves import Curve, Landmark, Mark
from pages.ui.plots.colours import place_of


def marks_of(run: Run) -> list[Landmark]:
    """The losses to compare a run's with; of one whose text is gone, what its alphabet alone tells."""
    corpus = loaders.text_of(run)
    if corpus is None:
        st.caption("The text of this run is no longer here: it can be looked at and written with, not trained further.")
        mark = landmarks.blind(len(run.need().characters))
        return [Landmark(mark.label, mark.value, mark.help)]
    return [Landmark(m.label, m.value, m.help) for m in loaders.corpus_landmarks(corpus.sha256, corpus.name)]


def flags_of(shown: Iterable[Run]) -> list[Mark]:
    """What the workers noticed, as flags on the curves."""
    return [
        Mark(run.slug, found.step, f"step {found.step:,}: {found.text}")
        for run in shown
        for found in records.alerts(run.path)
    ]


def loss_curves(run: Run, *, ghost: bool = False) -> list[Curve]:
    """A run's training and validation loss against step, seconds and characters; as a `ghost`, faint."""
    read = loaders.reader(run)
    found = []
    for kind, tag in (("train", TRAIN_LOSS), ("val", VAL_LOSS)):
        step, value = read.curve(tag)
        seconds, characters = read.at(SECONDS, step), read.at(CHARACTERS, step)
        name = f"{run.slug}:{tag}:{read.generation}"
        flops = loaders.flops_per_step(run)
        label = f"before: {run.label}" if ghost else run.label
        clock, hue = read.clock(step), place_of(run)
        found.append(Curve(name, label, kind, run.slug, step, seconds, characters, value, flops, ghost, clock, hue=hue))
    return found


def flat_curve(run: Run) -> Curve:
    """The loss of a run of which there are only weights, as a line across."""
    across, loss = np.array([0.0, 1.0]), np.full(2, run.status.val_loss or math.nan)
    name, hue = f"{run.label}: weights only", place_of(run)
    return Curve(f"{run.slug}:flat", name, "val", run.slug, across, across, across, loss, hue=hue)


def curve_damage(run: Run) -> str | None:
    """Say what is missing of a run's curves, if anything."""
    read = loaders.reader(run)
    if read.damage:
        return read.damage
    steps, _ = read.curve(TRAIN_LOSS)
    last = int(steps[-1]) if len(steps) else 0
    ended = run.state in (State.FINISHED, State.STOPPED) and not run.shipped
    if ended and run.status.seconds and last < run.status.step:
        return f"they end at step {last:,} of the {run.status.step:,} that were taken"
    return None
