"""Figures that do not refresh: data in, figure out. Colour scales are chosen here and nowhere else."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from core.texts.labels import code_point, visible
from core.texts.labels import labels as labels_of
from pages.ui.plots.colours import DIVERGING, HIGHER, LOWER, SEQUENTIAL, colours

__all__ = ["visible"]  # pages take it from here


MOST_CHARACTERS = 150
"""A table of more characters than these is drawn of a part of them: a browser draws a million cells slowly."""
FEW = 40
"""Up to so many characters on an axis there is room for each, in letters large enough for any script."""


LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
"""Above the drawing, never over it, however many lines it takes on a narrow screen."""


def table_heatmaps(
    tables: Mapping[str, NDArray[np.float64]],
    characters: str,
    unit: str,
    *,
    values: Mapping[str, NDArray[np.float64]] | None = None,
    digits: int = 4,
    diverging: bool = False,
    often: NDArray[np.float64] | None = None,
) -> go.Figure:
    """V × V tables side by side on one colour scale: row = the current character, column = the next one.

    `values`, if given, are read out under the pointer in place of what is drawn. Of a large alphabet only those that
    occur most `often` (V,) are drawn.
    """
    title = "next character"
    if len(characters) > MOST_CHARACTERS:
        order = np.arange(len(characters)) if often is None else np.argsort(-often, kind="stable")
        at = np.ix_(*[np.sort(order[:MOST_CHARACTERS])] * 2)
        tables = {name: table[at] for name, table in tables.items()}
        values = None if values is None else {name: table[at] for name, table in values.items()}
        title += f" ({MOST_CHARACTERS} {'' if often is None else 'commonest '}of {len(characters):,} are drawn)"
        characters = "".join(characters[i] for i in at[1][0])
    labels = labels_of(characters)
    figure = make_subplots(1, len(tables), subplot_titles=list(tables), shared_yaxes=True, horizontal_spacing=0.02)
    for column, (name, drawn) in enumerate(tables.items(), 1):
        told = "z" if values is None else "customdata"
        hover = f"after %{{y}} comes %{{x}}<br>{name}: %{{{told}:,.{digits}f}} {'' if values else unit}<extra></extra>"
        custom = None if values is None else values[name]
        figure.add_trace(
            go.Heatmap(z=drawn, customdata=custom, x=labels, y=labels, coloraxis="coloraxis", hovertemplate=hover),
            1,
            column,
        )
    few = len(labels) <= FEW
    small = {"size": 12 if few else 8}
    figure.update_xaxes(
        type="category", tickvals=labels if few else labels[::2], tickfont=small, tickangle=0, title=title
    )
    figure.update_yaxes(type="category", tickvals=labels, tickfont=small, autorange="reversed")
    figure.update_yaxes(title="current character", col=1)
    figure.update_layout(
        height=640,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        coloraxis={"colorscale": SEQUENTIAL, "colorbar": {"thickness": 10, "title": {"text": unit}}},
    )
    if diverging:
        figure.update_layout(coloraxis={"colorscale": DIVERGING, "cmid": 0})
    return figure


def character_bars(
    characters: str,
    series: Mapping[str, Sequence[float | None] | NDArray[np.floating]],
    x_title: str,
    y_title: str,
    height: int = 320,
    stacked: bool = False,
    palette: Sequence[str] | None = None,
) -> go.Figure:
    """Bars of characters: under the pointer each says its number and name as well."""
    about, labels = [code_point(c) for c in characters], labels_of(characters)
    hover = "%{x}: %{y:,.6~g}<br>%{customdata}"
    figure = go.Figure(
        [
            go.Bar(name=name, x=labels, y=list(values), customdata=about, hovertemplate=hover)
            for name, values in series.items()
        ]
    )
    figure.update_layout(
        height=height,
        colorway=palette or colours(),
        barmode="stack" if stacked else "group",
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        xaxis={"title": x_title, "type": "category", "tickfont": {"size": 12 if len(labels) <= FEW else 9}},
        yaxis={"title": y_title},
        legend={**LEGEND, "traceorder": "normal"},
        showlegend=len(series) > 1,
    )
    return figure


def contributions(values: NDArray[np.float64], parts: Sequence[str], characters: Sequence[str]) -> go.Figure:
    """What each part (P,) adds to the logit of each character: values (P, V) around zero."""
    labels = labels_of("".join(characters))
    hover = "%{y} adds %{z:.4f} to the logit of %{x}<extra></extra>"
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=labels,
            y=list(parts),
            colorscale=DIVERGING,
            zmid=0,
            hovertemplate=hover,
            colorbar={"thickness": 10},
        )
    )
    small = {"size": 9}
    figure.update_xaxes(
        type="category", tickfont={"size": 12 if len(labels) <= FEW else 9}, tickangle=0, title="character"
    )
    figure.update_yaxes(type="category", tickfont=small, autorange="reversed", dtick=1 if len(parts) < 50 else None)
    figure.update_layout(height=max(260, 90 + 17 * len(parts)), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def heat(values: NDArray[np.float64], columns: Sequence[str], rows: Sequence[str], unit: str) -> go.Figure:
    """A grid of values around zero, the first row on top."""
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(columns),
            y=list(rows),
            colorscale=DIVERGING,
            reversescale=True,
            zmid=0,
            colorbar={"thickness": 10, "title": {"text": unit}},
            hovertemplate=f"%{{y}}, %{{x}}: %{{z:.4f}} {unit}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", tickfont={"size": 9})
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_layout(height=140 + 26 * len(rows), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def gates_along(
    values: NDArray[np.floating], text: str, rows: Sequence[str], title: str, *, named: bool = True
) -> go.Figure:
    """Gates (R, T) along a text, 1 open and 0 shut: a row each, closer together if not `named` at the edge."""
    figure = go.Figure(
        go.Heatmap(
            z=values,
            y=rows,
            zmin=0,
            zmax=1,
            colorscale=SEQUENTIAL,
            colorbar={"thickness": 10, "title": {"text": "gate"}},
            hovertemplate="%{y}, position %{x}: %{z:.2f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=min(620, 130 + max(14 if named else 8, 90 // len(rows)) * len(rows)),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={
            "tickvals": list(range(len(text))),
            "ticktext": [visible(c) for c in text],
            "tickangle": 0,
            "tickfont": {"size": 10},
        },
        yaxis={"title": title, "type": "category", "autorange": "reversed", "showticklabels": named},
    )
    return figure


def changes(values: Mapping[str, tuple[float, float]], y_title: str) -> go.Figure:
    """Values around zero with their standard errors, one bar each."""
    colour = [
        "rgb({}, {}, {})".format(*(round(255 * p) for p in (HIGHER if v > 0 else LOWER))) for v, _ in values.values()
    ]
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=[v for v, _ in values.values()],
            error_y={"array": [se for _, se in values.values()], "thickness": 1},
            marker_color=colour,
            hovertemplate="%{x}: %{y:+.4f} ± %{error_y.array:.4f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=280,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"type": "category"},
        yaxis={"title": y_title, "zeroline": True},
    )
    return figure


def arguments(values: Mapping[str, float], one: str, other: str) -> go.Figure:
    """What speaks for one thing (to the right) and for another (to the left): a bar a name, the first on top."""
    right, left = ("rgb({}, {}, {})".format(*(round(255 * p) for p in colour)) for colour in (HIGHER, LOWER))
    figure = go.Figure(
        go.Bar(
            x=list(values.values()),
            y=list(values),
            orientation="h",
            marker_color=[right if value > 0 else left for value in values.values()],
            hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=90 + 17 * len(values),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        bargap=0.25,
        xaxis={"title": f"← for {other} · for {one} →", "zeroline": True},
        yaxis={"type": "category", "autorange": "reversed", "tickfont": {"size": 10}, "dtick": 1},
    )
    return figure


def chances_over_steps(values: NDArray[np.floating], steps: Sequence[int], characters: Sequence[str]) -> go.Figure:
    """The probability of each of R characters, the first on top, at each of S steps: values (R, S)."""
    labels, columns = labels_of("".join(characters)), [f"{step:,}" for step in steps]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=columns,
            y=labels,
            colorscale=SEQUENTIAL,
            zmin=0,
            hovertemplate="%{y} at step %{x}: %{z:.4f}<extra></extra>",
            colorbar={"thickness": 10, "title": {"text": "probability"}},
        )
    )
    figure.update_xaxes(type="category", tickfont={"size": 10}, tickangle=0, title="step", nticks=12)
    figure.update_yaxes(type="category", tickfont={"size": 12}, autorange="reversed", dtick=1, title="next character")
    figure.update_layout(height=110 + 18 * len(labels), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure
