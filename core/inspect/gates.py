"""What a WaveNet's gates let through, along a text."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.inspect.trace import trace
from core.models.contract import LanguageModel


def gates(model: LanguageModel, ids: Tensor) -> NDArray[np.float64]:
    """Return the gates (n_layer, C, T) of a gated WaveNet on ids (T,), each from 0 (shut) to 1 (open).

    An empty array (0, 0, T) if the model has none.
    """
    found = trace(model, ids[None], "layers.*.gate").activations
    rows = [gate[0].T.double().cpu().numpy() for gate in found.values()]  # (C, T) each
    return np.stack(rows) if rows else np.zeros((0, 0, len(ids)))
