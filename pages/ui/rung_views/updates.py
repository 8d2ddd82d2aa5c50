"""How large updates and gradients are, matrix by matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.runs import reading
from core.runs.metrics import CHARACTERS, SECONDS
from core.runs.state import Run
from core.studies.differences import twins_of
from core.training.monitor import GRAD_NORM, UPDATE_RATIO
from pages.ui import loaders, wording
from pages.ui.components.charts.curves import Curve, Landmark, curves
from pages.ui.plots.colours import SEQUENTIAL
from pages.ui.plots.figure import figure as plot
from pages.ui.rung_views.absent import unmeasured
from pages.ui.rung_views.followed import followed
from pages.ui.rung_views.layers import spread


def updates(run: Run) -> None:
    """How far each step moves each matrix, over training."""
    followed(_updates)(run.slug)


def _updates(run: Run) -> None:
    read = loaders.reader(run)
    tags = [tag for tag in _model_order(run, read.tags(), UPDATE_RATIO) if len(read.curve(tag)[0])]
    if not tags:
        unmeasured(run, "sizes of updates")
        return
    st.header("How far each step moves the weights")
    shown = [tags[i] for i in spread(len(tags), 8)]
    latest = {tag: float(read.curve(tag)[1][-1]) for tag in tags}
    st.markdown(f"**{wording.plain(_pace(latest))}**")
    rest = f" {len(shown)} of {len(tags)} matrices are drawn." if len(shown) < len(tags) else ""
    st.caption(
        "log10 of ‖update‖ / ‖weights‖ of single steps, measured while training. Around -3 every step changes a "
        f"matrix by a thousandth; far above, learning shakes, far below, it sleeps.{rest}"
    )
    drawn = []
    for tag in shown:
        step, value = read.curve(tag)
        name = tag.removeprefix(UPDATE_RATIO)
        seconds, characters = read.at(SECONDS, step), read.at(CHARACTERS, step)
        drawn.append(Curve(f"{run.slug}:{tag}:{read.generation}", name, "val", name, step, seconds, characters, value))
    mark = Landmark("-3", -3.0, "A thousandth of the weights a step.")
    curves(
        drawn,
        [mark],
        live=run.state.active,
        interval=4.0,
        key="updates",
        palette="updates",
        y_label="log10(update : weights)",
        height=280,
    )


def _pace(latest: dict[str, float]) -> str:
    fastest, slowest = max(latest, key=latest.__getitem__), min(latest, key=latest.__getitem__)
    if latest[fastest] > -1.5:
        name = fastest.removeprefix(UPDATE_RATIO)
        return f"{name} changes by {10 ** latest[fastest]:.0%} of its size in one step: the learning rate is too high."
    if latest[slowest] < -5 and latest[fastest] < -4:
        return "Every step changes less than a ten-thousandth of any matrix: learning has all but stopped."
    low, high = (f"{10 ** latest[tag]:.2g}" for tag in (slowest, fastest))
    return f"At the latest look one step changed the matrices by {low} to {high} of their size."


def gradients(run: Run, setting: str | None = None) -> None:
    """Gradient norm of every layer over training; beside it the twin that differs in `setting`, on one scale."""
    every = 12.0 if run.state.active else None
    followed(_gradients, run_every=every)(run.slug, setting)


def _gradients(run: Run, setting: str | None) -> None:
    beside = twins_of(run, setting, reading.list_runs(shipped=True))[:1] if setting else []
    panels = {}
    for each in (run, *beside):
        names, steps, values = _norms(each)
        if len(names):
            value = each.need().model.get(setting) if setting else None
            title = each.label if value is None else f"{setting} {value:g}: {each.label}"
            panels[title] = (names, steps, values)
    if not panels:
        unmeasured(run, "norms of gradients")
        return
    st.header("The gradient on its way down")
    if setting and not beside:
        st.caption(
            f"Train its twin, alike but for {wording.plain(setting)}, and both stand here side by side on one colour "
            "scale."
        )
    else:
        st.caption(
            "Norm of each layer's gradient at single steps of training; logarithmic, one scale for all panels, blank "
            "where it is exactly zero."
        )
    plot(_norm_maps(panels), "gradient-norms")


def _norms(run: Run) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Layers, steps (n,) and norms (layers, n) of a run; missing ones are NaN."""
    read = loaders.reader(run)
    tags = _model_order(run, read.tags(), GRAD_NORM)
    steps = np.unique(np.concatenate([read.curve(tag)[0] for tag in tags])) if tags else np.empty(0)
    values = np.full((len(tags), len(steps)), np.nan)
    for row, tag in enumerate(tags):
        at, norm = read.curve(tag)
        values[row, np.searchsorted(steps, at)] = norm
    return [tag.removeprefix(GRAD_NORM) for tag in tags], steps, values


def _model_order(run: Run, tags: Sequence[str], prefix: str) -> list[str]:
    """The tags of one kind in the order in which the parts stand in the model, not in the alphabet's."""
    config = run.need()
    built = loaders.cost(config.rung_key, config.model_config_, config.train, len(config.characters))
    rank = {name: i for i, (name, _) in enumerate(built.parts)}

    def place(tag: str) -> tuple[int, str]:
        return rank.get(tag.removeprefix(prefix).split(".")[0], len(rank)), tag

    return sorted((tag for tag in tags if tag.startswith(prefix)), key=place)


@st.cache_resource(max_entries=16, show_spinner=False)
def _norm_maps(panels: dict[str, Any]) -> go.Figure:
    """The maps, drawn once for all who look at the same run."""
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), shared_yaxes=True, horizontal_spacing=0.03)
    for column, (names, steps, values) in enumerate(panels.values(), 1):
        logs = np.full_like(values, np.nan)  # a norm of exactly zero is left blank: it has no logarithm
        np.log10(np.maximum(values, 1e-12), out=logs, where=values > 0)
        figure.add_trace(
            go.Heatmap(
                z=logs,
                x=steps,
                y=names,
                coloraxis="coloraxis",
                customdata=values,
                hovertemplate="step %{x}, %{y}<br>norm %{customdata:.2e}<extra></extra>",
            ),
            1,
            column,
        )
    layers = max(len(names) for names, _, _ in panels.values())
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title="step")
    figure.update_layout(
        height=min(640, 150 + 18 * layers),
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        coloraxis={"colorscale": SEQUENTIAL, "colorbar": {"thickness": 10, "title": {"text": "log10 norm"}}},
    )
    return figure
