"""The right half of a rung's page: one run, followed while it is under way. It reads the run folder alone.

While it is, the chart asks each second for what moves: curves, losses, how far it is (pages/feeds.py). All else is
drawn again when there is something else to it: another state, one more text, another run in the list.
"""

import zlib
from collections.abc import Collection, Sequence

import streamlit as st

from core.errors import BardlabError
from core.jobs import control, queue
from core.runs import owners, reading, records, requests
from core.runs.state import Run
from pages.ui import loaders, state, teaching, wording
from pages.ui.choosers import chosen, mine
from pages.ui.choosers.run import missing, run_picker
from pages.ui.components.charts.curves import Curve, Growth, Landmark, curves
from pages.ui.components.texts.sample_strip import sample_strip
from pages.ui.course import guess_strip
from pages.ui.run.buttons import headline, headline_line, run_buttons, weights_only
from pages.ui.run.overlay import compared, overlay
from pages.ui.run.run_curves import flags_of, flat_curve, loss_curves, marks_of
from pages.ui.run.run_numbers import meters_line, numbers, numbers_line, told
from pages.ui.run.starting import begun, ghost_of, waits
from pages.ui.run.two_texts import two_texts
from pages.ui.rung_views.absent import unmeasured
from pages.ui.rung_views.followed import followed

CHART = 270
"""Height of the loss curves, px."""
PICTURE = 420
"""The same where there is nothing else."""

SAMPLED = 6.0
"""Seconds between two looks for further samples."""


@st.fragment
def live_run(rung_key: str) -> None:
    """Choose a run of a rung and show it, following it while it is under way; or nothing but its curves."""
    if started := begun():
        state.show_run(started.slug)
        state.say_next(f"{started.name} has begun", ":material/play_arrow:")
        st.rerun()
    if teaching.only_picture():
        if run := _asked(rung_key):
            shown = (run, *compared(run))
            _curves(shown, _standing(shown, waits()))
        return
    with st.container(key="bar"):
        left, right = st.columns([34, 66], gap="small", vertical_alignment="center")
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
    shown = (run, *compared(run))
    standing = _standing(shown, waits())  # before it is drawn: what changes meanwhile has it drawn again
    if teaching.shown("buttons"):
        with right:
            run_buttons(run)
    _follow(shown, standing)


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


def _follow(shown: Sequence[Run], standing: str) -> None:
    """Draw the first run: its state, its curves beside those of the others, what it writes."""
    run = shown[0]
    headline(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        numbers(run)
        overlay(run)
    marks = _curves(shown, standing)
    if teaching.shown("samples"):
        two_texts(records.samples(run.path), run.slug)
    told(run, marks)
    was_live = st.session_state.get("watching") == run.slug
    if run.state.active:
        st.session_state["watching"] = run.slug
    elif was_live:
        st.session_state.pop("watching")
        st.rerun()  # the run has just ended: let the rest of the page see it


def _curves(shown: Sequence[Run], standing: str) -> list[Landmark]:
    """Draw the losses of a run and of others; return what they are compared with."""
    run, ghost = shown[0], ghost_of(shown[0])
    if ghost and ghost.slug in [each.slug for each in shown]:
        ghost = None
    marks, waiting = marks_of(run), waits()
    live = any(each.state.active for each in shown) or bool(waiting)
    guess = guess_strip.handle(run.rung_key) if not live and not teaching.only_picture() else None
    curves(
        _drawn(shown, ghost),
        [*marks, *guess_strip.marks(run)],
        flags_of(shown),
        live=live,
        key="loss-curves",
        interval=min(4.0, max(1.0, run.status.seconds / 60)),  # a look at a long curve brings as large a part of it
        eager=not run.status.message.startswith("waiting for the"),
        height=PICTURE if teaching.only_picture() else CHART,
        main=True,
        handle=guess,
        dragged=lambda value: guess_strip.dragged(run.rung_key, value),
        grown=lambda: _grown(shown, ghost, waiting),
        standing=standing,
    )
    if st.session_state.pop(guess_strip.MOVED, False):
        st.rerun()  # the form says it too
    return marks


def _drawn(shown: Sequence[Run], ghost: Run | None) -> list[Curve]:
    drawn = [curve for each in shown for curve in loss_curves(each)]
    drawn += [flat_curve(shown[0])] if weights_only(shown[0]) else []
    return drawn + (loss_curves(ghost, ghost=True) if ghost else [])


def _grown(before: Sequence[Run], ghost: Run | None, waiting: Collection[str]) -> Growth:
    """What has become of runs since they were drawn; the first is the one that is followed. Raises BardlabError."""
    shown = [control.look_after(reading.read(run.path)) for run in before]
    for run in shown:
        run.need()
    run = shown[0]
    said = {"headline": headline_line(run), "numbers": numbers_line(run), "meters": meters_line(run)}
    return Growth(_drawn(shown, ghost), flags_of(shown), said, _standing(shown, waiting))


def _standing(shown: Sequence[Run], waiting: Collection[str]) -> str:
    """Stands for all that is drawn of runs and does not move by itself: the same as long as that is."""
    run = shown[0]
    here = [(each.slug, each.label, str(each.state), each.usable) for each in shown]
    related = [
        (each.slug, each.label, str(each.state))
        for each in loaders.listing(within=1.0)
        if each.slug != run.slug and (each.rung_key == run.rung_key or each.slug in waiting)
    ]
    asked = requests.hold_from(run.path) == 0, requests.current(run)
    noted = records.written(run.path), records.alerts(run.path)
    queued = [(each.slug, each.status.message) for each in queue.queue()]
    return f"{zlib.crc32(repr((here, related, asked, noted, queued)).encode()):08x}"


def _asked(rung_key: str) -> Run | None:
    """The run that the address names, else the first of the rung."""
    runs = [run for run in reading.list_runs(shipped=True) if run.rung_key == rung_key and not run.damage]
    slug = chosen.chosen()
    return next((run for run in runs if run.slug == slug), _first(runs) if runs else None)


def _first(runs: Sequence[Run]) -> Run:
    """The run that is shown if none was chosen: the newest that is whole, one's own before another's."""
    return min(runs, key=lambda run: (run.broken, not owners.acting().owns(run.owner) and not run.shipped))


def samples(run: Run) -> None:
    """Draw all that a run wrote, one card an evaluation, following it while it trains."""
    followed(_samples, run_every=SAMPLED if run.state.active else None)(run.slug)


def _samples(run: Run) -> None:
    if not (written := records.samples(run.path)):
        unmeasured(run, "samples")
        return
    sample_strip(written, key="sample-strip")


def log(run: Run) -> None:
    """Draw a run's settings, log and folder; not part of the live view, which would draw them anew each second."""
    config = run.need()
    left, right = st.columns(2)
    left.json({"model": config.model, "train": config.train.model_dump(), "versions": config.versions}, expanded=1)
    right.caption("The end of the worker's log")
    right.code(records.log_tail(run.path, 1500) or "nothing", language=None, wrap_lines=True)
    st.caption(f"Folder: {wording.inline(str(run.path))}")
