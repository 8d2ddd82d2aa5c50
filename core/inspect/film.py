"""Embeddings while they are learned: one map a snapshot, turned so that nothing jumps that did not move."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.inspect.embeddings import aligned_maps


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
    stacked = np.stack([found.places for found in maps])  # (F, V, 2)
    if dimensions == 1:
        stacked[..., 1] = 0.0
    return Film(stacked, np.array([found.explained for found in maps]), dimensions)
