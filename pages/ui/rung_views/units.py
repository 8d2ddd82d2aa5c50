"""What single hidden units do along a text: those that follow the line, a speaker's name, the start of a word."""

import numpy as np
import pandas as pd
import streamlit as st

from core.inspect import units as inspect_units
from core.inspect.units import PROPERTIES, UnitCorrelations, hidden_layers
from core.runs import layout, reading
from core.runs.openings import openings, passage
from core.runs.state import Run
from core.texts.labels import visible
from pages.ui import loaders
from pages.ui.choosers import in_view
from pages.ui.components.texts.shaded_text import shaded_text
from pages.ui.rung_views.absent import of_weights
from pages.ui.wording import GONE, inline, plain

MEASURED = 2048
"""Characters of the validation text over which units are correlated with it."""
SHOWN = 600
"""Characters that are shaded."""
LISTED = 12
"""Units offered for a property."""


@of_weights
def units(run: Run) -> None:
    """Each unit's activation shaded over a text, the units sorted by what they follow."""
    corpus = loaders.text_of(run)
    model, tokenizer = loaders.model(run)
    layers = list(hidden_layers(model))
    st.header("What single units follow")
    if corpus is None:
        st.caption(f"They are followed along the run’s text: {GONE}")
        return
    if not layers:
        st.caption("This model has no hidden layer.")
        return
    version = (run.path / layout.WEIGHTS).stat().st_mtime
    *first, middle, right = st.columns(3 if len(layers) > 1 else 2)
    layer = layers[-1]
    for left in first:
        layer = in_view.choice(
            left.selectbox,
            "Layer",
            layers,
            name="layer",
            default=layers[-1],
            key="units.layer",
            help="The hidden layer whose units are looked at.",
        )
    what = in_view.choice(
        middle.selectbox,
        "Sorted by",
        list(PROPERTIES),
        name="property",
        key="units.what",
        help="Units whose activation goes up and down with this property of the text come first, whatever the sign.",
    )
    found = _followed(run.slug, version, layer)
    row = found.correlations[list(PROPERTIES).index(what)]
    order = found.order(what)
    unit = in_view.choice(
        right.selectbox,
        "Unit",
        order,
        name="unit",
        key=f"units.unit.{what}",
        format_func=lambda u: f"unit {u}: {_signed(row[u], 2)}",
        help="Best first; the number is the correlation, from −1 to 1. Every unit of the layer can be chosen.",
    )
    shown = passage(corpus.text[corpus.split :], 0, SHOWN) or openings(run).passage
    values = _along(run.slug, version, layer, tuple(tokenizer.encode(shown)))[:, unit]
    limit = float(np.abs(values).max())
    shaded_text(shown, values.tolist(), limit, label=f"Unit {unit} along a text", key="units.text")
    st.caption(
        f"Unit {unit:,} after each character, one colour below zero and one above, as strong as the value; point at a "
        f"character for it. Along {found.characters:,} characters of the validation text its correlation is "
        + plain(_said(found, unit))
        + "."
    )
    _pushes(run, version, layer, unit, tokenizer.chars)
    with st.expander(f"The {LISTED} units that follow {plain(what)} best"):
        _table(found, order[:LISTED])


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits:d}f}".replace("-", "−")


def _said(found: UnitCorrelations, unit: int) -> str:
    """How a unit correlates with each property."""
    numbers = zip(PROPERTIES, found.correlations[:, unit], strict=True)
    return ", ".join(f"{_signed(r, 3)} with {name}" for name, r in numbers)


def _pushes(run: Run, version: float, layer: str, unit: int, characters: str) -> None:
    """Say which characters a unit makes likelier directly, if it writes to the logits or to a residual stream."""
    added = _pushed(run.slug, version, layer, unit)
    if added is None:
        return
    order = np.argsort(-added, kind="stable")

    def most(chosen: np.ndarray) -> str:
        return " · ".join(f"{inline(visible(characters[i]))} {_signed(added[i], 2)}" for i in chosen)

    st.markdown(f"**Promotes** {most(order[:6])}  \n**Suppresses** {most(order[::-1][:6])}")
    st.caption("What one more of its activation adds directly to the logits, less the mean over all characters.")


def _table(found: UnitCorrelations, chosen: list[int]) -> None:
    columns = {name: found.correlations[k, chosen] for k, name in enumerate(PROPERTIES)}
    st.dataframe(
        pd.DataFrame({"unit": chosen, **columns}),
        hide_index=True,
        column_config={
            "unit": st.column_config.NumberColumn("Unit", help="Its number in the layer."),
            **{
                name: st.column_config.NumberColumn(
                    name.capitalize(), format="%+.3f", help="Pearson's correlation along the measured text."
                )
                for name in PROPERTIES
            },
        },
    )


@st.cache_data(max_entries=64, show_spinner="Correlating units with the text")
def _followed(slug: str, version: float, layer: str) -> UnitCorrelations:
    run = reading.find(slug)
    model, tokenizer = loaders.model(run)
    corpus = loaders.corpus(run.need().corpus)
    text = corpus.text[corpus.split :][:MEASURED]
    return inspect_units.correlate_units(model, tokenizer.encode(text), text, layer)


@st.cache_data(max_entries=64, show_spinner=False)
def _along(slug: str, version: float, layer: str, ids: tuple[int, ...]) -> np.ndarray:
    model, _ = loaders.model(reading.find(slug))
    return inspect_units.activations(model, list(ids), layer)


@st.cache_data(max_entries=256, show_spinner=False)
def _pushed(slug: str, version: float, layer: str, unit: int) -> np.ndarray | None:
    run = reading.find(slug)
    model, tokenizer = loaders.model(run)
    corpus = loaders.corpus(run.need().corpus)
    ids = tokenizer.encode(corpus.text[corpus.split :][:256])
    return inspect_units.direct_logit_effect(model, ids, layer, unit)
