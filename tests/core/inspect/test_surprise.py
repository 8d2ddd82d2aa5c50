"""Surprise adds up to the loss, and ranks and rivals are those of the distribution."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.evaluation import evaluate
from core.inspect.surprise import surprise, written_log_probs
from core.ladder import registry
from core.models.bigram import Bigram, BigramConfig
from core.sampling import SamplingConfig, generate
from tests.conftest import TINY

V = 13


@pytest.fixture
def ids() -> list[int]:
    return torch.randint(V, (300,), generator=torch.Generator().manual_seed(2)).tolist()


@pytest.mark.parametrize("key", list(registry.RUNGS))
def test_the_mean_is_the_loss(key: str, ids: list[int]):
    """300 characters are more than a window of every rung."""
    torch.manual_seed(1)
    rung = registry.RUNGS[key]
    model = rung.build(rung.config(**TINY[key]["model"]), V).eval()
    found = surprise(model, ids)
    judged = evaluate(model, torch.tensor(ids))

    assert found.nats.shape == (299,)
    assert found.loss == pytest.approx(judged.loss, abs=1e-6)
    assert found.bits.mean() == pytest.approx(judged.bits, abs=1e-6)
    assert found.window == (16 if key == "transformer" else 256)


def test_rank_and_rivals():
    model = Bigram(BigramConfig(), 4)
    with torch.no_grad():
        model.logits.copy_(torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log().expand(4, 4))
    found = surprise(model, [3, 0, 1, 3], rivals=3)

    np.testing.assert_allclose(found.bits, -np.log2([0.5, 0.25, 0.1]), atol=1e-6)
    assert found.rank.tolist() == [1, 2, 4]
    assert found.rivals.tolist() == [[0, 1, 2]] * 3
    np.testing.assert_allclose(found.chances, [[0.5, 0.25, 0.15]] * 3, atol=1e-6)


@pytest.mark.parametrize("key", ["mlp", "transformer"])
def test_what_was_written_has_the_probability_it_was_drawn_with(key: str, ids: list[int]):
    """At temperature 1 without cuts, across the end of the context."""
    torch.manual_seed(1)
    rung = registry.RUNGS[key]
    model = rung.build(rung.config(**TINY[key]["model"]), V).eval()
    prompt = ids[:10]
    drawn = list(generate(model, prompt, SamplingConfig(tokens=20)))
    text = prompt + [choice.id for choice in drawn]
    expected = torch.stack([F.log_softmax(c.logits.double(), -1)[c.id] for c in drawn])

    torch.testing.assert_close(written_log_probs(model, text, 10), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(written_log_probs(model, text[:12], 10), expected[:2], atol=1e-5, rtol=0)
