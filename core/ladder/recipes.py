"""Training settings that several rungs share."""

from collections.abc import Mapping
from typing import Any

from core.ladder.rung import Twins

MODERN: Mapping[str, Any] = dict(positions="rotary", activation="relu2", smear=True, start="zero")
"""What a Transformer of today does differently from the reference; each is a switch of its own."""
QUICK: Mapping[str, Any] = dict(optimizer="muon", learning_rate=5e-3, cooldown=0.6, warmup=10)
"""The quick recipe: Muon on the hidden matrices, AdamW on the rest, a linear cool-down over the last 60 %."""
FAST: Mapping[str, Any] = {
    **QUICK,
    "learning_rate": 0.01,
    "beta2": 0.99,
    "muon_learning_rate": 0.03,
    "muon_momentum": 0.9,
}
"""The same with higher rates and shorter memories, as runs of about a thousand steps like them."""
PATIENT: Mapping[str, Any] = {**QUICK, "learning_rate": 0.01, "beta2": 0.99, "short_first": 0.5, "warmup": 20}
"""The same for thousands of steps: as high a rate beside Muon's own defaults, short sequences for the first half."""

DROPOUT_TWINS = Twins(
    "dropout",
    (0.0, 0.2),
    "Train twins: dropout 0 and 0.2",
    "Two runs of these settings, one after the other, alike but for the dropout: same weights at the start, same "
    "batches. The gap between training and validation loss shows what it is for, once the text has been seen a few "
    "times over.",
)
