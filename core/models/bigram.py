"""The bigram: the next character depends on the current one alone.

One table of V × V logits. Row t, through a softmax, is the distribution "after t comes ...". It can be learned by
gradient descent, or written down: the best table is the log of the counted frequencies. Both are here, and the
learned one converges to the counted one.

After Shannon (1948), "A mathematical theory of communication", section 3, where text is drawn from such a table.

Letters: B batch, T time, V vocabulary.
"""

import math
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.answers import VectorTable
from core.models.contract import LanguageModel
from core.models.ngram import NGram, NGramConfig
from core.models.program import Program
from core.settings import Settings, setting


class BigramConfig(Settings):
    """How far to look back, and how the table is found; its size follows from the vocabulary."""

    order: int = setting(
        2,
        "Characters in one counted piece. 2 is the bigram: one character of context and the one to predict. From 3 on "
        "it becomes the counted n-gram (interpolated Kneser-Ney), which looks back order - 1 characters and can only "
        "be counted.",
        ge=2,
        le=8,
        step=1,
    )
    fit: Literal["gradient", "count"] = setting(
        "gradient",
        "How the table is found: by gradient descent on the loss, or by counting every pair of the training text.",
    )
    smoothing: float = setting(
        1.0,
        "Added to every count before dividing (Laplace: 1), so that a pair never seen keeps some probability. "
        "With 0 one unseen pair in the validation text makes the loss infinite. Used only for counted pairs (order 2).",
        ge=0.0,
        le=10.0,
        step=0.1,
    )

    @model_validator(mode="before")
    @classmethod
    def _longer_pieces_are_counted(cls, values: Any) -> Any:
        """Take counting for granted where nothing else is possible and nothing else was asked for."""
        if isinstance(values, dict) and "fit" not in values and str(values.get("order", 2)) not in ("2", "2.0"):
            return {**values, "fit": "count"}
        return values

    @model_validator(mode="after")
    def _a_learned_table_is_one_of_pairs(self) -> Self:
        if self.order > 2 and self.fit == "gradient":
            raise ValueError(
                f"model.order {self.order} can only be counted, its table would have a row for every "
                f"{self.order - 1} characters; set model.fit to count, or model.order to 2"
            )
        return self


def count_pairs(ids: Tensor, vocab_size: int) -> Tensor:
    """Count how often character b follows character a in ids (N,). Returns (V, V) float, rows a, columns b."""
    pair = torch.add(ids[1:], ids[:-1], alpha=vocab_size)  # (N-1,) each pair (a, b) as the one number a·V + b
    return torch.bincount(pair, minlength=vocab_size**2).view(vocab_size, vocab_size).to(torch.float32)


def counted_logits(counts: Tensor, smoothing: float) -> Tensor:
    """Log-probabilities (V, V) of the counted bigram. With `smoothing` 0, unseen pairs get -inf."""
    smoothed = counts + smoothing  # (V, V)
    row_sums = smoothed.sum(dim=1, keepdim=True)  # (V, 1)
    uniform = torch.full_like(smoothed, 1 / counts.shape[1])  # (V, V) for a row never seen at all
    return torch.where(row_sums > 0, smoothed / row_sums.clamp_min(1e-30), uniform).log()  # (V, V)


class Bigram(LanguageModel):
    """A V × V table of logits, looked up by the current character."""

    slides = True

    @classmethod
    def from_settings(cls, config: BigramConfig, vocab_size: int) -> LanguageModel:
        """A table of pairs; from order 3 on the counted n-gram."""
        return cls(config, vocab_size) if config.order == 2 else NGram(NGramConfig(order=config.order), vocab_size)

    def __init__(self, config: BigramConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: BigramConfig = config
        self.logits = nn.Parameter(torch.zeros(vocab_size, vocab_size))  # (V, V), all zero: uniform, loss ln V
        self._counts: Tensor | None = None

    @property
    def context(self) -> int:
        """One: the current character."""
        return 1

    @property
    def closed_form(self) -> bool:
        """True when the table is counted."""
        return self.config.fit == "count"

    def forward(self, ids: Tensor, cache: None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V) by looking up a row for each character."""
        return F.embedding(ids, self.logits)  # (B, T, V)

    def program(self, halves: bool = False) -> Program:
        """Look up a row."""
        program = Program(self.vocab_size, halves)
        program.logits = program.embed(self.logits)
        return program

    @torch.no_grad()
    def fit(self, ids: Tensor) -> None:
        """Write the counted table of the text ids (N,)."""
        self.logits.copy_(counted_logits(count_pairs(ids, self.vocab_size), self.config.smoothing))

    @torch.no_grad()
    def diagnostics(self, train_ids: Tensor) -> dict[str, float]:
        """Measure how far the table still is from that counted on ids (N,), in nats a character.

        KL(counted ‖ model) of each row, weighted by how often the row is used. It is the training loss minus the
        least that any bigram can reach, so it can only shrink to zero.
        """
        if self._counts is None:
            self._counts = count_pairs(train_ids, self.vocab_size)  # (V, V)
        counts, logits = (
            self._counts.cpu().double(),
            self.logits.cpu().double(),
        )  # (V, V) each; not every GPU has float64
        counted = counts / counts.sum(dim=1, keepdim=True).clamp_min(1)  # (V, V) p(b | a)
        log_model = F.log_softmax(logits, dim=1)  # (V, V)
        terms = torch.where(counts > 0, counts * (counted.clamp_min(1e-300).log() - log_model), 0.0)  # (V, V)
        return {"kl/counted": float(terms.sum() / counts.sum())}

    def embeddings(self) -> list[VectorTable]:
        """Return the table itself, as log-probabilities of at least 10^-6, less each row's mean.

        Softmax takes no notice of what is added to a whole row.
        """
        rows = self.logits.detach().log_softmax(dim=1).clamp_min(math.log(1e-6)).double()  # (V, V)
        about = "Row t of the table: how likely each character is to come after t, as logarithms."
        return [VectorTable("token", "characters", about, rows - rows.mean(dim=1, keepdim=True))]
