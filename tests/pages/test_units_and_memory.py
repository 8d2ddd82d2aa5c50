"""The views of single units and of a recurrent network's memory say what core measures."""

import pytest

from core.inspect import memory_span, units
from core.runs import checkpoints, reading
from core.texts.corpus import Corpus
from pages.ui.rung_views.units import MEASURED
from tests.pages.test_pages import draw, words


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's own shipped runs."""
    monkeypatch.delenv("BARDLAB_PRETRAINED")


def test_the_chosen_unit_is_told_as_it_was_measured(corpus: Corpus):
    app = draw("ladder/recurrent.py", run="pretrained/recurrent", tab="units")
    model, tokenizer = checkpoints.load_model(reading.find("pretrained/recurrent"))
    text = corpus.text[corpus.split :][:MEASURED]
    found = units.correlate_units(model, tokenizer.encode(text), text, "layers.0")
    best = found.order("line position")[0]

    assert not app.exception and not app.warning
    assert app.selectbox(key="units.unit.line position").value == best
    assert f"{found.correlations[0, best]:+.3f} with line position".replace("-", "−") in words(app)
    app.selectbox(key="units.what").select("word start").run()
    best = found.order("word start")[0]
    assert app.selectbox(key="units.unit.word start").value == best
    assert f"{found.correlations[2, best]:+.3f} with word start" in words(app)
    assert "Promotes" in words(app) and "Suppresses" in words(app)


def test_how_far_the_gradient_survives_is_told_as_it_was_measured(corpus: Corpus):
    app = draw("ladder/recurrent.py", run="pretrained/recurrent", tab="memory_span")
    model, _ = checkpoints.load_model(reading.find("pretrained/recurrent"))
    span = memory_span.memory_span(model, corpus.val_ids, 32)
    gone = span.survives()
    said = f"is left after {gone + 1} characters" if gone < 32 else f"{span.share[-1, -1]:.1%} of the gradient is left"

    assert said in words(app)
    app = draw("ladder/recurrent.py", run="pretrained/recurrent", tab="cell_gates")
    assert "forget" in app.segmented_control(key="memory.gate").options
    app = draw("ladder/recurrent.py", run="pretrained/recurrent", tab="receptive_field")
    assert "all of the past" in [metric.value for metric in app.metric]


@pytest.mark.parametrize("rung", ["mlp", "transformer"])
def test_units_are_shown_on_other_rungs_too(rung: str):
    app = draw(f"ladder/{rung}.py", run=f"pretrained/{rung}", tab="units")

    assert not app.exception and not app.warning
    assert "What single units follow" in [heading.value for heading in app.header]
    assert "with speaker name" in words(app) and "Promotes" in words(app)
