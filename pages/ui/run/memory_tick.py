"""Asks before something is started that is likely not to fit the memory."""

import streamlit as st

from pages.ui import wording


def memory_tick(key: str, short: str | None) -> bool:
    """Warn that memory will not suffice, if `short` says so, and ask for a tick. True if it may be started."""
    if not short:
        return True
    st.warning(wording.plain(f"{short[:1].upper()}{short[1:]}."), icon=":material/memory:")
    return st.checkbox(
        "Start it all the same",
        key=key,
        help="It may be ended by the system, and slow down everything else on the machine before that.",
    )
