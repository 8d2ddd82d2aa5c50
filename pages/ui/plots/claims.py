"""The figure of a claim."""

import math

import plotly.graph_objects as go

from core.studies.claims.claim import Picture
from pages.ui.plots.colours import colours
from pages.ui.plots.figures import LEGEND

MARGIN = {"l": 10, "r": 10, "t": 30, "b": 10}


def _narrow(picture: Picture) -> bool:
    """True if all heights are within a factor of ten, where powers of ten alone would mark hardly anything."""
    heights = [point.y for series in picture.series for point in series.points if point.y > 0]
    return bool(heights) and max(heights) < 10 * min(heights)


def claim_chart(picture: Picture) -> go.Figure:
    """Means with their intervals, against a number or for a few things with names."""
    figure = go.Figure()
    for series in picture.series:
        halves = [point.half if math.isfinite(point.half) else 0.0 for point in series.points]
        figure.add_scatter(
            x=[point.x for point in series.points],
            y=[point.y for point in series.points],
            error_y={"array": halves, "thickness": 1.5, "width": 5},
            mode="lines+markers" if series.joined else "markers",
            marker={"size": 9},
            name=series.name,
            hovertemplate="%{x}: %{y:.4f} ± %{error_y.array:.4f}<extra>" + series.name + "</extra>",
        )
    named = any(isinstance(point.x, str) for series in picture.series for point in series.points)
    places = sorted({point.x for series in picture.series for point in series.points if not isinstance(point.x, str)})
    x_axis: dict[str, object] = {"title": picture.x_title or None}
    if named:
        x_axis |= {"type": "category", "tickangle": 0}
    elif picture.x_log:
        x_axis |= {"type": "log", "tickvals": places, "ticktext": [f"{place:,g}" for place in places]}
    y_axis: dict[str, object] = {"title": picture.y_title, "nticks": 6}
    if picture.y_log:
        y_axis |= {"type": "log", "exponentformat": "power", "dtick": "D2" if _narrow(picture) else 1}
    figure.update_layout(
        height=300,
        margin=MARGIN,
        colorway=colours(),
        xaxis=x_axis,
        yaxis=y_axis,
        legend=LEGEND,
        showlegend=len(picture.series) > 1,
    )
    return figure
