"""Choosing a run. The choice lives in the URL as `?run=`: a link, a refresh or a second tab comes back to it."""

from collections.abc import Callable, Mapping

import streamlit as st

from core.errors import BardlabError
from core.runs import reading
from core.runs.state import Run
from pages.ui import state
from pages.ui.wording import plain


def run_picker(label: str, by_slug: Mapping[str, Run], default: str, describe: Callable[[Run], str], help: str) -> Run:
    """Draw the picker and return the run chosen: the URL's, else the one chosen before, else the default."""
    asked = st.query_params.get(state.RUN)
    if asked in by_slug:
        st.session_state[state.RUN] = asked
    else:
        if st.session_state.get(state.RUN) not in by_slug:
            st.session_state[state.RUN] = default
        if asked:
            missing(asked, f"; this is {plain(by_slug[st.session_state[state.RUN]].name)}")
    slug = st.selectbox(
        label,
        list(by_slug),
        format_func=lambda s: describe(by_slug[s]) if s in by_slug else s,
        key=state.RUN,
        on_change=_to_url,
        help=help,
    )
    slug = slug if slug in by_slug else default
    if st.query_params.get(state.RUN) != slug:
        st.query_params[state.RUN] = slug
    return by_slug[slug]


def missing(asked: str, instead: str = "") -> None:
    """Say that the run of the URL cannot be shown here: there is none, or it is too damaged to tell its rung."""
    try:
        found = reading.find(asked)
    except BardlabError:
        found = None
    if found and found.slug == asked and found.damage:  # not one whose name only begins so
        text, icon = f"The run “{plain(asked)}” is damaged: {plain(found.damage)}", ":material/broken_image:"
    else:
        text, icon = f"There is no run “{plain(asked)}” here", ":material/search_off:"
    st.warning(f"{text}{instead}.", icon=icon)


def _to_url() -> None:
    st.query_params[state.RUN] = st.session_state[state.RUN]
