"""What an open page notices of other tabs, and what is the same on all pages."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from core.ladder.registry import RUNGS
from core.runs.state import Run
from pages.ui import wording
from pages.ui.choosers import chosen
from pages.ui.plots.colours import rung_colours


def _look() -> None:
    import streamlit as st

    from pages.ui import looking

    st.text(str(looking._changed(st.session_state["page"])))


def changed(run: Run, page: str, state: str) -> tuple[bool, AppTest]:
    """Whether a page that shows this run, drawn while it was in that state, is to be drawn anew."""
    app = AppTest.from_function(_look)
    app.session_state[chosen.SHOWN] = (run.slug, run.name, state, run.usable)
    app.session_state["page"] = page
    app.run()
    return app.text[0].value == "True", app


@pytest.mark.parametrize("page", ["transformer", "attention"])
def test_an_idle_page_sees_what_another_tab_did(finished: Run, page: str):
    """Stopped, resumed or deleted; a rung's page follows a run that is under way by itself."""
    assert not changed(finished, page, "finished")[0]
    assert changed(finished, page, "stopped")[0]
    assert changed(finished, page, "running")[0] == (page not in RUNGS)
    shutil.rmtree(finished.path)
    again, app = changed(finished, page, "finished")
    assert again and app.query_params["run"] in (finished.slug, [finished.slug])


def test_each_line_of_the_ladder_has_a_colour_of_its_own():
    places = rung_colours()
    assert len(set(places.values())) == len(places) and set(RUNGS) <= set(places)


def test_small_numbers_and_waiting_in_words():
    assert [wording.chance(p) for p in (0.0, 1.0, 0.25, 0.00004)] == ["0", "1", "0.2500", "4.0e-5"]
    assert wording.duration(0) == "0 s"
    assert wording.waiting("waiting for the cpu, behind fair-hamlet") == "waiting for the CPU, behind fair-hamlet"
    assert wording.waiting("writing a sample") == "writing a sample"
