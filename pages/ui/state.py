"""Names of session-state keys, and the little that is kept under them: ids, never data."""

import streamlit as st

from pages.ui.words import plain

RUN = "run"
"""The chosen run's slug; also the name of the URL's query parameter."""
PROMPT = "prompt"
"""The text that is looked into; also the name of the URL's query parameter."""
TEXT = "text"
"""The chosen text's name; also the name of the URL's query parameter, which is left out for Tiny Shakespeare."""
RUNS = "runs"
"""Several runs' slugs, with commas between, in the URL."""

LOST = "lost"
"""Name of the URL's parameter for an address that no page has."""


def setting_key(stage: str, group: str, name: str) -> str:
    """Key of one slider of a rung's form."""
    return f"{stage}.{group}.{name}"


def preset_key(stage: str) -> str:
    """Key of a rung's preset chooser."""
    return f"{stage}.preset"


def show_run(slug: str) -> None:
    """Choose a run, before its picker is drawn."""
    st.query_params[RUN] = slug


def say_next(message: str, icon: str = ":material/check:") -> None:
    """Show a short notice on the next run of the script (callbacks cannot write to the page)."""
    st.session_state["notice"] = (message, icon)


def say_error(message: str) -> None:
    """Show an error on the next run of the script."""
    st.session_state["problem"] = message


def notices() -> None:
    """Show what callbacks had to say."""
    if notice := st.session_state.pop("notice", None):
        st.toast(plain(notice[0]), icon=notice[1])
    if problem := st.session_state.pop("problem", None):
        st.error(plain(problem), icon=":material/error:")
