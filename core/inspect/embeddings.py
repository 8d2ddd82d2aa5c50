"""Where vectors lie: the tables that a model looks up, and the pictures that can be drawn of them.

Letters: N rows of a table (characters or positions), d numbers a row, k dimensions of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.models.contract import LanguageModel

Array = NDArray[np.float64]
Metric = Literal["cosine", "euclidean"]


@dataclass(frozen=True)
class Map:
    """A flat (or spatial) picture of N vectors."""

    places: Array
    """(N, k): coordinates along the directions in which the vectors differ most."""
    explained: tuple[float, ...]
    """Share of the whole variance along each of these; 0 where the vectors have no further dimension."""


def token_embedding(model: LanguageModel) -> Array | None:
    """Return the model's table of token vectors (V, d_embed), or None if it has none."""
    table = getattr(model, "token_embedding", None)
    if not isinstance(table, nn.Embedding):
        return None
    vectors: Array = table.weight.detach().double().cpu().numpy()
    return vectors


def embedding_map(vectors: Array, dimensions: int = 2) -> Map:
    """Principal components of vectors (N, d), after Pearson (1901).

    Where d is smaller than `dimensions`, the missing coordinates are zero: one number a vector is drawn on a line.
    """
    centred = vectors - vectors.mean(axis=0)  # (N, d)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)  # (min(N, d),), (min(N, d), d)
    kept = min(dimensions, len(sizes))
    places = np.zeros((len(vectors), dimensions))
    places[:, :kept] = centred @ directions[:kept].T  # (N, kept)
    share = np.zeros(dimensions)
    share[:kept] = (sizes**2 / max(float((sizes**2).sum()), 1e-30))[:kept]
    return Map(places, tuple(share.tolist()))


def turned_to(places: Array, target: Array) -> Array:
    """Turn and mirror centred places (N, k) so that they lie as close as they can to `target` (N, k).

    The orthogonal Procrustes problem (Schönemann 1966): nothing is stretched, so distances stay what they were.
    """
    u, _, vt = np.linalg.svd(places.T @ target)  # (k, k), (k,), (k, k)
    turned: Array = places @ (u @ vt)  # (N, k)
    return turned


def aligned_maps(tables: Sequence[Array], dimensions: int = 2) -> list[Map]:
    """Draw successive tables (N, d) of a model as a film: principal components of each, turned to the one before.

    Without this a film flips and spins, because each picture's axes have a direction of their own choice. The first
    keeps its axes, so further tables can be appended without moving what is there; d may differ from one to the next.
    """
    film: list[Map] = []
    for vectors in tables:
        found = embedding_map(vectors, dimensions)
        film.append(Map(turned_to(found.places, film[-1].places), found.explained) if film else found)
    return film


def cosines(vectors: Array) -> Array:
    """Cosines (N, N) of the angles between vectors (N, d); 0 with a vector of no length."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)  # (N, d)
    found: Array = unit @ unit.T  # (N, N)
    return found


def distances(vectors: Array) -> Array:
    """Euclidean distances (N, N) between vectors (N, d)."""
    found: Array = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)  # (N, N)
    return found


def neighbours(vectors: Array, metric: Metric = "cosine") -> list[list[int]]:
    """For each of vectors (N, d) all others, nearest first: by direction (cosine) or by distance (euclidean)."""
    away = -cosines(vectors) if metric == "cosine" else distances(vectors)  # (N, N)
    np.fill_diagonal(away, np.inf)
    order: list[list[int]] = np.argsort(away, axis=1, kind="stable")[:, :-1].tolist()
    return order
