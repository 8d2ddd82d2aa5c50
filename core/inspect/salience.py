"""Which characters of a prompt a prediction rests on: gradient x input, and integrated gradients.

Both ask how a score, such as the log-probability of the next character, depends on the vectors of the characters read,
and share its change out among them. Gradient x input takes the slope at the prompt itself (Shrikumar et al. 2016);
integrated gradients take the mean slope on the straight way from a baseline to the prompt (Sundararajan et al. 2017):
their sum is the change of the score along it, up to the gap that a finite number of steps leaves ("completeness").

For every rung with a tap `embed`, through which the vectors of the characters pass.
Letters: B batch, T characters of the prompt, E numbers of a vector, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.inspect.trace import capture, hooked, taps
from core.models.contract import LanguageModel

EMBED = "embed"
"""The tap of the vectors that the characters are read as."""
AT_ONCE = 16
"""Points of the way that pass through the model together."""
Baseline = Literal["mean", "zero"]
"""What stands for a character that says nothing: the mean of all characters' vectors, or the zero vector."""
Score = Callable[[Tensor], Tensor]
"""From logits (B, V) after the prompt to what is explained (B,)."""


@dataclass(frozen=True)
class Salience:
    """How much each character of a prompt adds to the score of what comes next."""

    score: float
    """The score with the prompt."""
    base: float
    """The score with the baseline in place of every character."""
    gradient: NDArray[np.float64]
    """(T,) slope at the prompt times what sets the vector apart from the baseline."""
    integrated: NDArray[np.float64]
    """(T,) the same with the mean slope on the way."""
    steps: int

    @property
    def gap(self) -> float:
        """By how much the integrated gradients miss the change of the score: 0 with infinitely many steps."""
        return float(self.integrated.sum() - (self.score - self.base))


def log_probability(target: int) -> Score:
    """Return the score log p(target)."""
    return lambda logits: F.log_softmax(logits.double(), dim=-1)[:, target]


def has_salience(model: LanguageModel) -> bool:
    """Whether the characters' vectors pass through a tap."""
    return EMBED in taps(model)


def salience(
    model: LanguageModel, ids: list[int], score: Score, steps: int = 64, baseline: Baseline = "mean"
) -> Salience:
    """Explain the score of what follows ids, by the midpoints of `steps` equal parts of the way.

    Raises BardlabError if the model has no vectors of characters.
    """
    if not has_salience(model):
        raise BardlabError("this model reads characters without vectors; choose a run of another rung")
    tap = taps(model)[EMBED]
    text = torch.tensor(ids)[None]  # (1, T)
    was_training = model.training
    model.eval()
    try:
        captured: dict[str, Any] = {}
        with hooked([(tap, capture(captured, EMBED))]), torch.no_grad():
            model(text)
        there = captured[EMBED].detach()  # (1, T, E)
        start = _baseline(model, there, baseline)  # (1, T, E)

        def at(shares: Tensor) -> tuple[Tensor, Tensor]:
            """Return the scores (B,) and their slopes (B, T, E) so far along the way (B,)."""
            vectors = (start + shares[:, None, None] * (there - start)).requires_grad_()  # (B, T, E)
            with hooked([(tap, lambda _: vectors)]), torch.enable_grad():
                scores = score(model(text.expand(len(shares), -1))[:, -1])  # (B,)
                (slopes,) = torch.autograd.grad(scores.sum(), vectors)
            return scores.detach(), slopes

        ends, slopes = at(torch.tensor([0.0, 1.0]))
        mean = torch.zeros_like(there[0], dtype=torch.float64)  # (T, E)
        for piece in torch.split((torch.arange(steps) + 0.5) / steps, AT_ONCE):
            mean += at(piece)[1].double().sum(0) / steps
    finally:
        model.train(was_training)
    apart = (there - start)[0].double()  # (T, E)
    return Salience(
        score=float(ends[1]),
        base=float(ends[0]),
        gradient=(slopes[1].double() * apart).sum(1).numpy(),
        integrated=(mean * apart).sum(1).numpy(),
        steps=steps,
    )


def _baseline(model: LanguageModel, there: Tensor, baseline: Baseline) -> Tensor:
    if baseline == "zero":
        return torch.zeros_like(there)
    every = torch.arange(model.vocab_size)[:, None]  # (V, 1)
    captured: dict[str, Tensor] = {}
    with hooked([(taps(model)[EMBED], capture(captured, EMBED))]), torch.no_grad():
        model(every)
    return captured[EMBED].mean(0, keepdim=True).expand_as(there).clone()  # (1, T, E)
