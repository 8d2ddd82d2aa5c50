"""The top of the sidebar: which run is looked at, and what trains now, on whichever page one is."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.jobs import control
from core.runs import owners, reading
from core.runs.folder import State
from core.runs.state import Run
from pages.ui import loaders, state, wording
from pages.ui.choosers import chosen, mine
from pages.ui.choosers.run import choose_of, narrowed
from pages.ui.components.controls.live_line import Piece, line, live_line
from pages.ui.components.controls.pulse import pulse
from pages.ui.navigation import RUNG_FOLLOWS, rung_page
from pages.ui.wording import plain

SOON, SELDOM = 2.0, 5.0
"""Seconds between two looks while something trains, and while nothing does."""
BUSY = "looking.busy"
"""The slugs of the runs that trained or waited at the last look."""


def sidebar(page: str) -> None:
    """Draw it. `page` is the page's url_path."""
    st.session_state["page"] = page
    everything = loaders.listing()
    run = chosen.adopt(everything)
    st.session_state["looking.told"] = chosen.chosen()
    st.session_state.pop(chosen.SHOWN, None)
    with st.sidebar:
        mine.toggle()
        listed = mine.shown(everything)
        if run is not None:
            with st.container(horizontal=True, vertical_alignment="center", gap="small", key="looking"):
                st.markdown(f"Looking at: {chosen.described(run)}", width="content")
                _change(run, listed)
        st.fragment(_strip)(page)


def _change(run: Run, listed: Sequence[Run]) -> None:
    found = {each.slug: each for each in listed if not each.damage}
    st.session_state["looking.run"] = run.slug
    with st.popover("change", type="tertiary", help="Look at another run, on every page."):
        st.selectbox(
            "Look at",
            narrowed(found, [run.slug], "looking.find"),
            format_func=lambda slug: found[slug].label if slug in found else slug,
            key="looking.run",
            on_change=choose_of,
            args=("looking.run", found),
            help="Every page that can shows this run, until another is chosen.",
        )


def _strip(page: str) -> None:
    """What trains and what waits; a toast when a run ends; the page anew if another tab has changed what it shows."""
    standing = _standing()
    active = mine.shown(_active())
    before: Sequence[str] = st.session_state.get(BUSY, ())
    now = [run.slug for run in active]
    st.session_state[BUSY] = now
    for slug in before:
        if slug not in now:
            _tell_end(slug)
    running = [run for run in active if run.state is not State.QUEUED]
    for run in running:
        _line(run)
    if waiting := len(active) - len(running):
        st.caption(f"{waiting:d} {'run waits' if waiting == 1 else 'runs wait'} for a device")
    if bool(now) != bool(before) or _changed(page):
        st.rerun()
    pulse(lambda: (_standing(), _lines()), standing, SOON if now else SELDOM, key="looking.pulse")


def _active() -> list[Run]:
    """The runs that train or wait, as they are now."""
    found = [reading.read(run.path) for run in loaders.listing(within=1.0) if run.state.active]
    return [run for run in found if run.state.active]


def _standing() -> str:
    """Stands for all runs, as far as a page or the strip says something of them that does not move by itself."""
    return loaders.standing([(run.slug, str(run.state)) for run in _active()])


def _lines() -> dict[str, Mapping[str, object]]:
    """How far each run is that trains, for the line that moves below its name."""
    return {_name(run): _steps_line(run) for run in _active()}


def _name(run: Run) -> str:
    return f"strip.{run.slug}"


def _steps_line(run: Run) -> Mapping[str, object]:
    s = run.status
    left = f" · {wording.duration(s.eta_seconds)} left" if s.eta_seconds is not None else ""
    return line([Piece(f"{s.step:,}/{s.of:,}{left}")], faint=True)


def _line(run: Run) -> None:
    with st.container(gap=None, key=f"strip.{run.slug}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"strip.row.{run.slug}"):
            st.page_link(
                rung_page(run.rung_key),
                label=f"● {plain(run.name)}",
                query_params={state.RUN: run.slug},
                width="stretch",
            )
            if run.state in (State.RUNNING, State.PAUSED) and owners.acting().may_change(run.owner):
                st.button(
                    "Stop",
                    type="tertiary",
                    key=f"strip.stop.{run.slug}",
                    on_click=_stop,
                    args=(run.slug,),
                    help="Finish the step, save the weights and end. Resume goes on from there.",
                )
        live_line(_name(run), _steps_line(run))


def _stop(slug: str) -> None:
    try:
        control.stop(loaders.present(slug))
    except state.PROBLEMS as error:
        state.say_error(error)


def _tell_end(slug: str) -> None:
    run = next((each for each in loaders.listing() if each.slug == slug), None)
    if run is None or run.damage:
        return
    icon = ":material/check:" if run.state is State.FINISHED else ":material/info:"
    state.say_next(f"{run.name}: {run.state}, val {wording.loss(run.status.val_loss)}", icon)


def _changed(page: str) -> bool:
    """Whether the run that the page shows has been deleted, renamed, or has another state than when it was drawn.

    A rung's page follows a run that is under way by itself.
    """
    shown = st.session_state.get(chosen.SHOWN)
    if shown is None or st.session_state.get("writing"):
        return False
    run = next((each for each in loaders.listing(within=1.0) if each.slug == shown[0]), None)
    if run is None:
        st.query_params[state.RUN] = shown[0]  # the address says which it was, and the page that it is gone
        return True
    if page in RUNG_FOLLOWS and State(shown[2]).active:
        return False
    return bool((run.slug, run.name, str(run.state), run.usable) != shown)
