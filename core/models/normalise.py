"""Layer normalisation whose scale can be listened to and held, and what normalises over a batch.

Ba et al. (2016), "Layer normalization", section 3.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.models.answers import Part
from core.models.contract import Tap


class LayerNorm(nn.LayerNorm):
    """Each position's vector brought to mean 0 and variance 1, then stretched and shifted as was learned.

    What it divides by passes the tap `scale` as a factor (B, T, 1), one over the standard deviation. A factor that is
    the same everywhere makes the layer linear: it no longer normalises.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.scale = Tap()

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, T, C) to (B, T, C)."""
        if not self.scale.observed:
            return super().forward(x)  # the same in one kernel
        centred = x - x.mean(-1, keepdim=True)  # (B, T, C)
        scale = torch.rsqrt((centred * centred).mean(-1, keepdim=True) + self.eps)  # (B, T, 1)
        normal: Tensor = centred * self.scale(scale)  # (B, T, C)
        return normal * self.weight + self.bias  # (B, T, C)


class OverBatch(nn.Module):
    """Base of what normalises by numbers of the whole batch, of which other processes may hold the rest."""

    total: Callable[[Tensor], Tensor] | None = None
    """What adds a tensor up over all who hold a share of the batch, with its gradient; None if there is one alone."""


def norm_part(key: str, title: str, row: str, column: str, path: str, layer: int) -> Part:
    """Return the part that is the scale of the LayerNorm at `path`, of use after `layer` layers.

    By its mean, every position is divided by the same number; by zero, nothing of the input passes, only the shift.
    """
    return Part(key, title, row, column, (f"{path}.scale",), layer=layer)
