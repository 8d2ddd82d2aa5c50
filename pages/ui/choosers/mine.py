"""Whose runs are listed. Where people log in, the sidebar leaves to each whether it is everybody's or only one's own.

The choice is kept for the visit, in the address as `?mine=1`. What an address names is shown whosever it is.
"""

from collections.abc import Iterable

import streamlit as st

from core.runs import owners
from core.runs.state import Run
from pages.ui import state
from pages.ui.choosers import chosen

MINE = "mine"
"""Name of the URL's parameter, and the widget's key."""
_KEPT = "mine.kept"
_NAMING = (state.RUN, state.RUNS, "with")
"""Parameters of the address that name runs."""


def toggle() -> None:
    """Draw the choice, where people log in."""
    if owners.acting() == owners.EVERYBODY:
        return
    asked = st.query_params.get(MINE)
    st.session_state[MINE] = asked == "1" if asked in ("0", "1") else bool(st.session_state.get(_KEPT, False))
    on = st.toggle(
        "Only my runs",
        key=MINE,
        on_change=lambda: _write(st.session_state[MINE]),
        help="In lists and choosers, on every page. Runs that ship stay.",
    )
    _write(on)


def _write(on: bool) -> None:
    st.session_state[_KEPT] = on
    if on:
        st.query_params[MINE] = "1"
    else:
        st.query_params.pop(MINE, None)


def own(runs: Iterable[Run], *, shipped: bool = False) -> list[Run]:
    """Those that are one's own, which is all where nobody logs in; and those that ship, if they are wanted."""
    who = owners.acting()
    return [run for run in runs if (shipped if run.shipped else who.owns(run.owner))]


def shown(runs: Iterable[Run]) -> list[Run]:
    """Those that lists and choosers hold."""
    who = owners.acting()
    if who == owners.EVERYBODY or not st.session_state.get(_KEPT, False):
        return list(runs)
    query = st.query_params
    named = {slug for name in _NAMING for slug in query.get(name, "").split(",")} | {chosen.chosen()}
    sweep = query.get("sweep")
    return [
        run
        for run in runs
        if run.shipped
        or who.owns(run.owner)
        or run.slug in named
        or (sweep and run.config is not None and run.config.group == sweep)
    ]
