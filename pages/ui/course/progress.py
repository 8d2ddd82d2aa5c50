"""The learner's progress: in the session, and kept in the browser or, with a login, on the server by its name."""

from typing import Any

import streamlit as st

from core.ladder.registry import RUNGS
from core.studies.course import progress as kept_progress
from core.studies.course.progress import Progress
from pages.login import login, name_of
from pages.ui import state
from pages.ui.components.controls.keeper import keeper

PROGRESS, NEWS = "progress", "progress.news"
SHOWN_ON = frozenset(("", "progress", "guesses", "fault", "compare", *RUNGS))
"""Addresses of the pages on which some of it is to be seen."""


def learner() -> str:
    """The login's name; empty where there is no login."""
    if not login().providers:
        return ""
    return name_of(st.user.to_dict())


def now() -> Progress:
    """What the learner has done."""
    known: Progress | None = st.session_state.get(PROGRESS)
    if known is None:
        name = learner()
        known = st.session_state[PROGRESS] = kept_progress.read(name) if name else Progress()
    return known


def put(progress: Progress) -> None:
    """Let this be what the learner has done."""
    if progress == now():
        return
    name = learner()
    if name:
        progress = progress.merged(kept_progress.read(name))
        try:
            kept_progress.keep(name, progress)
        except state.PROBLEMS as error:
            state.say_error(f"your progress could not be kept: {state.told(error)}")
    st.session_state[PROGRESS] = progress


def mark(name: str) -> None:
    """Note that something is done."""
    put(now().marked(name))


def forget() -> None:
    """Forget all of it, wherever it is kept."""
    put(now().forgotten())


def keep(address: str) -> None:
    """Let the browser keep it; a page that shows some of it is drawn anew if the browser knew more."""
    if not learner():
        with st.container(key="keeper"):
            st.fragment(_keep)(address in SHOWN_ON)


def _keep(shows_it: bool) -> None:
    if st.session_state.pop(NEWS, False) and shows_it:
        st.rerun()
    keeper(now().plain(), _more, key="progress.keeper")


def _more(kept: Any) -> None:
    before = now()
    put(before.merged(kept_progress.parse(kept)))
    st.session_state[NEWS] = now() != before
