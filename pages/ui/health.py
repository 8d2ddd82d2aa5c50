"""Views of how the layers of a rung are doing: activations, gradients, and how far each step moves the weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core import runs
from core.evaluation import windows
from core.inspect.activations import LayerHealth, health, verdict
from core.metrics import CHARACTERS, SECONDS
from core.monitor import GRAD_NORM, UPDATE_RATIO
from core.runs import Run
from core.twins import twins_of
from pages.ui import cached, words
from pages.ui.charts import SEQUENTIAL, colours
from pages.ui.components.curves import Curve, Landmark, curves

POSITIONS = 2048
"""Characters of the validation text on which activations are looked at."""


def layers(run: Run) -> None:
    """Activations and gradients of every hidden layer, at any saved step, with a plain verdict."""
    if not run.usable:
        return
    steps = runs.snapshot_steps(run.path)
    st.subheader("Inside the layers")
    if len(steps) > 1:
        step = st.select_slider(
            "Weights of step",
            steps,
            value=steps[-1],
            format_func=lambda s: f"{s:,}",
            key="health.step",
            help="Looks at the weights as they were saved at this step.",
        )
    else:
        step = steps[0] if steps else None
    found = _health(run.slug, step, _version(run, step))
    if not found:
        st.caption("This rung has no hidden layer.")
        return
    start = _health(run.slug, 0, _version(run, 0)) if steps[:1] == [0] and step else None
    st.markdown(f"**{words.plain(verdict(found, start))}**")
    st.caption(
        f"Measured on {POSITIONS:,} characters of the validation text, without dropout. Every line is the distribution "
        "of one layer: left what its units give, right the gradient of the loss with respect to it."
    )
    shown = [found[i] for i in _spread(len(found), 8)]
    st.plotly_chart(_distributions(shown), key="health.distributions")
    with st.expander("All layers in numbers"):
        _table(found)


def _version(run: Run, step: int | None) -> float:
    return (run.path / runs.WEIGHTS if step is None else runs.snapshot_path(run.path, step)).stat().st_mtime


@st.cache_data(max_entries=64, show_spinner="Looking at the layers")
def _health(slug: str, step: int | None, version: float) -> list[LayerHealth]:
    run = runs.find(slug)
    model, _ = cached.model(run, step)
    length = max(64, model.context) if model.slides else model.context
    inputs, targets = windows(cached.corpus(run.need().corpus).val_ids, length, max(2, POSITIONS // length))
    return health(model, inputs, targets)


def _spread(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, evenly spread, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(most, count))})


def _shades(count: int) -> list[str]:
    """Colours from the first layer to the last; by hand where the theme has enough."""
    named = colours()
    return [named[i % len(named)] for i in range(count)]


def _distributions(found: Sequence[LayerHealth]) -> go.Figure:
    figure = make_subplots(1, 2, subplot_titles=["activations", "gradients"], horizontal_spacing=0.06)
    for layer, colour in zip(found, _shades(len(found)), strict=True):
        for column, edges, counts in (
            (1, layer.edges, layer.counts),
            (2, layer.gradient_edges, layer.gradient_counts),
        ):
            figure.add_trace(
                go.Scatter(
                    x=(edges[:-1] + edges[1:]) / 2,
                    y=counts,
                    name=layer.name,
                    legendgroup=layer.name,
                    showlegend=column == 1,
                    line={"color": colour, "width": 1.6, "shape": "hvh"},
                    hovertemplate=f"{layer.name}<br>%{{x:.3g}}: %{{y:.2%}}<extra></extra>",
                ),
                1,
                column,
            )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(title="share", col=1)
    figure.update_layout(
        height=330,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        legend={"orientation": "h", "y": -0.18},
    )
    return figure


def _table(found: Sequence[LayerHealth]) -> None:
    rows = [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "units": layer.units,
            "mean": layer.mean,
            "std": layer.std,
            "saturated": layer.saturated,
            "dead": layer.dead,
            "gradient": layer.gradient_std,
        }
        for layer in found
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "layer": st.column_config.TextColumn("Layer", help="Its path in the model."),
            "kind": st.column_config.TextColumn("Kind", help="What bends it."),
            "units": st.column_config.NumberColumn("Units", help="Numbers it gives for each character."),
            "mean": st.column_config.NumberColumn("Mean", format="%.3f", help="Of its activations."),
            "std": st.column_config.NumberColumn("Spread", format="%.3f", help="Their standard deviation."),
            "saturated": st.column_config.ProgressColumn(
                "Saturated",
                format="percent",
                min_value=0,
                max_value=1,
                help="Share beyond 0.97 of a tanh's reach; of a ReLU the share at zero. No gradient passes there.",
            ),
            "dead": st.column_config.NumberColumn("Dead units", help="Saturated on every character looked at."),
            "gradient": st.column_config.NumberColumn(
                "Gradient", format="%.2e", help="Standard deviation of the loss's gradient with respect to the layer."
            ),
        },
    )


# --- over training ---------------------------------------------------------------------------------------------------


def updates(run: Run) -> None:
    """How far each step moves each matrix, over training."""
    _updates(run.slug)


@st.fragment
def _updates(slug: str) -> None:
    run = runs.find(slug)
    read = cached.reader(run)
    tags = [tag for tag in _model_order(run, read.tags(), UPDATE_RATIO) if len(read.curve(tag)[0])]
    if not tags:
        return
    st.subheader("How far each step moves the weights")
    shown = [tags[i] for i in _spread(len(tags), 8)]
    latest = {tag: float(read.curve(tag)[1][-1]) for tag in tags}
    st.markdown(f"**{words.plain(_pace(latest))}**")
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
    st.fragment(_gradients, run_every=every)(run.slug, setting)


def _gradients(slug: str, setting: str | None) -> None:
    run = runs.find(slug)
    beside = twins_of(run, setting, runs.list_runs(shipped=True))[:1] if setting else []
    panels = {}
    for each in (run, *beside):
        names, steps, values = _norms(each)
        if len(names):
            value = each.need().model.get(setting) if setting else None
            title = each.name if value is None else f"{setting} {value:g}: {each.name}"
            panels[title] = (names, steps, values)
    if not panels:
        return
    st.subheader("The gradient on its way down")
    if setting and not beside:
        st.caption(
            f"Train its twin, alike but for {words.plain(setting)}, and both stand here side by side on one colour "
            "scale."
        )
    else:
        st.caption(
            "Norm of each layer's gradient at single steps of training; logarithmic, one scale for all panels, blank "
            "where it is exactly zero."
        )
    st.plotly_chart(_norm_maps(panels), key="gradient-norms")


def _norms(run: Run) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Layers, steps (n,) and norms (layers, n) of a run; missing ones are NaN."""
    read = cached.reader(run)
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
    built = cached.cost(config.stage, config.model_config_, config.train, len(config.characters))
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
