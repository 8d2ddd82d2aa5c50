"""The page Races: the line-up while one chooses, a race from its start to its winner, and what goes wrong."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import control, work
from core.runs import editing, reading
from core.studies.races import race as racing
from core.studies.races.board import AXES
from core.texts import own as texts_own
from tests.message import unpack
from tests.pages.test_pages import draw, words

PAGE = "use/races.py"


def tables(app: AppTest) -> str:
    """The board and the line-up."""
    return "".join(each.proto.body for each in app.get("html"))


def curves_over(app: AppTest, axis: str) -> dict[str, Any]:
    """The chart over an axis."""
    sent = [unpack(each.proto.bytes) for each in app.get("bidi_component") if each.proto.bytes]
    (chart,) = [each for each in sent if each.get("x_label") == axis]
    return chart


def test_a_race_from_its_line_up_to_its_end(monkeypatch: pytest.MonkeyPatch):
    """Chosen, refused, started, cancelled, gone on with, won; a run deleted; more seeds; its address."""
    monkeypatch.setattr(control, "start", control.claim)  # queued, by this process
    text = texts_own.add(b"To be, or not to be, that is the question. " * 50, "Short").name
    app = draw(PAGE, text=text)
    app.multiselect(key="race.entrants").set_value(["mlp:seconds"]).run()
    assert "A race of 1 entrant is none" in words(app) and not [b for b in app.button if b.key == "race.go"]
    app.multiselect(key="race.entrants").set_value(["bigram:seconds", "mlp:seconds"]).run()
    assert "Bigram cannot have 100,000 parameters" in words(app) and "of 100,000" in tables(app)
    assert not [b for b in app.button if b.key == "race.go"]
    app.segmented_control(key="race.fair").set_value("steps").run()
    app.number_input(key="race.steps").set_value(4).run()
    app.button(key="race.go").click().run()
    (key,) = racing.races(reading.list_runs())
    assert key in app.query_params["race"] and "2 wait for their turn" in app.get("progress")[0].proto.text
    assert "waiting for its turn" in tables(app) and "The race is on" in [each.value for each in app.header]

    app.button(key="race.cancel").click().run()
    for run in racing.find(key).active:
        work.work(run.path, log=lambda line: None)
    assert "is stopped at step" in words(app.run())
    app.button(key="race.go-on").click().run()
    for run in racing.find(key).active:
        work.work(run.path, log=lambda line: None)
    app.run()
    (winner,) = [each.value for each in app.header if "is first" in each.value]
    assert "one seed cannot tell that from noise" in words(app) and "finished: 4 steps" in tables(app)
    chart = curves_over(app, "step")
    assert sorted(curve["label"] for curve in chart["curves"]) == ["Bigram", "MLP"] and not chart["live"]
    assert winner.split(" is ")[0] in ("Bigram", "MLP")

    app.segmented_control(key="over").set_value("seconds").run()
    assert not app.exception and curves_over(app, AXES["seconds"].title)["curves"]
    app.button(key="race.more").click().run()
    assert len(reading.list_runs()) == 6
    editing.delete(racing.find(key).active[0])
    racing.cancel(racing.find(key))
    for run in racing.find(key).active:
        work.work(run.path, log=lambda line: None)
    again = draw(PAGE, race=key)
    assert again.selectbox(key="text").value == text, "an address leads to the race's own text"
    assert again.selectbox(key="race.shown").value == key and "was deleted, or never started" in words(again)
    assert "There is no race “race-ffffff”" in words(draw(PAGE, race="race-ffffff", text=text))


def test_a_link_draws_up_the_race_it_was_copied_from():
    """Who takes part and what is equal stand in the address; what does not fit is passed over."""
    asked = {"race.entrants": ["Bigram", "MLP"], "race.fair": "steps", "race.steps": "40", "race.first": "-3"}
    app = draw(PAGE, **asked)
    assert app.multiselect(key="race.entrants").value == ["bigram:seconds", "mlp:seconds"]
    assert app.segmented_control(key="race.fair").value == "steps"
    assert app.number_input(key="race.steps").value == 40 and app.number_input(key="race.first").value == 1337
    assert "2 runs" in words(app)
