"""Maps of vectors: what they keep, and that a film of them neither flips nor spins."""

import numpy as np
import pytest

from core.inspect.embeddings import aligned_maps, embedding_map, neighbours


def vectors(n: int = 20, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * np.arange(d, 0, -1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_film_of_turned_and_mirrored_vectors_stands_still(dimensions: int):
    """Turning the space of the vectors changes no distance, so nothing on the map may move."""
    rng = np.random.default_rng(1)
    table = vectors()
    turns = [np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(4)]
    mirror = np.diag([-1.0, 1, -1, 1, 1, 1])
    film = aligned_maps([table, *(table @ turn + 3.0 for turn in turns), table @ mirror], dimensions)

    for picture in film:
        np.testing.assert_allclose(picture.places, film[0].places, atol=1e-9)
        np.testing.assert_allclose(picture.explained, film[0].explained)


def test_alignment_keeps_distances_and_earlier_pictures():
    """Only turned, never stretched; a table appended leaves the pictures before it as they were."""
    tables = [vectors(seed=seed) for seed in range(3)]
    film = aligned_maps(tables)
    for table, picture in zip(tables, film, strict=True):
        alone = embedding_map(table).places
        spread = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (alone, picture.places)]
        np.testing.assert_allclose(*spread)
    longer = aligned_maps([*tables, vectors(seed=9)])

    for before, after in zip(film, longer, strict=False):
        np.testing.assert_array_equal(before.places, after.places)


def test_one_number_a_vector_is_drawn_on_a_line():
    film = aligned_maps([vectors(d=1), -vectors(d=1)])

    assert all((picture.places[:, 1] == 0).all() for picture in film)
    np.testing.assert_allclose(film[1].places, film[0].places)
    assert film[0].explained == (1.0, 0.0)


def test_neighbours_by_angle_and_by_distance():
    """A long vector in the same direction is near by angle and far by distance."""
    table = np.array([[1.0, 0.0], [9.0, 0.1], [0.9, 0.9], [-1.0, 0.0]])

    assert neighbours(table)[0] == [1, 2, 3]
    assert neighbours(table, "euclidean")[0] == [2, 3, 1]
