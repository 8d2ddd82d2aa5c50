"""What is around the form and the table of runs: kept settings, the schedule, twins over seeds, cards, reports."""

import json
import zlib

from streamlit.testing.v1 import AppTest

from core.runs import editing, reading, set_ups
from core.runs.state import Run
from core.training.config import TrainConfig
from core.training.optimizers import schedule
from pages.ui.drawings.schedule import FOOT, HEIGHT, TOP, WIDTH, drawing
from tests.conftest import make_run
from tests.core.studies.test_compare import ended
from tests.pages.test_pages import draw, words
from tests.pages.test_runs_you_can_trust import choose


def test_settings_are_kept_and_loaded(finished: Run):
    """Under a name; from a run of this rung or of another; what does not fit is told in a line."""
    app = draw("ladder/mlp.py")
    app.slider(key="mlp.model.dropout").set_value(0.3)
    app.text_input(key="mlp.kept.name").set_value("Mine")
    next(button for button in app.button if button.label == "Keep").click().run()
    assert set_ups.find("mlp", "Mine").model["dropout"] == 0.3 and not app.error
    app.slider(key="mlp.model.dropout").set_value(0.0).run()
    app.button(key="mlp.kept.of.load").click().run()
    assert app.slider(key="mlp.model.dropout").value == 0.3 and "Loaded: Mine" in [t.value for t in app.toast]

    app.selectbox(key="mlp.kept.run").set_value(finished.slug).run()
    app.button(key="mlp.kept.run.load").click().run()
    assert app.select_slider(key="mlp.train.steps").value == 4
    assert "takes no such setting" in app.error[0].value and "n" + "_head" in app.error[0].value.replace("\\", "")

    set_ups.forget("mlp", "Mine")  # in another tab
    app.button(key="mlp.kept.of.load").click().run()
    assert "nothing is kept under" in app.error[0].value
    assert not app.exception and "mlp.kept.of" not in [box.key for box in app.selectbox]


def test_a_run_deleted_in_another_tab_is_told_when_its_settings_are_loaded():
    run = make_run("mlp")
    app = draw("ladder/mlp.py", run=run.slug)
    editing.delete(ended(run, 2.0))
    app.button(key="mlp.kept.run.load").click().run()
    assert not app.exception and "no run" in app.error[0].value


def test_the_schedule_is_the_one_that_training_follows():
    """Every corner of the line lies where the factor that training uses puts it."""
    train = TrainConfig(steps=200, warmup=40, cooldown=0.5, learning_rate=0.02)
    svg, _ = drawing(train)
    points = [tuple(map(float, point.split(","))) for point in svg.split('d="M')[1].split('"')[0].split(" L")]
    floor, high = HEIGHT - FOOT, HEIGHT - FOOT - TOP
    for x, y in points:
        step = round(x / WIDTH * 199)
        assert abs(y - (floor - high * schedule(step, train))) < 0.06
    assert {round(x / WIDTH * 199) for x, _ in points} >= {0, 39, 99, 199}
    assert "warm-up 40" in svg and "cool-down from step 100" in svg and "0.02" in svg
    for odd in (TrainConfig(steps=1), TrainConfig(steps=3, warmup=2000, cooldown=1.0)):
        assert "nan" not in drawing(odd)[0]


def test_twins_are_trained_over_several_seeds(taken: list[Run]):
    app = draw("ladder/mlp.py")
    app.number_input(key="mlp.twins.seeds").set_value(3).run()
    app.button(key="mlp.twins").click().run()
    made = [(run.need().model["dropout"], run.need().train.seed) for run in taken]
    assert made == [(value, seed) for seed in (1337, 1338, 1339) for value in (0.0, 0.2)]
    assert taken[1].name == "mlp dropout 0.2" and taken[3].name == "mlp dropout 0.2, seed 1338"
    assert not app.exception


def test_the_table_of_runs_shows_what_differs_and_opens_what_is_clicked(finished: Run):
    other = ended(make_run("transformer", seed=7), 2.0)
    ended(make_run("bigram"), 2.5)
    listed = reading.list_runs()
    app = draw("use/runs.py")
    table = app.dataframe[0].value
    assert list(table["train.seed"])[[run.slug for run in listed].index(other.slug)] == "7"
    assert "model.n_layer" not in table  # both Transformers have the same, and a bigram has none
    at = [run.slug for run in listed].index(other.slug)
    key = f"runs.table.{zlib.crc32(' '.join(run.slug for run in listed).encode())}"
    app.session_state[key] = {"selection": {"rows": [], "columns": [], "cells": [(at, "name")]}}
    app.run()
    assert not app.exception
    assert other.slug in words(app) and app.query_params["run"] in (other.slug, [other.slug])
    app = choose(draw("use/runs.py"), listed, 0, 1)
    labels = [button.proto.label for button in app.get("download_button")]
    assert "Curves (.csv)" in labels and "Lab report (.html)" in labels


def test_salience_is_drawn_and_says_its_gap(finished: Run):
    app = draw("inside/prediction.py", run=finished.slug, view="salience")
    assert "they miss the change by" in words(app) and "add up to" in words(app)
    assert any("nats, place 0" in element.proto.body for element in app.get("html"))
    app.segmented_control(key="salience.method").set_value("gradient").run()
    assert not app.exception


def test_salience_of_a_table_is_explained():
    from core.jobs import work

    run = work.work(make_run("bigram").path)
    app = draw("inside/prediction.py", run=run.slug, view="salience")
    assert "without a vector" in app.info[0].value


def test_a_map_shows_what_was_isolated_and_goes_back_to_a_bookmark(finished: Run):
    """The rows stand in the address; what is no row there, or of another table, shows all of them."""
    app = draw("inside/embeddings.py", run=finished.slug, points="token:1,2,3,4,5,x,99999")
    size = len(finished.need().characters)

    def shown(app: AppTest) -> int:
        figure = json.loads(app.get("plotly_chart")[0].proto.spec)
        return sum(len(trace["text"]) for trace in figure["data"] if "text" in trace)

    assert shown(app) == 5
    app.text_input(key="map.name").set_value("Five <b>")
    next(button for button in app.button if button.label == "Keep").click().run()
    app.button(key="map.all").click().run()
    assert shown(app) == size and "points" not in app.query_params
    app = draw("inside/embeddings.py", run=finished.slug)  # another visit
    app.button(key="map.kept.Five <b>").click().run()
    assert shown(app) == 5 and not app.exception
    app.button(key="map.forget.Five <b>").click().run()
    assert not [each for each in app.button if each.key == "map.kept.Five <b>"]
    for other in ("position:1,2,3", "token:1,2", "token:", "1,2,3", "token:-1,a,1e3"):
        assert shown(draw("inside/embeddings.py", run=finished.slug, points=other)) == size
