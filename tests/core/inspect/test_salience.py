"""What a prediction rests on: exact where the answer is known, complete as the steps grow finer."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import BardlabError
from core.inspect.salience import has_salience, log_probability, salience
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel, Tap
from core.settings import Settings
from tests.conftest import TINY

IDS = [3, 1, 4, 1, 5]


class Linear(LanguageModel):
    """Logits after a text are a sum over its characters' vectors, weighed by their places."""

    def __init__(self, vocab_size: int = 7) -> None:
        super().__init__(Settings(), vocab_size)
        self.token_embedding, self.embed = nn.Embedding(vocab_size, 4), Tap()
        self.head = nn.Linear(4, vocab_size)

    @property
    def context(self) -> int:
        """More than any text here."""
        return 8

    def forward(self, ids: Tensor, cache: None = None) -> Tensor:
        """Logits (B, T, V) of ids (B, T)."""
        places = torch.arange(1.0, ids.shape[1] + 1)[:, None]  # (T, 1)
        return self.head((self.embed(self.token_embedding(ids)) * places).cumsum(1))  # (B, T, V)


def built(rung: str) -> LanguageModel:
    torch.manual_seed(0)
    entry = RUNGS[rung]
    return entry.build(entry.config.parse(TINY[rung]["model"]), 7).eval()


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_on_a_linear_model_both_are_exact(baseline: str):
    torch.manual_seed(0)
    model = Linear()
    found = salience(model, IDS, lambda logits: logits[:, 2], steps=1, baseline=baseline)
    table = model.token_embedding.weight.detach().double().numpy()
    start = table.mean(0) if baseline == "mean" else 0.0
    weights = model.head.weight.detach().double().numpy()[2]
    expected = [(place + 1) * float((table[i] - start) @ weights) for place, i in enumerate(IDS)]

    assert np.allclose(found.integrated, expected, atol=1e-5) and np.allclose(found.gradient, expected, atol=1e-5)
    assert abs(found.gap) < 1e-5
    assert found.score == pytest.approx(model(torch.tensor([IDS]))[0, -1, 2].item(), abs=1e-5)


@pytest.mark.parametrize("rung", [key for key in RUNGS if has_salience(built(key))])
def test_the_gap_closes_with_finer_steps(rung: str):
    """For every rung whose characters have vectors; the score itself is the model's own log-probability."""
    model = built(rung)
    for module in model.modules():  # fresh weights are nearly linear: make the way bend
        if isinstance(module, nn.Embedding | nn.Linear):
            module.weight.data *= 3
    length = min(len(IDS), model.readable(len(IDS)))
    coarse, fine = (salience(model, IDS[-length:], log_probability(2), steps) for steps in (2, 256))
    logits = model(torch.tensor([IDS[-length:]]))[0, -1]

    assert fine.score == pytest.approx(logits.log_softmax(0)[2].item(), abs=1e-4)
    assert abs(fine.gap) < 1e-3 + 0.02 * abs(fine.score - fine.base)
    assert abs(fine.gap) <= abs(coarse.gap) + 1e-4
    assert len(fine.integrated) == len(fine.gradient) == length


def test_a_prediction_does_not_rest_on_what_the_model_cannot_see():
    model = built("mlp")
    reach = model.context
    found = salience(model, [1, 2, 3, 4, 5, 6, 1, 2][: reach + 2], log_probability(0), 8)

    assert np.abs(found.integrated[:-reach]).max() == 0 and np.abs(found.integrated[-reach:]).min() > 0


def test_a_model_without_vectors_is_refused():
    model = built("bigram")
    with pytest.raises(BardlabError, match="without vectors"):
        salience(model, IDS, log_probability(0))
