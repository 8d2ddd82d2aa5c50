"""Where characters lie: their learned vectors, seen from the side on which they differ most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.models.contract import LanguageModel


@dataclass(frozen=True)
class Map:
    """A plane through the token embeddings."""

    places: NDArray[np.float64]
    """(V, 2): coordinates along the two directions in which the embeddings differ most."""
    explained: tuple[float, float]
    """Share of the whole variance along each."""
    nearest: list[list[int]]
    """For each character the others, nearest in direction (cosine) first."""


def token_embedding(model: LanguageModel) -> NDArray[np.float64] | None:
    """Return the model's table of token vectors (V, d_embed), or None if it has none."""
    table = getattr(model, "token_embedding", None)
    if not isinstance(table, nn.Embedding):
        return None
    vectors: NDArray[np.float64] = table.weight.detach().double().cpu().numpy()
    return vectors


def embedding_map(vectors: NDArray[np.float64]) -> Map:
    """Principal components of vectors (V, d), after Pearson (1901). One dimension is drawn on a line."""
    centred = vectors - vectors.mean(axis=0)  # (V, d)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)  # (min(V, d),), (min(V, d), d)
    places = np.zeros((len(vectors), 2))
    places[:, : min(2, len(sizes))] = centred @ directions[:2].T  # (V, 2)
    share = np.zeros(2)
    share[: min(2, len(sizes))] = (sizes**2 / max(float((sizes**2).sum()), 1e-30))[:2]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)  # (V, d)
    cosine = unit @ unit.T  # (V, V)
    np.fill_diagonal(cosine, -2.0)
    nearest = np.argsort(-cosine, axis=1)[:, :-1].tolist()
    return Map(places, (float(share[0]), float(share[1])), nearest)
