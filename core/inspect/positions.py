"""What a Transformer knows of positions before it has read anything."""

import numpy as np
import torch
from numpy.typing import NDArray

from core.models.transformer import Transformer, rotations


def position_similarity(model: Transformer) -> NDArray[np.float64] | None:
    """Return (T, T): how alike positions t and s look, from -1 to 1; None if the model tells none apart.

    For position vectors, learned or sinusoidal, the cosine between them. Rotary positions have no vectors: they turn
    queries and keys by an angle, and what is left of a perfect match of equal sizes is the mean cosine of the angles.
    """
    kind = model.config.positions
    if kind == "none":
        return None
    if kind == "rotary":
        cos, sin = rotations(model.context, model.config.d_model // model.config.n_head)  # (T, D/2) each
        turned = torch.cat((cos, sin), dim=1).double()  # (T, D)
        return _numpy(turned @ turned.T / cos.shape[1])  # (T, T) cos(a - b) = cos a cos b + sin a sin b
    vectors = (model.position_embedding.weight if kind == "learned" else model.sines).detach().double()  # (T, C)
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-30)  # (T, C)
    return _numpy(unit @ unit.T)


def _numpy(x: torch.Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = x.cpu().numpy()
    return found
