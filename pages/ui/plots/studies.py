"""Several runs in one picture: seeds as a band, sweeps as parallel coordinates, loss against cost."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.ladder.registry import RUNGS
from core.runs import records
from core.runs.state import Run
from core.settings import shown
from core.studies.scaling import PowerLaw
from pages.ui.components.charts.curves import Curve, plain_curve
from pages.ui.plots.colours import colours, paper, readable_stops, rung_colours

GREY = 6
"""The place in the theme's colours that no rung of the ladder has."""


def band(family: Sequence[Run]) -> tuple[list[int], np.ndarray] | None:
    """The steps at which all runs of a family were evaluated, and their validation losses (seeds, steps)."""
    curves = [dict(records.validation_curve(run.path)) for run in family]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return (steps, np.array([[curve[step] for step in steps] for curve in curves])) if steps else None


def seed_bands(families: Mapping[str, Sequence[Run]], hues: Mapping[str, int]) -> list[Curve]:
    """Validation loss by step: for each family the mean of its seeds, and the range that they cover.

    `hues` are places in the theme's colours, by the slugs of the runs.
    """
    found = []
    for label, family in families.items():
        if (known := band(family)) is None:
            continue
        steps, losses = known
        noun = "seed" if len(family) == 1 else "seeds"
        ends = {"low": losses.min(axis=0), "high": losses.max(axis=0)} if len(family) > 1 else {}
        title, hue = f"{label} ({len(family)} {noun})", hues[family[0].slug]
        found.append(plain_curve(title, "val", steps, losses.mean(axis=0), hue=hue, **ends))
    return found


def _steep(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= 50


def along(label: str, values: Sequence[object], losses: Sequence[float]) -> go.Figure:
    """The loss over one setting: its values side by side in their order, the lowest loss marked."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    order = sorted(range(len(values)), key=lambda i: (values[i], losses[i]) if numbers else (str(values[i]), losses[i]))
    places = [shown(values[i]) for i in order]
    found = [losses[i] for i in order]
    low = found.index(min(found))
    palette = colours()
    figure = go.Figure(
        go.Scatter(
            x=list(range(len(places))),
            text=places,
            y=found,
            mode="lines+markers" if numbers and len(set(places)) == len(places) else "markers",
            line={"color": palette[0], "width": 2},
            marker={"size": [15 if i == low else 9 for i in range(len(found))], "color": palette[0]},
            hovertemplate="%{text}: %{y:.4f}<extra></extra>",
        )
    )
    figure.add_annotation(x=low, y=found[low], text=f"lowest, {found[low]:.4f}", showarrow=False, yshift=-18)
    figure.update_layout(
        height=320,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        showlegend=False,
        xaxis={"title": label, "tickvals": list(range(len(places))), "ticktext": places},
        yaxis={"title": "validation loss"},
    )
    return figure


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


def loss_against(points: Mapping[str, Sequence[tuple[float, float, str]]], fit: PowerLaw | None) -> list[Curve]:
    """Loss against a cost: of each rung its points (cost, loss, name), and the fit with its band."""
    found = []
    if fit is not None:
        everything = [x for group in points.values() for x, _, _ in group]
        xs = np.geomspace(min(everything), max(everything), 40)
        middle, low, high = np.array([fit.at(float(x)) for x in xs]).T
        found.append(plain_curve("power law, 95 % band", "fit", xs, middle, low=low, high=high, hue=GREY))
    for key, group in points.items():
        costs, losses, names = zip(*sorted(group), strict=True)
        found.append(plain_curve(RUNGS[key].title, "points", costs, losses, names=names, hue=rung_colours()[key]))
    return found
