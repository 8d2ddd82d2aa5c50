"""How the next character is drawn: every cut against the numbers on paper, every loop against the plainest one."""

import math

import pytest
import torch
from torch import Tensor

from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.sampling import Choice, SamplingConfig, generate, next_distribution, streams
from tests.conftest import TINY

VOCAB = 11
CONTEXT = 16
P = (0.4, 0.3, 0.2, 0.1)


def build(key: str) -> LanguageModel:
    """A model whose predictions differ from place to place, so that any mistake changes the text."""
    torch.manual_seed(3)
    rung = RUNGS[key]
    model = rung.build(rung.config.parse(TINY[key]["model"]), VOCAB).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    return model


def distribution(*p: float, **settings: object) -> list[float]:
    """What is drawn from, for a model that says p."""
    found: list[float] = next_distribution(torch.tensor(p).log(), SamplingConfig.parse(settings)).tolist()
    return found


def ids(model: LanguageModel, prompt: list[int], **settings: object) -> list[int]:
    return [choice.id for choice in generate(model, prompt, SamplingConfig.parse(settings))]


# --- one character ---------------------------------------------------------------------------------------------------


def test_a_choice_tells_its_chance_its_rank_and_its_rivals():
    """Before the cuts by the model's own chances, whatever is added to all logits; after them by what is drawn from."""
    config = SamplingConfig.parse({"top_k": 2})
    one = Choice(1, torch.tensor(P).log() + 5.0, 3 / 7, config)

    assert one.log_probability == pytest.approx(math.log(0.3)) and one.rank == 2
    assert [each.id for each in one.rivals(9)] == [0, 1, 2, 3] and len(one.rivals(2)) == 2
    assert [each.before for each in one.rivals(9)] == pytest.approx(P)
    assert [each.after for each in one.rivals(9)] == pytest.approx([4 / 7, 3 / 7, 0, 0])


# --- the distribution ------------------------------------------------------------------------------------------------


def test_nothing_set_draws_from_the_model_itself():
    assert distribution(*P) == pytest.approx(P)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0, 3.0])
def test_temperature_is_a_power(temperature: float):
    """softmax(z / T) is p to the power 1 / T, normalised."""
    powers = [p ** (1 / temperature) for p in P]

    assert distribution(*P, temperature=temperature) == pytest.approx([p / sum(powers) for p in powers], rel=1e-4)


@pytest.mark.parametrize("settings", [{}, {"top_k": 3}, {"top_p": 0.5}, {"top_k": 2, "top_p": 0.9}])
def test_temperature_zero_takes_the_likeliest_whatever_else_is_set(settings: dict[str, float]):
    """The first of equals, and always the same."""
    assert distribution(0.2, 0.5, 0.3, temperature=0, **settings) == [0, 1, 0]
    assert distribution(0.25, 0.25, 0.25, 0.25, temperature=0, **settings) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("k", "expected"),
    [(1, (1, 0, 0, 0)), (2, (4 / 7, 3 / 7, 0, 0)), (3, (4 / 9, 3 / 9, 2 / 9, 0)), (4, P), (0, P), (1000, P)],
)
def test_top_k_keeps_the_k_likeliest(k: int, expected: tuple[float, ...]):
    assert distribution(*P, top_k=k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.01, (1, 0, 0, 0)),
        (0.39, (1, 0, 0, 0)),
        (0.41, (4 / 7, 3 / 7, 0, 0)),
        (0.69, (4 / 7, 3 / 7, 0, 0)),
        (0.71, (4 / 9, 3 / 9, 2 / 9, 0)),
        (0.91, P),
        (1.0, P),
    ],
)
def test_top_p_keeps_the_smallest_set_with_that_mass(p: float, expected: tuple[float, ...]):
    assert distribution(*P, top_p=p) == pytest.approx(expected)


def test_the_order_of_the_characters_does_not_matter():
    shuffled = (0.1, 0.4, 0.2, 0.3)

    assert distribution(*shuffled, top_k=2) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert distribution(*shuffled, top_p=0.5) == pytest.approx([0, 4 / 7, 0, 3 / 7])


def test_cuts_come_in_order():
    """Temperature, then top-k, then top-p of what is left: 0.16, 0.09 of squares, renormalised 0.64, 0.36."""
    assert distribution(*P, temperature=0.5, top_k=2, top_p=0.64) == pytest.approx([1, 0, 0, 0])
    assert distribution(*P, temperature=0.5, top_k=2, top_p=0.65) == pytest.approx([0.64, 0.36, 0, 0])


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.05}, {"temperature": 3.0}, {"top_k": 2}, {"top_p": 0.3}])
def test_impossible_stays_impossible(settings: dict[str, float]):
    """A character that a counted bigram has never seen is never drawn, and the rest is a distribution."""
    found = distribution(0.7, 0.0, 0.3, **settings)

    assert found[1] == 0 and sum(found) == pytest.approx(1) and not any(math.isnan(p) for p in found)


def test_draws_follow_the_distribution():
    """A bigram that says 0.4, 0.3, 0.2, 0.1 writes them that often: within five standard deviations."""
    rung = RUNGS["bigram"]
    model = rung.build(rung.config.parse({}), 4)
    model.logits.data = torch.tensor(P).log().repeat(4, 1)  # type: ignore[union-attr]
    drawn = ids(model, [0], tokens=2000, seed=11)

    for character, p in enumerate(P):
        assert drawn.count(character) / 2000 == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 2000))


# --- the loop --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def naive(model: LanguageModel, prompt: list[int], config: SamplingConfig) -> list[int]:
    """The definition: everything is read anew for every character."""
    generator = torch.Generator().manual_seed(config.seed)
    text = list(prompt)
    for _ in range(config.tokens):
        logits: Tensor = model(torch.tensor([text[-(model.context or len(text)) :]]))[0, -1]
        text.append(int(torch.multinomial(next_distribution(logits, config), 1, generator=generator)))
    return text[len(prompt) :]


@pytest.mark.parametrize("key", RUNGS)
@pytest.mark.parametrize("prompt", [1, 5, CONTEXT - 1, CONTEXT, CONTEXT + 1, 3 * CONTEXT])
def test_the_text_is_that_of_the_naive_loop(key: str, prompt: int):
    """From prompts shorter than, as long as and longer than the context, and well past where the window rolls."""
    model = build(key)
    begin = [i * 7 % VOCAB for i in range(prompt)]
    config = SamplingConfig(tokens=2 * CONTEXT + 3, seed=5, temperature=0.8, top_p=0.95)

    assert [choice.id for choice in generate(model, begin, config)] == naive(model, begin, config)


@pytest.mark.parametrize("key", RUNGS)
def test_with_and_without_the_cache_the_text_is_the_same(key: str):
    """Before the window rolls and after."""
    model = build(key)
    with_cache = ids(model, [1, 2, 3], tokens=3 * CONTEXT, seed=9)
    model.new_cache = lambda batch: None  # type: ignore[method-assign]

    assert ids(model, [1, 2, 3], tokens=3 * CONTEXT, seed=9) == with_cache


@pytest.mark.parametrize("key", RUNGS)
def test_temperature_zero_needs_no_seed(key: str):
    """Nothing is drawn: every seed gives the text that always takes the likeliest."""
    model = build(key)
    greedy = ids(model, [4], tokens=30, temperature=0, seed=1)

    assert greedy == ids(model, [4], tokens=30, temperature=0, seed=2)
    for choice, taken in zip(generate(model, [4], SamplingConfig(tokens=30, temperature=0)), greedy, strict=True):
        assert taken == int(choice.logits.argmax()) and choice.probability == 1


@pytest.mark.parametrize("key", RUNGS)
def test_a_longer_text_begins_with_the_shorter(key: str):
    """How much is asked for does not change what is written; nor does what else draws random numbers meanwhile."""
    model = build(key)
    short = ids(model, [1], tokens=10, seed=4)
    torch.manual_seed(999)

    assert ids(model, [1], tokens=40, seed=4)[:10] == short


def test_each_choice_reports_the_chance_it_had():
    model = build("transformer")
    config = SamplingConfig(tokens=25, top_k=4, temperature=0.7)

    for choice in generate(model, [1], config):
        assert choice.probability == pytest.approx(float(next_distribution(choice.logits, config)[choice.id]))
        assert choice.probability > 0 and int((choice.logits > choice.logits[choice.id]).sum()) < 4


# --- several texts at once, and beyond the context -------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(RUNGS))
@pytest.mark.parametrize("cuts", [{}, {"top_k": 3, "top_p": 0.8, "temperature": 0.7}])
def test_each_of_several_texts_is_the_one_it_would_be_alone(key: str, cuts: dict[str, float]):
    """Text number i draws with seed + i, and the others do not disturb it, before and after the window rolls."""
    model = build(key)
    prompts = [[1, 2], [3, 4], [1, 2]]
    config = SamplingConfig.parse({"tokens": 2 * CONTEXT, "seed": 5, **cuts})
    together = [[choice.id for choice in text] for text in zip(*streams(model, prompts, config), strict=True)]

    for i, prompt in enumerate(prompts):
        assert together[i] == ids(model, prompt, tokens=2 * CONTEXT, seed=5 + i, **cuts)


def test_half_the_context_is_read_anew_when_it_is_full():
    """Every character is drawn from what the text since the latest restart says, at least half a context of it."""
    model = build("transformer")
    start, first = 0, True
    text = [1, 2, 3]
    for choice in generate(model, text[:], SamplingConfig(tokens=3 * CONTEXT, beyond="half")):
        if len(text) - start > CONTEXT:
            start, first = len(text) - CONTEXT // 2, False
        with torch.no_grad():
            expected = model(torch.tensor([text[start:]]))[0, -1]
        torch.testing.assert_close(choice.logits, expected, atol=1e-4, rtol=0)
        text.append(choice.id)
    assert not first


def test_a_prompt_longer_than_the_context_starts_from_its_last_half():
    model = build("transformer")
    prompt = [i % VOCAB for i in range(CONTEXT + 5)]

    assert ids(model, prompt, tokens=3, beyond="half") == ids(model, prompt[-CONTEXT // 2 :], tokens=3)


# --- long prompts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", RUNGS)
@pytest.mark.parametrize("beyond", ["roll", "half"])
def test_of_a_huge_prompt_only_the_context_is_read(key: str, beyond: str):
    """However long the prompt, the model is never given more than can matter; the text is the same."""
    model = build(key)
    prompt = [i * 7 % VOCAB for i in range(200_000)]
    read: list[int] = []
    handle = model.register_forward_pre_hook(lambda _, args: read.append(args[0].shape[1]))
    found = ids(model, prompt, tokens=5, seed=2, beyond=beyond)
    handle.remove()

    known = model.context + 3 if model.context else len(prompt)
    assert max(read) <= known
    assert found == ids(model, prompt[-known:], tokens=5, seed=2, beyond=beyond)


class Sum(LanguageModel):
    """Says that what comes next is the sum of all that was, whatever is fed in pieces: it depends on all of it."""

    context = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(SamplingConfig(), VOCAB)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def new_cache(self, batch: int) -> list[int]:
        """Begin at zero."""
        return [0] * batch

    def forward(self, ids: Tensor, cache: list[int] | None = None) -> Tensor:
        """Add up what is new."""
        cache = [0] * len(ids) if cache is None else cache
        cache[:] = [c + int(row.sum()) for c, row in zip(cache, ids, strict=True)]
        return torch.nn.functional.one_hot(torch.tensor(cache) % VOCAB, VOCAB).float()[:, None]


@pytest.mark.parametrize("beyond", ["roll", "half"])
def test_a_model_may_say_that_its_context_has_no_bound(beyond: str):
    text = [3, 5, 10, 1]
    for character in ids(Sum(), list(text), tokens=30, temperature=0, beyond=beyond):
        assert character == sum(text) % VOCAB
        text.append(character)


@pytest.mark.parametrize(
    "settings", [{"temperature": 3.1}, {"temperature": -0.1}, {"top_k": -1}, {"top_p": 1.1}, {"tokens": 20_001}]
)
def test_what_no_slider_offers_is_refused(settings: dict[str, float]):
    with pytest.raises(BardlabError, match=next(iter(settings))):
        SamplingConfig.parse(settings)
