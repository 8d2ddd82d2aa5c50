"""Where vectors lie: the tables that a model looks up, and the pictures that can be drawn of them.

Principal components are a plain view from one side: distances on the map are true or too short, never too long. t-SNE
(van der Maaten and Hinton 2008) and UMAP (McInnes et al. 2018) bend the space to keep neighbours together: who is next
to whom means something there, how far apart groups lie does not.

Letters: N rows of a table (characters or positions), d numbers a row, k dimensions of a picture.
"""

import importlib.util
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BardlabError
from core.ladder.registry import rungs_whose
from core.models.contract import LanguageModel
from core.texts.character_classes import CLASSES, character_class

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


def tables(model: LanguageModel) -> list[Table]:
    """List the tables of a model: its characters', its outputs', its positions', as far as it has them."""
    return [Table(t.key, t.title, t.about, t.positions, _numbers(t.vectors)) for t in model.embeddings()]


def token_vectors(model: LanguageModel) -> Array | None:
    """Return what a model knows of each character (V, d): its embeddings, or a bigram's rows. None if neither."""
    return next((table.vectors for table in tables(model) if table.key == "token"), None)


@cache
def rungs_with_positions() -> tuple[str, ...]:
    """Return the keys of the rungs that have to be told of positions."""
    return rungs_whose(lambda model: model.position_scheme != "order")


def position_similarity(model: LanguageModel) -> Array | None:
    """Return (T, T): how alike positions t and s look to a model before it has read anything; None without positions.

    Rotary positions have no vectors: what is left of a perfect match of equal sizes (Su et al. 2021, section 3.4.3).
    """
    similarity = model.position_similarity()
    return None if similarity is None else _numbers(similarity)


def _numbers(values: Tensor) -> Array:
    array: Array = values.detach().double().cpu().numpy()
    return array


def embedding_map(vectors: Array, dimensions: int = 2) -> Map:
    """Principal components of vectors (N, d), after Pearson (1901).

    Where d is smaller than `dimensions`, the missing coordinates are zero: one number a vector is drawn on a line.
    """
    centred = vectors - vectors.mean(axis=0)  # (N, d)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)  # (min(N, d),), (min(N, d), d)
    rank = min(dimensions, len(sizes))
    places = np.zeros((len(vectors), dimensions))
    places[:, :rank] = centred @ directions[:rank].T  # (N, rank)
    share = np.zeros(dimensions)
    share[:rank] = (sizes**2 / max(float((sizes**2).sum()), 1e-30))[:rank]
    return Map(places, tuple(share.tolist()))


def procrustes(places: Array, target: Array) -> Array:
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
        components = embedding_map(vectors, dimensions)
        film.append(Map(procrustes(components.places, film[-1].places), components.explained) if film else components)
    return film


def cosines(vectors: Array) -> Array:
    """Cosines (N, N) of the angles between vectors (N, d); 0 with a vector of no length."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)  # (N, d)
    similarity: Array = unit @ unit.T  # (N, N)
    return similarity


def distances(vectors: Array) -> Array:
    """Euclidean distances (N, N) between vectors (N, d)."""
    lengths: Array = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)  # (N, N)
    return lengths


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


@dataclass(frozen=True)
class Film:
    """Maps of the same V characters at F moments."""

    places: NDArray[np.float64]
    """(F, V, 2)"""
    explained: NDArray[np.float64]
    """(F, 2) share of the variance along the two axes of each moment's plane, before it was turned."""
    dimensions: int
    """Of the embedding; with 1 all places lie on a line."""


def film(embeddings: Sequence[NDArray[np.float64]]) -> Film:
    """Map each moment's vectors (V, d) to the plane in which they differ most, and turn each map like the one before.

    See `aligned_maps`, which does the turning.
    """
    maps = aligned_maps(embeddings)
    dimensions = embeddings[0].shape[1]
    stacked = np.stack([frame.places for frame in maps])  # (F, V, 2)
    if dimensions == 1:
        stacked[..., 1] = 0.0
    return Film(stacked, np.array([frame.explained for frame in maps]), dimensions)


# --- other maps, and an order in which like lies by like --------------------------------------------------------------

Method = Literal["pca", "tsne", "umap"]
METHODS: dict[Method, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def umap_installed() -> bool:
    """True if the optional package for UMAP is there."""
    return importlib.util.find_spec("umap") is not None


def project(vectors: Array, method: Method = "pca", dimensions: int = 2, near: int = 15, seed: int = 0) -> Map:
    """Draw vectors (N, d) in `dimensions`: k of them, or d if the vectors have fewer; the rest is zero.

    `near` is about how many neighbours t-SNE (its perplexity) and UMAP look at; PCA does not ask. Same seed, same map.
    Raises BardlabError if the method is UMAP and its package is not installed.
    """
    if method == "pca":
        return embedding_map(vectors, dimensions)
    k = min(dimensions, vectors.shape[1], len(vectors) - 1)
    if k < 2:  # one number a vector, or two vectors: there is nothing to bend
        return embedding_map(vectors, dimensions)
    places = np.zeros((len(vectors), dimensions))
    places[:, :k] = (_tsne if method == "tsne" else _umap)(vectors, k, near, seed)
    return Map(places - places.mean(axis=0), ())


def _tsne(vectors: Array, k: int, near: int, seed: int) -> Any:
    from sklearn.manifold import TSNE  # takes a second to import

    perplexity = min(near, (len(vectors) - 1) / 3)
    return TSNE(k, perplexity=max(1.0, perplexity), init="pca", random_state=seed, n_jobs=1).fit_transform(vectors)


def _umap(vectors: Array, k: int, near: int, seed: int) -> Any:
    if not umap_installed():
        raise BardlabError("UMAP is not installed; install it with: pip install umap-learn (200 MB with its compiler)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own defaults, and of packages that it could use
        from umap import UMAP

        neighbours = max(2, min(near, len(vectors) - 1))
        return UMAP(neighbours, k, random_state=seed, n_jobs=1, init="pca").fit_transform(vectors)


def class_order(characters: str) -> list[int]:
    """Indices of the characters, class by class, and in the order of the alphabet inside a class."""
    kinds = [CLASSES.index(character_class(c)) for c in characters]
    return sorted(range(len(characters)), key=lambda i: (kinds[i], characters[i]))


def cluster_order(vectors: Array) -> list[int]:
    """Indices of vectors (N, d) by hierarchical clustering of their angles: average linkage, like beside like.

    The branches are turned so that neighbours in the order are as close as can be (Bar-Joseph et al. 2001).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(vectors) < 3:
        return list(range(len(vectors)))
    away = np.clip(1.0 - cosines(vectors), 0.0, 2.0)  # (N, N)
    np.fill_diagonal(away, 0.0)
    tree = linkage(squareform(away, checks=False), "average", optimal_ordering=True)
    order: list[int] = leaves_list(tree).tolist()
    return order


def classes_of(characters: str) -> list[str]:
    """The class of each character."""
    return [character_class(c) for c in characters]
