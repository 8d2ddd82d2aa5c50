"""Chooses which weights of a run to look at: newest, best, or a snapshot."""

import streamlit as st

from core.runs import layout
from core.runs.state import Run
from core.settings import LONGEST_TEXT
from pages.ui import tell
from pages.ui.address import number_from_url, say

NEWEST = -1


def choose_weights(run: Run) -> int | None:
    """Draw the choice of weights, which lives in the address. Returns a snapshot's step, None for the newest."""
    kept = layout.snapshot_steps(run.path)
    asked = st.query_params.get("step")
    key = f"weights.{run.slug}"
    if (at := number_from_url("step")) in kept:
        st.session_state[key] = at
    elif asked:
        tell.warning(
            f"The weights of step {asked[:20]} are not kept (any more); these are the newest.",
            icon=":material/history:",
        )
        del st.query_params["step"]
    if st.session_state.get(key) not in kept:
        st.session_state[key] = NEWEST
    newest = f"newest, step {run.status.checkpoint_step or 0:,}"
    step: int = st.selectbox(
        "Weights",
        [NEWEST, *reversed(kept)],
        format_func=lambda s: newest if s == NEWEST else f"step {s:,}",
        key=key,
        on_change=lambda: into_url("step", st.session_state[key], NEWEST),
        help="The newest weights of the run, or those it had at an earlier step.",
    )
    into_url("step", step, NEWEST)  # which another page may have left
    return None if step == NEWEST else step


def into_url(name: str, value: object, default: object = None) -> None:
    """Keep a choice in the URL; the default is left unsaid."""
    say(name, None if value is None or value == default else str(value)[:LONGEST_TEXT])


def choose_view(options: dict[str, str], help: str) -> str:
    """Draw the choice between the views of a page, by the names that the URL has for them."""
    asked = st.query_params.get("view")
    default = next(iter(options))
    if asked in options:
        st.session_state["view"] = asked
    elif st.session_state.get("view") not in options:
        st.session_state["view"] = default

    def to_url() -> None:
        into_url("view", st.session_state["view"], default)

    chosen = st.segmented_control(
        "View",
        list(options),
        format_func=options.__getitem__,
        key="view",
        on_change=to_url,
        required=True,
        label_visibility="collapsed",
        help=help,
    )
    view = chosen or default
    into_url("view", view, default)
    return view
