"""The page Write: what its component is sent, what an address brings, and what cannot be written."""

import numpy as np
import pytest

from core.runs import layout
from core.runs.state import Run
from core.studies.writing import Writing, WritingConfig
from core.texts.tokenizer import CharTokenizer
from pages.ui import loaders
from pages.ui.components.texts.writing import Passage, Way, known, pack
from tests.message import unpack
from tests.pages.test_links import address
from tests.pages.test_pages import draw, to_the_end, words


def texts_of(run: Run, **settings: object) -> Writing:
    model, tokenizer = loaders.model(run)
    texts = Writing(model, tokenizer, "ROMEO:\n", WritingConfig.parse({"tokens": 40, **settings}))
    while not texts.done:
        texts.advance(0.0)
    return texts


def test_a_message_brings_what_the_browser_does_not_hold(finished: Run):
    texts = texts_of(finished, samples=2)
    ways = [Way("In Prediction", "prediction", {"run": finished.slug}, 2000)]
    first = unpack(pack(texts, [0, 0], "file", {"temperature": 1.0}, ways, [[Passage(3, 9, "<b>")]]))
    later = unpack(pack(texts, [30, 40], "file", {}, ways, []))

    assert first["fixed"]["prompt"] == "ROMEO:\n" and first["fixed"]["ways"][0]["query"] == {"run": finished.slug}
    assert [column["passages"] for column in first["columns"]] == [[{"start": 3, "length": 9, "title": "<b>"}], []]
    assert "fixed" not in later and [column["n"] for column in later["columns"]] == [10, 0]
    whole, rest = first["columns"][0], later["columns"][0]
    characters = first["fixed"]["characters"]
    assert "".join(characters[i] for i in whole["ids"]) == texts.texts[0].text
    assert np.array_equal(rest["numbers"].reshape(3, 10), whole["numbers"].reshape(3, 40)[:, 30:])
    assert np.array_equal(rest["chances"].reshape(2, 10, -1), whole["chances"].reshape(2, 40, -1)[:, 30:])
    assert len(pack(texts, [39, 39], "file", {}, ways, [])) < len(pack(texts, [0, 0], "file", {}, ways, [])) / 5


@pytest.mark.parametrize("have", [None, "5", [], [-3], ["x", 2.5], [10**30, 1, 1, 1]])
def test_what_the_browser_says_may_be_anything(finished: Run, have: object):
    texts = texts_of(finished, samples=2)
    found = known({"text": texts.name, "have": have}, texts)

    assert len(found) == 2 and all(count >= 0 for count in found)
    assert unpack(pack(texts, found, "file", {}, [], []))["columns"][0]["n"] <= 40
    assert known({"text": "another", "have": [5, 5]}, texts) == [0, 0]


def test_settings_stand_in_the_address_and_what_cannot_come_is_said(finished: Run):
    app = draw(
        "use/write.py", run=finished.slug, stop="string", samples="3", seed="7", tokens="50", temperature="1e-320"
    )
    assert "Give the string to stop at" in words(app)
    app.text_input(key="write..stop_at").set_value("Ж☃").run()
    assert "never writes `Ж U+0416, ☃ U+2603`" in words(app)
    app.slider(key="write..top_k").set_value(1000)
    to_the_end(app.button(key="write.go").click().run())

    assert not app.exception and app.button(key="write.stop").disabled
    texts = app.session_state["write.texts"]
    assert [len(text.text) for text in texts.texts] == [50] * 3 and texts.texts[2].seed == 9
    asked = {"stop": "string", "stop_at": "Ж☃", "samples": "3", "seed": "7", "top_k": "1000"}
    assert asked.items() <= address(app).items()
    app.button(key="write.go").click().run()
    assert app.number_input(key="write..seed").value == 10


def test_another_prompt_ends_the_text_and_what_is_not_read_is_said(finished: Run):
    app = draw("use/write.py", run=finished.slug, tokens="20000")
    app.button(key="write.go").click().run()
    assert not app.button(key="write.stop").disabled
    app.text_area(key="write.prompt").set_value("ROMEO:\n" + "love " * 100).run()
    texts = app.session_state["write.texts"]

    assert texts.done and texts.texts[0].ended == "stopped" and 0 < texts.written < 20_000
    assert f"Read are the last {texts.context} of these 507 characters" in words(app)
    assert app.button(key="write.stop").disabled


def test_stop_ends_the_text_and_says_so(finished: Run):
    app = draw("use/write.py", run=finished.slug, tokens="20000")
    app.button(key="write.go").click().run()
    texts = app.session_state["write.texts"]
    app.button(key="write.stop").click().run()

    assert not app.exception and texts.texts[0].ended == "stopped" and 0 < texts.written < 20_000
    assert app.button(key="write.stop").disabled and not app.session_state["writing"]


def test_weights_that_go_away_end_the_text_in_one_line(finished: Run):
    app = draw("use/write.py", run=finished.slug, tokens="20000")
    app.button(key="write.go").click().run()
    for file in finished.path.rglob("*.safetensors"):
        file.unlink()
    app.run()

    assert not app.exception and not layout.weights_path(finished.path, None).exists()
    assert app.session_state["write.texts"].done or "weights" in words(app)


def test_strange_characters_are_named_by_their_code_points(finished: Run):
    app = draw("use/write.py", run=finished.slug, prompt="שלום 12")

    assert "U+05E9" in app.warning[0].value and CharTokenizer(finished.need().characters).unknown("ש")
