"""Several threads read one prompt, each a piece of it, and leave what one would have left."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from core.inference import loader, prefill
from core.inference.decoder import Decoder, decoder_for
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.models.program import KEEPING
from core.sampling import SamplingConfig, generate

VOCAB = 11
READ_AT_ONCE = [
    ("mlp", {"n_hidden": 2}),
    ("wavenet", {"variant": "fuse"}),
    ("wavenet", {}),
    ("residual", {}),
    ("transformer", {"context": 512}),
    ("transformer", {"context": 512, "positions": "rotary", "smear": True, "trigrams": 768, "norm": "post"}),
]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even the smallest piece is worth a thread, and afterwards their number is what it was."""
    monkeypatch.setattr(prefill, "WORTH", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def a_model(key: str, changed: dict[str, Any]) -> LanguageModel:
    torch.manual_seed(3)
    rung = RUNGS[key]
    return rung.build(rung.config.parse({**rung.tiny, **changed}), VOCAB).eval()


def prompt(length: int, texts: int = 1) -> torch.Tensor:
    return torch.randint(VOCAB, (texts, length), generator=torch.Generator().manual_seed(length))  # (B, T)


def read(model: LanguageModel, ids: torch.Tensor, threads: int, last: bool = True) -> tuple[Decoder, torch.Tensor]:
    """Read all of ids (B, T), the last of them with the others or alone, and give the logits (B, V) after them."""
    torch.set_num_threads(threads)
    decoder = decoder_for(model, loader.load(), len(ids), ahead=False)
    assert decoder is not None
    list(decoder.read(ids, last=True) if last else decoder.read(ids[:, :-1]))
    generators = [torch.Generator().manual_seed(text) for text in range(len(ids))]
    return decoder, torch.stack([*decoder.write(ids[:, -1:], 1, generators, (1.0, 0, 1.0), True)[0].logits])


@pytest.mark.parametrize(("key", "changed"), READ_AT_ONCE, ids=str)
def test_the_same_numbers_whoever_reads(key: str, changed: dict[str, Any]):
    """One text: bit by bit. Several share their sums otherwise. Again and again, as threads come as they please."""
    model = a_model(key, changed)
    ids = prompt(400)
    alone, expected = read(model, ids, 1)
    assert set(alone.arrays.steps[:, 0]) & set(KEEPING) and not alone.prefill.team
    for threads in (2, 3, 2, 7, 2):
        decoder, logits = read(model, ids, threads)

        assert len(decoder.prefill.team) == threads
        np.testing.assert_array_equal(decoder.state, alone.state)
        assert torch.equal(logits, expected)
    for length in (20, 70, 129, 300):
        several = prompt(length, texts=3)
        torch.testing.assert_close(read(model, several, 4)[1], read(model, several, 1)[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("key", ["bigram", "mlp", "recurrent", "wavenet", "residual", "transformer"])
@pytest.mark.parametrize("texts", [1, 3])
def test_the_last_character_is_read_with_the_others(key: str, texts: int):
    """What `write` starts from is then there, and it goes on like after one that it read itself."""
    model = a_model(key, {})
    for length in (2, 5, 70):
        ids = prompt(min(length, model.usual_window) if not model.slides else length, texts)
        (decoder, logits), (other, expected) = (read(model, ids, 2, last) for last in (True, False))

        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(decoder.state, other.state, atol=1e-5)
        assert decoder.length == other.length == ids.shape[1] and not decoder.primed
        np.testing.assert_array_equal(decoder.recent, other.recent)


def test_a_rolling_text_is_that_of_torch():
    model = a_model("transformer", {"context": 96})
    config = SamplingConfig.parse({"tokens": 8, "seed": 2, "beyond": "roll"})
    torch.set_num_threads(2)
    expected, written = (list(generate(model, prompt(97)[0].tolist(), config, fast=fast)) for fast in (False, True))

    assert [choice.id for choice in written] == [choice.id for choice in expected]
    for ours, its in zip(written, expected, strict=True):
        torch.testing.assert_close(ours.logits, its.logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("threads", range(1, 9))
@pytest.mark.parametrize("start", [0, 100, 700])
def test_pieces_are_as_much_work_as_each_other(threads: int, start: int):
    for T in (32 * threads, 32 * threads + 15, 255 if threads < 8 else 256, 128 * threads):
        sizes = prefill.pieces(T, start, threads, 32, 16, 0.01)
        ends = np.cumsum([0, *sizes])
        work = [sum(1 + 0.01 * (start + i) for i in range(*pair)) for pair in itertools.pairwise(ends)]

        assert sum(sizes) == T and len(sizes) == threads
        assert min(sizes) >= 32 and all(size % 16 == 0 for size in sizes[:-1])
        assert max(work) <= sum(work) / threads + 24 * (1 + 0.01 * (start + T))


def test_one_thread_suffices_if_no_other_comes(monkeypatch: pytest.MonkeyPatch):
    """The interpreter is ending and gives none, or the others have other things to do."""
    model, ids = a_model("transformer", {"context": 512}), prompt(400)
    expected = read(model, ids, 1)[1]
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    monkeypatch.setattr(prefill, "_helpers", ended)
    assert torch.equal(read(model, ids, 2)[1], expected)

    go_on = Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(go_on.wait)
        monkeypatch.setattr(prefill, "_helpers", busy)
        try:
            assert torch.equal(read(model, ids, 2)[1], expected)
        finally:
            go_on.set()


def test_what_is_not_worth_a_thread_is_read_by_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prefill, "WORTH", 10**9)
    decoder, logits = read(a_model("transformer", {"context": 512}), prompt(400), 4)

    assert not decoder.prefill.team
    assert torch.equal(logits, read(a_model("transformer", {"context": 512}), prompt(400), 1)[1])


@pytest.mark.parametrize("texts", [1, 3, 50])
def test_no_piece_needs_more_room_than_there_is(texts: int, monkeypatch: pytest.MonkeyPatch):
    """Whatever is left, however many threads there are and however much work it is."""
    decoder = read(a_model("transformer", {"context": 512}), prompt(20, texts), 1)[0]
    for worth in (1, 100_000, 10**9):
        monkeypatch.setattr(prefill, "WORTH", worth)
        for threads, left in itertools.product((1, 2, 3, 8), (*range(1, 300), 511)):
            sizes = decoder.prefill.sizes(left, decoder.length, threads)

            assert min(sizes) > 0 and 1 <= len(sizes) <= threads and sum(sizes) <= left
            assert len(sizes) > 1 or sizes[0] <= decoder.prefill.together


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_nobody_waits_for_a_piece_that_failed(fails: int):
    decoder = read(a_model("transformer", {"context": 512}), prompt(400), 3)[0]
    kernels = decoder.prefill.kernels

    def run(*given: Any) -> None:
        if given[-1] == fails:
            raise MemoryError("no room")
        kernels.run(*given)

    decoder.prefill.kernels = kernels._replace(run=run)
    decoder.restart()
    with pytest.raises(MemoryError, match="no room"):
        list(decoder.read(prompt(300)))
