"""Several models write side by side while one looks: what is sent, in which steps, by whom."""

import math

import pytest

from core.runs import checkpoints
from core.runs.state import Run
from core.sampling import SamplingConfig, generate
from pages.ui.components.texts.side_by_side import Column, pack
from pages.ui.inside_views.predictions import Continued
from tests.core.studies.test_novelty import few_words
from tests.message import unpack
from tests.pages.test_pages import draw
from tests.pages.test_prediction_pages import passed


def test_every_model_goes_on_while_one_looks(finished: Run):
    """In step, a model of another text among them; in the end each text is what the model writes alone."""
    other = few_words()
    app = draw("inside/side_by_side.py", run=finished.slug, also=other.slug, prompt="he Said", tokens="50", pace="step")
    assert app.multiselect(key="stage.also").value == [other.slug]
    lengths = []
    for _ in range(60):
        sent = unpack(passed(app)[0].bytes)
        lengths.append([len(column["text"]) for column in sent["columns"]])
        if all(column["done"] for column in sent["columns"]):
            break
        app.run()

    assert [column["slug"] for column in sent["columns"]] == [finished.slug, other.slug]
    assert max(max(each) - min(each) for each in lengths) <= 1 and lengths[-1] == [50, 50]
    config = SamplingConfig(tokens=50, temperature=0.8)
    for run, column in zip((finished, other), sent["columns"], strict=True):
        model, tokenizer = checkpoints.load_model(run)
        choices = list(generate(model, tokenizer.encode(tokenizer.drop_unknown("he Said")), config))
        assert column["text"] == tokenizer.decode([choice.id for choice in choices])
        assert column["bits"] == pytest.approx([-c.log_probability / math.log(2) for c in choices], abs=1e-4)
    assert dict(sent["columns"][1]["facts"])["read"] == "Few words"


def test_a_text_stops_where_it_is_told_to_and_goes_on_there(finished: Run):
    model, tokenizer = checkpoints.load_model(finished)
    text = Continued(model, tokenizer.chars, tokenizer.encode("a"), SamplingConfig(tokens=9))

    text.go_on(60, 4)
    assert (len(text.text), len(text.bits), text.done) == (4, 4, False)
    text.go_on(0)
    assert len(text.text) == 5
    text.go_on(60)
    assert (len(text.text), text.done) == (9, True) and text.seconds > 0


def test_only_what_the_browser_lacks_is_sent():
    column = Column("a", "A", "A", [], "abcdef", [1, 2, 3, 4, 5, 6], False)
    whole = unpack(pack("p", [column], "seed 1", {}))
    have = {"of": whole["of"], "counts": {"a": 4}}
    rest = unpack(pack("p", [column], "seed 1", have))["columns"][0]

    assert (whole["columns"][0]["from"], whole["columns"][0]["text"]) == (0, "abcdef")
    assert (rest["from"], rest["text"], rest["bits"].tolist()) == (4, "ef", [5, 6])
    for strange in ({**have, "counts": {"a": 7}}, {**have, "counts": {"a": "x"}}, {**have, "counts": 3}, 5, None):
        assert unpack(pack("p", [column], "seed 1", strange))["columns"][0]["from"] == 0
    assert unpack(pack("p", [column], "seed 2", have))["columns"][0]["from"] == 0
