"""Choosing a text. The choice lives in the URL as `?text=`, which is left out for the text that ships."""

import streamlit as st

from core.texts.corpus import available
from pages.ui import state, teaching
from pages.ui.wording import plain

DEFAULT = "tinyshakespeare"


def text_picker(label: str, help: str, names: list[str] | None = None) -> str:
    """Draw the picker, of all texts or those named, and return the choice: the URL's, else the one before."""
    titles = available()
    names = list(titles) if names is None else names
    asked = st.query_params.get(state.TEXT)
    if asked in names:
        st.session_state[state.TEXT] = asked
    elif asked:
        st.warning(f"There is no text “{plain(asked)}” here.", icon=":material/search_off:")
    if st.session_state.get(state.TEXT) not in names:
        st.session_state[state.TEXT] = names[0]
    if not teaching.shown("text"):
        return str(st.session_state[state.TEXT])
    chosen = st.selectbox(
        label,
        names,
        format_func=lambda name: titles.get(name, f"{name} (deleted)"),
        key=state.TEXT,
        on_change=_to_url,
        persist_state="session",
        disabled=teaching.locked("text"),
        help=help,
    )
    _write(chosen)
    return chosen


def _to_url() -> None:
    _write(st.session_state[state.TEXT])


def _write(name: str) -> None:
    if name == DEFAULT:
        st.query_params.pop(state.TEXT, None)
    elif st.query_params.get(state.TEXT) != name:
        st.query_params[state.TEXT] = name
