"""Views of how far back a rung looks: in theory, measured, and through a WaveNet's gates."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.inspect.receptive import Field, Shuffled, measured_field, shuffle_distances, shuffled_past
from core.runs import layout, reading
from core.runs.state import Run
from pages.ui import loaders
from pages.ui.choosers import in_view
from pages.ui.components.charts.curves import curves, plain_curve
from pages.ui.plots.colours import colours, place_of
from pages.ui.plots.figure import figure as plot
from pages.ui.rung_views.absent import of_weights
from pages.ui.wording import GONE


@of_weights
def receptive_field(run: Run) -> None:
    """How much each past character weighs in the next prediction, measured, over the field that could."""
    st.header("How far back it looks")
    if loaders.text_of(run) is None:
        st.caption(f"It is measured on the run’s text: {GONE}")
        return
    config = run.need()
    flops = loaders.cost(config.rung_key, config.model_config_, config.train, len(config.characters)).flops_per_step
    context = getattr(config.model_config_, "context", 64)
    big = flops / config.train.batch_size > 5e8 or loaders.model(run)[0].context is None
    left, right = st.columns(2)
    texts = in_view.choice(
        left.select_slider,
        "Texts",
        (16, 32, 64, 128, 256, 512),
        name="texts",
        default=16 if big else 128,
        key="reach.texts",
        help="Pieces of the validation text over which the gradient's size is averaged.",
    )
    scale = in_view.choice(
        right.segmented_control,
        "Scale",
        ["linear", "logarithmic"],
        name="scale",
        default="linear" if context <= 32 else "logarithmic",
        required=True,
        key="reach.scale",
        help="Logarithmic shows the faint far end too.",
    )
    found = _field(run.slug, _version(run), texts)
    half, most = found.within(0.5), found.within(0.9)
    with st.container(horizontal=True, gap="medium"):
        seen = "all of the past" if found.reach is None else f"{found.reach} characters"
        st.metric("It can see", seen, help="The theoretical field, the current one included.")
        st.metric("Half of the weight", f"last {half}", help="So many characters hold half of the gradient.")
        st.metric("Nine tenths", f"last {most}", help="So many hold 90 % of it.")
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("What the gradient says")
        plot(_field_chart(found, scale == "logarithmic"), "reach")
    with right:
        st.subheader("What order is worth")
        state = _version(run), 64 if big else 512
        st.fragment(_shuffled_chart, run_every=0.2 if _missing(run, *state) else None)(run.slug, *state)
    beyond = found.gradient[found.reach :]
    checked = ""
    if found.reach is None:
        checked = f" The field is unbounded; measured are the last {len(found.gradient):,} characters."
    elif len(beyond):
        checked = f" Beyond the field the largest gradient measured is {beyond.max():.0e}."
    if run.need().model.get("trigrams"):
        checked += " The table of three characters counts at the last of the three."
    st.caption(
        "Size of the gradient of log p(next character) with respect to each embedded character before it, as parts of "
        f"the whole, mean over {found.texts:,} texts. Shaded: the theoretical field.{checked}"
    )


@st.cache_data(max_entries=64, show_spinner="Measuring how far back it looks")
def _field(slug: str, version: float, texts: int) -> Field:
    run = reading.find(slug)
    model, _ = loaders.model(run)
    return measured_field(model, loaders.corpus(run.need().corpus).val_ids, texts)


def _version(run: Run) -> float:
    return (run.path / layout.WEIGHTS).stat().st_mtime


@st.cache_resource(max_entries=64, show_spinner=False)
def _measured(slug: str, version: float, texts: int) -> dict[int, Shuffled]:
    """What was measured so far of a run, by distance."""
    return {}


def _missing(run: Run, version: float, texts: int) -> list[int]:
    known = _measured(run.slug, version, texts)
    length = len(loaders.corpus(run.need().corpus).val_ids)
    return [distance for distance in shuffle_distances(loaders.model(run)[0], length) if distance not in known]


def _shuffled_chart(slug: str, version: float, texts: int) -> None:
    """The price of a past in disorder, by how much of it stands; measured one distance at a time."""
    run, known = reading.find(slug), _measured(slug, version, texts)
    if missing := _missing(run, version, texts):
        ids = loaders.corpus(run.need().corpus).val_ids
        known[missing[-1]] = shuffled_past(loaders.model(run)[0], ids, missing[-1], texts)
        if len(missing) == 1:
            st.rerun()  # draw the page once more, now without the clock
    rows = [known[distance] for distance in sorted(known)]
    price, error = (np.array([getattr(row, name) for row in rows]) for name in ("dearer", "error"))
    line = plain_curve(
        "loss of order",
        "val",
        [row.distance for row in rows],
        price,
        low=price - 1.96 * error,
        high=price + 1.96 * error,
        names=[f"the last {row.distance} stand: {row.loss:.3f} nats" for row in rows],
        hue=place_of(run),
    )
    curves(
        [line],
        live=False,
        key="reach.shuffled",
        palette="reach.shuffled",
        x_label="characters that stand in order",
        y_label="nats dearer than in order",
        log="x",
        height=300,
    )
    enough = next((row.distance for row in rows if row.dearer - 1.96 * row.error <= 0), rows[-1].distance)
    st.caption(
        f"Everything further back is shuffled, and the next character asked for, over {texts:,} texts, the same at "
        f"every distance; band: 95 %, by the standard error of the differences. From {enough:d} characters in order "
        "on, what lies further back may as well be in any order."
        if not missing[:-1]
        else f"Measuring: {len(missing) - 1} distances to go."
    )


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
    end = len(distance) if found.reach is None else found.reach
    figure.add_vrect(-0.5, end - 0.5, fillcolor="gray", opacity=0.12, line_width=0, layer="below")
    axis: dict[str, object] = {"title": "share of the gradient", "tickformat": ".0%"}
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
