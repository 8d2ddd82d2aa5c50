"""What a link can ask of a page: settings, runs to compare with, axes; what it hides and locks; and bad ones."""

import re

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.runs.state import Run
from pages.ui import teaching
from pages.ui.components.charts.curves import not_in_address
from pages.ui.run.overlay import matching
from tests.message import unpack
from tests.pages.test_pages import FOLDER, draw, words


def address(app: AppTest) -> dict[str, str]:
    """What the address of the page says."""
    return {name: value if isinstance(value, str) else value[0] for name, value in app.query_params.items()}


def test_settings_and_runs_stand_in_the_address_and_lead_back(finished: Run):
    """Whatever is set by hand, without Train, is what the address says; a form as it is at first says nothing."""
    app = draw("ladder/mlp.py")
    assert "preset" not in app.query_params and "set" not in app.query_params
    app.select_slider(key="mlp.model.d_hidden").set_value(64).run()
    app.text_input(key="mlp.train.prompt").set_value("A, b & c").run()
    said = address(app)
    assert said["set"] == "model.d_hidden=64,train.prompt=A%2C%20b%20%26%20c"
    app.select_slider(key="mlp.model.d_hidden").set_value(128).run()
    app.query_params["set"] = said["set"]  # what the browser sends may be a little behind
    app.run()
    assert app.select_slider(key="mlp.model.d_hidden").value == 128

    again = draw("ladder/mlp.py", **said)
    assert again.select_slider(key="mlp.model.d_hidden").value == 64
    assert again.text_input(key="mlp.train.prompt").value == "A, b & c"
    assert not again.warning


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("model.n_head=2,model.nosuch=1,train.nosuch=2", "nosuch"),
        ("model.n_head=2," + "x" * 7000 + "=1", "xxx"),
        ("model.n_head=2,model.d_model=blue", "blue"),
    ],
)
def test_what_fits_of_a_link_is_set_and_the_rest_told_in_a_line(changes: str, told: str, finished: Run):
    app = draw("ladder/transformer.py", set=changes)
    assert app.slider(key="transformer.model.n_head").value == 2
    for _ in range(2):  # as long as the address asks for it
        (warning,) = app.warning
        assert told in warning.value and "\n" not in warning.value and len(warning.value) < 500
        app.run()
    app.slider(key="transformer.model.n_head").set_value(1).run()
    assert app.slider(key="transformer.model.n_head").value == 1
    assert address(app)["set"] == "model.n_head=1"


def test_a_link_that_asks_for_much_that_is_not_here(finished: Run):
    """A deleted run, a tab, an axis, parts to hide: each in one line at the top, and the page is whole."""
    ask = {"with": f"{finished.slug},mlp-gone-away", "tab": "nosuch", "x": "furlongs", "hide": "settings,chairs"}
    app = draw("ladder/transformer.py", **ask, lock="model.nosuch," + "y" * 9000, set="a" * 10_000)
    told = [each.value for each in app.warning]
    assert len(told) == 2 and all("\n" not in each and len(each) < 700 for each in told)
    for word in ("mlp-gone-away", "tab=nosuch", "furlongs", "chairs", "too long"):
        assert word in "".join(told)
    assert app.button(key="transformer.train")
    assert "too long" not in words(draw("ladder/transformer.py"))


def test_a_teachers_link_hides_and_locks_until_all_is_shown(finished: Run):
    """Locked settings are set by the link and moved by nothing else; hidden parts are not drawn."""
    hide = {"hide": "terminal,text,compare,samples,code", "lock": "model.n_head", "set": "model.n_head=2"}
    app = draw("ladder/transformer.py", **hide)
    slider = app.slider(key="transformer.model.n_head")
    assert slider.disabled and slider.value == 2 and not app.slider(key="transformer.model.n_layer").disabled
    assert not [each for each in app.selectbox if each.key == "text"] and "python -m core" not in words(app)
    app.segmented_control(key="transformer.preset").set_value("minutes").run()
    assert app.slider(key="transformer.model.n_head").value == 2
    assert "code" not in app.segmented_control(key="transformer.tab").options
    assert not app.multiselect
    app.button(key="show-all").click().run()
    assert not app.slider(key="transformer.model.n_head").disabled and app.multiselect(key="compare") is not None
    assert "hide" not in app.query_params and "lock" not in app.query_params

    app = draw("ladder/transformer.py", lock="all")
    assert all(each.disabled for each in app.slider if each.key and each.key.startswith("transformer."))
    assert all(app.button(key=f"transformer.try.{i}").disabled for i in range(2))
    assert not app.button(key="transformer.train").disabled


def test_with_the_settings_hidden_train_trains_what_the_link_says(finished: Run, taken: list[Run]):
    app = draw("ladder/transformer.py", hide="settings,views,idea", set="model.n_head=2", preset="minutes")
    assert not [each for each in app.slider if each.key and each.key.startswith("transformer.")]
    app.button(key="transformer.train").click().run()
    assert [run.need().model["n_head"] for run in taken] == [2]


def test_only_the_picture(finished: Run):
    app = draw_only(finished)
    assert not app.title and not app.button
    (chart,) = app.main.get("bidi_component")
    assert unpack(chart.proto.bytes)["main"]


def draw_only(run: Run) -> AppTest:
    """A rung's page of which nothing but its picture is left: it has no title either, by which `draw` would know it."""
    app = AppTest.from_file(FOLDER / "frame.py", default_timeout=60)
    app.query_params["only"], app.query_params["run"] = "picture", run.slug
    app._page_hash = calc_hash("transformer")
    app.run()
    assert not app.exception
    return app


def test_runs_are_found_by_typing():
    names = ["mlp hidden 64", "mlp hidden 128", "transformer (a+b)", "wavenet"]
    assert matching(names, "MLP.*(64|128)$") == [True, True, False, False]
    assert matching(names, "(a+") == [False, False, True, False]  # no regular expression
    assert matching(["a" * 5000], "(a+)+$b") == [False]  # at once: it would not end where one goes back
    assert matching([], "x") == []


def test_words_of_an_address_about_axes():
    good = {"x": "clock", "log": "xy", "smooth": "0.85", "y": "robust", "zoom": "0,100.5,-1,2e3"}
    assert not_in_address({**good, "run": "any"}) == []
    bad = {"x": "y", "log": "z", "smooth": "1.5", "y": "0", "zoom": "1,2,3"}
    assert not_in_address(bad) == [f"{name}={value}" for name, value in bad.items()]


def test_what_is_chosen_inside_a_view_stands_in_the_address_and_leads_back(finished: Run):
    """A closed view takes its choices out of the address; what is not there is told."""
    app = draw("ladder/transformer.py", run=finished.slug, tab="units")
    unit = app.selectbox(key="units.unit.line position").options[3]
    app.selectbox(key="units.unit.line position").select(unit).run()
    app.selectbox(key="units.what").select("word start").run()
    said = address(app)
    assert said["property"] == "word start" and said["unit"] == unit.split(":")[0].removeprefix("unit ")
    again = draw("ladder/transformer.py", **said)
    assert again.selectbox(key="units.what").value == "word start"
    assert str(again.selectbox(key="units.unit.word start").value) == said["unit"]
    app.segmented_control(key="transformer.tab").set_value("log").run()
    assert not {"property", "unit"} & set(app.query_params) and address(app)["tab"] == "log"

    bad = draw("ladder/transformer.py", run=finished.slug, tab="units", unit="<b>9", property="x" * 9000)
    assert not bad.exception and bad.selectbox(key="units.what").value == "line position"
    assert "which is not here; choose another" in words(bad) and "x" * 41 not in words(bad)


def test_how_a_text_was_written_stands_in_the_address(finished: Run):
    app = draw("use/write.py", run=finished.slug, seed="7", tokens="9999999", top_p="0.5")
    assert app.number_input(key="write..seed").value == 7 and app.slider(key="write..top_p").value == 0.5
    assert "tokens" in words(app) and "cannot be set" in words(app)
    app.slider(key="write..top_k").set_value(3).run()
    assert {"seed": "7", "top_k": "3", "top_p": "0.5"}.items() <= address(app).items()
    assert "temperature" not in app.query_params


def test_the_named_parts_of_every_page_can_be_hidden(finished: Run):
    """Some are not drawn, some are put out of sight by the browser; no part has the name of a view."""
    assert not teaching.PARTS.keys() & teaching._views() and teaching.EVERYWHERE.keys() <= teaching.PARTS.keys()
    source = "".join(path.read_text("utf-8") for path in FOLDER.rglob("*.py"))
    drawn = set(re.findall(r"(?:part|shown)\(\"([a-z]+)\"\)", source))
    named = {"text", "settings", "train", "experiments", "terminal"}  # asked for in one go by the form
    assert drawn | named | teaching.EVERYWHERE.keys() == teaching.PARTS.keys()

    whole = [header.value for header in draw("use/text.py").header]
    app = draw("use/text.py", hide="numbers,reader,files,notes")
    left = [header.value for header in app.header]
    assert [*whole[:1], whole[-1]] == [each for each in whole if each not in left] and left
    assert not app.warning
    style = "".join(element.proto.body for element in app.get("html"))
    assert "stDownloadButton" in style and "stCaptionContainer" in style and "stDataFrame" not in style
    app.button(key="show-all").click().run()
    assert [header.value for header in app.header] == whole


def test_what_was_said_of_a_report_is_there_on_the_next_visit(finished: Run):
    app = draw("use/runs.py", run=finished.slug)
    question = next(box for box in app.text_area if box.label == "Question")
    question.set_value("Does it <b>learn</b>?").run()
    app.text_input(key="report.author").set_value("Ada").run()
    again = draw("use/runs.py", run=finished.slug)
    assert next(box for box in again.text_area if box.label == "Question").value == "Does it <b>learn</b>?"
    assert again.text_input(key="report.author").value == "Ada"
