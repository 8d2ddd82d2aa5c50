"""Texts that are written a slice at a time, and what is told of each of their characters."""

import math
import threading

import numpy as np
import pytest
import torch

from core import sampling
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.sampling import SamplingConfig, generate, streams
from core.studies.writing import RIVALS, Writing, WritingConfig, ends
from core.texts.tokenizer import CharTokenizer

CHARACTERS = "\n :?abcdefghijkl"


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(3)
    rung = RUNGS["bigram"]
    built = rung.build(rung.settings(None, {}, {})[0], len(CHARACTERS))
    with torch.no_grad():
        for weights in built.parameters():
            weights.normal_()
    return built


def writing(model: LanguageModel, **settings: object) -> Writing:
    return Writing(model, CharTokenizer(CHARACTERS), "ab", WritingConfig.parse({"tokens": 60, **settings}))


def whole(texts: Writing, seconds: float = 0.0) -> Writing:
    while not texts.done:
        texts.advance(seconds)
    return texts


def test_a_slice_at_a_time_it_is_the_text_that_it_would_be_at_once(model: LanguageModel):
    sliced = whole(writing(model, samples=3, seed=8, temperature=1.3))
    config = SamplingConfig(tokens=60, temperature=1.3, seed=8)
    expected = list(streams(model, [CharTokenizer(CHARACTERS).encode("ab")] * 3, config))

    for i, text in enumerate(sliced.texts):
        assert text.text == "".join(CHARACTERS[step[i].id] for step in expected)
        assert text.ended == "length" and text.seed == 8 + i
    assert sliced.written == 180


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.7, 3, 1.0), (2.0, 1000, 0.6), (0.0, 0, 1.0)]
)
def test_what_is_told_of_a_character_is_what_it_was_drawn_with(
    model: LanguageModel, temperature: float, top_k: int, top_p: float
):
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "tokens": 20}
    found = whole(writing(model, **settings)).texts[0].since(0)
    choices = list(generate(model, CharTokenizer(CHARACTERS).encode("ab"), SamplingConfig.parse(settings)))

    assert found is not None and found.rivals.shape == (20, RIVALS)
    for k, choice in enumerate(choices):
        rivals = choice.rivals(RIVALS)
        assert found.ids[k] == choice.id and found.rank[k] == choice.rank
        assert found.bits[k] == pytest.approx(-choice.log_probability / math.log(2), abs=1e-5)
        assert found.before[k] == pytest.approx(math.exp(choice.log_probability), abs=1e-6)
        assert found.after[k] == pytest.approx(choice.probability, abs=1e-6)
        assert found.rivals[k].tolist() == [rival.id for rival in rivals]
        assert found.rivals_before[k] == pytest.approx([rival.before for rival in rivals], abs=1e-6)
        assert found.rivals_after[k] == pytest.approx([rival.after for rival in rivals], abs=1e-6)
    if top_k == 3:
        assert set(found.open) == {3}


def test_a_text_can_be_stopped_while_its_prompt_is_read(monkeypatch: pytest.MonkeyPatch):
    """A slice ends between two pieces of it; one that goes on writes the text that it would have been."""
    monkeypatch.setattr(sampling, "AT_ONCE", 0)  # the least of pieces
    torch.manual_seed(3)
    rung = RUNGS["transformer"]
    reader = rung.build(rung.config.parse({**rung.tiny, "context": 128}), len(CHARACTERS))
    config = WritingConfig.parse({"tokens": 3, "samples": 2})
    prompt = "abcdefgh" * 16
    texts = Writing(reader, CharTokenizer(CHARACTERS), prompt, config)
    for _ in range(2):
        texts.advance(0.0)
    assert texts.written == 0 and not texts.done and texts.texts[0].since(0) is None

    expected = list(streams(reader, [CharTokenizer(CHARACTERS).encode(prompt)] * 2, config))
    assert [text.text for text in whole(texts).texts] == [
        "".join(CHARACTERS[step[i].id] for step in expected) for i in range(2)
    ]
    stopped = Writing(reader, CharTokenizer(CHARACTERS), prompt, config)
    stopped.advance(0.0)
    stopped.stop()
    assert stopped.done and stopped.written == 0 and stopped.texts[0].ended == "stopped"


def test_of_what_is_known_only_the_rest_is_told(model: LanguageModel):
    text = whole(writing(model)).texts[0]
    everything = text.since(0)

    assert everything is not None and len(everything.ids) == 60
    for have in (1, 17, 59):
        rest = text.since(have)
        assert rest is not None and np.array_equal(rest.rivals_after, everything.rivals_after[have:])
    assert text.since(60) is None and text.since(10**6) is None


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-38, 1e-6, 3.0])
def test_every_temperature_writes(model: LanguageModel, temperature: float):
    found = whole(writing(model, temperature=temperature, tokens=30)).texts[0].since(0)

    assert found is not None and np.isfinite(found.after).all() and (found.after > 0).all()


@pytest.mark.parametrize(
    ("stop", "prompt", "text", "expected"),
    [
        ("length", "a", "\n\n", False),
        ("blank", "a", "\n", False),
        ("blank", "a", "b\n\n", True),
        ("blank", "a\n", "\n", True),
        ("blank", "a\n\n", "b", False),
        ("speaker", "a", "b\n\nROMEO:\n", True),
        ("speaker", "a", "b\nI say:\n", False),
        ("speaker", "a\n\n", "ROMEO:\n", True),
        ("speaker", "a\n\nROM", "EO:\n", False),
        ("speaker", "a\n\n", ":\n", False),
        ("string", "a", "so long", True),
        ("string", "so lo", "ng", False),
    ],
)
def test_where_a_text_ends(stop: str, prompt: str, text: str, expected: bool):
    """What began in the prompt ends nothing."""
    assert ends(prompt, text, stop, "long") is expected


def test_a_text_ends_by_itself_and_the_others_go_on(model: LanguageModel):
    texts = whole(writing(model, samples=4, stop="string", stop_at="a", tokens=200)).texts
    stopped = [text for text in texts if text.ended == "string"]

    assert stopped and all(text.text.index("a") == len(text.text) - 1 for text in stopped)
    assert all(len(text.since(0).ids) == len(text.text) for text in texts)  # type: ignore[union-attr]
    never = whole(writing(model, stop="string", stop_at="zzz")).texts[0]
    assert never.ended == "length" and len(never.text) == 60


def test_stopped_it_keeps_what_there_is(model: LanguageModel):
    """Even while another thread writes, which then ends with the next character."""
    texts = writing(model, tokens=20_000)
    writer = threading.Thread(target=texts.advance, args=(60.0,))
    writer.start()
    texts.stop()
    writer.join()
    length = texts.written
    texts.advance(10.0)

    assert texts.done and texts.texts[0].ended == "stopped" and texts.written == length < 20_000
