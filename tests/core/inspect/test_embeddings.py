"""Maps of vectors: what they keep, and that a film of them neither flips nor spins."""

import math

import numpy as np
import pytest

from core.inspect.embeddings import aligned_maps, cosines, embedding_map, film, neighbours, same_class


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


def test_principal_components_by_hand():
    """Four points along (3, 4) / 5 at -3, -1, 1, 3 and a little across: variances 20 and 4 times 0.01."""
    along, across = np.array([3.0, 4.0]) / 5, np.array([-4.0, 3.0]) / 5
    table = 7.0 + np.array([a * along + b * across for a, b in ((-3, 0.1), (-1, -0.1), (1, -0.1), (3, 0.1))])
    found = embedding_map(table, 3)

    np.testing.assert_allclose(np.abs(found.places[:, 0]), [3, 1, 1, 3])
    np.testing.assert_allclose(np.abs(found.places[:, 1]), 0.1)
    assert (found.places[:, 2] == 0).all() and found.places[:, 0].sum() == pytest.approx(0)
    assert found.explained == pytest.approx((20 / 20.04, 0.04 / 20.04, 0.0))
    assert embedding_map(np.ones((3, 2))).explained == (0.0, 0.0)


def test_cosines_are_of_angles_and_a_vector_of_no_length_has_none():
    found = cosines(np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0], [-1.0, 0.0]]))

    np.testing.assert_allclose(found[0], [1, math.sqrt(0.5), 0, -1], atol=1e-12)
    assert not found[2].any()


def test_how_often_the_nearest_is_of_the_same_class():
    """Of a, a, b, b, c: c is alone and does not count; chance gives 1 of the 4 others. One b points where both a do."""
    table = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [9.0, 0.3], [0.1, 1.0]])

    assert same_class(table, list("aabbc")) == (0.0, 0.25)
    assert same_class(table, list("aabbc"), "euclidean") == (0.5, 0.25)
    assert same_class(table[:3], list("aab")) == (1.0, 0.5)
    for nothing in (same_class(table, list("abcde")), same_class(np.tile([1.0, 2.0], (4, 1)), list("aabb"))):
        assert all(math.isnan(share) for share in nothing)


def test_a_film_of_one_number_lies_on_a_line_and_says_so():
    flat, deep = film([vectors(d=1), vectors(d=1, seed=1)]), film([vectors(), vectors(seed=1)])

    assert flat.dimensions == 1 and flat.places.shape == (2, 20, 2) and not flat.places[..., 1].any()
    assert deep.dimensions == 6 and deep.places[..., 1].any() and deep.explained.shape == (2, 2)
