"""What a bigram's table says, next to what counting says."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from core.models.bigram import Bigram, count_pairs
from core.models.ngram import NGram
from core.texts.corpus import Corpus

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Tables:
    """Four tables (V, V), rows the current character, columns the next; and how far they are apart."""

    counts: Table
    """How often each pair stands in the training text."""
    counted: Table
    """Those counts as probabilities: rows sum to 1 (to 0 for a character that never has a successor)."""
    model: Table
    """The model's probabilities: rows sum to 1."""
    logits: Table
    """The numbers that the model holds, as they are: a constant added to a row changes nothing."""
    kl: float
    """KL(counted ‖ model), nats a character, each row weighted by how often it is used."""
    row_kl: NDArray[np.float64]
    """(V,) the same, row by row, unweighted."""


@torch.no_grad()
def learned(model: Bigram) -> Table:
    """Return the model's probabilities (V, V)."""
    table: Table = F.softmax(model.logits.double(), dim=1).numpy()
    return table


@torch.no_grad()
def tables(model: Bigram, corpus: Corpus) -> Tables:
    """Read the model's table and count the training text's."""
    counts = count_pairs(corpus.train_ids, corpus.tokenizer.size).double()  # (V, V)
    counted = counts / counts.sum(dim=1, keepdim=True).clamp_min(1)  # (V, V)
    learned = F.softmax(model.logits.double(), dim=1)  # (V, V)
    log_ratio = counted.clamp_min(1e-300).log() - learned.clamp_min(1e-300).log()  # (V, V)
    row_kl = torch.where(counted > 0, counted * log_ratio, 0.0).sum(dim=1)  # (V,)
    kl = float((row_kl * counts.sum(dim=1)).sum() / counts.sum())
    logits = model.logits.detach().double().numpy()
    return Tables(counts.numpy(), counted.numpy(), learned.numpy(), logits, kl, row_kl.numpy())


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """The part that one order has in a prediction."""

    order: int
    context: list[int]
    """The order - 1 characters that it looks up, as ids; none for order 1, the single characters."""
    followers: int
    """How many different characters followed this context in the training text; 0 if it never occurred."""
    left_over: float
    """λ(h): what the discounts left for the shorter orders; 1 if the context never occurred."""
    weight: float
    """Share of the whole probability that this order gives away."""
    part: Floats
    """(V,) what it adds to each character's probability; sums to `weight`."""


@dataclass(frozen=True)
class Reading:
    """One prediction taken apart."""

    levels: list[Level]
    """From the longest context to none at all."""
    probs: Floats
    """(V,) the sum of the parts: the model's own distribution."""


@torch.no_grad()
def reading(model: NGram, ids: list[int]) -> Reading:
    """Take the distribution after ids (any number of characters) apart by the orders that supply it.

    What an order does not give to the characters that it saw itself, it hands on: of the probability that reaches an
    order with context h, the share λ(h) goes to the next shorter one.
    """
    size = model.vocab_size
    levels: list[Level] = []
    reaching = 1.0
    for order in range(min(model.config.order, len(ids) + 1), 1, -1):
        context = ids[len(ids) - order + 1 :]
        table = model.tables[order - 2]
        number = sum(c * size**k for k, c in enumerate(reversed(context)))
        row = int(torch.searchsorted(table.contexts, number))
        part = np.zeros(size)
        followers, left_over = 0, 1.0
        if row < len(table.contexts) and int(table.contexts[row]) == number:
            start, end = int(table.starts[row]), int(table.starts[row + 1])
            followers, left_over = end - start, float(table.left_over[row])
            part[table.following[start:end].long().numpy()] = reaching * table.share[start:end].double().numpy()
        levels.append(Level(order, context, followers, left_over, reaching * (1 - left_over), part))
        reaching *= left_over
    singles = F.softmax(model.unigram.double(), dim=0).numpy()  # (V,)
    levels.append(Level(1, [], size, 0.0, reaching, reaching * singles))
    return Reading(levels, np.sum([level.part for level in levels], axis=0))


@torch.no_grad()
def table_after(model: NGram, prefix: list[int]) -> Floats:
    """Return p(column | prefix, row) (V, V): the next character after the prefix and each possible current one."""
    size = model.vocab_size
    rows = torch.arange(size)[:, None]  # (V, 1)
    ids = torch.cat((torch.tensor(prefix, dtype=torch.int64).expand(size, -1), rows), dim=1)  # (V, T)
    probs: Floats = model(ids)[:, -1].double().exp().numpy()  # (V, V)
    return probs
