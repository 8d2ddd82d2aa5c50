"""The attention page through the frame, and what it says to the browser."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.inspect.attention import AttentionMaps, attention_maps
from core.inspect.interventions import price_list
from core.jobs import rankings
from core.runs import checkpoints, layout, reading
from core.runs.state import Run
from pages.ui.components.grids import attention_board
from pages.ui.components.grids.attention_board import BoardView, board_page
from pages.ui.plots.attention_maps import pack_maps
from tests.conftest import copied, make_run
from tests.message import unpack
from tests.pages.test_pages import draw, words

PAGE = "inside/attention.py"
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def maps(trained: Path) -> AttentionMaps:
    model, tokenizer = checkpoints.load_model(reading.read(trained))
    return attention_maps(model, tokenizer.encode("To be or not"))


def test_the_browser_gets_the_traced_numbers(maps: AttentionMaps):
    """The board to half a step of 1/65535 in float32, an opened head exactly; what it holds is not sent again."""
    packed = pack_maps(maps)
    blocks = unpack(attention_board._message({}, packed, maps, [(1, 0)], []))["blocks"]

    T = packed.shape[2]
    triangle = blocks["pattern"].reshape(2, 2, -1) / 65_535
    assert np.abs(triangle - maps.pattern[:, :, *np.tril_indices(T)]).max() <= 0.5 / 65_535 + 2.0**-24
    np.testing.assert_array_equal(blocks["1.0:attn_scores"], maps.open(1, 0).attn_scores.ravel())
    np.testing.assert_array_equal(blocks["1.0:k"], maps.open(1, 0).k.ravel())
    held = [packed.id, f"{packed.id}:1.0"]
    again = unpack(attention_board._message({}, packed, maps, [(1, 0), (0, 1)], held))["blocks"]
    assert {name.split(":")[0] for name in again} == {"0.1"}


def test_the_view_survives_the_url_and_junk_does_not():
    view = BoardView(((0, 1), (1, 0)), 7, "to", "value", "max", "lines", "induction", "previous")

    assert BoardView.parse(view.to_query(), 2, 2, 12) == view
    assert BoardView.parse(view.to_query(), 1, 2, 5) == BoardView(((0, 1),), None, *list(vars(view).values())[2:])
    junk = {"heads": "9.9,x,0.1,-1.0,0.1", "query": "1e3", "mode": "sideways,,to"}
    assert BoardView.parse(junk, 2, 2, 12) == BoardView(((0, 1),), None, "to")


def test_the_saved_page_holds_everything_and_no_markup_of_the_prompt(maps: AttentionMaps):
    page = board_page(pack_maps(maps), "<b>&'\"/.</b>", maps, view=BoardView(), title=MARKUP, about="x").decode()
    outside = page.replace("http://www.w3.org/2000/svg", "")

    assert MARKUP not in page and "<b>" not in page
    assert "http" not in outside and 'id="data"' in page


@pytest.mark.parametrize("prompt", [MARKUP, "ROMEO:\n" * 3, "a"])
def test_any_prompt_of_known_characters_is_shown(finished: Run, prompt: str):
    """The longest exceed the tiny model's 16 characters: the window shown is named."""
    app = draw(PAGE, run=finished.slug, prompt=prompt)
    app.checkbox(key="prompt.drop") if prompt == MARKUP else None

    assert not app.error
    assert app.text_area(key="prompt").value == prompt
    assert ("what the model can look back on" in words(app)) == (len(prompt) > 16)


def test_empty_and_strange_prompts_are_explained(finished: Run):
    app = draw(PAGE, run=finished.slug)
    app.text_area(key="prompt").set_value("").run()

    assert "empty" in app.info[0].value and not app.get("download_button")

    app.text_area(key="prompt").set_value("Éx").run()

    assert "has never seen `É U+00C9`" in app.warning[0].value and app.get("download_button")

    app.checkbox(key="prompt.drop").uncheck().run()

    assert not app.get("download_button")

    app.checkbox(key="prompt.drop").check().run()
    app.text_area(key="prompt").set_value("é").run()

    assert "Nothing is left" in app.info[0].value


def test_a_run_without_weights_says_when_there_will_be_some():
    app = draw(PAGE, run=make_run("transformer").slug)

    assert "no weights yet" in words(app)


def test_a_rung_without_attention_names_those_that_have_it(finished: Run):
    app = draw(PAGE, run=make_run("bigram").slug)

    assert "no attention to show. With attention: Transformer" in words(app)
    linked = [link.proto.label for link in app.get("page_link")]
    assert finished.name in linked and "Transformer: train one" in linked


def test_a_snapshot_deleted_while_the_page_is_open(trained: Path):
    """The next touch says so in one line, and the newest weights are shown."""
    run = copied(trained, trained.name)
    step = layout.snapshot_steps(run.path)[0]
    app = draw(PAGE, run=run.slug, step=str(step))

    assert app.selectbox(key=f"weights.{run.slug}").value == step

    layout.snapshot_path(run.path, step).unlink()
    app.text_area(key="prompt").set_value("To be").run()

    assert f"step {step} are not kept" in app.warning[0].value
    assert not app.error and app.get("download_button")


def board_of(app: AppTest) -> dict[str, object]:
    """What the browser is told of the board."""
    told = [unpack(element.proto.bytes) for element in app.get("bidi_component") if element.proto.bytes]
    return next(message for message in told if "blocks" in message)


def test_the_board_holds_what_each_head_was_measured_to_be_worth(finished: Run):
    """Unmeasured it offers to measure; then every head's price reaches the browser as it stands on file."""
    app = draw(PAGE, run=finished.slug)
    before = board_of(app)
    rankings.work(finished, None, "mean", lambda job: None)
    listed = price_list.read(finished, None, "mean")
    worth = board_of(draw(PAGE, run=finished.slug))

    assert "prices" not in before and app.button(key="attention.rank").label == "Rank all heads"
    assert listed is not None
    assert worth["prices"] == {
        f"{i}.{h}": [listed.parts[f"{i}.{h}"].delta, listed.parts[f"{i}.{h}"].se] for i in range(2) for h in range(2)
    }


def test_a_rung_page_leads_here(finished: Run):
    app = draw("ladder/transformer.py", run=finished.slug)

    assert any(
        link.proto.page == "attention" and finished.slug in link.proto.query_string for link in app.get("page_link")
    )
