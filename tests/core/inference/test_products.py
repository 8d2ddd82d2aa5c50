"""Products in machine code are numpy's, and the same to the last bit however many are computed at once."""

import numpy as np
import pytest

from core.models.packing import packed


@pytest.mark.parametrize("unit", [False, True], ids=["panels", "matrix unit"])
@pytest.mark.parametrize("halves", [False, True])
def test_a_matrix_by_several_vectors_is_what_numpy_makes_of_it(
    halves: bool, unit: bool, monkeypatch: pytest.MonkeyPatch
):
    """Whole panels of sixteen and parts of one, rows left over, and a matrix in the middle of the weights."""
    from core.inference.kernels import products

    if unit and not products.MATRIX_UNIT:
        pytest.skip("this processor has no matrix unit")
    monkeypatch.setattr(products, "MATRIX_UNIT", unit)  # whatever this processor has
    random = np.random.default_rng(1)
    for count, n_in, n_out in (
        (1, 19, 33),
        (2, 8, 16),
        (4, 7, 9),
        (7, 9, 40),
        (16, 32, 64),
        (17, 5, 65),
        (32, 48, 3),
        (70, 71, 33),
    ):
        weights = random.normal(size=3 + n_out * n_in).astype(np.float32)
        stored = (weights.view(np.uint32) >> 16).astype(np.uint16) if halves else weights
        if halves:
            weights = (stored.astype(np.uint32) << 16).view(np.float32)
        work = random.normal(size=(count + 16, 2 + n_in + n_out)).astype(np.float32)
        expected = work[:count, 1 : 1 + n_in] @ weights[3:].reshape(n_out, n_in).T
        stored = np.concatenate((stored[:3], packed(stored[3:].reshape(n_out, n_in))))
        products.matrix_times(
            stored, 3, work, 1, 2 + n_in, *products.make_scratch(count, n_in), n_in, n_out, count, count
        )
        np.testing.assert_allclose(work[:count, 2 + n_in :], expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("halves", [False, True])
def test_a_product_is_the_same_however_many_are_computed_beside_it(halves: bool):
    """To the last bit, if it is asked for as one of so many: of a few, of more, and of enough for a matrix unit."""
    from core.inference.kernels import products

    random = np.random.default_rng(2)
    n_in, n_out = 21, 49
    weights = random.normal(size=(n_out, n_in)).astype(np.float32)
    stored = packed((weights.view(np.uint32) >> 16).astype(np.uint16) if halves else weights)
    vectors = random.normal(size=(86, n_in + n_out)).astype(np.float32)
    for like in (1, 3, 8, 9, 16, 40):
        alone = vectors.copy()
        products.matrix_times(stored, 0, alone, 0, n_in, *products.make_scratch(70, n_in), n_in, n_out, like, like)
        for count in (like + 1, like + 17, 70):
            work = vectors.copy()
            products.matrix_times(stored, 0, work, 0, n_in, *products.make_scratch(70, n_in), n_in, n_out, count, like)
            np.testing.assert_array_equal(work[:like], alone[:like])
