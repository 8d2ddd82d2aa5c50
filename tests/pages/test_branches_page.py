"""Branch and rewind: the tree is the model's own, comes back from its address, and bad ones are told in a line."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.io
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.inspect.lens import attribution
from core.runs import checkpoints
from core.runs.state import Run
from core.sampling import SamplingConfig, generate, next_distribution
from core.texts import branches
from core.texts.branches import BranchSettings, Tree, from_line, root
from pages.ui.choosers import tree as in_hand
from tests.message import unpack
from tests.pages.test_links import address
from tests.pages.test_pages import draw, words

SCRIPT = "use/branches.py"
HOW = BranchSettings(tokens=12, temperature=0.7)
HOT = BranchSettings(tokens=10, temperature=1.3, top_k=9, seed=3)
LINK = root("ROMEO:", HOW).grow(0, 4, "q", HOW).grow(1, 6, "", HOT)


def sent(app: AppTest, name: str) -> dict[str, Any]:
    """What was sent to one of the two drawings."""
    (one,) = [each.proto.bytes for each in app.get("bidi_component") if each.proto.id.endswith(f"-branches.{name}")]
    return unpack(one)


def written(run: Run, prompt: str, **how: float) -> str:
    model, tokenizer = checkpoints.load_model(run)
    found = generate(model, tokenizer.encode(prompt), SamplingConfig.parse(how))
    return str(tokenizer.decode([choice.id for choice in found]))


def test_a_link_from_write_writes_the_same_text(finished: Run):
    """Prompt, temperature, seed and top-k; what follows is in the address, and grows by the buttons."""
    how = {"temperature": 0.5, "seed": 3, "top_k": 7, "tokens": 80}
    app = draw(SCRIPT, run=finished.slug, prompt="JULIET:", temperature="0.5", seed="3", top_k="7")
    text = written(finished, "JULIET:", **how)
    assert sent(app, "text")["text"] == text
    assert address(app)["tree"] == "80-0.5-7-3" and address(app)["prompt"] == "JULIET:"
    assert app.button(key="branches.cut").disabled and app.button(key="branches.undo").disabled

    app.slider(key="branches..temperature").set_value(1.5).run()
    app.button(key="branches.on").click().run()
    more = written(finished, "JULIET:" + text, **{**how, "temperature": 1.5})
    assert sent(app, "text")["text"] == text + more
    assert address(app)["tree"] == "80-0.5-7-3_0-80---1.5" and address(app)["at"] == "1"
    again = draw(SCRIPT, **address(app))
    for name in ("text", "tree"):
        assert sent(again, name)["serial"] == sent(app, name)["serial"]

    app.button(key="branches.cut").click().run()
    assert (address(app)["tree"], address(app)["at"]) == ("80-0.5-7-3", "0-79")
    app.button(key="branches.undo").click().run()
    assert address(app)["tree"] == "80-0.5-7-3_0-80---1.5"
    app.button(key="branches.plant").click().run()
    assert address(app)["tree"] == "80-1.5-7-3" and "at" not in address(app)
    app.button(key="branches.plant").click().run()
    assert address(app)["tree"] == "80-1.5-7-4" and app.number_input(key="branches..seed").value == 4


def test_every_place_tells_what_the_model_thought(finished: Run):
    """A taken character and one that was drawn: the same numbers as the model gives for the text before them."""
    app = draw(SCRIPT, run=finished.slug, prompt="ROMEO:", tree=LINK.line(), at="2-1")
    model, tokenizer = checkpoints.load_model(finished)
    data = sent(app, "text")
    first = written(finished, "ROMEO:", **HOW.model_dump())
    second = written(finished, "ROMEO:" + first[:4] + "q", **HOW.model_dump())
    third = written(finished, "ROMEO:" + first[:4] + "q" + second[:6], **HOT.model_dump())
    assert data["text"] == first[:4] + "q" + second[:6] + third
    assert data["places"].tolist() == [*range(4), *range(7), *range(10)]
    assert np.flatnonzero(data["forks"]).tolist() == [4, 11]
    assert data["kept"] == 12 and set(data["everything"]["ids"].tolist()) == set(range(tokenizer.size))
    whole = "ROMEO:" + data["text"]
    for i, temperature in ((0, 0.7), (4, 0.7), (5, 0.7), (12, 1.3)):
        choice = next(generate(model, tokenizer.encode(whole[: 6 + i]), SamplingConfig(tokens=1)))
        own = tokenizer.encode(whole[6 + i])[0]
        config = SamplingConfig(temperature=temperature, top_k=9 if i == 12 else 0)
        after = next_distribution(choice.logits, config)
        assert data["chances"][i] == pytest.approx(float(after[own]), abs=1e-4)
        assert data["bits"][i] == pytest.approx(-float(choice.logits.log_softmax(0)[own]) / np.log(2), abs=1e-3)
        rivals = data["rivals"]["before"].reshape(-1, data["each"])[i]
        np.testing.assert_allclose(rivals, choice.logits.softmax(0).topk(8).values, atol=1e-4)
    drawn = sent(app, "tree")
    assert [one["start"] for one in drawn["branches"]] == [0, 4, 11] and drawn["way"] == [0, 1, 2]
    links = [each.proto.query_string for each in app.get("page_link") if "prompt=" in each.proto.query_string]
    assert len(links) == 2 and all("ROMEO" in each for each in links)
    app.session_state[in_hand.READ] = [first, "q" + second, "another"]
    app.run()
    assert "1 of the 3 branches read differently" in words(app)


def test_why_not_adds_up(finished: Run):
    app = draw(SCRIPT, run=finished.slug, prompt="ROMEO:", tree=LINK.line(), at="0-3", why="z")
    model, tokenizer = checkpoints.load_model(finished)
    text = "ROMEO:" + written(finished, "ROMEO:", **HOW.model_dump())
    found = attribution(model, tokenizer.encode(text[:9])).contributions
    here, rival = tokenizer.encode(text[9] + "z")
    whole = float((found[:, here] - found[:, rival]).sum())
    assert app.header[0].value == "Why not “z”?"
    assert f"add up to {whole:+.4f}; the logits of the model differ by {whole:+.4f}" in words(app)
    (bars,) = plotly.io.from_json(app.get("plotly_chart")[0].proto.spec).data
    assert np.sum(bars.x) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"tree": "6_5-0-58", "at": "9-9", "why": "<script>"}, "branch 5, which is not there"),
        ({"tree": "6_0-2-416_0-2-58", "prompt": "ROMEO:", "at": "1-3", "why": "\\"}, "left out"),
        ({"tree": "6_0-2-58", "prompt": "\u202eשלום <b>&", "at": "²", "why": "\u202e"}, "never seen"),
        ({"tree": "9" * 9000, "temperature": "nan", "seed": "-1", "top_k": "x", "tokens": "9" * 99}, "cannot be set"),
    ],
)
def test_a_link_with_something_else_in_it_is_told_in_one_line(query: Mapping[str, str], told: str, finished: Run):
    app = draw(SCRIPT, run=finished.slug, **query)
    assert not app.error and sent(app, "text")["text"]
    found = [each.value for each in (*app.warning, *app.caption) if told in each.value]
    assert found and all("\n" not in each and len(each) < 300 for each in found)


def test_a_run_deleted_while_its_tree_is_in_hand(finished: Run):
    app = draw(SCRIPT, run=finished.slug, tree=LINK.line(), prompt="ROMEO:")
    hidden = finished.path.rename(finished.path.with_name(".gone"))
    app.button(key="branches.on").click().run()
    assert not app.exception and "No model has been trained yet" in words(app)
    hidden.rename(finished.path)
    app.run()
    assert not app.exception and len(sent(app, "tree")["branches"]) == 4


ACTS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "choose", "branch": 7, "place": 0}, "changed meanwhile"),
    ({"kind": "choose", "branch": None, "place": None}, "changed meanwhile"),
    ({"kind": "choose", "branch": "0", "place": 1.5}, "changed meanwhile"),
    ({"kind": "choose", "branch": 0, "place": 0, "of": "another"}, "changed meanwhile"),
    ({"kind": "take", "branch": 0, "place": None, "character": "q"}, "does not know"),
    ({"kind": "take", "branch": 0, "place": 0, "character": "<b>"}, "does not know"),
    ({"kind": "take", "branch": 0, "place": 0, "character": 7}, "does not know"),
    ({"kind": "why", "branch": 0, "place": 0}, "does not know"),
]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A session with that tree in hand, without a page."""
    kept: dict[str, Any] = {in_hand.GROWN: (LINK.prompt, LINK.line(), (0, None), "")}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


def test_what_a_browser_says_is_done_only_if_it_can_be(session: dict[str, Any]):
    """A branch below one that another act has deleted, a character outside the alphabet, and worse."""
    before = dict(session)
    for done, told in ACTS:
        in_hand.act(LINK, "abq", HOW, {"of": in_hand.name_of_tree(LINK), **done})
        problem = session.pop("problem")
        assert told in problem and "\n" not in problem
        assert session == before
    of = {"of": in_hand.name_of_tree(LINK)}
    in_hand.act(LINK, "abq", HOW, {**of, "kind": "take", "branch": 0, "place": 4, "character": "a"})
    prompt, line, place, why = session[in_hand.GROWN]
    tree = from_line(prompt, line)
    assert (tree.branches[3].at, tree.branches[3].taken, place, why) == (4, "a", (3, None), "")
    in_hand.act(
        tree, "abq", HOW, {"of": in_hand.name_of_tree(tree), "kind": "why", "branch": 0, "place": 1, "character": "q"}
    )
    assert session[in_hand.GROWN][2:] == ((0, 1), "q") and "problem" not in session


def test_a_file_is_opened_or_says_in_a_line_why_not(session: dict[str, Any]):
    session["branches.file.0"] = io.BytesIO(b'{"format": "<b>"}')
    in_hand.opened()
    assert "holds no tree" in session.pop("problem") and session[in_hand.GROWN][1] == LINK.line()
    session["branches.file.1"] = io.BytesIO(branches.to_json(root("A", HOW), ["text"], "mine"))
    in_hand.opened()
    assert session[in_hand.GROWN] == ("A", "12-0.7-0-1337", (0, None), "") and session[in_hand.READ] == ["text"]
    in_hand.undo()
    assert session[in_hand.GROWN][:2] == (LINK.prompt, LINK.line()) and session[in_hand.PROMPT] == LINK.prompt
    in_hand.opened()  # nothing is there any more
    assert "problem" not in session


def test_a_full_tree_says_so(session: dict[str, Any]):
    full = Tree("P", LINK.branches[:1] * 1)
    while len(full.branches) < branches.MOST:
        full = full.grow(0, 2, "q", HOW)
    in_hand.grow(full, HOW, 0, 2, "q")
    assert "200 branches" in session["problem"]
