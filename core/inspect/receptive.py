"""How far back a model can look, and how far it does look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import windows
from core.inspect.trace import hooked, trace
from core.models.contract import LanguageModel

UNBOUNDED = 256
"""Characters that a model is shown of which nothing bounds the reach."""


@dataclass(frozen=True)
class Field:
    """What the past weighs in a prediction, by distance: 0 is the current character, 1 the one before it."""

    reach: int | None
    """The theoretical field: the model's context; None if it is unbounded."""
    gradient: NDArray[np.float64]
    """(D,) mean size of d log p(target) / d (embedded character) at each distance, D ≥ reach where the text allows."""
    texts: int

    @property
    def share(self) -> NDArray[np.float64]:
        """(D,) the same as parts of their sum."""
        total = self.gradient.sum()
        return self.gradient / total if total > 0 else self.gradient

    def within(self, part: float) -> int:
        """How many characters, the current one included, hold `part` of the whole."""
        return min(len(self.gradient), int(np.searchsorted(np.cumsum(self.share), part - 1e-12)) + 1)


def measured_field(model: LanguageModel, ids: Tensor, texts: int) -> Field:
    """Differentiate the log-probability of what comes next with respect to each embedded character before it.

    The mean over `texts` windows spread evenly over ids (N,). A model that slides is shown more than its field, so
    that the zeros beyond it are measured too; one without bounds is shown UNBOUNDED characters, if there are so many.
    Raises BardlabError if the model embeds no characters or the text is too short.
    """
    embedding = getattr(model, "token_embedding", None)
    if not isinstance(embedding, torch.nn.Module):
        raise BardlabError("this rung embeds no characters, so there is nothing to differentiate by")
    reach = model.context
    beyond = max(4, reach // 4) if reach is not None and model.slides else 0
    window = min(UNBOUNDED, len(ids) - 1) if reach is None else reach + beyond
    if len(ids) <= max(1, window):
        raise BardlabError(f"the text has {len(ids)} characters, too few to look back {window}; choose a longer text")
    starts = torch.linspace(0, len(ids) - window - 1, texts).long()  # (N,)
    chunks = ids[starts[:, None] + torch.arange(window + 1)]  # (N, W+1)
    total = torch.zeros(window, dtype=torch.float64)
    held: list[Tensor] = []

    def hold(output: Tensor) -> Tensor:
        held.append(output.detach().requires_grad_())
        return held[-1]

    was_training = model.training
    model.eval()
    try:
        for chunk in torch.split(chunks, max(1, 8192 // window)):
            with hooked([(embedding, hold)]), torch.enable_grad():
                logits = model(chunk[:, :-1])[:, -1]  # (B, V)
                log_p = logits.log_softmax(-1).gather(1, chunk[:, -1:]).sum()  # () rows do not touch each other
                (gradient,) = torch.autograd.grad(log_p, held.pop())  # (B, W, E)
            total += gradient.double().norm(dim=-1).sum(0)  # (W,)
    finally:
        model.train(was_training)
    return Field(reach, (total / texts).flip(0).numpy(), texts)


@dataclass(frozen=True)
class Shuffled:
    """What the order of the distant past is worth: the loss with everything further back than a distance mixed."""

    distance: int
    """The last so many characters stand as they were."""
    loss: float
    """Mean nats of the one character that follows."""
    dearer: float
    """Nats more than with the whole past in order: the mean of the differences, text by text."""
    error: float
    """Standard error of that mean."""


def shuffle_distances(model: LanguageModel, length: int) -> list[int]:
    """Return the distances worth trying, nearest first: powers of two, and last the whole of what the model reads.

    Of a text of so many characters, a model without bounds reads what there is, at most UNBOUNDED.
    """
    window = max(1, min(UNBOUNDED, length - 2)) if model.context is None else model.context
    return [2**power for power in range(window.bit_length()) if 2**power < window] + [window]


@torch.no_grad()
def shuffled_past(model: LanguageModel, ids: Tensor, distance: int, texts: int, seed: int = 0) -> Shuffled:
    """Mix everything further back than `distance` and measure the next character, over texts spread over ids (N,).

    A test of the kind of Khandelwal et al. 2018, "Sharp nearby, fuzzy far away", section 4: what is mixed keeps its
    characters and loses their order. Every distance is measured on the same texts, against the same texts unmixed.
    Raises BardlabError if the text is too short.
    """
    window = shuffle_distances(model, len(ids))[-1]
    if len(ids) < window + 2:
        raise BardlabError(f"the text has {len(ids)} characters, too few to look back {window}; choose a longer text")
    inputs, targets = windows(ids, window, texts)  # (B, W) each
    random = torch.Generator().manual_seed(seed)
    order = torch.rand(texts, max(0, window - distance), generator=random).argsort(-1)  # (B, W-d) of each text its own
    mixed = inputs.clone()
    mixed[:, : order.shape[1]] = inputs.gather(1, order.to(ids.device))
    was_training = model.training
    model.eval()
    try:
        before, after = (_last_loss(model, read, targets[:, -1]) for read in (inputs, mixed))  # (B,) each
    finally:
        model.train(was_training)
    dearer = after - before
    error = float(dearer.std() / math.sqrt(texts)) if texts > 1 else math.nan
    return Shuffled(distance, float(after.mean()), float(dearer.mean()), error)


def _last_loss(model: LanguageModel, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss (B,) of what follows inputs (B, W)."""
    rows = max(1, 8192 // inputs.shape[1])
    parts = [
        F.cross_entropy(model(x)[:, -1].double(), y, reduction="none")
        for x, y in zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True)
    ]
    return torch.cat(parts).cpu()


@dataclass(frozen=True)
class Tree:
    """Which positions feed the last one, layer by layer, in a stack of dilated layers."""

    levels: tuple[tuple[int, ...], ...]
    """For the embeddings (0) and each layer after them, the distances back that matter, nearest first."""
    edges: tuple[tuple[tuple[int, int], ...], ...]
    """For each layer from the first, (distance below, distance above) of all its connections."""

    def below(self, level: int, distance: int) -> list[set[int]]:
        """What one node is made of: the distances it hears from at each level from 0 up to its own."""
        reached = [{distance}]
        for edges in reversed(self.edges[:level]):
            reached.append({lower for lower, upper in edges if upper in reached[-1]})
        return reached[::-1]


def receptive_tree(dilations: tuple[int, ...]) -> Tree:
    """Follow the connections of dilated layers back from the last position."""
    levels: list[tuple[int, ...]] = [(0,)]
    edges: list[tuple[tuple[int, int], ...]] = []
    for dilation in reversed(dilations):
        edges.append(tuple((lower, upper) for upper in levels[-1] for lower in (upper, upper + dilation)))
        levels.append(tuple(sorted({lower for lower, _ in edges[-1]})))
    return Tree(tuple(levels[::-1]), tuple(edges[::-1]))


def gates(model: LanguageModel, ids: Sequence[int]) -> NDArray[np.float64]:
    """Return the gates (n_layer, C, T) of a gated WaveNet on T ids, each from 0 (shut) to 1 (open).

    An empty array (0, 0, T) if the model has none.
    """
    activations = trace(model, torch.tensor([list(ids)]), "layers.*.gate").activations
    rows = [gate[0].T.double().cpu().numpy() for gate in activations.values()]  # (C, T) each
    return np.stack(rows) if rows else np.zeros((0, 0, len(ids)))
