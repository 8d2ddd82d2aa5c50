"""The WaveNet's dilated layers and their gates."""

import numpy as np
import streamlit as st

from core.inspect.receptive import gates
from core.models.wavenet import WaveNetConfig
from core.runs import layout, reading
from core.runs.openings import openings
from core.runs.state import Run
from core.texts.labels import visible
from pages.ui import loaders
from pages.ui.choosers import in_view
from pages.ui.choosers.prompt import known
from pages.ui.components.pictures.picture import picture
from pages.ui.drawings.rungs import tree
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import gates_along
from pages.ui.rung_views.absent import of_weights
from pages.ui.wording import plain

LONGEST = 200


def _typed(run: Run) -> str | None:
    """A text to look at; None, with a word why, if the model cannot read it."""
    usual = openings(run).sentence
    text = in_view.text(
        st.text_area,
        "Text",
        name="reads",
        default=usual,
        longest=LONGEST,
        height=80,
        help="What the model reads below. Only characters of its alphabet.",
    )
    return known(text, loaders.model(run)[1], "reads", usual) or None


@of_weights
def dilations(run: Run) -> None:
    """Which characters feed a prediction through the dilated layers, and what the gates let through on the way."""
    st.header("Which characters meet where")
    text = _typed(run)
    if text is None:
        return
    at = len(text)
    if len(text) > 1:
        at = in_view.number(
            st.slider,
            "The character after which it predicts",
            1,
            len(text),
            name="at",
            default=len(text),
            help="Counted from the start of the text; the tree shows what this prediction is made of.",
        )
    config = run.need().model_config_
    assert isinstance(config, WaveNetConfig)
    st.caption(
        f"What comes after “{plain(visible(text[at - 1]))}”? Each layer joins two positions; hover a node to see the "
        "characters it has heard from. Before the text there is nothing."
    )
    picture(
        tree(config.dilations, text[:at]),
        "Tree of the positions that feed the prediction, layer by layer",
        key="dilation-tree",
    )
    _gates(run, text)


def _gates(run: Run, text: str) -> None:
    found = _gate_values(run.slug, (run.path / layout.WEIGHTS).stat().st_mtime, text)
    if not len(found):
        st.caption("The variant fuse has no gates.")
        return
    st.markdown("**The gates along the text**")
    layers = ["all layers", *(f"layer {i + 1}" for i in range(len(found)))]
    chosen = in_view.choice(
        st.segmented_control,
        "Gates of",
        layers,
        name="gates",
        required=True,
        key="reach.layer",
        help="One layer shows each of its channels; all layers shows the mean over the channels.",
    )
    if chosen == layers[0]:
        values, rows, title = found.mean(axis=1), layers[1:], "mean over the channels"
    else:
        values = found[layers.index(chosen) - 1]
        rows, title = [str(c) for c in range(len(values))], "channel"
    plot(gates_along(values, text, rows, title), "gates")
    open_, shut = float((found > 0.9).mean()), float((found < 0.1).mean())
    st.caption(
        f"1 lets everything through, 0 nothing. On this text {open_:.0%} of all gates are open (above 0.9) and "
        f"{shut:.0%} shut (below 0.1)."
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _gate_values(slug: str, version: float, text: str) -> np.ndarray:
    model, tokenizer = loaders.model(reading.find(slug))
    return gates(model, tokenizer.encode(text))
