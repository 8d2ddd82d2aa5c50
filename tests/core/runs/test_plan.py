"""Whether a model, its training and a text fit, to the character; and the command line that says it all."""

import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest

from core.errors import BardlabError
from core.ladder import registry
from core.runs import plan
from core.runs.state import RunConfig
from core.texts import own as texts_own
from core.texts.corpus import Corpus, load
from tests.conftest import make_run

LINE = ("to be or not to be, " * 50).encode()
"""1,000 characters, of which 900 train."""


@pytest.fixture
def line() -> Corpus:
    return load(texts_own.add(LINE, "Line").name)


def planned(rung: str, text: Corpus, train: dict[str, object] | None = None, **model: object) -> RunConfig:
    return plan.plan(rung, model=model, train=train, corpus_name=text.name, device="cpu", parent="a", group="b")


def refused(message: str) -> "pytest.RaisesExc[BardlabError]":
    return pytest.raises(BardlabError, match=rf"\A{re.escape(message)}\Z")


def test_a_plan_holds_what_was_asked_and_what_it_was_made_with(line: Corpus):
    found = planned("mlp", line, {"seed": 5}, d_hidden=24)

    assert (found.rung_key, found.preset, found.parent, found.group, found.device) == ("mlp", None, "a", "b", "cpu")
    assert (found.model["d_hidden"], found.train.seed) == (24, 5)
    assert (found.corpus, found.corpus_sha256, found.characters) == (line.name, line.sha256, " ,benort")
    assert found.versions["torch"] == version("torch")
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(found.created) < timedelta(minutes=5)


def test_a_prompt_is_a_line_break_or_the_texts_first_character(line: Corpus):
    assert planned("bigram", line).train.prompt == "t"
    assert planned("bigram", line, {"prompt": "not"}).train.prompt == "not"
    assert planned("bigram", load()).train.prompt == "\n"
    with refused("train.prompt is empty; give at least one character, such as a line break"):
        planned("bigram", line, {"prompt": ""})
    with pytest.raises(BardlabError, match=r"outside the alphabet: 'x', 'y'"):
        planned("bigram", line, {"prompt": "xy"})


def test_a_sequence_must_be_shorter_than_what_trains_and_no_longer_than_the_context(line: Corpus):
    assert planned("transformer", line, context=899).model["context"] == 899
    there = f"do not fit the training split of {line.title!r}, which has 900"
    with refused(f"sequences of 900 characters {there}; lower model.context"):
        planned("transformer", line, context=900)
    with refused(f"sequences of 900 characters {there}; lower train.window"):
        planned("mlp", line, {"window": 900})
    assert planned("mlp", line, {"window": 899}).train.window == 899
    assert planned("transformer", line, {"window": 16}, context=16).train.window == 16
    with refused("train.window 17 is longer than model.context 16; give at most 16, or 0"):
        planned("transformer", line, {"window": 17}, context=16)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cpu0", ""])
def test_a_device_has_one_of_few_names(device: str):
    with refused(f"unknown device {device!r}; choose one of auto, cpu, cuda, cuda:1, mps"):
        plan.plan("bigram", device=device)


def remarks(text: Corpus, **train: object) -> list[str]:
    config = planned("mlp", text, {"steps": 10, "batch_size": 10, "window": 50, **train}, context=8)
    return plan.remarks(config.rung, config.model_config_, config.train, text)


def test_what_a_text_means_for_a_training_is_told(line: Corpus):
    assert remarks(line) == []
    assert remarks(line, steps=179) == []  # 99 times
    (often,) = remarks(line, steps=180)
    assert often.startswith("The training split of 900 characters is read some 100 times over: see whether")
    assert remarks(line, window=99) == []
    (rough,) = remarks(line, window=100)
    assert rough.startswith("The validation split has 100 characters, fewer than the 100 of a training sequence: it")
    strange = load(texts_own.add(LINE[:-2] + b"!?", "Strange").name)
    assert remarks(strange)[0].startswith(
        "2 characters occur only in the validation split, so no model can learn them:"
    )


def test_the_command_line_says_what_differs_from_the_preset():
    rung = registry.get("transformer")
    plain, changed = rung.settings(None, {}, {}), {"n_head": 4, "smear": True}
    settings = rung.settings("reference", changed, {"seed": 7, "prompt": "two words"})

    assert plan.command(rung, None, *plain) == "python -m core train transformer"
    assert plan.command(rung, "reference", *settings, device="cpu", corpus_name="own-1") == (
        "python -m core train transformer --preset reference --set model.n_head=4 --set model.smear=true "
        "--set 'train.prompt=two words' --seed 7 --text own-1 --device cpu"
    )
    assert rung.changes("reference", *settings) == {
        "model.n_head": 4,
        "model.smear": True,
        "train.prompt": "two words",
        "train.seed": 7,
    }


def test_settings_are_sorted_by_their_first_word():
    assert plan.split_settings({"model.a": 1, "train.b.c": 2}) == ({"a": 1}, {"b.c": 2})
    for name in ("model", "a", "other.b"):
        with refused(f"unknown setting {name!r}; write model.NAME=VALUE or train.NAME=VALUE"):
            plan.split_settings({name: 1})


def test_the_operations_of_a_step_are_counted_by_hand():
    """For each character two a weight and eight a logit in the loss; as many again for each of the two gradients."""
    run = make_run("mlp")
    config = run.need()
    context, embedded, hidden = (config.model[name] for name in ("context", "d_embed", "d_hidden"))
    characters = config.train.batch_size * config.train.window
    weights = context * embedded * hidden + hidden * 65

    assert plan.flops_per_step(run) == 3 * characters * (2 * weights + 8 * 65)
