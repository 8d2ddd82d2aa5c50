"""Your path: what was done, what comes next, and a report of what was found."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from core.ladder.registry import RUNGS
from core.studies.course import judging, path, report
from core.studies.course.progress import LONGEST_NOTE
from core.studies.course.tour import STATIONS
from pages.ui import state
from pages.ui.course import counted, progress, tour
from pages.ui.course.beside_title import next_link
from pages.ui.course.collected import COLLECTED
from pages.ui.navigation import page_at
from pages.ui.wording import plain

LONGEST_NAME = 120


def counts() -> None:
    """What was done, of how much, with a link to where the rest is."""
    for each, done, of in counted.lines(progress.now()):
        left, middle, right = st.columns([4, 8, 3], vertical_alignment="center")
        left.markdown(plain(each.title))
        if of:
            middle.progress(min(1.0, done / of), f"{done:,} of {of:,}")
        else:
            middle.markdown(f"{done:,}")
        page = page_at(each.page)
        right.page_link(page, label=page.title)


def stations() -> None:
    """Every station, to begin anywhere."""
    marks = progress.now().marks
    with st.expander("The stations of the tour"):
        for number, station in enumerate(STATIONS.values(), 1):
            sign = "✓ " if station.mark in marks else ""
            tour.link(station, f"{sign}{number:d}. {station.title}", ":material/route:")


def exercises() -> None:
    """Every exercise, rung by rung."""
    marks = progress.now().marks
    with st.expander("The exercises"):
        for rung in RUNGS.values():
            page = page_at(rung.key)
            for place, exercise in enumerate(rung.exercises):
                sign = "✓ " if judging.mark(rung, place) in marks else ""
                st.page_link(
                    page,
                    label=f"{sign}{rung.title}: {exercise.title}",
                    icon=rung.icon,
                    query_params={"tab": path.EXERCISES},
                )


def called(options: Mapping[str, str], key: str) -> str:
    """How something that can be chosen is called."""
    return options.get(key, "deleted")


def lab_report() -> None:
    """What goes into the report, and the report."""
    st.header("Lab report")
    st.caption("Choose what belongs to it, write what you make of it, and take it along as one file.")
    author = st.text_input("Your name", key="report.author", max_chars=LONGEST_NAME, help="Stands below the title.")
    sections = []
    for kind in COLLECTED:
        options = kind.options()
        if not options:
            continue
        chosen = st.multiselect(
            plain(kind.title),
            list(options),
            format_func=partial(called, options),
            key=f"report.{kind.key}",
            placeholder="none chosen",
            help="What of it goes into the report.",
        )
        sections += kind.sections([key for key in chosen if key in options])
    st.session_state.setdefault("report.notes", progress.now().note)
    note = st.text_area(
        "Notes",
        key="report.notes",
        max_chars=LONGEST_NOTE,
        height=140,
        help="Kept as your progress is: in this browser, or by your login's name.",
    )
    if note != progress.now().note:
        progress.put(progress.now().with_note(note))
        st.rerun()
    st.download_button(
        "Lab report (.html)",
        lambda: report.html(author, note, sections).encode("utf-8", "replace"),
        "lab-report.html",
        "text/html",
        icon=":material/download:",
        type="primary",
        key="report.take",
        help="One file that opens without network.",
    )


def forget() -> None:
    """One click forgets it all."""
    st.session_state.pop("report.notes", None)
    tour.leave()
    progress.forget()
    state.say_next("Your progress is forgotten, guesses and faults too; runs and claims stay")


state.notices()
with st.container(horizontal=True, vertical_alignment="center"):
    st.markdown("Next:", width="content")
    next_link()
with st.container(key="counts", gap="xsmall"):
    counts()
stations()
exercises()
lab_report()
with st.container(horizontal=True, vertical_alignment="center"):
    where = "by your login's name" if progress.learner() else "in this browser"
    st.caption(
        f"Stations, exercises, guesses, faults and notes are kept {where}; claims are counted from the runs on this "
        "machine."
    )
    st.button(
        "Forget my progress",
        icon=":material/delete:",
        key="progress.forget",
        on_click=forget,
        help="Stations, exercises, guesses, answers to faults and notes, at once. Runs stay where they are.",
    )
