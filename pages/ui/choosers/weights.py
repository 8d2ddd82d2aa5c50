"""Chooses which weights of a run to look at: newest, best, or a snapshot."""

import streamlit as st

from core.runs import layout
from core.runs.state import Run
from core.settings import LONGEST_TEXT
from pages.ui import tell
from pages.ui.address import number_from_url

NEWEST = -1


def choose_weights(run: Run) -> int | None:
    """Draw the chooser of a snapshot. None stands for the newest weights."""
    steps = layout.snapshot_steps(run.path)
    asked = st.query_params.get("step")
    key = f"weights.{run.slug}"
    if (at := number_from_url("step")) in steps:
        st.session_state[key] = at
    elif asked:
        tell.warning(
            f"{run.name} has no snapshot of step {asked[:20]}; this is the newest.", icon=":material/search_off:"
        )
        del st.query_params["step"]
    if st.session_state.get(key) not in steps:
        st.session_state[key] = NEWEST

    def to_url() -> None:
        into_url("step", st.session_state[key], NEWEST)

    step: int = st.selectbox(
        "Weights",
        [NEWEST, *reversed(steps)],
        format_func=lambda s: "newest" if s == NEWEST else f"step {s:,}",
        key=key,
        on_change=to_url,
        help="Which copy of the weights: the newest, or one of the snapshots along the run.",
    )
    return None if step == NEWEST else step


def into_url(name: str, value: object, default: object = None) -> None:
    """Keep a choice in the URL; the default is left unsaid."""
    if value is None or value == default:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != (text := str(value)[:LONGEST_TEXT]):
        st.query_params[name] = text


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
