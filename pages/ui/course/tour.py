"""The tour: a strip at the foot of every page while it is on. Where it is stands in the address and in the session."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import streamlit as st

from core.studies.course import tour
from core.studies.course.station import Opening, Seen, Station
from core.studies.course.tour import STATIONS
from pages.ui import loaders, state
from pages.ui.choosers import mine
from pages.ui.components.controls.pointer import pointer
from pages.ui.course import progress
from pages.ui.navigation import HOME, page_at
from pages.ui.wording import plain

TOUR = "tour"
"""Name of the URL's parameter for the station."""
AT, OPENING, MISSING = "tour.at", "tour.opening", "tour.missing"
OFTEN = 1.0
"""Seconds between two looks whether it is done."""
AFTERWARDS = "progress"
"""The page behind the last station."""
POINTED = "<style>%s { outline: 3px solid var(--pointed); outline-offset: 3px; border-radius: 0.3rem; }</style>"


def adopt() -> list[str]:
    """Take over the station that the address asks for; return what of it is none."""
    asked = st.query_params.get(TOUR)
    if asked is None:
        return []
    if asked not in STATIONS:
        return [f"{TOUR}={asked}"]
    if st.session_state.get(AT) != asked:
        st.session_state[AT] = asked
        now = f"{datetime.now(UTC).isoformat(timespec='milliseconds')}"
        st.session_state[OPENING] = Opening(now, st.query_params.to_dict())
        st.session_state.pop(MISSING, None)
    return []


def here() -> Station | None:
    """The station that the learner is at; None while the tour is off."""
    return STATIONS.get(st.session_state.get(AT, ""))


def strip(page: str) -> None:
    """Draw it, if the tour is on. `page` is the page's url_path."""
    if (station := here()) is None:
        return
    name = page or HOME
    there = name == station.page
    with st.container(key="tour"):
        done = progress.now().has(station.mark)
        st.fragment(_strip, run_every=None if done else OFTEN)(name)
        if there:
            with st.container(key="pointed"):
                st.html(POINTED % station.points_at)
                pointer(station.points_at, station.key, _missing, key="tour.pointer")


def settle(page: str) -> None:
    """Note how everything stands once the page has been drawn: what is changed from now on is the learner's act."""
    if (station := here()) and (page or HOME) == station.page:
        station.act.done(_seen(page or HOME))


def _seen(page: str) -> Seen:
    session = cast(Mapping[str, object], st.session_state)
    return Seen(page, st.query_params.to_dict(), session, mine.own(loaders.listing()), st.session_state[OPENING])


def _strip(page: str) -> None:
    if (station := here()) is None:
        st.rerun()  # it has just been left
    there = page == station.page
    done = progress.now().has(station.mark)
    if not done and there and station.act.done(_seen(page)):
        progress.mark(station.mark)
        st.rerun()
    place = list(STATIONS).index(station.key) + 1
    if not there:
        words = "You have left its page. Go back to it, or on to the next."
    elif st.session_state.get(MISSING) == station.key:
        words = "What this station points at is not on this page as it is now. Go on to the next."
    else:
        words = f"{station.says} {station.asks}"
    sign = ":green[:material/check_circle:] " if done else ""
    st.markdown(f"{sign}**{place:d} of {len(STATIONS):d} · {station.title}.** {words}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tour-ways"):
        if (earlier := tour.before(station.key)) is not None:
            _way(earlier, "back", "Back", ":material/arrow_back:", "The station before.")
        if not there:
            _way(station, "here", "To this station", ":material/my_location:", "Back to its page.")
        if (later := tour.after(station.key)) is not None:
            _way(later, "next", "Next" if done else "Skip", ":material/arrow_forward:", "The next station.")
        elif done:
            st.page_link(page_at(AFTERWARDS), label="See how far you are", icon=":material/flag:")
        st.button(
            "Leave the tour",
            type="tertiary",
            icon=":material/close:",
            key="tour.leave",
            on_click=leave,
            help="It can be taken up again at any time: The ladder leads to the next station.",
        )


def _way(to: Station, name: str, label: str, icon: str, help: str) -> None:
    """Draw a button that leads to a station: unlike a link it waits for what the page still has to say."""
    if st.button(plain(label), type="tertiary", icon=icon, key=f"tour.{name}", help=help):
        st.switch_page(page_at(to.page), query_params=query_of(to))


def link(station: Station, label: str, icon: str) -> None:
    """Draw a link to a station."""
    st.page_link(page_at(station.page), label=plain(label), icon=icon, query_params=query_of(station))


def query_of(station: Station) -> dict[str, str]:
    """What the address of a station says: its state, a run of its rung if there is one, and the tour."""
    run = _run_of(station.shows) if station.shows else None
    return {**station.query, **({state.RUN: run} if run else {}), TOUR: station.key}


def _run_of(rung: str) -> str | None:
    """The run of a rung that is shown: the one that ships, else the learner's newest."""
    usable = [run for run in loaders.listing() if run.rung_key == rung and run.usable]
    return next((run.slug for run in sorted(usable, key=lambda run: not run.shipped)), None)


def leave() -> None:
    """End the tour; what was done stays done."""
    st.session_state.pop(AT, None)
    st.query_params.pop(TOUR, None)


def _missing() -> None:
    station = here()
    st.session_state[MISSING] = station.key if station else ""
