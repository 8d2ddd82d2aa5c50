"""What a bigram's table says, next to what counting says."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from core.corpus import Corpus
from core.models.bigram import Bigram, count_pairs

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
