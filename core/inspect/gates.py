"""What a WaveNet's gates let through, along a text."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from core.inspect.trace import trace
from core.models.contract import LanguageModel


def gates(model: LanguageModel, ids: Sequence[int]) -> NDArray[np.float64]:
    """Return the gates (n_layer, C, T) of a gated WaveNet on T ids, each from 0 (shut) to 1 (open).

    An empty array (0, 0, T) if the model has none.
    """
    found = trace(model, torch.tensor([list(ids)]), "layers.*.gate").activations
    rows = [gate[0].T.double().cpu().numpy() for gate in found.values()]  # (C, T) each
    return np.stack(rows) if rows else np.zeros((0, 0, len(ids)))
