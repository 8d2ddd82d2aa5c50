"""Knock-out and patching: change what a part of a model says, and see what becomes of the prediction."""

import streamlit as st

from core.inspect.interventions.ablation import rungs
from core.ladder.registry import RUNGS
from core.runs import reading
from core.runs.state import Run
from pages.ui import state, tell
from pages.ui.choosers import chosen, mine
from pages.ui.choosers.run import run_picker
from pages.ui.choosers.runs import best_of_the_text, named
from pages.ui.choosers.weights import choose_weights
from pages.ui.inside_views.knockout import choose_method, knock_view
from pages.ui.inside_views.patching import patch_view
from pages.ui.navigation import rung_page
from pages.ui.wording import plain

TOOLS = ("knock-out", "patching")


def choose() -> Run | None:
    """Draw the run picker; None, with the reason, if there is nothing to look into."""
    everything = {run.slug: run for run in mine.shown(reading.list_runs(shipped=True)) if not run.damage}
    fits = {slug: run for slug, run in everything.items() if run.rung_key in rungs()}
    asked = everything.get(chosen.chosen() or "")
    if asked is not None and asked.slug not in fits:
        names = ", ".join(RUNGS[key].title for key in rungs())
        tell.info(
            f"{asked.name} is a {RUNGS[asked.rung_key].title}: one table, no parts to switch off. With parts: {names}.",
            icon=":material/toggle_off:",
        )
        links({**fits})
        return None
    if not fits:
        st.info(
            "No run with parts to switch off yet. A small Transformer trains in seconds.", icon=":material/toggle_off:"
        )
        links({})
        return None
    ready = [slug for slug, run in fits.items() if run.usable]
    first = best_of_the_text([fits[slug] for slug in ready or fits]).slug
    return run_picker(
        "Run",
        fits,
        first,
        lambda run: f"{named(run)} · {run.state}",
        "Whose parts are switched off: any run of a rung that has some, finished or not.",
    )


def links(fits: dict[str, Run]) -> None:
    """Lead to runs that have parts, or to the rungs that make them."""
    for slug, run in list(fits.items())[:5]:
        st.page_link(
            "inside/knockout.py",
            label=plain(named(run)),
            query_params={state.RUN: slug},
            icon=":material/arrow_forward:",
        )
    for key in () if fits else rungs():
        st.page_link(rung_page(key), label=f"Train a {RUNGS[key].title}", icon=":material/play_arrow:")


state.notices()
left, middle, right, last = st.columns([5, 4, 4, 3], gap="medium")
with left:
    run = choose()
if run is not None and run.usable:
    with middle:
        step = choose_weights(run)
    with right:
        tool = st.segmented_control(
            "Tool",
            TOOLS,
            default=TOOLS[0],
            required=True,
            key="tool",
            bind="query-params",
            help="Knock-out: switch parts off and measure what that costs. Patching: carry an activation of another "
            "prompt over into this one.",
        )
    if tool == TOOLS[1]:
        patch_view(run, step)
    else:
        with last:
            method = choose_method()
        knock_view(run, step, method)
elif run is not None:
    st.info(
        "This run has no weights yet: they are saved at its first evaluation. "
        + ("Look again in a moment." if run.state.active else "Train it first."),
        icon=":material/hourglass_empty:",
    )
    if run.state.active:
        st.button("Look again", icon=":material/refresh:", key="knockout.again", help="Reads the run's folder anew.")
