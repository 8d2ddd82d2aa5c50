"""Many-dimensional vectors on paper: principal components, t-SNE and UMAP; and an order in which like lies by like.

Principal components are a plain view from one side: distances on the map are true or too short, never too long. t-SNE
(van der Maaten and Hinton 2008) and UMAP (McInnes et al. 2018) bend the space to keep neighbours together: who is next
to whom means something there, how far apart groups lie does not.

Letters: N vectors, d numbers each, k dimensions of the map.
"""

import importlib.util
import warnings
from typing import Any, Literal

import numpy as np

from core.errors import BardlabError
from core.inspect.embeddings import Array, Map, cosines, embedding_map
from core.texts.character_classes import CLASSES, character_class

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
