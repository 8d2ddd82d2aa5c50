"""Losses that need no training: the marks that every curve is compared with, computed from the text itself."""

import math
from dataclasses import dataclass

import torch

from core.corpus import Corpus
from core.evaluation import evaluate
from core.models.bigram import Bigram, BigramConfig, count_pairs


@dataclass(frozen=True)
class Landmark:
    """One loss to compare with, in nats a character."""

    key: str
    label: str
    value: float
    help: str


def unseen_pairs(corpus: Corpus) -> tuple[int, int]:
    """Count neighbours in the validation text that the training text never had: (occurrences, distinct pairs)."""
    size = corpus.tokenizer.size
    new = (count_pairs(corpus.train_ids, size) == 0) * count_pairs(corpus.val_ids, size)  # (V, V)
    return int(new.sum()), int((new > 0).sum())


def of(corpus: Corpus) -> list[Landmark]:
    """Compute the landmarks of a text: knowing nothing, knowing the frequencies, knowing the pairs."""
    size = corpus.tokenizer.size
    counts = torch.bincount(corpus.train_ids, minlength=size).double() + 1  # (V,)
    unigram = -(counts / counts.sum()).log()[corpus.val_ids[1:]].mean()  # ()
    bigram = Bigram(BigramConfig(fit="count"), size)
    bigram.fit(corpus.train_ids)
    counted = evaluate(bigram, corpus.val_ids).loss
    return [
        Landmark(
            "uniform", f"uniform: ln {size} = {math.log(size):.3f}", math.log(size), "Every character equally likely."
        ),
        Landmark("unigram", f"unigram: {unigram:.3f}", float(unigram), "Each character as likely as it is frequent."),
        Landmark("bigram", f"counted bigram: {counted:.3f}", counted, "Counted pairs, add-one smoothing."),
    ]
