"""Where vectors lie: the tables that a model looks up, and the pictures that can be drawn of them.

Letters: N rows of a table (characters or positions), d numbers a row, k dimensions of a picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.models.bigram import Bigram
from core.models.contract import LanguageModel
from core.models.transformer import rotate, rotations

Array = NDArray[np.float64]
Metric = Literal["cosine", "euclidean"]


@dataclass(frozen=True)
class Map:
    """A flat (or spatial) picture of N vectors."""

    places: Array
    """(N, k): coordinates along the directions in which the vectors differ most."""
    explained: tuple[float, ...]
    """Share of the whole variance along each of these; 0 where the vectors have no further dimension."""


@dataclass(frozen=True)
class Table:
    """One table of vectors that a model holds."""

    key: str
    title: str
    about: str
    positions: bool
    """True if the rows are positions, False if they are characters."""
    vectors: Array
    """(N, d)"""


def token_embedding(model: LanguageModel) -> Array | None:
    """Return the model's table of token vectors (V, d_embed), or None if it has none."""
    table = getattr(model, "token_embedding", None)
    return _numbers(table.weight) if isinstance(table, nn.Embedding) else None


def token_vectors(model: LanguageModel) -> Array | None:
    """Return what a model knows of each character (V, d): its embeddings, or a bigram's rows. None if neither.

    A bigram's row is taken as log-probabilities of at least 10^-6, less their mean, for softmax takes no notice of
    what is added to a whole row.
    """
    if isinstance(model, Bigram):
        rows = _numbers(model.logits.log_softmax(dim=1).clamp_min(math.log(1e-6)))  # (V, V)
        centred: Array = rows - rows.mean(axis=1, keepdims=True)  # (V, V)
        return centred
    return token_embedding(model)


def tables(model: LanguageModel) -> list[Table]:
    """List the tables of a model: its characters', its outputs', its positions', as far as it has them."""
    found = []
    if (vectors := token_vectors(model)) is not None:
        about = "Row t of the table: how likely each character is to come after t, as logarithms."
        if not isinstance(model, Bigram):
            about = f"The {vectors.shape[1]} numbers as which the model reads each character, learned with the rest."
        found.append(Table("token", "characters", about, False, vectors))
    head = getattr(model, "lm_head", getattr(model, "head", None))
    if isinstance(head, nn.Linear):
        about = "The direction into which the last layer must point to make each character likely (the unembedding)."
        found.append(Table("output", "outputs", about, False, _numbers(head.weight)))
    learned, fixed = getattr(model, "position_embedding", None), getattr(model, "sines", None)
    if isinstance(learned, nn.Embedding):
        about = "What is added to a character's vector at each position of the window: learned, one vector a position."
        found.append(Table("position", "positions", about, True, _numbers(learned.weight)))
    elif isinstance(fixed, Tensor):
        about = "What is added to a character's vector at each position: sines and cosines, fixed before training."
        found.append(Table("position", "positions", about, True, _numbers(fixed)))
    return found


def rotary_similarity(context: int, d_head: int) -> Array:
    """Dot products (context, context) of one and the same unit vector, turned by RoPE to every pair of positions.

    The vector is the even one, all numbers alike. The value depends on the distance alone: the mean over the pairs of
    numbers of cos(distance × rate), so nearby positions agree and far ones do not (Su et al. 2021, section 3.4.3).
    """
    cos, sin = rotations(context, d_head)  # (T, D/2) each
    even = torch.full((1, 1, context, d_head), d_head**-0.5)  # (1, 1, T, D)
    turned = _numbers(rotate(even, cos, sin)[0, 0])  # (T, D)
    similarity: Array = turned @ turned.T  # (T, T)
    return similarity


def _numbers(values: Tensor) -> Array:
    found: Array = values.detach().double().cpu().numpy()
    return found


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


def same_class(vectors: Array, classes: list[str], metric: Metric = "cosine") -> tuple[float, float]:
    """Return the share of vectors (N, d) whose nearest neighbour is of their own class, and what chance would give.

    Vectors that are alone in their class do not count; both are NaN if all are alone or all vectors alike.
    """
    sizes = np.array([classes.count(c) for c in classes])  # (N,)
    counted = np.flatnonzero(sizes > 1)
    if not len(counted) or not np.ptp(vectors, axis=0).any():
        return math.nan, math.nan
    order = neighbours(vectors, metric)
    hits = [classes[order[i][0]] == classes[i] for i in counted]
    return float(np.mean(hits)), float(np.mean((sizes[counted] - 1) / (len(vectors) - 1)))
