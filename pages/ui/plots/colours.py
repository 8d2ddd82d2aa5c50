"""Every colour on a chart, for light and dark."""

import math
from collections.abc import Sequence
from itertools import cycle

import plotly.colors
import streamlit as st
from plotly.colors import sample_colorscale

from core.runs.state import Run
from core.studies.standings import key_of, rows
from core.texts.character_classes import CLASSES

SEQUENTIAL = "Cividis"
"""For amounts from zero up; readable without colour vision."""
DIVERGING = "PuOr"
"""For values around zero."""


def colour_table(scale: str) -> bytes:
    """256 colours of a scale, three bytes (red, green, blue) each: for what is drawn on a canvas."""
    steps = [i / 255 for i in range(256)]
    colours = sample_colorscale(scale, steps, colortype="tuple")
    return bytes(round(255 * part) for colour in colours for part in colour)


HIGHER, LOWER = (sample_colorscale(DIVERGING, at, colortype="tuple")[0] for at in (0.2, 0.8))
READABLE = 4.5
"""The least contrast of a text with what lies under it (WCAG 2, AA)."""
BLACK, WHITE = "#000000", "#ffffff"


def tint(value: float, limit: float, fine: float = 0.0) -> tuple[str, str]:
    """Return the CSS colours (fill, ink) of a cell with a value around zero, from the diverging scale.

    The less, the more transparent, so that it suits light and dark pages: in proportion to `limit`, or, with `fine`,
    to the logarithm from there on. The ink of either theme can be read on it.
    """
    size, most = abs(value), max(limit, 1e-12)
    share = math.log1p(size / fine) / math.log1p(most / fine) if fine else size / most
    share = min(1.0, share) if math.isfinite(share) else 0.0
    colour, alpha = HIGHER if value > 0 else LOWER, 0.9 * share
    red, green, blue = (round(255 * part) for part in colour)
    light, dark = (_ink(theme, colour, alpha) for theme in ("light", "dark"))
    return f"rgba({red}, {green}, {blue}, {alpha:.3f})", f"light-dark({light}, {dark})"


def _ink(theme: str, colour: tuple[float, float, float], alpha: float) -> str:
    """The theme's own ink if it can be read on a colour laid over the theme's paper, else black or white."""
    paper, ink = (str(st.get_option(f"theme.{theme}.{name}Color")) for name in ("background", "text"))
    seen = [alpha * part + (1 - alpha) * under for part, under in zip(colour, _parts(paper), strict=True)]
    return (
        ink if contrast(_parts(ink), seen) >= READABLE else max(BLACK, WHITE, key=lambda c: contrast(_parts(c), seen))
    )


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """The contrast of two colours, 1 to 21, from their parts of red, green and blue (WCAG 2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Sequence[float]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _parts(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


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


def class_colours() -> dict[str, str]:
    """One colour for each class of characters, for the theme that the visitor sees. Everywhere a class has it."""
    return dict(zip(CLASSES, cycle(colours()), strict=False))


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
