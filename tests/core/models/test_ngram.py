"""The counted n-gram: exact against a slow count, sums to one, saves and loads, fast enough."""

import math
from collections import Counter, defaultdict

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from core.errors import BardlabError
from core.evaluation import evaluate
from core.models.ngram import NGram, NGramConfig, discounts
from core.sampling import SamplingConfig, generate
from core.texts.corpus import Corpus
from core.training.config import TrainConfig
from core.training.trainer import Trainer

VOCAB = 5


def text(length: int = 3000, vocab: int = VOCAB) -> Tensor:
    """Random characters, some of them much likelier, so that counts of all sizes occur."""
    weights = torch.arange(1.0, vocab + 1) ** 3
    return torch.multinomial(weights, length, replacement=True, generator=torch.Generator().manual_seed(1))


def fitted(order: int, ids: Tensor, vocab: int = VOCAB) -> NGram:
    model = NGram(NGramConfig(order=order), vocab)
    model.fit(ids)
    return model.eval()


def by_hand(ids: list[int], order: int, vocab: int) -> "dict[tuple[int, ...], list[float]]":
    """Interpolated Kneser-Ney with dictionaries, straight from Chen and Goodman: context -> distribution."""
    counts = Counter(tuple(ids[i : i + order]) for i in range(len(ids) - order + 1))
    levels = {order: counts}
    for length in range(order - 1, 0, -1):
        before = defaultdict(set)
        for piece in levels[length + 1]:
            before[piece[1:]].add(piece[0])
        levels[length] = Counter({piece: len(found) for piece, found in before.items()})
    probs: dict[tuple[int, ...], list[float]] = {}
    for length in range(1, order + 1):
        rows = defaultdict(dict)
        for piece, count in levels[length].items():
            rows[piece[:-1]][piece[-1]] = count
        of = Counter(levels[length].values())
        n1, n2, n3, n4 = (of.get(j) or 0.5 for j in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        estimate = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        d = [min(max(e, 0.1), 0.9 * (j + 1)) for j, e in enumerate(estimate)]
        for context, row in rows.items():
            total = sum(row.values())
            kept = {w: (c - d[min(c, 3) - 1]) / total for w, c in row.items()}
            left = 1 - sum(kept.values())
            shorter = probs[context[1:]] if context else [1 / vocab] * vocab
            probs[context] = [kept.get(w, 0.0) + left * shorter[w] for w in range(vocab)]
    return probs


@torch.no_grad()
@pytest.mark.parametrize("order", [2, 3, 5])
def test_probabilities_equal_a_slow_count(order: int):
    """Every position agrees with dictionaries and loops, known contexts and unknown ones alike."""
    ids = text(400)
    expected = by_hand(ids.tolist(), order, VOCAB)
    asked = torch.cat((text(200).flip(0), torch.tensor([0] * 8)))  # 0 is rare: a run of eight was never seen
    found = fitted(order, ids)(asked[None])[0].exp()
    unknown = 0
    for t in range(len(asked)):
        context = tuple(asked[max(0, t - order + 2) : t + 1].tolist())
        while context not in expected:
            context, unknown = context[1:], unknown + 1

        assert found[t].tolist() == pytest.approx(expected[context], abs=1e-6)
    assert unknown > 0 or order == 2


@torch.no_grad()
@pytest.mark.parametrize("order", range(2, 9))
def test_probabilities_sum_to_one(order: int, corpus: Corpus):
    """At every position and every length, to 1e-6, with nothing impossible."""
    model = fitted(order, corpus.train_ids[:200_000], 65)
    lengths = model.probabilities(corpus.val_ids[:2000].view(4, 500))

    assert len(lengths) == order
    for probs in lengths:
        assert probs.shape == (4, 500, 65)
        assert float((probs.double().sum(-1) - 1).abs().max()) < 1e-6
        assert float(probs.min()) > 0


@torch.no_grad()
def test_only_the_last_characters_count():
    """A character changes its own prediction and the next order - 2; nothing before, nothing beyond."""
    model = fitted(4, text())
    assert model.context == 3
    ids = text(30)[None].clone()
    ids[0, 10:20] = torch.tensor([4, 3, 4, 4, 2, 4, 4, 3, 4, 4])
    other = ids.clone()
    other[0, 14] = 4

    assert (model(ids) != model(other)).any(-1)[0].nonzero()[:, 0].tolist() == [14, 15, 16]
    torch.testing.assert_close(model(ids[:, 5:])[:, 2:], model(ids)[:, 7:])


def test_unfitted_it_knows_nothing():
    """Before counting every character is equally likely."""
    assert evaluate(NGram(NGramConfig(), 65), text(500)).loss == pytest.approx(math.log(65), abs=1e-5)


@torch.no_grad()
def test_it_survives_being_saved():
    """Tables whose sizes come from the text load into a fresh model, and into one fitted to another text."""
    model = fitted(4, text())
    ids = text(50)[None].flip(1)
    saved = load_tensors(save_tensors({k: v.contiguous() for k, v in model.state_dict().items()}))
    for other in (NGram(NGramConfig(order=4), VOCAB), fitted(4, text(300))):
        assert not torch.equal(other(ids), model(ids))
        other.load_state_dict(saved, strict=True)

        assert torch.equal(other(ids), model(ids))


def test_a_damaged_file_is_still_refused():
    """A missing table is an error, as in any module."""
    saved = fitted(3, text()).state_dict()
    del saved["orders.1.share"]
    with pytest.raises(RuntimeError, match=r"orders\.1\.share"):
        NGram(NGramConfig(order=3), VOCAB).load_state_dict(saved)


def test_the_shared_trainer_fits_it_in_one_step():
    """One step counts the text, and the loss falls below that of single characters; a text can be written."""
    ids = text().repeat(2)
    trainer = Trainer(NGram(NGramConfig(order=3), VOCAB), TrainConfig(), ids, torch.device("cpu"))
    assert trainer.total == 1
    frequencies = torch.bincount(ids).double() / len(ids)

    assert float(trainer.step()) < -float((frequencies * frequencies.log()).sum())
    assert len(list(generate(trainer.model, [0], SamplingConfig(tokens=20)))) == 20


@pytest.mark.parametrize("ids", [[0, 0, 0, 0, 0], [0, 1, 2, 3, 4], [0, 1, 0, 1, 0, 1, 0]])
@torch.no_grad()
def test_tiny_texts_still_give_distributions(ids: list[int]):
    """With too few counts to estimate discounts from, nothing becomes negative, impossible or undefined."""
    probs = fitted(4, torch.tensor(ids))(torch.tensor([ids])).exp()

    assert float(probs.min()) > 0
    assert float((probs.sum(-1) - 1).abs().max()) < 1e-6


def test_a_text_shorter_than_the_order_is_refused():
    """One line, with what to do."""
    with pytest.raises(BardlabError, match=r"4 characters, too few for model\.order 5; lower it"):
        fitted(5, torch.tensor([0, 1, 2, 3]))


def test_an_alphabet_too_large_for_the_order_is_refused():
    """Contexts are written as one 64-bit number; the message names the longest order that fits."""
    with pytest.raises(BardlabError, match="give at most 6"):
        NGram(NGramConfig(order=7), 1000)


def test_discounts_are_the_published_formula():
    """Chen and Goodman (1999), equation 26, worked by hand for n1..n4 = 100, 40, 20, 10."""
    import numpy as np

    counts = np.repeat([1, 2, 3, 4, 50], [100, 40, 20, 10, 7])
    y = 100 / 180

    assert discounts(counts) == pytest.approx((1 - 2 * y * 0.4, 2 - 3 * y * 0.5, 3 - 4 * y * 0.5))


def test_seven_characters_of_the_real_text_predict_as_well_as_they_did(corpus: Corpus):
    """Order 7 over a million characters: the validation loss that is told of it."""
    model = NGram(NGramConfig(order=7), 65)
    model.fit(corpus.train_ids)

    assert evaluate(model, corpus.val_ids).loss == pytest.approx(1.5297, abs=1e-3)
