"""Views of a recurrent network's memory: how far back a gradient survives, and how its gates stand along a text."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.inspect import memory_span as spans
from core.inspect.memory_span import MemorySpan
from core.models.recurrent import RecurrentConfig
from core.runs import layout, reading
from core.runs.openings import openings
from core.runs.state import Run
from pages.ui import loaders
from pages.ui.choosers import in_view, runs
from pages.ui.plots.colours import colours
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import gates_along
from pages.ui.rung_views.absent import of_weights
from pages.ui.wording import GONE, plain

FAINT = 0.01
"""Below this part of what it is one character back the gradient counts as gone."""
GATES_SHOWN = 48


@of_weights
def memory_span(run: Run) -> None:
    """The norm of d loss / d memory over the distance: this run, other cells' best runs, and all cells untrained."""
    st.header("How far back a gradient survives")
    if loaders.text_of(run) is None:
        st.caption(f"It is measured on the run’s text: {GONE}")
        return
    config = run.need()
    back = in_view.choice(
        st.select_slider,
        "Characters back",
        (16, 32, 64, 128),
        name="back",
        default=32,
        key="memory.back",
        help="How far back the loss at one character is differentiated.",
    )
    mine = str(config.model["cell"])
    trained = {mine: run}
    for other in runs.usable_runs().values():
        about = other.need()
        if about.rung_key == config.rung_key and about.corpus_sha256 == config.corpus_sha256:
            trained.setdefault(str(about.model["cell"]), other)
    found = {cell: _span(r.slug, (r.path / layout.WEIGHTS).stat().st_mtime, back) for cell, r in trained.items()}
    fresh = _fresh(config.corpus, config.model_config_.model_dump_json(), back)
    plot(_span_chart(found, fresh), "memory.span")
    st.markdown(f"**{_verdict(found[mine], mine, back)}**")
    compared = ", ".join(cell for cell in found if cell != mine)
    st.caption(
        "Size of the gradient of the loss at one character with respect to all that was carried so many characters "
        f"earlier (state, in an LSTM also its cell), top layer, mean over {found[mine].texts:,} texts, as parts of "
        "what it is one character back. Dotted: the same sizes before the first step."
        + (f" Beside this run: the first finished one with cells {plain(compared)}." if compared else "")
    )


def _verdict(found: MemorySpan, cell: str, back: int) -> str:
    gone, cells = found.survives(FAINT), f"in this run's {plain(cell)} cells"
    if gone >= back:
        return f"{back:,} characters back, {found.share[-1, -1]:.1%} of the gradient is left {cells}."
    return f"Less than {FAINT:.0%} of the gradient is left after {gone + 1:,} characters {cells}."


def _span_chart(found: dict[str, MemorySpan], fresh: dict[str, MemorySpan]) -> go.Figure:
    figure = go.Figure()
    palette = dict(zip(fresh, colours(), strict=False))
    for name, spans_of, dash in (("trained", found, "solid"), ("untrained", fresh, "dot")):
        for cell, span in spans_of.items():
            share = span.share[-1]
            figure.add_trace(
                go.Scatter(
                    x=np.arange(1, len(share) + 1),
                    y=np.where(share > 0, share, np.nan),
                    name=f"{cell}, {name}",
                    line={"dash": dash, "width": 2 if dash == "solid" else 1.4, "color": palette.get(cell)},
                    hovertemplate=f"{cell}, {name}<br>%{{x}} back: %{{y:.2e}}<extra></extra>",
                )
            )
    figure.update_layout(
        height=340,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "characters back"},
        yaxis={"title": "gradient left", "type": "log", "exponentformat": "power", "range": [-8, 1]},
        legend={"orientation": "h", "y": -0.22},
    )
    return figure


@st.cache_data(max_entries=64, show_spinner="Following the gradient back")
def _span(slug: str, version: float, back: int) -> MemorySpan:
    run = reading.find(slug)
    model, _ = loaders.model(run)
    return spans.memory_span(model, loaders.corpus(run.need().corpus).val_ids, back)


@st.cache_data(max_entries=16, show_spinner="Following the gradient back")
def _fresh(corpus: str, model_json: str, back: int) -> dict[str, MemorySpan]:
    text = loaders.corpus(corpus)
    made = spans.untrained(RecurrentConfig.model_validate_json(model_json), text.tokenizer.size)
    return {cell: spans.memory_span(model, text.val_ids, back) for cell, model in made.items()}


@of_weights
def cell_gates(run: Run) -> None:
    """Each gate along a text: the mean over its units, or the units that move most."""
    text = openings(run).passage
    found = _gates(run.slug, (run.path / layout.WEIGHTS).stat().st_mtime, text)
    st.header("The gates along a text")
    if not found:
        st.caption("A plain cell has no gates; GRU and LSTM cells do.")
        return
    names = {path: _gate_name(path, len(found)) for path in found}
    path = in_view.choice(
        st.segmented_control,
        "Gate",
        list(names),
        name="gate",
        format_func=lambda p: names[p],
        default=list(names)[min(1, len(names) - 1)],
        required=True,
        key="memory.gate",
        help="Each gate has one value a unit and character: 1 lets everything through, 0 nothing.",
    )
    values = found[path]
    moving = np.argsort(-values.std(axis=1), kind="stable")[:GATES_SHOWN]
    rows = [f"unit {unit}" for unit in moving]
    plot(gates_along(values[moving], text, rows, "unit", named=False), "memory.gates")
    open_, shut = float((values > 0.9).mean()), float((values < 0.1).mean())
    st.caption(
        f"The {len(moving):,} units whose gate moves most, of {len(values):,}. On this text {open_:.0%} of this gate's "
        f"values are open (above 0.9) and {shut:.0%} shut (below 0.1); the mean is {values.mean():.2f}."
    )


def _gate_name(path: str, count: int) -> str:
    """What a tap such as layers.0.forget_gate is called."""
    _, number, gate = path.split(".")
    name = gate.removesuffix("_gate")
    return f"{name}, layer {number}" if count > 3 else name


@st.cache_data(max_entries=32, show_spinner=False)
def _gates(slug: str, version: float, text: str) -> dict[str, np.ndarray]:
    model, tokenizer = loaders.model(reading.find(slug))
    return dict(spans.gates_along(model, tokenizer.encode(text)))
