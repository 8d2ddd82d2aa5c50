"""Train on from a rung's page; does it heal, from the knock-out page."""

from urllib.parse import parse_qs

import pytest

from core.inspect.interventions.ablation import METHODS
from core.jobs import control, rankings, work
from core.runs import reading
from core.studies import careers, healing
from tests.core.runs.test_beginnings import brief
from tests.pages.test_pages import draw, words


def test_a_run_is_trained_on_and_a_wound_asked_about(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "start", control.claim)
    monkeypatch.setattr(control, "launch", lambda *_: None)
    run = work.work(brief("transformer", cooldown=0.5).path)
    app = draw("ladder/transformer.py", run=run.slug)
    assert "goes on from step 4 to 204" in words(app)
    app.number_input(key="train-on.steps").set_value(2).run()
    app.selectbox(key="train-on.rate").set_value("its highest").run()
    app.button(key="train-on.start").click().run()
    longer = reading.read(run.path)
    train = longer.need().train
    assert not app.exception and longer.state.active and (train.steps, train.schedule, train.afterwards) == (6, 4, 1.0)
    assert app.button(key="resume").disabled
    run = work.work(run.path)
    assert run.status.step == 6

    for method in METHODS:
        rankings.work(run, None, method, lambda _: None)
    app = draw("inside/knockout.py", run=run.slug, off="0.0")
    app.number_input(key="healing.steps").set_value(10).run()
    app.button(key="healing.start").click().run()
    assert not app.exception
    assert app.button(key="healing.start").disabled
    made = healing.healings(reading.list_runs())[0]
    for each in (made.wounded, made.twin):
        work.work(each.path)
    app.run()
    assert "The wound cost" in words(app) and "broken on purpose" in words(app)
    assert "Who takes over?" in [each.value for each in app.subheader] and "10 steps later" in words(app)
    app.button_group(key="career").set_value(careers.PRICE).run()
    assert app.button(key="healing.price").label == "Price every head at 5 moments" and "What went" not in words(app)
    for each, step in careers.to_price(healing.healings(reading.list_runs())[0]):
        rankings.work(each, step, healing.METHOD, lambda _: None)
    app.run()
    assert not app.exception and "What went, of “price”: head 0.0 at" in words(app)
    table = app.dataframe[0].value
    assert list(table["more"]) == sorted(table["more"], reverse=True) and len(table["career"][0]) == 5
    assert not [each for each in app.button if each.key == "healing.price"]

    app = draw("ladder/transformer.py", run=made.twin.slug)
    way = next(link.proto.query_string for link in app.get("page_link") if link.proto.label.startswith("Does it heal?"))
    assert parse_qs(way) == {"run": [run.slug], "off": ["0.0"]}
