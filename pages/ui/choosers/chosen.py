"""The chosen run: one for all pages, kept until another is chosen, whichever page can show it.

An address that names a run chooses it. A run that a page shows because none was chosen, or because it cannot show the
one chosen, is no choice: it is not written into the address, and the next page goes by the choice again.
"""

from collections.abc import Iterable

import streamlit as st

from core.ladder.registry import RUNGS
from core.runs.state import Run
from pages.ui import state, wording
from pages.ui.wording import plain

CHOSEN = "chosen"
"""The chosen run's slug, in the session; not a widget's key, which would be forgotten on a page without the widget."""
SHOWN = "chosen.shown"
"""The slug of the run that the page shows, and how it was when the page was drawn."""
GONE = "gone"


def chosen() -> str | None:
    """The slug of the chosen run."""
    slug: str | None = st.session_state.get(CHOSEN)
    return slug


def choose(slug: str) -> None:
    """Choose a run, in the session and in the address."""
    st.session_state[CHOSEN] = st.query_params[state.RUN] = slug
    st.session_state.pop(GONE, None)


def adopt(everything: Iterable[Run]) -> Run | None:
    """Take over the run that the address names; return which one of all runs is chosen.

    A choice that has been deleted is forgotten, and told by `dead_link`.
    """
    found = {run.slug: run for run in everything}
    asked = st.query_params.get(state.RUN)
    st.session_state.pop(GONE, None)
    if asked and asked in found:
        st.session_state[CHOSEN] = asked
    elif asked:
        st.session_state[GONE] = asked
    if (slug := chosen()) and slug not in found:
        st.session_state[GONE] = st.session_state.pop(CHOSEN)
        st.query_params[state.RUN] = slug  # the address goes on saying which it was, and so does the page
    return found.get(chosen() or "")


def dead_link() -> None:
    """Say at the top of a page that the run of its address is not here, and what can be done."""
    gone = st.session_state.get(GONE)
    if not gone:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="gone"):
        st.warning(
            f"There is no run “{plain(gone[:80])}” here: it was deleted, or comes from another machine. "
            "What follows is another one.",
            icon=":material/search_off:",
        )
        st.page_link("use/runs.py", label="All runs", icon=":material/list_alt:")
        rung = next((key for key in RUNGS if gone.startswith(f"{key}-")), None)
        if rung:
            from pages.ui.navigation import rung_page

            st.page_link(rung_page(rung), label=f"Train a {RUNGS[rung].title} again", icon=":material/play_arrow:")


def described(run: Run) -> str:
    """A run's name and its validation loss, as Markdown."""
    loss = run.status.val_loss
    return f"**{plain(run.name)}**" + (f", val {wording.loss(loss)}" if loss is not None else "")
