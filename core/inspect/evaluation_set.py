"""The fixed stretch of validation text on which knock-outs are measured."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import evaluation_window
from core.models.contract import LanguageModel
from core.texts.character_classes import text_classes
from core.texts.corpus import Corpus

CLASSES = (
    "speaker name",
    "capital",
    "vowel",
    "consonant",
    "letter",
    "mark",
    "space",
    "newline",
    "punctuation",
    "symbol",
    "digit",
)
CHARACTERS = 8192
"""The size of the evaluation set: large enough for standard errors far below what a useful head is worth."""
AT_ONCE = 2048  # characters a batch, as in core/evaluation.py

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationSet:
    """Windows of the validation split, spread evenly over it: a part of those that the one evaluation goes through."""

    inputs: Tensor
    """(W, T) ids."""
    targets: Tensor
    """(W, T) the next characters."""
    classes: Tensor
    """(W, T) int64, what kind of character each target is: an index into CLASSES."""

    def to(self, device: torch.device) -> "EvaluationSet":
        """Return the same text on a device; what is counted stays on the CPU."""
        return EvaluationSet(self.inputs.to(device), self.targets.to(device), self.classes)

    def counts(self) -> Doubles:
        """Return how many targets of each class are in each window (W, K)."""
        counts: Doubles = F.one_hot(self.classes, len(CLASSES)).sum(1).double().numpy()
        return counts

    def batches(self) -> Iterator[slice]:
        """Yield rows to run at once."""
        rows = max(1, AT_ONCE // self.inputs.shape[1])
        return (slice(i, i + rows) for i in range(0, len(self.inputs), rows))


def evaluation_set(model: LanguageModel, corpus: Corpus, characters: int = CHARACTERS) -> EvaluationSet:
    """Choose windows of about `characters` characters in all, at least two.

    Raises BardlabError if the model knows other characters than the text, or the text is too short.
    """
    if model.vocab_size != corpus.tokenizer.size:
        raise BardlabError(f"the text {corpus.name!r} has changed since this model was trained; choose another run")
    ids = corpus.val_ids
    window = min(evaluation_window(model), (len(ids) - 1) // 2)
    there = (len(ids) - 1) // window if window else 0
    if there < 2:
        raise BardlabError(f"the validation split of {corpus.name!r} is too short to measure on; choose a longer text")
    take = max(2, min(there, characters // window))
    starts = torch.arange(take) * there // take * window  # (W,)
    at = starts[:, None] + torch.arange(window)  # (W, T)
    names = {name: i for i, name in enumerate(CLASSES)}
    cut = max(0, corpus.split - 200)  # so that the split's first line is seen whole
    classes = torch.tensor([names[c] for c in text_classes(corpus.text[cut:])[corpus.split - cut :]])  # (N,)
    return EvaluationSet(ids[at], ids[at + 1], classes[at + 1])
