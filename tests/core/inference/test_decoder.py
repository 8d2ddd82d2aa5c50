"""Machine code writes what torch writes: the same logits and the same text, for every rung."""

import itertools
from typing import Any

import pytest
import torch

from core import sampling
from core.inference import decoder, loader, lookahead
from core.inference.decoder import decoder_for
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.models.mlp import BatchNorm
from core.sampling import SamplingConfig, generate, streams
from core.studies.writing import Writing, WritingConfig
from core.texts.tokenizer import CharTokenizer

VOCAB = 11
OTHERS: dict[str, list[dict[str, Any]]] = {
    "mlp": [{"batch_norm": True, "n_hidden": 2}],
    "recurrent": [{"cell": "gru", "n_layer": 2}, {"cell": "plain"}],
    "wavenet": [{"variant": "fuse"}, {"n_cycle": 2}],
    "residual": [{"norm": False, "skip": 0.5}],
    "transformer": [
        {"positions": "rotary", "activation": "gelu", "smear": True, "trigrams": 768},
        {"positions": "sinusoidal", "norm": "post", "activation": "relu2", "qkv_bias": True},
        {"positions": "none"},
    ],
}
CASES = [(key, changed) for key in RUNGS for changed in ({}, *OTHERS.get(key, []))]


def a_model(key: str, changed: dict[str, Any]) -> LanguageModel:
    """Build a tiny model, every weight far from its start, so that no part is without effect."""
    torch.manual_seed(3)
    rung = RUNGS[key]
    model = rung.build(rung.config.parse({**rung.tiny, **changed}), VOCAB).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        for part in model.modules():
            if isinstance(part, BatchNorm):
                part.mean.normal_()
                part.variance.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize(("key", "changed"), CASES, ids=lambda value: str(value))
def test_the_same_logits_and_the_same_greedy_text(key: str, changed: dict[str, Any]):
    """For prompts of one, two, three and more characters than the context, past the window, by both ways beyond it."""
    model = a_model(key, changed)
    context = model.usual_window
    for length, beyond in itertools.product((1, 2, 3, context + 1), ("roll", "half")):
        prompt = torch.randint(VOCAB, (length,), generator=torch.Generator().manual_seed(length)).tolist()
        config = SamplingConfig.parse({"tokens": context + 3, "temperature": 0, "beyond": beyond})
        expected, written = list(generate(model, prompt, config)), list(generate(model, prompt, config, fast=True))

        assert [c.id for c in written] == [c.id for c in expected]
        for ours, its in zip(written, expected, strict=True):
            torch.testing.assert_close(ours.logits, its.logits, atol=1e-4, rtol=1e-4)


def test_the_same_logits_without_a_cache():
    model = a_model("transformer", {})
    written = list(generate(model, [1], SamplingConfig(tokens=6), fast=True))
    with torch.no_grad():
        expected = model(torch.tensor([[1, *(choice.id for choice in written[:-1])]]))[0]  # (T, V)

    torch.testing.assert_close(torch.stack([choice.logits for choice in written]), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cuts", [{}, {"temperature": 0.7, "top_k": 4}, {"top_p": 0.6}], ids=str)
def test_the_same_text_is_drawn_from_the_same_seed(cuts: dict[str, Any]):
    """Sixteen texts side by side too, each from a generator of its own."""
    for key, texts in (("transformer", 16), ("wavenet", 1)):
        model = a_model(key, {})
        config = SamplingConfig.parse({"tokens": 12, "seed": 5, **cuts})
        prompts = [[1, 2, i % VOCAB] for i in range(texts)]
        expected, written = list(streams(model, prompts, config)), list(streams(model, prompts, config, fast=True))

        assert [[c.id for c in step] for step in written] == [[c.id for c in step] for step in expected]
        for ours, its in zip(written[-1], expected[-1], strict=True):
            assert ours.probability == pytest.approx(its.probability, abs=1e-5)


@pytest.mark.parametrize("key", ["mlp", "recurrent", "wavenet", "transformer"])
def test_machine_code_takes_over_in_the_middle_of_a_text(key: str, monkeypatch: pytest.MonkeyPatch):
    """Also where the window has just become full."""
    model = a_model(key, {})
    kernels, window = loader.load(), model.usual_window
    for torch_writes, beyond in itertools.product((1, 3, window - 1, 2 * window), ("roll", "half")):
        config = SamplingConfig.parse({"tokens": 3 * model.usual_window, "beyond": beyond})
        answers = itertools.chain([None] * torch_writes, itertools.repeat(kernels))
        with monkeypatch.context() as patch:
            patch.setattr(loader, "ready", answers.__next__)
            written = [choice.id for choice in generate(model, [1, 2], config, fast=True)]

        assert written == [choice.id for choice in generate(model, [1, 2], config)]


@pytest.mark.parametrize(("key", "changed"), CASES, ids=lambda value: str(value))
def test_guesses_change_nothing_but_the_number_of_passes(
    key: str, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """For prompts of one, two, three and more characters than the context, past the window, by both ways beyond it."""
    counted = count_passes(monkeypatch)
    model = a_model(key, changed)
    context = model.usual_window
    ways = itertools.product((1, 2, 3, context + 1), ("roll", "half"))
    cuts: list[dict[str, Any]] = [{"temperature": 0}, {"temperature": 0.6, "top_k": 4}, {"top_p": 0.7}, {}]
    for (length, beyond), cut in zip(ways, itertools.cycle(cuts), strict=False):
        prompt = torch.randint(VOCAB, (length,), generator=torch.Generator().manual_seed(length)).tolist()
        config = SamplingConfig.parse({"tokens": 2 * context + 3, "seed": length, "beyond": beyond, **cut})
        expected = list(generate(model, prompt, config))
        alone = [choice.logits for choice in generate(model, prompt, config, fast=True, ahead=False)]
        for guesses in (1, 7):
            monkeypatch.setattr(lookahead.Lookahead, "choose", lambda _, guesses=guesses: guesses)
            guessed = list(generate(model, prompt, config, fast=True))

            assert [c.id for c in guessed] == [c.id for c in expected]
            if model.slides or beyond == "roll":  # a new half is read in pieces that follow the clock
                assert all(map(torch.equal, [choice.logits for choice in guessed], alone))
            for ours, its in zip(guessed, expected, strict=True):
                torch.testing.assert_close(ours.logits, its.logits, atol=1e-4, rtol=1e-4)
                assert ours.probability == pytest.approx(its.probability, abs=1e-4)
    if key == "recurrent":
        assert counted["passes"] == counted["written"]
    else:
        assert counted["passes"] < 0.9 * counted["written"]


def count_passes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count from now on the passes over a model, the characters of each text, and how often one was ahead of others."""
    counted = {"passes": 0, "written": 0, "leads": 0}

    class Counted(decoder.Decoder):
        def write(self, *arguments: Any) -> list[decoder.Written]:
            before = self.passes
            step = super().write(*arguments)
            counted["passes"] += self.passes - before
            counted["written"] += len(step)
            counted["leads"] += int((self.leads > 0).sum())
            return step

    monkeypatch.setattr(decoder, "Decoder", Counted)
    return counted


@pytest.mark.parametrize(("key", "changed"), CASES, ids=lambda value: str(value))
def test_each_of_several_texts_is_guessed_and_stays_what_it_is(
    key: str, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """However many are guessed from block to block, so that some texts are ahead of others; past the window too."""
    counted = count_passes(monkeypatch)
    monkeypatch.setattr(decoder, "BLOCK", 0.0)  # a character or more each: whatever the clock says
    model = a_model(key, changed)
    context = model.usual_window
    ways: list[tuple[int, int, dict[str, Any]]] = [
        (2, 1, {"temperature": 0, "beyond": "half"}),
        (5, context + 1, {"top_p": 0.7, "beyond": "roll"}),
        (5, 3, {"beyond": "half"}),
        (16, 2, {"temperature": 0.6, "top_k": 4, "beyond": "roll"}),
    ]
    for texts, length, settings in ways:
        random = torch.Generator().manual_seed(length)
        prompts = torch.randint(VOCAB, (texts, length), generator=random).tolist()
        config = SamplingConfig.parse({"tokens": context + 7, "seed": 5, **settings})
        expected = list(streams(model, prompts, config))
        alone = list(streams(model, prompts, config, fast=True, ahead=False))
        turns = itertools.cycle((7, 3, 0, 1))
        monkeypatch.setattr(lookahead.Lookahead, "choose", lambda _, turns=turns: next(turns))
        for step, its, without in zip(streams(model, prompts, config, fast=True), expected, alone, strict=True):
            assert [c.id for c in step] == [c.id for c in its]
            for guessed, ours, theirs in zip(step, without, its, strict=True):
                if model.slides or config.beyond == "roll":  # a new half is read in pieces that follow the clock
                    assert torch.equal(guessed.logits, ours.logits)
                torch.testing.assert_close(guessed.logits, theirs.logits, atol=1e-4, rtol=1e-4)
                assert guessed.probability == pytest.approx(theirs.probability, abs=1e-4)
    assert (counted["leads"] == 0) == (key == "recurrent")


def test_texts_that_stop_by_themselves_are_those_without_guesses(monkeypatch: pytest.MonkeyPatch):
    """Whatever the others write meanwhile, and after some have ended."""
    model, characters = a_model("transformer", {}), "\nabcdefghij"
    settings = {"tokens": 40, "samples": 7, "stop": "string", "stop_at": "a", "beyond": "half"}
    told = []
    for guesses in (0, 3, 7):
        monkeypatch.setattr(lookahead.Lookahead, "choose", lambda _, guesses=guesses: guesses)
        texts = Writing(model, CharTokenizer(characters), "bc", WritingConfig.parse(settings))
        while not texts.done:
            texts.advance(0.0)
        told.append([(text.text, text.ended) for text in texts.texts])
    assert told[0] == told[1] == told[2]
    assert len({len(text) for text, _ in told[0]}) > 1 and any(ended == "string" for _, ended in told[0])


@pytest.mark.parametrize("beyond", ["roll", "half"])
def test_several_texts_go_on_beyond_their_window(beyond: str):
    """The window after the next is read while the one before it is written."""
    model = a_model("transformer", {"positions": "rotary", "smear": True})
    config = SamplingConfig.parse({"tokens": 3 * model.usual_window + 1, "beyond": beyond})
    for length in (1, 2 * model.usual_window):
        prompts = [[(3 * text + i) % VOCAB for i in range(length)] for text in range(5)]
        expected, written = list(streams(model, prompts, config)), list(streams(model, prompts, config, fast=True))

        assert [[c.id for c in step] for step in written] == [[c.id for c in step] for step in expected]


def test_what_is_told_of_a_character():
    model = a_model("mlp", {})
    config = SamplingConfig(tokens=3, temperature=0.5, top_k=2)
    for choice in generate(model, [1], config, fast=True):
        rivals = choice.rivals(VOCAB)

        assert rivals[choice.rank - 1].id == choice.id
        assert rivals[choice.rank - 1].before == pytest.approx(torch.tensor(choice.log_probability).exp())
        assert rivals[choice.rank - 1].after == pytest.approx(choice.probability, abs=1e-5)
        assert sum(rival.before for rival in rivals) == pytest.approx(1)
        assert sum(rival.after > 0 for rival in rivals) == 2


def test_new_weights_are_taken_up_and_a_listener_is_heard():
    model = a_model("transformer", {})
    config = SamplingConfig(tokens=8, temperature=0)
    list(generate(model, [1], config, fast=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-1)
    assert [c.id for c in generate(model, [1], config, fast=True)] == [c.id for c in generate(model, [1], config)]

    with model.get_submodule("blocks.0.mlp_out").register_forward_hook(lambda *_: torch.zeros(())):
        assert decoder_for(model, loader.load(), 1) is None
    assert decoder_for(model, loader.load(), 1) is not None


@pytest.mark.parametrize(("key", "changed"), [case for case in CASES if case[0] != "bigram"], ids=str)
def test_rounded_weights_write_one_text_by_either_way(key: str, changed: dict[str, Any]):
    """Past the window too; what is rounded is what torch would round, and the model itself stays as it was."""
    model = a_model(key, changed)
    before = [parameter.clone() for parameter in model.parameters()]
    config = SamplingConfig.parse({"tokens": model.usual_window + 3, "temperature": 0, "weights": "bfloat16"})
    expected, written = list(generate(model, [1, 2], config)), list(generate(model, [1, 2], config, fast=True))

    assert [c.id for c in written] == [c.id for c in expected]
    for ours, its in zip(written, expected, strict=True):
        torch.testing.assert_close(ours.logits, its.logits, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.bfloat16())
        torch.testing.assert_close(written[0].logits, model(torch.tensor([[1, 2]]))[0, -1], atol=1e-4, rtol=1e-4)
    by_itself = decoder_for(model, loader.load(), 1)
    assert by_itself is not None and by_itself.arrays.halves, "of weights that are rounded already the halves are all"
    assert any(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("changed", [changed for key, changed in CASES if key == "transformer"], ids=str)
def test_the_last_block_works_for_the_last_position_alone(changed: dict[str, Any]):
    """Unless somebody listens to it: then it is run as always."""
    model = a_model("transformer", changed)
    ids = torch.arange(2 * model.usual_window).view(2, -1) % VOCAB
    with torch.no_grad():
        torch.testing.assert_close(model.last(ids), model(ids)[:, -1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.last(ids[:, :1]), model(ids[:, :1])[:, -1], atol=1e-5, rtol=1e-5)
        heard: list[int] = []
        final = list(dict(model.named_modules())["blocks"].children())[-1]
        with final.get_submodule("mlp_out").register_forward_hook(lambda _, __, out: heard.append(out.shape[1])):
            model.last(ids)

    assert heard == [model.usual_window]


@pytest.mark.parametrize("fast", [True, False])
def test_a_long_prompt_is_read_in_pieces(fast: bool, monkeypatch: pytest.MonkeyPatch):
    """Whoever wants to can leave between them; nobody else notices."""
    monkeypatch.setattr(sampling, "AT_ONCE", 0)  # the least of torch's pieces
    torch.manual_seed(3)
    rung = RUNGS["transformer"]
    model = rung.build(rung.config.parse({**rung.tiny, "context": 1024}), VOCAB).eval()
    prompt, config = [i % VOCAB for i in range(1000)], SamplingConfig(tokens=2, temperature=0)
    steps = list(streams(model, [prompt], config, fast=fast, pauses=True))
    with torch.no_grad():
        expected = model(torch.tensor([prompt]))[0, -1]

    pauses = [i for i, step in enumerate(steps) if not step]
    assert len(pauses) >= 3 and pauses == list(range(len(pauses)))
    torch.testing.assert_close(steps[len(pauses)][0].logits, expected, atol=1e-4, rtol=1e-4)
    plain = [choice.id for choice in generate(model, prompt, config, fast=fast)]
    assert plain == [step[0].id for step in steps if step]


def test_chances_that_are_no_numbers_are_refused_by_torch():
    model = a_model("mlp", {})
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(RuntimeError, match="probability tensor"):
        list(generate(model, [1], SamplingConfig(tokens=4), fast=True))
