"""Does it heal? What becomes of a model that is trained on without some heads, beside a twin that has them."""

import contextlib

import pandas as pd
import streamlit as st

from core.jobs import control, rankings
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run
from core.studies import healing
from core.studies.healing import Healing
from pages.ui import loaders, state, tell, wording
from pages.ui.components.charts.curves import curves
from pages.ui.run.buttons import state_badge
from pages.ui.run.run_curves import loss_curves

SHARES = {"a tenth": 0.1, "a third": 0.3, "all": 1.0}


@st.cache_data(max_entries=64, show_spinner="Measuring both on the same windows")
def _gap(wounded: str, twin: str, weights: tuple[str, str], step: int | None) -> tuple[float, float]:
    return healing.gap(Healing(reading.find(wounded), reading.find(twin)), step)


def healing_view(run: Run, step: int | None, off: tuple[str, ...]) -> None:
    """Draw the question, and what came of it where it was asked of these heads."""
    st.header("Does it heal?")
    st.caption(
        "Train on from these weights twice, on the same batches: once with these heads silent throughout, the weights "
        "behind them kept at zero, and once untouched. Both begin with a fresh optimiser and a short warm-up. The "
        "wounded run is marked and stands in no ranking."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        steps = st.number_input("Steps", 10, 10_000, 200, step=50, key="healing.steps", width=140)
        share = st.selectbox(
            "Share of the learning rate",
            list(SHARES),
            index=1,
            key="healing.share",
            width=180,
            help=f"Of this run's {run.need().train.learning_rate:g}, constant after the warm-up.",
        )
        st.button(
            f"Train {int(steps):,} more steps",
            icon=":material/healing:",
            type="primary",
            key="healing.start",
            on_click=_start,
            args=(run.slug, step, off, int(steps), SHARES[share]),
            help="Two ordinary runs, one after the other, in the queue.",
        )
    found = [
        pair
        for pair in healing.healings(reading.list_runs())
        if pair.off == off and (start := pair.wounded.need().start) and start.run == run.slug
    ]
    if found:
        busy = any(each.state.active for each in (found[0].wounded, found[0].twin)) or _pricing(found[0])
        (st.fragment(_shown, run_every=2.0) if busy else _shown)(found[0].wounded.slug, found[0].twin.slug, busy)


def _start(slug: str, step: int | None, off: tuple[str, ...], steps: int, share: float) -> None:
    try:
        made = healing.make(loaders.present(slug), step, off, steps, share)
        for each in (made.wounded, made.twin):
            control.start(each)
    except state.PROBLEMS as error:
        state.say_error(error)


def _wanted(pair: Healing) -> list[tuple[Run, int | None]]:
    return [(pair.wounded, 0), (pair.wounded, None), (pair.twin, None)]


def _pricing(pair: Healing) -> bool:
    jobs = [rankings.read(run, at, healing.METHOD) for run, at in _wanted(pair)]
    return any(job is not None and job.active for job in jobs)


def _price(wounded: str, twin: str) -> None:
    try:
        for run, at in _wanted(Healing(loaders.present(wounded), loaders.present(twin))):
            rankings.start(run, at, healing.METHOD)
    except state.PROBLEMS as error:
        state.say_error(error)


def _shown(wounded: str, twin: str, was_busy: bool) -> None:
    """Draw both runs, what sets them apart, and who took over."""
    try:
        pair = Healing(reading.find(wounded), reading.find(twin))
    except state.PROBLEMS as error:
        tell.info(state.told(error), icon=":material/visibility_off:")
        return
    both = pair.wounded, pair.twin
    busy = any(each.state.active for each in both) or _pricing(pair)
    if was_busy and not busy:
        st.rerun()
    for name, each in zip(("Without", "Twin"), both, strict=True):
        st.markdown(
            f"**{wording.plain(name)}** {state_badge(each)} step {each.status.step:,} / {each.status.of:,} · "
            f"validation loss {wording.loss(each.status.val_loss)}"
        )
    curves([c for each in both for c in loss_curves(each)], [], [], live=busy, key="healing.curves", height=240)
    ended = [each for each in both if each.state is State.FINISHED]
    if len(ended) < 2:
        apart = healing.losses_apart(pair)
        if apart:
            at, much = apart[-1]
            st.markdown(f"At step {at:,} the wounded run’s validation loss lies {much:+.4f} nats from its twin’s.")
        return
    weights = (str(pair.wounded.status.ended), str(pair.twin.status.ended))
    with contextlib.suppress(*state.PROBLEMS):
        first, last = (_gap(wounded, twin, weights, at) for at in (0, None))
        found = healing.takeovers(pair)
        st.markdown(wording.plain(healing.verdict(found, first, last)))
        if found:
            _table(pair, healing.takeovers(pair))
        else:
            st.button(
                "Price every head before and after",
                icon=":material/leaderboard:",
                key="healing.price",
                on_click=_price,
                args=(wounded, twin),
                disabled=busy,
                help="Three rankings, by zero, in the queue: of the wounded run at its start and end, and of the twin.",
            )
    with st.container(horizontal=True):
        for name, each in (("without these heads", pair.wounded), ("of the twin", pair.twin)):
            st.page_link(
                "inside/time.py",
                label=f"The heads’ careers {wording.plain(name)}",
                query_params={state.RUN: each.slug},
                icon=":material/history:",
            )


def _table(pair: Healing, found: list[healing.Takeover]) -> None:
    rows = [
        {
            "head": one.key,
            "when the others went": one.before[0],
            "healed": one.after[0],
            "in the twin": one.twin[0],
            "more than the twin": one.more[0],
            "± standard error": one.more[1],
        }
        for one in found
    ]
    st.dataframe(pd.DataFrame(rows).style.format(precision=4), hide_index=True, height=min(420, 38 + 35 * len(rows)))
    st.caption(
        f"What the loss rises, nats a character, when that head alone is off too, by zero, on the windows of the "
        f"board. {len(pair.off)} off throughout. Standard errors as if the two runs’ windows were independent, which "
        "makes them rather too large."
    )
