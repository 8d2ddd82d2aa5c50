"""Figures that do not refresh: data in, figure out. Colour scales are chosen here and nowhere else."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

SEQUENTIAL = "Cividis"
"""For amounts from zero up; readable without colour vision."""
DIVERGING = "PuOr"
"""For values around zero."""


def visible(character: str) -> str:
    """A character as it can be read on an axis."""
    return {"\n": "↵", " ": "␣", "\t": "⇥"}.get(character, character)


def table_heatmap(
    values: NDArray[np.float64], characters: str, title: str, unit: str, help: str = "%{z:.4f}"
) -> go.Figure:
    """A V × V table: row = the current character, column = the next one."""
    labels = [visible(c) for c in characters]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=labels,
            y=labels,
            colorscale=SEQUENTIAL,
            colorbar={"title": {"text": unit}, "thickness": 10},
            hovertemplate=f"after %{{y}} comes %{{x}}<br>{help} {unit}<extra></extra>",
        )
    )
    figure.update_layout(
        title=title,
        height=560,
        margin={"l": 50, "r": 10, "t": 50, "b": 50},
        xaxis={"title": "next character", "dtick": 1, "tickfont": {"size": 8}, "type": "category"},
        yaxis={
            "title": "current character",
            "dtick": 1,
            "tickfont": {"size": 8},
            "autorange": "reversed",
            "type": "category",
        },
    )
    return figure


def bars(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    x_title: str,
    y_title: str,
    height: int = 320,
    stacked: bool = False,
) -> go.Figure:
    """Bars side by side (or one on another), one colour a series."""
    figure = go.Figure([go.Bar(name=name, x=list(labels), y=list(values)) for name, values in series.items()])
    figure.update_layout(
        height=height,
        barmode="stack" if stacked else "group",
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        xaxis={"title": x_title, "type": "category", "dtick": 1, "tickfont": {"size": 10}},
        yaxis={"title": y_title},
        legend={"orientation": "h", "y": 1.12},
        showlegend=len(series) > 1,
    )
    return figure


def loss_ladder(losses: Mapping[str, float], marks: Sequence[tuple[str, float]]) -> go.Figure:
    """The best validation loss of each rung, with the losses that need no training as dashed lines."""
    names = list(losses)
    figure = go.Figure(
        go.Bar(
            x=names,
            y=list(losses.values()),
            text=[f"{v:.3f}" for v in losses.values()],
            textposition="outside",
            width=0.4,
        )
    )
    for label, value in marks:
        figure.add_hline(value, line_dash="dash", line_width=1, annotation_text=label, annotation_position="top left")
    figure.update_layout(
        height=360,
        margin={"l": 10, "r": 10, "t": 20, "b": 10},
        yaxis={"title": "validation loss (nats per character)", "range": [0, 4.6]},
        xaxis={"type": "category", "range": [-0.5, max(1, len(names)) - 0.5]},
    )
    return figure
