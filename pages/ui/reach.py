"""Views of how far back a rung looks: in theory, measured, and through a WaveNet's gates."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core import runs
from core.inspect.gates import gates
from core.inspect.receptive import Field, measured_field
from core.openings import openings
from core.runs import Run
from pages.ui import cached
from pages.ui.charts import SEQUENTIAL, colours, visible
from pages.ui.components.picture import picture
from pages.ui.pictures import tree
from pages.ui.prompt import begin, known
from pages.ui.words import plain

LONGEST = 200


def receptive_field(run: Run) -> None:
    """How much each past character weighs in the next prediction, measured, over the field that could."""
    if not run.usable:
        return
    st.subheader("How far back it looks")
    config = run.need()
    flops = cached.cost(config.stage, config.model_config_, config.train, len(config.characters)).flops_per_step
    context = getattr(config.model_config_, "context", 64)
    big = flops / config.train.batch_size > 5e8
    left, right = st.columns(2)
    texts = left.select_slider(
        "Texts",
        (16, 32, 64, 128, 256, 512),
        value=16 if big else 128,
        key="reach.texts",
        help="Pieces of the validation text over which the gradient's size is averaged.",
    )
    scale = right.segmented_control(
        "Scale",
        ["linear", "logarithmic"],
        default="linear" if context <= 32 else "logarithmic",
        required=True,
        key="reach.scale",
        help="Logarithmic shows the faint far end too.",
    )
    found = _field(run.slug, (run.path / runs.WEIGHTS).stat().st_mtime, int(texts))
    half, most = found.within(0.5), found.within(0.9)
    with st.container(horizontal=True, gap="medium"):
        st.metric("It can see", f"{found.reach} characters", help="The theoretical field, the current one included.")
        st.metric("Half of the weight", f"last {half}", help="So many characters hold half of the gradient.")
        st.metric("Nine tenths", f"last {most}", help="So many hold 90 % of it.")
    st.plotly_chart(_field_chart(found, scale == "logarithmic"), key="reach")
    beyond = found.gradient[found.reach :]
    checked = ""
    if len(beyond):
        checked = f" Beyond the field the largest gradient measured is {beyond.max():.0e}."
    if run.need().model.get("trigrams"):
        checked += " The table of three characters counts at the last of the three."
    st.caption(
        "Size of the gradient of log p(next character) with respect to each embedded character before it, as parts of "
        f"the whole, mean over {found.texts:,} texts. Shaded: the theoretical field.{checked}"
    )


@st.cache_data(max_entries=64, show_spinner="Measuring how far back it looks")
def _field(slug: str, version: float, texts: int) -> Field:
    run = runs.find(slug)
    model, _ = cached.model(run)
    return measured_field(model, cached.corpus(run.need().corpus).val_ids, texts)


def _field_chart(found: Field, logarithmic: bool) -> go.Figure:
    distance = np.arange(len(found.gradient))
    share = found.share
    figure = go.Figure(
        go.Bar(
            x=distance,
            y=share,
            marker={"color": colours()[0] if colours() else None},
            hovertemplate="%{x} back: %{y:.2%}<extra></extra>",
        )
    )
    figure.add_vrect(-0.5, found.reach - 0.5, fillcolor="gray", opacity=0.12, line_width=0, layer="below")
    axis = {"title": "share of the gradient", "tickformat": ".0%"}
    if logarithmic:
        seen = share[share > 0]
        low = np.log10(seen.min()) - 0.2 if len(seen) else -6
        axis = {"title": "share of the gradient", "type": "log", "range": [max(low, -8), 0], "tickformat": ".0e"}
    figure.update_layout(
        height=300,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        bargap=0.15,
        xaxis={"title": "characters back", "range": [len(distance) - 0.5, -0.5]},
        yaxis=axis,
    )
    return figure


def _typed(run: Run) -> str | None:
    """A text to look at; None, with a word why, if the model cannot read it."""
    usual = openings(run).sentence
    begin("reach.text", usual, None, LONGEST)
    text = st.text_area(
        "Text",
        key="reach.text",
        max_chars=LONGEST,
        height=80,
        persist_state="session",
        help="What the model reads below. Only characters of its alphabet.",
    )
    return known(text, cached.model(run)[1], "reach.text", usual) or None


def dilations(run: Run) -> None:
    """Which characters feed a prediction through the dilated layers, and what the gates let through on the way."""
    st.subheader("Which characters meet where")
    if not run.usable:
        st.info("The tree appears here when the first weights are saved.", icon=":material/account_tree:")
        return
    text = _typed(run)
    if text is None:
        return
    at = len(text)
    if len(text) > 1:
        at = st.slider(
            "The character after which it predicts",
            1,
            len(text),
            len(text),
            key="reach.at",
            help="Counted from the start of the text; the tree shows what this prediction is made of.",
        )
    config = run.need().model_config_
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
    found = _gate_values(run.slug, (run.path / runs.WEIGHTS).stat().st_mtime, text)
    if not len(found):
        st.caption("The variant fuse has no gates.")
        return
    st.markdown("**The gates along the text**")
    layers = ["all layers", *(f"layer {i + 1}" for i in range(len(found)))]
    chosen = st.segmented_control(
        "Gates of",
        layers,
        default=layers[0],
        required=True,
        key="reach.layer",
        help="One layer shows each of its channels; all layers shows the mean over the channels.",
    )
    if chosen == layers[0]:
        values, rows, title = found.mean(axis=1), layers[1:], "mean over the channels"
    else:
        values = found[layers.index(chosen) - 1]
        rows, title = [str(c) for c in range(len(values))], "channel"
    st.plotly_chart(_gate_map(values, rows, title, text), key="gates")
    open_, shut = float((found > 0.9).mean()), float((found < 0.1).mean())
    st.caption(
        f"1 lets everything through, 0 nothing. On this text {open_:.0%} of all gates are open (above 0.9) and "
        f"{shut:.0%} shut (below 0.1)."
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _gate_values(slug: str, version: float, text: str) -> np.ndarray:
    model, tokenizer = cached.model(runs.find(slug))
    return gates(model, tokenizer.encode(text))


def _gate_map(values: np.ndarray, rows: list[str], title: str, text: str) -> go.Figure:
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
        height=min(620, 130 + max(14, 90 // len(rows)) * len(rows)),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={
            "tickvals": list(range(len(text))),
            "ticktext": [visible(c) for c in text],
            "tickangle": 0,
            "tickfont": {"size": 10},
        },
        yaxis={"title": title, "type": "category", "autorange": "reversed"},
    )
    return figure
