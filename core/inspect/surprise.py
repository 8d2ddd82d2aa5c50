"""How surprising each character of a text is to a model, and what the model expected instead.

Surprise is Shannon's (1948): a character that was given probability p costs -log2 p bits. The mean over a text is the
cross-entropy, the loss itself, so the marks on the page add up to the number that the run is judged by.

Letters: N characters of the text, V vocabulary, K rivals kept.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.evaluation import evaluation_window
from core.models.contract import LanguageModel


@dataclass(frozen=True)
class Surprise:
    """What a model made of a text. The first character has no predecessor and is given, not predicted."""

    nats: NDArray[np.float64]
    """(N-1,) -ln of each character's probability; infinite if the model called it impossible."""
    rank: NDArray[np.int64]
    """(N-1,) 1 if no character was thought likelier."""
    rivals: NDArray[np.int64]
    """(N-1, K) the likeliest characters in its place, likeliest first."""
    chances: NDArray[np.float64]
    """(N-1, K) their probabilities."""
    window: int
    """Characters in each of the consecutive windows that the text was read in."""
    context: int | None
    """How many characters before it, inside its window, a prediction could see; None if all of them."""

    @property
    def bits(self) -> NDArray[np.float64]:
        """(N-1,) the same in bits."""
        return self.nats / math.log(2)

    @property
    def loss(self) -> float:
        """Mean in nats a character: what `core.evaluation.evaluate` says of this text."""
        return float(self.nats.mean())


@torch.inference_mode()
def surprise(model: LanguageModel, ids: list[int], rivals: int = 5) -> Surprise:
    """Read ids (at least two) in consecutive windows, as evaluation does: a window starts without memory."""
    window = evaluation_window(model)
    inputs, targets = torch.tensor(ids[:-1]), torch.tensor(ids[1:])  # (N-1,) each
    pieces = [model(piece[None])[0] for piece in torch.split(inputs, window)]  # (window, V) each, the last one shorter
    log_probs = F.log_softmax(torch.cat(pieces).double(), dim=-1)  # (N-1, V)
    paid = log_probs.gather(1, targets[:, None])  # (N-1, 1)
    best = log_probs.topk(min(rivals, log_probs.shape[1]), dim=1)  # (N-1, K)
    rank = 1 + (log_probs > paid).sum(1)  # (N-1,)
    likeliest = best.indices.numpy(), best.values.exp().numpy()
    return Surprise(-paid[:, 0].numpy(), rank.numpy(), *likeliest, window, model.context)


@torch.inference_mode()
def written_log_probs(model: LanguageModel, ids: list[int], start: int) -> Tensor:
    """Return the log-probability (N - start,) of each id from `start` (at least 1) on, as a writer draws it.

    Unlike evaluation, every character is predicted from the last `context` characters before it.
    """
    text = torch.tensor(ids)  # (N,)
    reach = model.readable(len(ids) - 1)
    if reach == len(ids) - 1:
        logits = model(text[None, :-1])[0, start - 1 :]  # (N - start, V)
    else:
        ends = range(start, len(ids))
        logits = torch.cat([model(text[None, max(0, end - reach) : end])[:, -1] for end in ends])
    log_probs = F.log_softmax(logits.double(), dim=-1)  # (N - start, V)
    return log_probs.gather(1, text[start:, None])[:, 0]  # (N - start,)
