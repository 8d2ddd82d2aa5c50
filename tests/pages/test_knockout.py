"""The knock-out page: the board, the ranking, patching, and what it says to bad input."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.inspect.interventions import price_list
from core.inspect.interventions.ablation import Bench
from core.jobs import rankings, turns
from core.runs import checkpoints, layout
from core.runs.folder import State
from core.runs.state import Run
from core.system import Lock
from core.texts.corpus import load
from pages.ui.inside_views import knockout
from pages.ui.plots import colours
from tests.conftest import make_run
from tests.message import unpack
from tests.pages.test_pages import draw, words

PAGE = "inside/knockout.py"


def metric(app: AppTest, label: str) -> str:
    return next(m.value for m in app.metric if m.label == label)


def cells(app: AppTest, key: str) -> dict[str, dict[str, str]]:
    """The cells of a grid by their keys, as sent to the browser."""
    found = {}
    for element in app.get("bidi_component"):
        if key in element.proto.id:
            data = unpack(element.proto.bytes)
            found |= {cell["key"]: cell for _, row in data["rows"] for cell in row if cell}
    return found


def test_what_is_switched_off_by_the_link_is_measured(finished: Run):
    """The address names two parts and the method; the page shows what these cost together, as the core measures it."""
    app = draw(PAGE, run=finished.slug, off="1.mlp,0.1", method="zero")
    model, _ = checkpoints.load_model(finished)
    bench = Bench(model, load())
    found = bench.effect(["0.1", "1.mlp"], "zero")

    assert not app.error
    assert metric(app, "Loss without") == f"{bench.loss + found.delta:.4f}"
    assert metric(app, "Standard error") == f"{found.se:.4f}"
    assert "head 1 of layer 0, the feed-forward layer of layer 1" in words(app)
    assert metric(app, "Sum of each alone")

    app.button(key="knockout.reset").click().run()
    assert "off" not in app.query_params and not [m for m in app.metric if m.label == "Loss without"]


def test_ranking_fills_the_board_and_is_there_when_the_page_is_opened_again(finished: Run):
    app = draw(PAGE, run=finished.slug)
    app.button(key="knockout.rank").click().run()
    ended = wait_until_ended(finished)
    assert ended.state is State.FINISHED
    app = draw(PAGE, run=finished.slug)

    assert app.button(key="knockout.rank").disabled
    table = app.dataframe[0].value
    assert list(table["delta"]) == sorted(table["delta"], reverse=True)
    listed = price_list.read(finished, None, "mean")
    assert listed and set(table["part"]) == set(listed.parts)


def test_what_takes_seconds_is_ranked_unasked_once(finished: Run, unasked: float, monkeypatch: pytest.MonkeyPatch):
    """Whoever cancelled it, or has something in training, is not asked again."""
    monkeypatch.setattr(knockout, "UNASKED", unasked)
    with Lock(turns.slots("cpu")[0].lock_path):
        app = draw(PAGE, run=finished.slug)
        assert rankings.read(finished, None, "mean").active
        app.button(key="knockout.cancel").click().run()
        assert wait_until_ended(finished).state is State.STOPPED
    app = draw(PAGE, run=finished.slug)
    assert rankings.read(finished, None, "mean").state is State.STOPPED
    assert not app.button(key="knockout.rank").disabled


def wait_until_ended(run: Run) -> rankings.Ranking:
    until = time.monotonic() + 120
    while (job := rankings.read(run, None, "mean")) and job.active and time.monotonic() < until:
        time.sleep(0.1)
    assert job is not None and not job.active
    return job


def test_a_ranking_is_watched_and_cancelled_from_any_page(finished: Run):
    """While another has the device it waits; every page says so, and whoever opens one can cancel it."""
    with Lock(turns.slots("cpu")[0].lock_path):
        draw(PAGE, run=finished.slug).button(key="knockout.rank").click().run()
        app = draw(PAGE, run=finished.slug)
        elsewhere = draw("inside/attention.py", run=finished.slug)

        assert not [b for b in app.button if b.key == "knockout.rank"]
        assert not [b for b in elsewhere.button if b.key == "attention.rank"]
        assert next(bar.proto.text for bar in elsewhere.get("progress")).startswith("Ranking heads: ")

        app.button(key="knockout.cancel").click().run()
        assert wait_until_ended(finished).state is State.STOPPED
    app = draw(PAGE, run=finished.slug)
    assert "The last ranking ended at 0%" in words(app) and not app.button(key="knockout.rank").disabled


def test_a_ranking_that_cannot_start_says_why(finished: Run):
    app = draw(PAGE, run=finished.slug)
    (finished.path / layout.KNOCKOUTS).write_text("in the way")
    app.button(key="knockout.rank").click().run()
    assert "cannot rank" in app.error[0].value and not app.exception


def test_weights_of_a_step_and_of_one_that_is_gone(finished: Run):
    step = layout.snapshot_steps(finished.path)[0]
    app = draw(PAGE, run=finished.slug, step=str(step))
    assert app.selectbox(key=f"weights.{finished.slug}").value == step and not app.warning

    layout.snapshot_path(finished.path, step).unlink()
    app.run()
    assert f"step {step} are not kept" in app.warning[0].value
    assert not app.error and not app.exception


def test_strange_addresses_are_explained(finished: Run):
    app = draw(PAGE, run=finished.slug, off="9.9,<b>,0.0", step="-3")
    weights, parts = [warning.value for warning in app.warning]
    assert "step -3 are not kept" in weights and "no part “9.9, \\<b\\>”" in parts
    assert app.query_params["off"] in ("0.0", ["0.0"])


def test_a_run_without_parts_leads_to_those_with(finished: Run):
    run = make_run("bigram")
    app = draw(PAGE, run=run.slug)
    assert "one table, no parts" in app.info[0].value
    assert any(finished.name in link.label for link in app.get("page_link"))


def test_a_run_without_weights_says_so():
    run = make_run("transformer")
    assert "no weights yet" in draw(PAGE, run=run.slug).info[0].value


@pytest.mark.parametrize("rung", ["mlp", "recurrent", "wavenet", "residual"])
def test_other_rungs_have_boards_and_patches_too(rung: str, home: Path):
    from core.jobs import work

    run = work.work(make_run(rung).path)
    off = {"mlp": "0.layer,back.2", "recurrent": "0.memory", "wavenet": "1.skip_out", "residual": "3.skip"}[rung]
    app = draw(PAGE, run=run.slug, off=off)
    assert not app.error and not app.warning
    assert metric(app, "Loss without")
    app = draw(PAGE, run=run.slug, tool="patching")
    assert not app.error and not app.info
    assert "Where the difference is" in [s.value for s in app.header]


def test_patching_shows_three_lenses_and_follows_the_address(finished: Run):
    app = draw(
        PAGE, run=finished.slug, tool="patching", a="JULIET:\nO Ro", b="ROMEO:\nO Jul", site="resid_post", at="1.11"
    )
    assert not app.error and not app.info
    assert "layer 1 at position 11" in words(app)
    assert "What each layer would say" in [s.value for s in app.header]


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("O Romeo", "O Juliet", "7 and 8 characters"),
        ("O Romeo", "O Romeo", "same prediction"),
        ("", "O Romeo", "empty"),
        ("Рим", "O Romeo", "empty"),
    ],
)
def test_prompts_that_cannot_be_patched_say_why(a: str, b: str, said: str, finished: Run):
    app = draw(PAGE, run=finished.slug, tool="patching")
    app.text_area(key="a").set_value(a)
    app.text_area(key="b").set_value(b).run()
    assert not app.error and not app.exception
    assert any(said in info.value for info in app.info)


def test_a_long_prompt_is_cut_to_what_is_named(finished: Run):
    app = draw(PAGE, run=finished.slug, tool="patching")
    app.text_area(key="a").set_value("x" * 40 + "O Romeo, <b>Romeo</b>")
    app.text_area(key="b").set_value("O Romeo, Juliet!").run()
    assert any("shown are the last 16" in c.value for c in app.caption)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_can_be_read_on_every_tint(theme: str):
    """On the page's own paper, a cell's ink stands out from any strength of either colour, as axe asks for it."""
    paper = colours.st.get_option(f"theme.{theme}.backgroundColor")

    def rgb(digits: str) -> list[float]:
        return [int(digits[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    for value in range(-50, 51):
        fill, inks = colours.tint(value / 50, 1.0)
        *colour, alpha = (float(part) for part in fill.removeprefix("rgba(").removesuffix(")").split(","))
        seen = [alpha * c / 255 + (1 - alpha) * p for c, p in zip(colour, rgb(paper), strict=True)]
        light, dark = inks.removeprefix("light-dark(").removesuffix(")").split(", ")
        assert colours.contrast(rgb({"light": light, "dark": dark}[theme]), seen) >= 4.5, value
    assert colours.contrast(rgb("#ffffff"), rgb("#000000")) == pytest.approx(21)
    assert colours.contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.01)
