"""The pages that look inside a prediction, through the frame."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.evaluation import evaluate
from core.inspect.lens import attribution
from core.jobs import work
from core.runs import checkpoints, layout
from core.runs.state import Run
from core.texts.corpus import load
from tests.conftest import make_run
from tests.pages.test_pages import damage, draw, words

MARKUP = "<img src=x onerror=alert(1)>"


def passed(app: AppTest, kind: str = "bidi_component") -> list:
    """The messages to components on the page, but to those of every page: for its link, its progress, what trains."""
    everywhere = ("-copy-link", "-progress.keeper", "-looking.pulse")
    return [element.proto for element in app.get(kind) if not element.proto.id.endswith(everywhere)]


def test_the_price_stands_beside_the_picture(finished: Run):
    app = draw("inside/prediction.py", run=finished.slug)
    loss = finished.status.val_loss

    assert f"validation loss **{loss:.4f}** nats = {loss / math.log(2):.3f} bits" in words(app)
    assert len(passed(app)) == 1


def test_a_link_brings_back_prompt_view_and_weights(finished: Run):
    step = layout.snapshot_steps(finished.path)[0]
    app = draw("inside/prediction.py", run=finished.slug, prompt="To be", view="lens", step=str(step), position="2")

    assert app.text_area(key="prediction.prompt").value == "To be"
    assert "after character 2, `o`" in words(app)
    assert app.selectbox(key=f"weights.{finished.slug}").value == step


def test_the_parts_are_those_of_the_model(finished: Run):
    app = draw("inside/prediction.py", run=finished.slug, prompt="To be", view="lens")
    model, tokenizer = checkpoints.load_model(finished)
    found = attribution(model, tokenizer.encode("To be"))
    table = app.dataframe[0].value
    target = int(found.logits.argmax())

    assert list(table["part"]) == list(found.parts)
    np.testing.assert_allclose(table["adds"], found.centred[:, target], atol=1e-6)
    assert table["adds"].sum() == pytest.approx(found.logits[target] - found.logits.mean(), abs=1e-6)


def test_a_snapshot_that_is_gone_is_named_and_the_newest_shown(finished: Run):
    step = layout.snapshot_steps(finished.path)[0]
    app = draw("inside/prediction.py", run=finished.slug, step=str(step))
    layout.snapshot_path(finished.path, step).unlink()
    app.run()

    assert not app.exception and not app.error
    assert f"step {step} are not kept" in app.warning[0].value
    assert app.selectbox(key=f"weights.{finished.slug}").value == -1


def test_a_run_deleted_while_it_is_looked_at(finished: Run):
    for script in ("inside/prediction.py", "inside/surprise.py", "inside/side_by_side.py"):
        app = draw(script, run=finished.slug)
        assert len(passed(app)) == 1
        hidden = finished.path.rename(finished.path.with_name(".gone"))
        app.run()
        assert not app.exception
        assert "No model has been trained yet" in words(app)
        hidden.rename(finished.path)


@pytest.mark.parametrize("script", ["prediction", "surprise"])
def test_a_run_without_weights_or_damaged_is_explained(script: str, finished: Run):
    fresh = make_run("transformer")
    app = draw(f"inside/{script}.py", run=fresh.slug)

    assert "no weights yet" in words(app)
    assert app.selectbox(key="run").value == finished.slug

    damage(fresh, "config")
    app = draw(f"inside/{script}.py", run=fresh.slug)

    assert "is damaged" in words(app)


def test_a_model_without_a_stream_leads_to_those_that_have_one(trained_bigram: Run):
    app = draw("inside/prediction.py", run=trained_bigram.slug, view="lens")

    assert "no residual stream" in app.info[0].value
    assert {link.proto.label for link in app.get("page_link")} == {"Residual network", "Transformer"}


@pytest.fixture
def trained_bigram(home: Path) -> Run:
    """A bigram with weights."""
    from core.jobs import work

    return work.work(make_run("bigram").path)


@pytest.mark.parametrize(
    ("script", "box"),
    [("prediction", "prediction.prompt"), ("surprise", "surprise.text"), ("side_by_side", "stage.prompt")],
)
def test_bad_texts(script: str, box: str, finished: Run):
    """Empty; strange letters; markup, which is a text like any other."""
    app = draw(f"inside/{script}.py", run=finished.slug)
    app.text_area(key=box).set_value("").run()
    assert "empty" in app.info[0].value
    assert not passed(app)

    app.text_area(key=box).set_value("Рим and Rome").run()
    assert "Р U+0420, и U+0438, м U+043C" in app.warning[0].value
    assert len(passed(app)) == 1

    app.text_area(key=box).set_value(MARKUP).run()
    assert not app.exception and not app.error
    assert MARKUP not in words(app)


def test_a_prompt_longer_than_the_context_names_its_window(finished: Run):
    app = draw("inside/prediction.py", run=finished.slug, prompt="a" * 20 + "0123456789 window")  # digits are unknown

    app.text_area(key="prediction.prompt").set_value("x" * 20 + "the window it sees").run()

    assert "sees the last 16 of these 38 characters, from `e␣window␣it␣sees…` on" in words(app)


def test_the_surprise_of_a_passage_is_its_loss(finished: Run):
    text = "GREMIO:\nGood morrow, neighbour Baptista."
    app = draw("inside/surprise.py", run=finished.slug, text=text)
    model, tokenizer = checkpoints.load_model(finished)
    expected = evaluate(model, torch.tensor(tokenizer.encode(text)))
    row = app.dataframe[0].value.iloc[0]

    assert row["nats"] == pytest.approx(expected.loss, abs=1e-6)
    assert row["total"] == pytest.approx(expected.bits * expected.predictions, abs=1e-4)
    assert row["saved"] == pytest.approx(math.log2(65) * expected.predictions - row["total"], abs=1e-4)
    whole = evaluate(model, load().val_ids)
    assert row["saved_of_all"] == pytest.approx((math.log2(65) - whole.bits) * whole.predictions, rel=1e-4)
    assert row["sees"] == "16"
    assert "stands in the validation split" in words(app)


def test_another_passage_comes_from_the_validation_split(finished: Run):
    app = draw("inside/surprise.py", run=finished.slug)
    first = app.text_area(key="surprise.text").value
    app.button(key="surprise.another").click().run()
    second = app.text_area(key="surprise.text").value

    assert first != second
    assert second in app.query_params["text"]
    assert "stands in the validation split" in words(app)


def test_several_runs_are_compared_in_the_order_of_the_ladder(finished: Run, trained_bigram: Run):
    app = draw("inside/surprise.py", run=finished.slug)
    table = app.dataframe[0].value

    assert list(table["run"]) == [trained_bigram.label, finished.label]
    assert table["saved"].iloc[1] == pytest.approx(table["total"].iloc[0] - table["total"].iloc[1])

    app = draw("inside/surprise.py", **{"run": finished.slug, "with": ""})

    assert list(app.dataframe[0].value["run"]) == [finished.label]


def test_runs_to_compare_with_that_nobody_chose_follow_the_run(finished: Run, trained_bigram: Run):
    """As a link says which run it is and no more; who has chosen keeps what was chosen."""
    third = work.work(make_run("mlp").path)
    app = draw("inside/surprise.py", run=finished.slug)
    app.selectbox(key="run").set_value(trained_bigram.slug).run()
    assert "with" not in app.query_params
    assert app.multiselect(key="surprise.with").value == [third.slug, finished.slug]

    app.multiselect(key="surprise.with").set_value([third.slug]).run()
    app.selectbox(key="run").set_value(finished.slug).run()
    assert not app.exception and app.multiselect(key="surprise.with").value == [third.slug]


def test_a_comparison_that_was_emptied_is_empty_by_its_link_too(finished: Run):
    app = draw("use/compare.py")
    assert app.multiselect(key="compare.runs").value == [finished.slug]
    app.multiselect(key="compare.runs").set_value([]).run()

    assert "".join(app.query_params["runs"]) == ""
    app = draw("use/compare.py", runs="")
    assert app.multiselect(key="compare.runs").value == [] and "Choose runs above" in words(app)
