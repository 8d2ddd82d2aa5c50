"""A rung's page: settings in the address, one run for one set-up, one view at a time, places that stay."""

from contextlib import nullcontext

import pytest

from core.ladder.registry import RUNGS
from core.runs import editing, folder, plan, reading, state
from core.runs.folder import State
from core.runs.state import Run
from core.studies.landmarks import verdict
from pages.ui.components.charts.curves import Landmark
from pages.ui.rung_views import table
from tests.conftest import make_run
from tests.pages.test_pages import BESIDE_VIEWS, VIEWS, draw, open_view, under_way, words


def test_a_link_sets_the_form():
    """By the preset's name in files or on the page; a value with a comma survives."""
    for name in ("reference", "best"):
        app = draw("ladder/transformer.py", preset=name, set="model.n_head=2,train.prompt=a%2Cb")
        assert app.segmented_control(key="transformer.preset").value == name
        assert app.slider(key="transformer.model.n_head").value == 2
        assert app.text_input(key="transformer.train.prompt").value == "a,b"
        assert not app.warning
    assert draw("ladder/mlp.py", preset="good").segmented_control(key="mlp.preset").value == "minutes"


@pytest.mark.parametrize(
    ("preset", "changes", "told"),
    [
        ("nosuch", "", "nosuch"),
        ("", "model.nosuch=1", "model.nosuch"),
        ("", "n_head=1", "n_head"),
        ("", "model.n_head", "gives no value"),
        ("", "model.n_head=many", "many"),
        ("", "model.n_head=" + "1" * 9000, "too long"),
    ],
)
def test_a_link_to_what_is_not_there_is_told_in_a_line(preset: str, changes: str, told: str):
    app = draw("ladder/transformer.py", preset=preset, set=changes)

    assert len(app.warning) == 1 and told in app.warning[0].value and "\n" not in app.warning[0].value
    assert app.slider(key="transformer.model.n_head").value == 4


def same_as_the_form(rung: str) -> Run:
    """A run of what the form of a rung holds at first."""
    return editing.create(plan.plan(rung, preset=RUNGS[rung].default_preset))


def test_what_is_being_trained_is_not_trained_twice(taken: list[Run]):
    with under_way(same_as_the_form("mlp")):
        app = draw("ladder/mlp.py")
        button = app.button(key="mlp.train")
        assert button.disabled and button.label == "Training …"
        app.number_input(key="mlp.train.seed").set_value(7).run()
        button = app.button(key="mlp.train")
        assert not button.disabled
        button.click().run()
    assert [made.need().train.seed for made in taken] == [7]


def test_a_second_press_before_the_page_could_answer_starts_nothing(taken: list[Run]):
    app = draw("ladder/mlp.py")
    with under_way(same_as_the_form("mlp")) as run:
        app.button(key="mlp.train").click().run()  # the page still offers it
        assert app.selectbox(key="run").value == run.slug
    assert taken == []


def test_a_run_that_waits_leaves_the_running_one_on_the_chart_until_it_begins(taken: list[Run]):
    with under_way(make_run("mlp")) as running:
        app = draw("ladder/mlp.py", run=running.slug)
        app.button(key="mlp.train").click().run()
        (waiting,) = taken
        assert app.selectbox(key="run").value == running.slug
    with folder.hold(waiting.path):
        state.write_status(waiting.path, waiting.status.model_copy(update={"state": State.RUNNING}))
        app.run()
        assert app.selectbox(key="run").value == waiting.slug
    assert not app.exception


def test_an_experiment_is_set_by_the_first_click_and_trained_by_the_second(taken: list[Run]):
    app = draw("ladder/transformer.py")
    app.button(key="transformer.try.1").click().run()
    assert "quick: Heads 4 → 1" in words(app) and not taken
    app.button(key="transformer.try.1").click().run()
    assert [run.need().model["n_head"] for run in taken] == [1]


def test_a_set_experiment_that_was_changed_is_set_again(taken: list[Run]):
    app = draw("ladder/transformer.py")
    app.button(key="transformer.try.1").click().run()
    app.slider(key="transformer.model.n_head").set_value(2).run()
    app.button(key="transformer.try.1").click().run()
    assert app.slider(key="transformer.model.n_head").value == 1 and not taken


def test_only_the_view_that_is_open_is_drawn(monkeypatch: pytest.MonkeyPatch, finished: Run):
    drawn: list[str] = []
    views = {name: lambda run, name=name: drawn.append(name) for name in table.VIEWS}
    monkeypatch.setattr(table, "VIEWS", views)
    draw("ladder/transformer.py", run=finished.slug)
    assert drawn == []
    draw("ladder/transformer.py", run=finished.slug, tab="layers")
    assert drawn == ["layers"]
    app = draw("ladder/transformer.py", run=finished.slug, tab="nosuch")
    assert app.segmented_control(key="transformer.tab").value == "idea"


def test_every_button_of_a_run_is_there_in_every_state():
    names = ["pause", "step", "stop", "resume"]
    run = make_run("bigram")
    with under_way(run):
        assert {each.key for each in draw("ladder/bigram.py", run=run.slug).button} >= set(names)
    state.write_status(run.path, run.status.model_copy(update={"state": State.STOPPED, "step": 3, "of": 10}))
    app = draw("ladder/bigram.py", run=run.slug)
    assert [app.button(key=name).disabled for name in names] == [True, True, True, False]
    state.write_status(run.path, run.status.model_copy(update={"state": State.FINISHED, "step": 10, "of": 10}))
    app = draw("ladder/bigram.py", run=run.slug)
    assert [app.button(key=name).disabled for name in names] == [True] * 4


def test_weights_that_were_brought_in_say_so():
    run = make_run("bigram")
    update = {"state": State.FINISHED, "val_loss": 3.2995, "message": "imported", "device": "cpu"}
    state.write_status(run.path, run.status.model_copy(update=update))
    shown = words(draw("ladder/bigram.py", run=run.slug))

    assert "weights only, val 3.2995" in shown and "0 / 0" not in shown and "step 0" not in shown
    assert reading.read(run.path).state is State.FINISHED


def test_the_verdict_names_what_was_beaten_and_what_was_not():
    marks = [Landmark("pairs: 2.48", 2.48, ""), Landmark("blind: 4.17", 4.17, ""), Landmark("best: 1.53", 1.53, "")]

    assert verdict(2.0, marks, 1.5) == (
        "At 2.000: better than pairs (2.48), not as good as best (1.53), 0.500 above the shipped run of this rung."
    )
    assert verdict(5.0, [], None) == "At 5.000."


@pytest.mark.parametrize("training", [True, False], ids=["begins", "begun"])
@pytest.mark.parametrize(("script", "tab"), VIEWS)
def test_a_view_of_a_run_without_weights_says_why_it_shows_nothing(script: str, tab: str, training: bool):
    """While it trains: that there will be something. No view is empty."""
    run = make_run(script.removeprefix("ladder/").removesuffix(".py"))
    with under_way(run) if training else nullcontext():
        app = draw(script, run=run.slug, tab=tab, **BESIDE_VIEWS)

    assert not app.exception and not app.error
    assert open_view(app), "nothing, not even why"
    assert "Train another" not in words(app) or not training
