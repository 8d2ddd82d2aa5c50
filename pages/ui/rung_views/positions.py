"""A view of the Transformer: what it knows of positions."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from core.inspect.embeddings import position_similarity
from core.runs import layout, reading
from core.runs.state import Run
from pages.ui import loaders
from pages.ui.plots.colours import DIVERGING
from pages.ui.plots.figure import figure as plot
from pages.ui.rung_views.absent import of_weights

SHOWN = 128
"""Rows of the map of positions; a longer context is thinned."""


@of_weights
def positions(run: Run) -> None:
    """How alike two positions look to the model before it has read anything."""
    config = run.need().model
    kind = config["positions"]
    st.header("What it knows of positions")
    found = _similarity(run.slug, (run.path / layout.WEIGHTS).stat().st_mtime)
    if found is None:
        st.caption("This run was given no positions: only the causal mask tells it how much text came before.")
        return
    said = {
        "learned": "The cosine between the learned vectors of every two positions. Before training it is noise; what "
        "structure there is was learned. Positions late in the window have had as much training as early ones.",
        "sinusoidal": "The cosine between the fixed vectors of every two positions: their distance alone decides.",
        "rotary": "What turning leaves of a perfect match between a query and a key, by their positions: it depends on "
        "their distance alone, and nothing is learned.",
    }[kind]
    st.caption(said)
    stride = -(-len(found) // SHOWN)
    figure = go.Figure(
        go.Heatmap(
            z=found[::stride, ::stride],
            x0=0,
            dx=stride,
            y0=0,
            dy=stride,
            zmin=-1,
            zmax=1,
            colorscale=DIVERGING,
            colorbar={"thickness": 10, "title": {"text": "likeness"}},
            hovertemplate="positions %{y} and %{x}: %{z:.2f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=440,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "position", "constrain": "domain"},
        yaxis={"title": "position", "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
    )
    plot(figure, "positions")


@st.cache_data(max_entries=16, show_spinner=False)
def _similarity(slug: str, version: float) -> NDArray[np.floating] | None:
    model, _ = loaders.model(reading.find(slug))
    return position_similarity(model)
