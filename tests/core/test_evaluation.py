"""The evaluation's windows and stretches, number by number, and what it does where memory is short."""

import math

import pytest
import torch
from torch import Tensor

from core.evaluation import Evaluation, evaluate, evaluation_window, spread_slice, windows
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.sampling import SamplingConfig
from tests.conftest import TINY

V = 5


class Previous(LanguageModel):
    """Gives the character before this one half of all chances, and never expects a 4. Slides unless told otherwise."""

    slides = True

    def __init__(self, context: int | None, fits: int = 1000) -> None:
        super().__init__(SamplingConfig(), V)
        self.reach, self.fits, self.seen = context, fits, list[tuple[int, ...]]()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    @property
    def context(self) -> int | None:  # type: ignore[override]
        """How far it looks back."""
        return self.reach

    def forward(self, ids: Tensor, cache: object = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V), if there is memory for so many rows."""
        assert not self.training
        self.seen.append(tuple(ids.shape))
        if len(ids) > self.fits:
            raise torch.OutOfMemoryError("out of memory")
        probabilities = torch.full((*ids.shape, V), 1 / 6).scatter(-1, ids[..., None], 1 / 2)
        return probabilities.log().index_fill(-1, torch.tensor([4]), -torch.inf)


def test_windows_are_the_context_or_256():
    model = Previous(8)

    assert evaluation_window(model) == 256
    assert evaluation_window(Previous(300)) == 300
    assert evaluation_window(Previous(None)) == 256
    model.slides = False
    assert evaluation_window(model) == 8
    tiny = RUNGS["transformer"].config.parse(TINY["transformer"]["model"])
    assert evaluation_window(RUNGS["transformer"].build(tiny, V)) == tiny.model_dump()["context"]


def test_stretches_lie_evenly_over_the_text():
    ids = torch.arange(100)

    assert spread_slice(ids, 16, 4).tolist() == [*range(4), *range(32, 36), *range(64, 68), *range(96, 100)]
    assert spread_slice(ids, 17).tolist() == [s + i for s in (0, 14, 28, 42, 56, 70, 84, 98) for i in (0, 1)]
    for all_of_it in (spread_slice(ids, 15), spread_slice(ids, 104), spread_slice(ids[:16], 16)):
        assert all_of_it.tolist() == list(range(len(all_of_it))) and len(all_of_it) in (16, 100)


def test_windows_lie_evenly_and_targets_follow():
    inputs, targets = windows(torch.arange(20), 5, 3)

    assert inputs.tolist() == [[s + i for i in range(5)] for s in (0, 7, 14)]
    assert torch.equal(targets, inputs + 1)
    assert windows(torch.arange(4), 10, 2)[1].tolist() == [[1, 2, 3]] * 2
    assert windows(torch.arange(4), 0, 2)[0].tolist() == [[0], [2]]


def test_a_loss_is_the_mean_over_all_pairs_in_nats():
    """1,000 characters, each the one before or not: three windows and a rest."""
    ids = torch.randint(4, (1000,), generator=torch.Generator().manual_seed(0))
    same = int((ids[1:] == ids[:-1]).sum())
    model = Previous(8).train()
    found = evaluate(model, ids)
    expected = (same * math.log(2) + (999 - same) * math.log(6)) / 999

    assert found.loss == pytest.approx(expected, rel=1e-6) and found.predictions == 999 and found.impossible == 0
    assert found.bits == pytest.approx(found.loss / 0.693147, rel=1e-5)
    assert model.training and model.seen == [(3, 256), (1, 231)]


def test_logits_of_few_digits_are_judged_in_float32():
    class Half(Previous):
        def forward(self, ids: Tensor, cache: object = None) -> Tensor:
            return super().forward(ids).to(self.given).to(self.handed)

    ids = torch.randint(4, (300,), generator=torch.Generator().manual_seed(0))
    found = []
    for handed in (torch.bfloat16, torch.float32):
        model = Half(8)
        model.given, model.handed = torch.bfloat16, handed
        found.append(evaluate(model, ids).loss)
    assert found[0] == found[1]


def test_what_was_called_impossible_is_counted():
    found = evaluate(Previous(8), torch.tensor([0, 1, 4, 4, 2, 4]))

    assert found == Evaluation(math.inf, 5, 3)


def test_2048_characters_at_once_and_fewer_where_memory_is_short():
    """Windows of 100: twenty rows at once, then ten, five, three; what was done is not done again."""
    ids = torch.randint(4, (4001,), generator=torch.Generator().manual_seed(0))
    plenty, short = Previous(100), Previous(100, fits=4)
    plenty.slides = short.slides = False
    expected = evaluate(plenty, ids)

    assert plenty.seen == [(20, 100)] * 2
    assert evaluate(short, ids) == expected
    assert short.seen == [(20, 100), (10, 100), (5, 100), *[(3, 100)] * 13, (1, 100)]


def test_memory_too_short_for_one_window_is_an_error():
    model = Previous(100, fits=0)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(model.train(), torch.zeros(1000, dtype=torch.long))
    assert model.training and model.seen[-1][0] == 1
