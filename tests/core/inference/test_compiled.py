"""Machine code writes what torch writes: the same logits and the same text, for every rung."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import paths, sampling
from core.inference import compiled
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.models.mlp import BatchNorm
from core.models.packing import packed
from core.sampling import SamplingConfig, generate, streams
from core.studies.writing import Writing, WritingConfig
from core.texts.tokenizer import CharTokenizer
from tests.core.test_walls import MODULES, known

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


@pytest.fixture(scope="module", autouse=True)
def kernels(machine_code: Path) -> Iterator[None]:
    """All is compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(machine_code))
        yield


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
    model = a_model(key, {})
    kernels = compiled.load()
    for torch_writes, beyond in itertools.product((1, 3, 2 * model.usual_window), ("roll", "half")):
        config = SamplingConfig.parse({"tokens": 3 * model.usual_window, "beyond": beyond})
        answers = itertools.chain([None] * torch_writes, itertools.repeat(kernels))
        with monkeypatch.context() as patch:
            patch.setattr(compiled, "ready", answers.__next__)
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
            monkeypatch.setattr(compiled.Stride, "choose", lambda _, guesses=guesses: guesses)
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

    class Counted(compiled.Decoder):
        def write(self, *arguments: Any) -> list[compiled.Written]:
            before = self.passes
            step = super().write(*arguments)
            counted["passes"] += self.passes - before
            counted["written"] += len(step)
            counted["leads"] += int((self.leads > 0).sum())
            return step

    monkeypatch.setattr(compiled, "Decoder", Counted)
    return counted


@pytest.mark.parametrize(("key", "changed"), CASES, ids=lambda value: str(value))
def test_each_of_several_texts_is_guessed_and_stays_what_it_is(
    key: str, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """However many are guessed from block to block, so that some texts are ahead of others; past the window too."""
    counted = count_passes(monkeypatch)
    monkeypatch.setattr(compiled, "BLOCK", 0.0)  # a character or more each: whatever the clock says
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
        monkeypatch.setattr(compiled.Stride, "choose", lambda _, turns=turns: next(turns))
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
        monkeypatch.setattr(compiled.Stride, "choose", lambda _, guesses=guesses: guesses)
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
        assert compiled.decoder(model, 1) is None
    assert compiled.decoder(model, 1) is not None


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
    by_itself = compiled.decoder(model, 1)
    assert by_itself is not None and by_itself.laid.halves, "of weights that are rounded already the halves are all"
    assert any(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("unit", [False, True], ids=["panels", "matrix unit"])
@pytest.mark.parametrize("halves", [False, True])
def test_a_matrix_by_several_vectors_is_what_numpy_makes_of_it(
    halves: bool, unit: bool, monkeypatch: pytest.MonkeyPatch
):
    """Whole panels of sixteen and parts of one, rows left over, and a matrix in the middle of the weights."""
    from core.inference import products

    if unit and not products.MATRIX_UNIT:
        pytest.skip("this processor has no matrix unit")
    monkeypatch.setattr(products, "MATRIX_UNIT", unit)  # whatever this processor has
    random = np.random.default_rng(1)
    for count, n_in, n_out in (
        (1, 19, 33),
        (2, 8, 16),
        (4, 7, 9),
        (7, 9, 40),
        (16, 32, 64),
        (17, 5, 65),
        (32, 48, 3),
        (70, 71, 33),
    ):
        weights = random.normal(size=3 + n_out * n_in).astype(np.float32)
        stored = (weights.view(np.uint32) >> 16).astype(np.uint16) if halves else weights
        if halves:
            weights = (stored.astype(np.uint32) << 16).view(np.float32)
        work = random.normal(size=(count + 16, 2 + n_in + n_out)).astype(np.float32)
        expected = work[:count, 1 : 1 + n_in] @ weights[3:].reshape(n_out, n_in).T
        stored = np.concatenate((stored[:3], packed(stored[3:].reshape(n_out, n_in))))
        products.matrix_times(stored, 3, work, 1, 2 + n_in, *products.room(count, n_in), n_in, n_out, count, count)
        np.testing.assert_allclose(work[:count, 2 + n_in :], expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("halves", [False, True])
def test_a_product_is_the_same_however_many_are_computed_beside_it(halves: bool):
    """To the last bit, if it is asked for as one of so many: of a few, of more, and of enough for a matrix unit."""
    from core.inference import products

    random = np.random.default_rng(2)
    n_in, n_out = 21, 49
    weights = random.normal(size=(n_out, n_in)).astype(np.float32)
    stored = packed((weights.view(np.uint32) >> 16).astype(np.uint16) if halves else weights)
    vectors = random.normal(size=(86, n_in + n_out)).astype(np.float32)
    for like in (1, 3, 8, 9, 16, 40):
        alone = vectors.copy()
        products.matrix_times(stored, 0, alone, 0, n_in, *products.room(70, n_in), n_in, n_out, like, like)
        for count in (like + 1, like + 17, 70):
            work = vectors.copy()
            products.matrix_times(stored, 0, work, 0, n_in, *products.room(70, n_in), n_in, n_out, count, like)
            np.testing.assert_array_equal(work[:like], alone[:like])


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


def test_a_home_finds_what_the_programs_own_home_has_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """And compiles into itself, not there."""
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(paths, "ROOT", tmp_path / "program")
    monkeypatch.setenv("BARDLAB_HOME", str(tmp_path / "home"))
    assert compiled.mark().is_relative_to(tmp_path / "home") and not compiled.built()

    there = tmp_path / "program" / compiled.mark().relative_to(tmp_path / "home")
    there.parent.mkdir(parents=True)
    there.touch()
    assert compiled.built() and compiled.mark() == there


def test_machine_code_is_compiled_anew_when_a_file_that_it_depends_on_changes(tmp_path: Path):
    """The compiler looks at one file of it alone. What is asked of the system is asked whenever it is loaded."""
    reached = {module for module in MODULES if module.startswith("core.inference")}
    used = {other for module in reached if "kernels" in module for other in known(module)} - {"core.system"}
    while used - reached:
        reached |= used
        used |= {other for module in used for other in known(module)} - {"core.system"}
    files = compiled.sources()
    assert {MODULES[module] for module in reached} == set(files) and len(reached) > 5

    copies = [tmp_path / str(number) for number in range(len(files))]
    for copy, path in zip(copies, files, strict=True):
        copy.write_bytes(path.read_bytes())
    names = {compiled.fingerprint(copies)}
    for copy in copies:
        copy.write_text(copy.read_text(encoding="utf-8") + "#", encoding="utf-8")
        names.add(compiled.fingerprint(copies))
    assert len(names) == len(copies) + 1


def test_without_a_compiler_torch_writes_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Here: a home that is a file, so that nothing can be kept."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "compiled"))
    monkeypatch.setattr(compiled, "_kernels", None)
    monkeypatch.setattr(compiled, "_failed", False)
    assert compiled.load() is None and compiled.load() is None and compiled.ready() is None

    assert len(list(generate(a_model("mlp", {}), [1], SamplingConfig(tokens=4), fast=True))) == 4
    assert len([r for r in caplog.records if "torch writes" in r.message]) == 1
