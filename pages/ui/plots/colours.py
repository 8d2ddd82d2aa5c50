"""Every colour on a chart, for light and dark."""

import math

import plotly.colors
import streamlit as st
from plotly.colors import sample_colorscale

from core.runs.state import Run
from core.studies.standings import key_of, rows

SEQUENTIAL = "Cividis"
"""For amounts from zero up; readable without colour vision."""
DIVERGING = "PuOr"
"""For values around zero."""


def colour_table(scale: str) -> bytes:
    """256 colours of a scale, three bytes (red, green, blue) each: for what is drawn on a canvas."""
    steps = [i / 255 for i in range(256)]
    colours = sample_colorscale(scale, steps, colortype="tuple")
    return bytes(round(255 * part) for colour in colours for part in colour)


DARK_PAPER = 0.09
"""How bright the dark theme's background is, from 0 to 1."""
HIGHER, LOWER = (sample_colorscale(DIVERGING, at, colortype="tuple")[0] for at in (0.2, 0.8))


def tint(value: float, limit: float, fine: float = 0.0) -> tuple[str, str]:
    """Return the CSS colours (fill, ink) of a cell with a value around zero, from the diverging scale.

    The less, the more transparent, so that it suits light and dark pages: in proportion to `limit`, or, with `fine`,
    to the logarithm from there on. Ink is empty where the page's own can be read.
    """
    size, most = abs(value), max(limit, 1e-12)
    share = math.log1p(size / fine) / math.log1p(most / fine) if fine else size / most
    share = min(1.0, share) if math.isfinite(share) else 0.0
    colour, alpha = HIGHER if value > 0 else LOWER, 0.9 * share
    red, green, blue = (round(255 * part) for part in colour)
    seen = [alpha * part + (1 - alpha) * DARK_PAPER for part in colour]
    bright = sum(weight * part**2.2 for weight, part in zip((0.2126, 0.7152, 0.0722), seen, strict=True)) > 0.18
    ink = "#17161a" if bright and st.context.theme.type == "dark" else ""
    return f"rgba({red}, {green}, {blue}, {alpha:.3f})", ink


def paper() -> str:
    """The page's background in the theme that the visitor sees."""
    return str(st.get_option(f"theme.{st.context.theme.type or 'light'}.backgroundColor"))


def readable_stops() -> list[str]:
    """The sequential scale without the end that cannot be told from the page's background: for thin lines."""
    low, high = (0.3, 1.0) if st.context.theme.type == "dark" else (0.0, 0.8)
    found: list[str] = sample_colorscale(SEQUENTIAL, [low + (high - low) * i / 16 for i in range(17)])
    return found


def sequential_stops(count: int = 17) -> list[str]:
    """The sequential scale as colours `rgb(r, g, b)` from 0 to 1, for components that interpolate between them."""
    stops: list[str] = plotly.colors.sample_colorscale(SEQUENTIAL, count, colortype="rgb")
    return stops


def diverging_stops(count: int = 17) -> list[str]:
    """The same of the diverging scale, from the lowest value to the highest."""
    stops: list[str] = plotly.colors.sample_colorscale(DIVERGING, count, colortype="rgb")
    return stops


def colours() -> list[str]:
    """The theme's categorical colours, for the theme that the visitor sees."""
    kind = st.context.theme.type or "light"
    found = st.get_option(f"theme.{kind}.chartCategoricalColors")
    return list(found or [])


def graded_colours(count: int) -> list[str]:
    """Colours from dark to light for things that have an order, apart in brightness."""
    found: list[str] = sample_colorscale(SEQUENTIAL, [i / max(1, count - 1) for i in range(count)])
    return found


RUNG_PLACES = (0, 2, 3, 4, 7, 1, 6, 5)
"""Places in the theme's colours, far apart: rungs take them from the front, variants from the back."""


def rung_colours() -> dict[str, int]:
    """One colour for each line of the ladder, by its key: places in the theme's colours. Everywhere a rung has it."""
    keys = [key for key, _ in rows()]
    rungs, variants = ([key for key in keys if key.endswith("+") is other] for other in (False, True))
    ends = ((rungs, RUNG_PLACES), (variants, RUNG_PLACES[::-1]))
    return {key: places[i % len(places)] for these, places in ends for i, key in enumerate(these)}


def place_of(run: Run) -> int:
    """The place of a run's rung in the theme's colours."""
    return rung_colours()[key_of(run)]


def rung_colour(key: str) -> str:
    """The colour of a line of the ladder, in the theme that the visitor sees."""
    palette = colours()
    return palette[rung_colours()[key] % len(palette)] if palette else "gray"
