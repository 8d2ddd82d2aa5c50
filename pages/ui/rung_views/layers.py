"""Views of how the layers of a rung are doing: activations, gradients, and how far each step moves the weights."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.evaluation import windows
from core.inspect.activations import LayerHealth, health, verdict
from core.runs import layout, reading
from core.runs.state import Run
from pages.ui import loaders, wording
from pages.ui.choosers import in_view
from pages.ui.plots.colours import colours
from pages.ui.plots.figure import figure as plot
from pages.ui.rung_views.absent import of_weights
from pages.ui.rung_views.weights import weights_over_time

POSITIONS = 2048
"""Characters of the validation text on which activations are looked at."""


@of_weights
def layers(run: Run) -> None:
    """Activations and gradients of every hidden layer, at any saved step, with a plain verdict."""
    steps = layout.snapshot_steps(run.path)
    st.header("Inside the layers")
    if len(steps) > 1:
        step: int | None = in_view.choice(
            st.select_slider,
            "Weights of step",
            steps,
            name="step",
            default=steps[-1],
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
    st.markdown(f"**{wording.plain(verdict(found, start))}**")
    st.caption(
        f"Measured on {POSITIONS:,} characters of the validation text, without dropout. Every line is the distribution "
        "of one layer: left what its units give, right the gradient of the loss with respect to it."
    )
    shown = [found[i] for i in spread(len(found), 8)]
    plot(_distributions(shown), "health.distributions")
    with st.expander("All layers in numbers"):
        _table(found)
    weights_over_time(run)


def _version(run: Run, step: int | None) -> float:
    return (run.path / layout.WEIGHTS if step is None else layout.snapshot_path(run.path, step)).stat().st_mtime


@st.cache_data(max_entries=64, show_spinner="Looking at the layers")
def _health(slug: str, step: int | None, version: float) -> list[LayerHealth]:
    run = reading.find(slug)
    model, _ = loaders.model(run, step)
    length = max(64, model.usual_window) if model.slides else model.usual_window
    inputs, targets = windows(loaders.corpus(run.need().corpus).val_ids, length, max(2, POSITIONS // length))
    return health(model, inputs, targets)


def spread(count: int, most: int) -> list[int]:
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
