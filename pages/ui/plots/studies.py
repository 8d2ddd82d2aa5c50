"""Figures over several runs that do not refresh: seeds as a band, sweeps as parallel coordinates, loss against cost."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.ladder.registry import RUNGS
from core.runs import records
from core.runs.state import Run
from core.studies.scaling import PowerLaw
from pages.ui.plots.colours import colours, paper, readable_stops, rung_colour
from pages.ui.plots.figures import LEGEND

MARGIN = {"l": 10, "r": 10, "t": 30, "b": 10}


def _faint(colour: str, share: float) -> str:
    """A #rrggbb colour, mostly transparent."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def band(family: Sequence[Run]) -> tuple[list[int], np.ndarray] | None:
    """The steps at which all runs of a family were evaluated, and their validation losses (seeds, steps)."""
    curves = [dict(records.validation_curve(run.path)) for run in family]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return (steps, np.array([[curve[step] for step in steps] for curve in curves])) if steps else None


def seed_bands(families: Mapping[str, Sequence[Run]], places: Sequence[int]) -> go.Figure:
    """Validation loss by step: for each family the mean of its seeds, and the range that they cover.

    `places` are those of the families in the theme's colours.
    """
    figure = go.Figure()
    palette = colours() or ["#0072b2", "#d55e00", "#009e73"]
    for place, (label, family) in zip(places, families.items(), strict=True):
        found = band(family)
        if found is None:
            continue
        steps, losses = found
        colour = palette[place % len(palette)]
        if len(family) > 1:
            figure.add_scatter(
                x=[*steps, *reversed(steps)],
                y=[*losses.max(axis=0), *reversed(losses.min(axis=0))],
                fill="toself",
                fillcolor=_faint(colour, 0.2),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        noun = "seed" if len(family) == 1 else "seeds"
        figure.add_scatter(
            x=steps,
            y=losses.mean(axis=0),
            name=f"{label} ({len(family)} {noun})",
            mode="lines+markers",
            line={"color": colour, "width": 2.5},
            hovertemplate="step %{x:,}: %{y:.4f}",
        )
    figure.update_layout(
        height=380,
        margin=MARGIN,
        hovermode="x unified",
        xaxis={"title": "step"},
        yaxis={"title": "validation loss (nats per character)"},
        legend=LEGEND,
    )
    return figure


def _steep(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= 50


def parallel(columns: Mapping[str, Sequence[object]], losses: Sequence[float]) -> go.Figure:
    """A line a run through its settings to its loss; drag along an axis to pick a range."""
    dimensions = []
    for name, values in columns.items():
        label = name.split(".")[-1]
        numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(values):
            steep = _steep(numbers)
            places = [math.log10(v) if steep else v for v in numbers]
            ticks = dict(zip(places, (f"{v:g}" for v in values), strict=True))
            kept = sorted(ticks)[:: max(1, len(ticks) // 8)]
            told = [ticks[t] for t in kept]
            dimensions.append({"label": label, "values": places, "tickvals": kept, "ticktext": told})
        else:
            kinds = sorted({str(v) for v in values})
            places = [kinds.index(str(v)) for v in values]
            dimensions.append(
                {"label": label, "values": places, "tickvals": list(range(len(kinds))), "ticktext": kinds}
            )
    dimensions.append({"label": "validation loss", "values": list(losses), "tickformat": ".3f"})
    figure = go.Figure(
        go.Parcoords(
            line={"color": list(losses), "colorscale": readable_stops(), "showscale": False},
            dimensions=dimensions,
            tickfont={"shadow": f"0 0 2px {paper()}, 0 0 2px {paper()}"},  # Plotly's own is white in the dark too
        )
    )
    figure.update_layout(height=380, margin={"l": 60, "r": 60, "t": 50, "b": 20})
    return figure


def loss_against(
    points: Mapping[str, Sequence[tuple[float, float, str]]], x_title: str, fit: PowerLaw | None
) -> go.Figure:
    """Loss against a cost on logarithmic axes: by rung, points (cost, loss, name), and the fit with its band."""
    figure = go.Figure()
    everything = [x for group in points.values() for x, _, _ in group]
    if fit is not None:
        xs = np.geomspace(min(everything), max(everything), 40)
        middle, low, high = np.array([fit.at(float(x)) for x in xs]).T
        figure.add_scatter(
            x=[*xs, *xs[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor="rgba(128,128,128,0.2)",
            line={"width": 0},
            hoverinfo="skip",
            name="95 % band",
        )
        figure.add_scatter(x=xs, y=middle, mode="lines", line={"color": "gray", "dash": "dash"}, name="power law")
    for key, group in points.items():
        figure.add_scatter(
            x=[x for x, _, _ in group],
            y=[y for _, y, _ in group],
            text=[name for _, _, name in group],
            name=RUNGS[key].title,
            mode="markers",
            marker={"size": 9, "color": rung_colour(key)},
            hovertemplate=f"%{{text}}<br>{x_title} %{{x:.4g}}<br>validation loss %{{y:.4f}}<extra></extra>",
        )
    figure.update_layout(
        height=420,
        margin=MARGIN,
        xaxis={"title": x_title, "type": "log", "exponentformat": "SI", "dtick": "D2"},
        yaxis={"title": "validation loss (nats per character)", "type": "log", "tickformat": ".2f", "nticks": 8},
        legend=LEGEND,
    )
    return figure
