"""A lab report on one or several runs: what its author says of it, which is kept with them, and the file."""

import zlib
from collections.abc import Sequence

import streamlit as st

from core.runs import notebook
from core.runs.state import Run
from core.studies import report
from core.studies.report_words import Words
from pages.ui import state

AUTHOR = "author"
"""The word that is the same in every report."""
LONG = 200
"""Characters from which on a text has a box of several lines."""


def report_form(compared: Sequence[Run]) -> None:
    """Draw a button that opens the form; the runs and their notes say what is left empty."""
    about = zlib.crc32(" ".join(run.slug for run in compared).encode())
    with st.popover("Lab report", icon=":material/description:", help="Question, guess, finding, figure: one file."):
        said, noted = {}, {**notebook.read("reports", ()), **notebook.read("reports", compared)}
        for field in Words.fields():
            box = st.text_area if (field.longest or 0) > LONG else st.text_input
            key = f"report.{field.name}" + ("" if field.name == AUTHOR else f".{about}")
            if key not in st.session_state:
                st.session_state[key] = str(noted.get(field.name, ""))[: field.longest]
            said[field.name] = box(
                field.name.capitalize(),
                key=key,
                max_chars=field.longest,
                persist_state="session",
                on_change=_note,
                args=(compared, field.name, key),
                width=420,
                help=field.help,
            )
        name = compared[0].path.name if len(compared) == 1 else "runs-compared"
        st.download_button(
            "Lab report (.html)",
            lambda: report.html(compared, Words.parse(said)).encode("utf-8", "replace"),
            f"{name}.html",
            "text/html",
            icon=":material/download:",
            key=f"report.{about}",
            type="primary",
            help="One file with the answer at its top and curves, settings, samples and seeds; opens without network.",
        )


def _note(compared: Sequence[Run], name: str, key: str) -> None:
    """Keep what was typed, with these runs; the author for all reports."""
    runs = () if name == AUTHOR else compared
    noted = {**notebook.read("reports", runs), name: st.session_state[key]}
    try:
        notebook.write("reports", runs, {field: words for field, words in noted.items() if words})
    except state.PROBLEMS as error:
        state.say_error(error)
