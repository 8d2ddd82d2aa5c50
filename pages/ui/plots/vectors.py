"""Figures of vectors: maps of them, who resembles whom, and how likeness falls off with distance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from pages.ui.plots.colours import DIVERGING, SEQUENTIAL, class_colours, colours
from pages.ui.plots.figures import FEW

Array = NDArray[np.float64]


def vector_map(
    places: Array,
    labels: Sequence[str],
    about: Sequence[str],
    colour: Sequence[str] | Array,
    axes: Sequence[str],
    chosen: int,
    near: Sequence[int],
    joined: bool = False,
) -> go.Figure:
    """A map of N vectors at places (N, 2 or 3), labelled, coloured by class (words) or by amount (numbers).

    The chosen one and those near it are ringed; `joined` draws a line from each to the next.
    """
    spatial = places.shape[1] == 3
    scatter: Any = go.Scatter3d if spatial else go.Scatter

    def points(rows: Sequence[int], **how: Any) -> Any:
        xyz = {name: places[list(rows), i] for i, name in enumerate("xyz"[: places.shape[1]])}
        return scatter(**xyz, **how)

    figure = go.Figure()
    everyone = list(range(len(labels)))
    if joined:
        line = {"width": 1.5 if spatial else 1, "color": "rgba(128,128,128,0.45)"}
        figure.add_trace(points(everyone, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    ring = {"size": 17, "symbol": "circle-open", "line": {"width": 2}}
    for rows, name, dash in (([chosen], "chosen", 3), (list(near), "nearest", 1.5)):
        ring = {**ring, "line": {"width": dash}, "color": "rgba(128,128,128,0.9)"}
        figure.add_trace(points(rows, mode="markers", marker=ring, name=name, hoverinfo="skip", showlegend=False))
    groups: dict[str, list[int]] = {}
    named = not isinstance(colour, np.ndarray)
    for i in everyone:
        groups.setdefault(str(colour[i]) if named else "", []).append(i)
    hues = class_colours()
    keep = {"marker": {"opacity": 1.0}, "textfont": {}}
    for name, rows in sorted(groups.items(), key=lambda group: list(hues).index(group[0]) if group[0] in hues else -1):
        marker: dict[str, Any] = {"size": 5 if spatial else 8}
        if name in hues:
            marker["color"] = hues[name]
        if not named:
            shade = {"thickness": 10}
            marker |= {
                "color": np.asarray(colour)[rows],
                "colorscale": SEQUENTIAL,
                "showscale": True,
                "colorbar": shade,
            }
        words = "markers+text" if len(labels) <= 130 else "markers"
        figure.add_trace(
            points(
                rows,
                mode=words,
                text=[labels[i] for i in rows],
                customdata=rows,
                hovertext=[about[i] for i in rows],
                hovertemplate="%{hovertext}<extra></extra>",
                name=name,
                showlegend=named,
                marker=marker,
                textposition="top center",
                **({} if spatial else {"selected": keep, "unselected": keep, "cliponaxis": False}),
            )
        )
    figure.update_layout(
        height=560,
        colorway=colours(),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top"},
        clickmode="event+select",
    )
    if spatial:
        figure.update_scenes({f"{name}axis": {"title": {"text": axes[i]}} for i, name in enumerate("xyz")})
    else:
        figure.update_xaxes(title=axes[0], zeroline=False)
        low, high = places[:, 1].min(), places[:, 1].max()
        room = 0.08 * (high - low) or 1.0  # for the label of the highest
        figure.update_yaxes(title=axes[1], zeroline=False, scaleanchor="x", range=(low - room, high + room))
    return figure


def resemblance(values: Array, labels: Sequence[str], what: str, diverging: bool, title: str) -> go.Figure:
    """Who resembles whom: values (N, N), rows and columns in the order given."""
    hover = f"%{{y}} and %{{x}}: %{{z:.3f}}<extra>{what}</extra>"
    ends = {"zmin": -1, "zmax": 1} if diverging else {"zmin": 0}
    scale = DIVERGING if diverging else SEQUENTIAL
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(labels),
            y=list(labels),
            colorscale=scale,
            reversescale=not diverging,
            hovertemplate=hover,
            colorbar={"thickness": 10, "title": {"text": what, "side": "right"}},
            **ends,
        )
    )
    small = {"size": 7.5 if len(labels) > FEW else 12}  # the smaller has room for 65 on a laptop; others are left out
    figure.update_xaxes(type="category", tickfont=small, tickangle=0, title=title)
    figure.update_yaxes(type="category", tickfont=small, autorange="reversed", scaleanchor="x", constrain="domain")
    figure.update_xaxes(constrain="domain")
    figure.update_layout(height=680, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def by_distance(values: Array, what: str) -> go.Figure:
    """How much positions resemble each other at each distance: the mean of values (T, T) along each diagonal."""
    mean = [float(values.diagonal(d).mean()) for d in range(len(values))]
    figure = go.Figure(go.Scatter(x=list(range(len(mean))), y=mean, mode="lines", hovertemplate="%{x}: %{y:.3f}"))
    figure.add_hline(0, line_width=1, line_color="rgba(128,128,128,0.5)")
    figure.update_layout(
        height=280,
        colorway=colours(),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "distance between two positions"},
        yaxis={"title": what},
        showlegend=False,
    )
    return figure
