"""The tour's strip, the exercises of a rung, the glossary and what a learner has done, drawn through the frame."""

from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from core.ladder.registry import RUNGS
from core.runs.state import Run
from core.studies.course import glossary, judging
from core.studies.course.progress import Progress
from core.studies.course.tour import STATIONS
from pages.login import Login
from pages.ui.course import marking, progress, tour
from pages.ui.navigation import HOME, addresses
from pages.ui.rung_views.table import VIEWS
from tests.pages.test_pages import FOLDER, draw, words


def links(app: AppTest) -> dict[str, dict[str, list[str]]]:
    """Where the links of the page lead, by their labels: the page and what its address says."""
    found = {}
    for link in app.get("page_link"):
        found[link.proto.label] = {"page": [link.proto.page], **parse_qs(link.proto.query_string)}
    return found


def test_stations_and_terms_lead_to_pages_and_views_that_are_there():
    there = addresses() | {HOME}
    assert {station.page for station in STATIONS.values()} <= there
    assert {term.page for term in glossary.TERMS} <= there
    asked = [(each.page, each.query["tab"]) for each in glossary.TERMS if "tab" in each.query]
    asked += [(each.page, each.act.value) for each in STATIONS.values() if getattr(each.act, "name", "") == "tab"]
    assert len(asked) > 10
    assert all(tab in RUNGS[rung].views and tab in VIEWS for rung, tab in asked)


def test_the_tour_begins_on_the_first_page_goes_on_and_is_left():
    begin = links(draw("ladder/overview.py"))["**Take the tour**"]
    assert begin["tour"] == ["first"]

    app = draw("ladder/bigram.py", tour="pairs")
    assert "4 of 12 · A table is a model." in words(app)
    assert app.button(key="tour.next").label == "Skip"

    app.segmented_control(key="bigram.tab").set_value("pairs").run()
    assert app.button(key="tour.next").label == "Next"
    assert app.session_state[progress.PROGRESS].has("station.pairs")

    app.button(key="tour.leave").click().run()
    assert "of 12" not in words(app) and "tour" not in app.query_params


def test_away_from_its_page_and_where_its_page_has_changed_the_strip_says_so():
    app = draw("learn/glossary.py", tour="pairs")
    assert "You have left its page" in words(app) and app.button(key="tour.here").label == "To this station"

    app = draw("ladder/bigram.py", tour="pairs")
    app.session_state[tour.MISSING] = "pairs"  # as the browser tells it
    app.run()
    assert "is not on this page as it is now" in words(app) and app.button(key="tour.next").label == "Skip"


@pytest.mark.parametrize("asked", ["nowhere", "<b>x</b>", "9" * 500])
def test_a_station_that_is_none_is_told(asked: str):
    app = draw("ladder/bigram.py", tour=asked)
    assert "The link asks for what is not here: tour=" in app.warning[0].value and "of 12" not in words(app)


def test_an_exercise_is_answered_and_checked():
    app = draw("ladder/bigram.py", tab="exercises")
    assert words(app).count("Predict: a model that knows nothing") == 1
    app.number_input(key="bigram.exercise.0.answer").set_value(3.0).run()
    assert "Too low." in words(app)
    app.number_input(key="bigram.exercise.0.answer").set_value(4.17).run()
    app.selectbox(key="bigram.exercise.2.answer").set_value("u").run()
    done = app.session_state[progress.PROGRESS]
    assert judging.done_of(RUNGS["bigram"], done.marks) == 2
    assert sum("check_circle" in each.value for each in app.markdown) == 2


def test_a_form_that_is_set_so_does_an_exercise(finished: Run):
    app = draw("ladder/transformer.py", tab="exercises", run=finished.slug, set="model.n_head=8")
    assert app.session_state[progress.PROGRESS].has("exercise.transformer.1")
    found = app.selectbox(key="transformer.exercise.2.answer")
    assert [each for each in found.options if each.startswith("layer 0, head")]


def test_progress_counts_is_reported_and_forgotten(finished: Run):
    app = AppTest.from_file(FOLDER / "frame.py", default_timeout=60)
    app.session_state[progress.PROGRESS] = Progress().marked("station.first").marked("exercise.mlp.1")
    app.switch_page("learn/progress.py").run()
    assert not app.exception and not app.error
    assert {"1 of 12", "1 of 18", "0 of 10"} <= {bar.proto.text for bar in app.get("progress")}
    assert "**Tour, 2 of 12: Text becomes numbers**" in links(app)

    app.multiselect(key="report.runs").set_value([finished.slug])
    app.multiselect(key="report.claims").set_value(["depth"])
    app.text_area(key="report.notes").set_value("It *holds*.").run()
    assert not app.exception and app.session_state[progress.PROGRESS].note == "It *holds*."

    app.button(key="progress.forget").click().run()
    assert not app.session_state[progress.PROGRESS].marks and not app.session_state[progress.PROGRESS].note
    assert app.text_area(key="report.notes").value == ""
    assert "**Take the tour**" in links(app)


def test_the_glossary_finds_and_says_if_nothing_is_found():
    app = draw("learn/glossary.py", term="kneser")
    assert "Kneser-Ney smoothing" in words(app) and "Dropout" not in words(app)
    app.text_input(key="term").set_value("<script>").run()
    assert "No term has this word" in words(app)
    assert marking.markup().count("<script") == 2 and "</script><" not in marking.markup().split("bardlab-terms")[0]


def test_with_a_login_progress_is_kept_by_its_name(monkeypatch: pytest.MonkeyPatch):
    """Two visits, no browser that keeps anything between them."""
    monkeypatch.setattr(progress, "login", lambda: Login(("school",)))
    monkeypatch.setattr(progress.st, "user", SimpleNamespace(to_dict=lambda: {"email": "ada@school.example"}))
    monkeypatch.setattr(progress.st, "session_state", {})
    progress.mark("station.first")
    monkeypatch.setattr(progress.st, "session_state", {})
    assert progress.now().has("station.first")
    progress.forget()
    monkeypatch.setattr(progress.st, "session_state", {})
    assert not progress.now().marks
