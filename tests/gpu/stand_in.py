"""A stand-in for the peer's `model.py`, for rehearsals: what the bench asks of it, around the smallest model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class GPTConfig:
    """What a model is asked for."""

    vocab_size: int = 65
    block_size: int = 16
    n_layer: int = 1
    n_head: int = 1
    n_embd: int = 8
    dropout: float = 0.0
    bias: bool = False


class GPT(nn.Module):
    """A table and a line."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.table, self.head = (
            nn.Embedding(config.vocab_size, config.n_embd),
            nn.Linear(config.n_embd, config.vocab_size),
        )

    def forward(self, ids: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Any]:
        """Map ids (B, T) to logits (B, T, V) and the loss."""
        logits = self.head(self.table(ids))  # (B, T, V)
        return logits, None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def configure_optimizers(self, decay: float, rate: float, betas: tuple[float, float], kind: str) -> Any:
        """Return an optimiser."""
        return torch.optim.AdamW(self.parameters(), lr=rate, betas=betas, weight_decay=decay, fused=kind == "cuda")

    def generate(self, ids: Tensor, tokens: int) -> Tensor:
        """Continue ids (B, T)."""
        for _ in range(tokens):
            probs = F.softmax(self(ids[:, -self.config.block_size :])[0][:, -1], dim=-1)  # (B, V)
            ids = torch.cat((ids, torch.multinomial(probs, 1)), dim=1)
        return ids
