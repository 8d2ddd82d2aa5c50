"""The right half of a rung's page: one run, followed while it is under way. It reads the run folder alone."""

from collections.abc import Sequence

import streamlit as st

from core.errors import BardlabError
from core.jobs import control
from core.runs import owners, reading, records
from core.runs.state import Run
from pages.ui import state, teaching, wording
from pages.ui.choosers import chosen, mine
from pages.ui.choosers.run import missing, run_picker
from pages.ui.components.charts.curves import Landmark, curves
from pages.ui.components.texts.sample_strip import sample_strip
from pages.ui.course import guess_strip
from pages.ui.run.buttons import headline, run_buttons, weights_only
from pages.ui.run.overlay import overlay
from pages.ui.run.run_curves import flags_of, flat_curve, loss_curves, marks_of
from pages.ui.run.run_numbers import numbers, told
from pages.ui.run.starting import WAITING, begun, ghost_of
from pages.ui.run.two_texts import two_texts

CHART = 270
"""Height of the loss curves, px."""
PICTURE = 420
"""The same where there is nothing else."""


@st.fragment
def live_run(rung_key: str) -> None:
    """Choose a run of a rung and show it, following it while it is under way; or nothing but its curves."""
    if started := begun():
        state.show_run(started.slug)
        state.say_next(f"{started.name} has begun", ":material/play_arrow:")
        st.rerun()
    if teaching.only_picture():
        if run := _asked(rung_key):
            _curves(run, overlay(run))
        return
    with st.container(key="bar"):
        left, right = st.columns([37, 63], gap="small", vertical_alignment="center")
    with left:
        run = _pick(rung_key)
    if run is None:
        st.info("Nothing trained yet. Press Train: the curve starts within a second.", icon=":material/show_chart:")
        return
    if st.session_state.get(state.SHOWN, run.slug) != run.slug:
        st.session_state[state.SHOWN] = run.slug
        st.rerun()  # another run was picked: the views of the page are of it too
    st.session_state[state.SHOWN] = run.slug
    if run.damage:
        st.error(
            f"This run is damaged: {wording.plain(run.damage)}. The others are not affected.",
            icon=":material/broken_image:",
        )
        return
    if teaching.shown("buttons"):
        with right:
            run_buttons(run)
    _follow(run)


def shown() -> Run | None:
    """The run that was drawn; None if there is none, or it is damaged."""
    slug = st.session_state.get(state.SHOWN)
    try:
        run = reading.find(slug) if slug else None
    except BardlabError:  # deleted since
        return None
    return None if run is None or run.damage else run


def _pick(rung_key: str) -> Run | None:
    """Draw the picker of a rung's runs. None if there is no run yet."""
    by_slug = {run.slug: run for run in mine.shown(reading.list_runs(shipped=True)) if run.rung_key == rung_key}
    if not by_slug:
        if asked := st.query_params.get(state.RUN):
            missing(asked)
        return None
    run = run_picker(
        "Run",
        by_slug,
        _first(list(by_slug.values())).slug,
        lambda run: f"{run.label} · {'damaged' if run.damage else run.state}",
        "The run shown below. Its address is in the page's URL, so a link or a refresh comes back to it.",
    )
    return run if run.damage else control.look_after(run)


def _follow(run: Run) -> None:
    """Draw the run: its state, its curves, what it writes; again each second while something moves."""
    headline(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        numbers(run)
        others = overlay(run)
    marks = _curves(run, others)
    if teaching.shown("samples"):
        two_texts(records.samples(run.path), run.slug)
    told(run, marks)
    was_live = st.session_state.get("watching") == run.slug
    if run.state.active:
        st.session_state["watching"] = run.slug
    elif was_live:
        st.session_state.pop("watching")
        st.rerun()  # the run has just ended: let the rest of the page see it


def _curves(run: Run, others: Sequence[Run]) -> list[Landmark]:
    """Draw the losses of a run and of others; return what they are compared with."""
    ghost = ghost_of(run)
    if ghost and ghost.slug in [run.slug, *(each.slug for each in others)]:
        ghost = None
    marks = marks_of(run)
    drawn = [curve for each in (run, *others) for curve in loss_curves(each)]
    drawn += [flat_curve(run)] if weights_only(run) else []
    drawn += loss_curves(ghost, ghost=True) if ghost else []
    live = any(each.state.active for each in (run, *others)) or bool(st.session_state.get(WAITING))
    guess = guess_strip.handle(run.rung_key) if not live and not teaching.only_picture() else None
    curves(
        drawn,
        [*marks, *guess_strip.marks(run)],
        flags_of((run, *others)),
        live=live,
        key="loss-curves",
        interval=min(4.0, max(1.0, run.status.seconds / 60)),  # a look at a long curve brings as large a part of it
        eager=not run.status.message.startswith("waiting for the"),
        height=PICTURE if teaching.only_picture() else CHART,
        main=True,
        handle=guess,
        dragged=lambda value: guess_strip.dragged(run.rung_key, value),
    )
    if st.session_state.pop(guess_strip.MOVED, False):
        st.rerun()  # the form says it too
    return marks


def _asked(rung_key: str) -> Run | None:
    """The run that the address names, else the first of the rung."""
    runs = [run for run in reading.list_runs(shipped=True) if run.rung_key == rung_key and not run.damage]
    slug = chosen.chosen()
    return next((run for run in runs if run.slug == slug), _first(runs) if runs else None)


def _first(runs: Sequence[Run]) -> Run:
    """The run that is shown if none was chosen: the newest that is whole, one's own before another's."""
    return min(runs, key=lambda run: (run.broken, not owners.acting().owns(run.owner) and not run.shipped))


def samples(run: Run) -> None:
    """Draw all that a run wrote, one card an evaluation."""
    sample_strip(records.samples(run.path), following=False, key="sample-strip")


def log(run: Run) -> None:
    """Draw a run's settings, log and folder; not part of the live view, which would draw them anew each second."""
    config = run.need()
    left, right = st.columns(2)
    left.json({"model": config.model, "train": config.train.model_dump(), "versions": config.versions}, expanded=1)
    right.caption("The end of the worker's log")
    right.code(records.log_tail(run.path, 1500) or "nothing yet", language=None, wrap_lines=True)
    st.caption(f"Folder: {wording.inline(str(run.path))}")
