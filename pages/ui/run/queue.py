"""The queue: which runs wait for a device, in which order; moved and cancelled here. Nothing is drawn if none waits."""

from collections.abc import Callable

import streamlit as st

from core.jobs import control, queue
from core.runs import folder, owners
from core.runs import state as runs_state
from pages.ui import loaders, state, wording

MOST = 20
"""Runs drawn; the second half of them is one's own."""


def queue_panel(key: str = "queue") -> int:
    """Draw the runs that wait, if any, each with what this visitor may do to it. Returns how many wait.

    Of very many, the first and one's own are drawn.

    Call it in a fragment that reruns by itself, so that it follows what happens in other tabs and terminals.
    """
    line = queue.queue()
    if not line:
        return 0
    with st.container(border=True, key=f"{key}.panel"):
        st.markdown(f"**Waiting for a device:** {wording.counted(len(line))}, first come, first served")
        place: dict[str, int] = {}
        who, drawn = owners.acting(), 0
        for run in line:
            kind, elsewhere = run.status.device, bool(folder.sent(run.path))
            place[kind] = place.get(kind, 0) + 1
            if drawn >= MOST or (drawn >= MOST // 2 and not who.owns(run.owner)):
                continue
            drawn += 1
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                _, behind, ahead = run.status.message.partition(", behind ")
                told = f"{place[kind]:d}. **{wording.plain(run.label)}** "
                told += "" if elsewhere else f"for the {wording.device(kind)}"
                why = run.status.message if elsewhere else behind + ahead
                st.markdown(told + wording.plain(why), width="stretch")
                with st.container(horizontal=True, width="content", gap="small"):
                    if who.teaches and not elsewhere:  # a cluster's line keeps its order
                        _moves(run, key, first=place[kind] == 1)
                    if who.may_change(run.owner):
                        _cancel(run, key)
        if drawn < len(line):
            st.caption(f"and {len(line) - drawn:,} more")
    return len(line)


def _moves(run: runs_state.Run, key: str, *, first: bool) -> None:
    st.button(
        "First",
        icon=":material/vertical_align_top:",
        key=f"{key}.first.{run.slug}",
        on_click=_do,
        args=(_to_front, run.slug),
        help="Put it at the head of the queue.",
        type="tertiary",
        disabled=first,
    )
    st.button(
        "Up",
        icon=":material/arrow_upward:",
        key=f"{key}.up.{run.slug}",
        on_click=_do,
        args=(_up, run.slug),
        help="Let it change places with the run before it.",
        type="tertiary",
        disabled=first,
    )


def _cancel(run: runs_state.Run, key: str) -> None:
    st.button(
        "Cancel",
        icon=":material/close:",
        key=f"{key}.cancel.{run.slug}",
        type="tertiary",
        on_click=_do,
        args=(control.stop, run.slug),
        help="Take it out of the queue. It stays among the runs and can be resumed later.",
    )


def _to_front(run: runs_state.Run) -> None:
    queue.move(run, 1_000_000)


def _up(run: runs_state.Run) -> None:
    queue.move(run, 1)


def _do(action: Callable[[runs_state.Run], object], slug: str) -> None:
    try:
        action(loaders.present(slug))
    except state.PROBLEMS as error:
        state.say_error(error)
