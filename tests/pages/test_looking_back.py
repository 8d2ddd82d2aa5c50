"""The pages of vectors and of snapshots: without runs, finished, running, damaged, no snapshots, bad input."""

import base64
import shutil
from pathlib import Path

import numpy as np
import plotly.io
import pytest

from core.inspect.lens import next_logits
from core.jobs import work
from core.runs import checkpoints, editing, layout
from core.runs.state import Run
from tests.conftest import copied, make_run
from tests.pages.test_pages import draw, under_way, words

TIME, EMBEDDINGS = "inside/time.py", "inside/embeddings.py"


def test_an_empty_house_leads_to_a_first_run():
    for script in (TIME, EMBEDDINGS):
        assert "No model has been trained yet" in draw(script).info[0].value


def test_a_run_without_snapshots_says_how_to_get_them(finished: Run):
    shutil.rmtree(finished.path / layout.SNAPSHOTS)
    app = draw(TIME, run=finished.slug)

    assert "`train.snapshots`" in app.info[0].value


def test_snapshots_that_are_gone_or_damaged_are_named_and_the_rest_works(finished: Run):
    layout.snapshot_path(finished.path, 0).unlink()
    file = layout.snapshot_path(finished.path, 2)
    content = file.read_bytes()
    file.unlink()  # it may be a second name of other weights
    file.write_bytes(content[: len(content) // 2])
    app = draw(TIME, run=finished.slug, step="2")

    assert "step 2." in app.warning[0].value
    assert "single snapshot" in words(app)
    assert "asks for step 2" in words(app)
    assert not app.error


@pytest.mark.parametrize(
    ("prompt", "says"),
    [("Рим", "has never seen"), ("x" * 40, "shown are its last 16"), ("<b>&`*", "has never seen")],
)
def test_a_bad_prompt_is_explained(finished: Run, prompt: str, says: str):
    app = draw(TIME, run=finished.slug, prompt=prompt)

    assert says in words(app)
    assert not app.exception


def test_the_heat_map_of_a_place_is_what_each_snapshot_expects_there(finished: Run):
    """After two of six characters: the one that the prompt has stands on top, whatever its chance."""
    app = draw(TIME, run=finished.slug, prompt="To be&", back="4")
    spec = next(chart.proto.spec for chart in app.get("plotly_chart") if "over-steps" in chart.proto.id)
    (heat,) = plotly.io.from_json(spec).data
    values = np.frombuffer(base64.b64decode(heat.z["bdata"]), heat.z["dtype"]).reshape(len(heat.y), -1)
    steps = layout.snapshot_steps(finished.path)
    assert list(heat.x) == [f"{step:,}" for step in steps] and heat.y[0] == "␣" and len(heat.y) == 16
    for at, step in enumerate(steps):
        model, tokenizer = checkpoints.load_model(finished, step)
        chances = next_logits(model, tokenizer.encode("To")).softmax(0)
        expected = [chances[tokenizer.chars.index(" " if c == "␣" else "\n" if c == "↵" else c)] for c in heat.y]
        np.testing.assert_allclose(values[:, at], expected, atol=1e-5)
    assert "the prompt has `␣`, the top row" in words(app)
    app.slider(key="back").set_value(0).run()
    assert "the likeliest at the last snapshot" in words(app) and "back" not in app.query_params


def test_an_empty_prompt_is_explained(finished: Run):
    app = draw(TIME, run=finished.slug)
    app.text_area[0].set_value("").run()

    assert "is empty" in app.info[0].value


def test_a_rung_without_attention_says_who_has_it():
    run = work.work(make_run("mlp").path)
    app = draw(TIME, run=run.slug)

    assert "has no attention to show" in words(app)
    assert not app.error


def test_both_pages_while_the_run_goes_on(finished: Run):
    with under_way(finished, 4):
        for script in (TIME, EMBEDDINGS):
            assert not draw(script, run=finished.slug).error


def test_one_number_a_character_is_drawn_on_a_line():
    from core.runs import plan

    train = {"steps": 2, "batch_size": 2, "window": 8, "eval_every": 2, "sample_chars": 5}
    model = {"context": 2, "d_embed": 1, "d_hidden": 8}
    run = work.work(editing.create(plan.plan("mlp", model=model, train=train, device="cpu")).path)
    app = draw(EMBEDDINGS, run=run.slug)

    assert "they lie on a line" in words(app)


def test_the_address_chooses_table_map_and_snapshot(trained: Path):
    run = copied(trained, trained.name)
    app = draw(EMBEDDINGS, run=run.slug, step="2", vectors="positions", dimensions="3-D", metric="Euclidean")

    assert app.selectbox(key=f"weights.{run.slug}").value == 2
    assert "16 vectors of 16 numbers" in words(app)
    assert "distance" in app.dataframe[0].value.columns
    assert sum(app.dataframe[0].value["distance"].diff().dropna() < 0) == 0  # nearest first
