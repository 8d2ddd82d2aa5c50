"""The class: who trains, who waits, how far each has come, how many may wait, and links for a lesson."""

import zlib
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.jobs import control
from core.runs import owners, reading
from core.runs.folder import State
from core.runs.state import Run
from core.studies import classroom
from core.studies.classroom import Learner
from core.texts.corpus import available
from pages.ui import loaders, state, tell, wording
from pages.ui.address import number_from_url
from pages.ui.choosers.text import text_picker
from pages.ui.course.link_builder import link_builder

ROWS, PAGE = 50, "page"
"""Learners of one page of the table, and the parameter of the address that says which."""
COUNTS = ("runs", "training", "waiting", "latest")
MOST = 100
"""Runs under way that are listed."""


def under_way() -> list[Run]:
    """Every run that trains or waits, as it is now: those that train first, then in the order in which they came."""
    runs = [control.look_after(reading.read(run.path)) for run in loaders.listing(within=1.0) if run.state.active]
    return sorted(
        (run for run in runs if run.state.active), key=lambda run: (run.state is State.QUEUED, run.status.queued)
    )


def stop(slugs: Sequence[str]) -> None:
    """Stop what was ticked, and say what could not be."""
    stopped = state.do_each(slugs, lambda slug: control.stop(loaders.present(slug)))
    if stopped:
        state.say_next(f"Asked {stopped} to stop" if stopped > 1 else "Asked it to stop")


@st.fragment(run_every=3.0)
def now() -> None:
    """Who trains and who waits, with a way to stop any."""
    state.notices()
    runs = under_way()
    training = sum(run.state is not State.QUEUED for run in runs)
    st.markdown(f"**{training:d}** {'trains' if training == 1 else 'train'}, **{len(runs) - training:d}** wait")
    if not runs:
        return
    rows = [
        {
            "who": run.owner,
            "state": str(run.state),
            "step": run.status.step / max(1, run.status.of),
            "val": run.status.val_loss,
            "left": "–" if run.status.eta_seconds is None else wording.duration(run.status.eta_seconds),
            "device": wording.device(run.status.device, run.status.devices),
            "run": run.name,
        }
        for run in runs[:MOST]
    ]
    event = st.dataframe(
        pd.DataFrame(rows),
        column_config={
            "who": st.column_config.TextColumn("Learner", width=180, pinned=True, help="Who started it."),
            "run": st.column_config.TextColumn("Run", help="What it is called."),
            "state": st.column_config.TextColumn("State", width=84, help="What it does now."),
            "step": st.column_config.ProgressColumn("Done", width=110, format="percent", help="Of its steps."),
            "val": st.column_config.NumberColumn("Val loss", width=76, format="%.4f", help="Nats a character."),
            "left": st.column_config.TextColumn("Left", width=90, help="Until its last step, at its present speed."),
            "device": st.column_config.TextColumn("Device", width=60, help="What it is computed on, or waits for."),
        },
        hide_index=True,
        height="content" if len(rows) < 7 else 260,
        placeholder="–",
        on_select="rerun",
        selection_mode="multi-row",
        key=f"class.now.{zlib.crc32(' '.join(run.slug for run in runs[:MOST]).encode())}",
    )
    ticked = [runs[i].slug for i in event.selection.rows if i < len(rows)]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Stop {len(ticked)} ticked" if ticked else "Stop",
            icon=":material/stop:",
            key="class.stop",
            disabled=not ticked,
            on_click=stop,
            args=(ticked,),
            help="Each finishes its step, saves its weights and ends; its owner can resume it.",
        )
        if len(runs) > MOST:
            st.caption(f"and {len(runs) - MOST:,} more that wait", width="content")


def limit() -> None:
    """How many runs of one owner may wait."""

    def changed() -> None:
        most = st.session_state["class.limit"]
        try:
            owners.set_most_waiting(None if most is None else int(most))
        except state.PROBLEMS as error:
            state.say_error(error)

    st.session_state["class.limit"] = owners.most_waiting()
    st.number_input(
        "Runs that each may let wait",
        1,
        owners.HIGHEST,
        key="class.limit",
        step=1,
        on_change=changed,
        placeholder="as many as they like",
        help="One more is refused, in one line. Empty: no limit. Whoever teaches has none.",
    )


def row(one: Learner, columns: Sequence[tuple[str, str]]) -> dict[str, object]:
    """One line of the table."""
    best = {key: one.best[key].loss if key in one.best else None for key, _ in columns}
    made = pd.to_datetime(one.latest, errors="coerce", utc=True) if one.latest else None
    counts = {"runs": len(one.runs), "training": one.training, "waiting": one.waiting}
    return {"who": one.name, **best, **counts, "latest": made}


def turned(found: Sequence[Learner]) -> Sequence[Learner]:
    """Draw what turns the pages of the table; return the learners of the page that is open."""
    last = max(1, -(-len(found) // ROWS))
    at = min(number_from_url(PAGE, 1) or 1, last)
    if last > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            for label, to in (("Before", at - 1), ("After", at + 1)):
                off = not 1 <= to <= last
                st.button(label, key=f"class.{label}", disabled=off, on_click=_turn, args=(to,), help=f"Page {to:d}.")
            first = (at - 1) * ROWS
            st.caption(
                f"{first + 1:,} to {min(first + ROWS, len(found)):,} of {len(found):,} learners", width="content"
            )
    return found[(at - 1) * ROWS : at * ROWS]


def _turn(to: int) -> None:
    st.query_params[PAGE] = str(to)


def everybody() -> None:
    """The best of each learner on each rung."""
    runs = loaders.listing()
    titles = available()
    there = [name for name in dict.fromkeys(run.need().corpus for run in runs if not run.damage) if name in titles]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Find",
            key="find",
            max_chars=60,
            bind="query-params",
            placeholder="part of a name",
            width=180,
            help="By name.",
        )
        with st.container(width=220):
            text = text_picker("Text", "Losses on different texts are not to be compared.", there or None)
    found = classroom.learners(runs, loaders.corpus(text))
    columns = classroom.rungs(found)
    needle = words.casefold()
    listed = turned([one for one in found if needle in one.name.casefold()])
    losses = {
        key: st.column_config.NumberColumn(title, width=96, format="%.4f", help="The lowest validation loss, nats.")
        for key, title in columns
    }
    st.dataframe(
        pd.DataFrame(
            [row(one, columns) for one in listed], columns=["who", *losses, "runs", "training", "waiting", "latest"]
        ),
        column_config={
            "who": st.column_config.TextColumn("Learner", pinned=True, help="The name of the login."),
            **losses,
            "runs": st.column_config.NumberColumn("Runs", width=60, help="All that are kept."),
            "training": st.column_config.NumberColumn("Train", width=60, help="Now."),
            "waiting": st.column_config.NumberColumn("Wait", width=60, help="Now."),
            "latest": st.column_config.DatetimeColumn("Latest", width=110, format="distance", help="When it was made."),
        },
        hide_index=True,
        placeholder="–",
        key="class.everybody",
    )


state.notices()
if not owners.acting().teaches:
    tell.info(
        "This page is for those who teach: whoever runs the server names them in BARDLAB_TEACHERS.",
        icon=":material/school:",
    )
    st.stop()
if owners.acting() == owners.EVERYBODY:
    st.caption(
        "Nobody logs in here, so everybody sees this page and may stop any run; the limit holds for those who log in."
    )
left, right = st.columns([71, 29], gap="medium")
with right:
    limit()
with left:
    now()
st.header("How far each is")
everybody()
st.header("A link for the class")
link_builder()
