"""Products of a matrix with one vector and with several at once: which loop makes them, and what it writes aside."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.inference.kernels.intrinsics import IN_ORDER, OPTIONS, ZERO, to_float32
from core.inference.kernels.panel_intrinsics import FEW_A_PASS, VECTORS_A_PASS
from core.inference.kernels.panels import panels_by_eights, times_panel
from core.inference.kernels.tile_intrinsics import MATRIX_UNIT, SPLITS, TILE, TILE_ROW
from core.inference.kernels.tiles import tiles_times
from core.models.packing import LANES, aligned
from core.models.program import FEW

TILES_FROM, TILES_FROM_BFLOAT16 = 32, 16
"""Vectors from which on the matrix unit multiplies, if there is one: only a float32 has to be split before."""


def make_scratch(count: int, n_in: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make what `matrix_times` writes aside for so many vectors of at most n_in numbers: sums, and splits for tiles."""
    pairs, chunks = -(-count // (2 * LANES)), -(-n_in // TILE_ROW)
    splits = 2 * (1 + pairs) * chunks * SPLITS * TILE if MATRIX_UNIT and count >= TILES_FROM_BFLOAT16 else 0
    return aligned(4 * LANES * LANES * pairs), aligned(splits, np.uint16)


@njit(**OPTIONS)
def matrix_times(w, at, work, a, out, scratch, splits, n_in, n_out, count, order_of):  # type: ignore[no-untyped-def]
    """Multiply the matrix at `at` of w by the vectors at `a` of the first `count` rows of working memory, into `out`.

    The matrix is read once. Each sum is taken in the order in which it is for `order_of` vectors. Behind several
    vectors there are sixteen rows more. scratch, splits: from `make_scratch`.
    """
    if len(splits) > 0 and order_of >= (TILES_FROM if w.itemsize == 4 else TILES_FROM_BFLOAT16):
        tiles_times(w, at, work, a, out, scratch, splits, n_in, n_out, count)
        return
    if order_of > FEW and count > LANES == VECTORS_A_PASS:
        panels_by_eights(w, at, work, a, out, scratch, n_in, n_out, count)
        return
    width = work.shape[1]
    flat = work.reshape(work.size)
    a_pass = FEW_A_PASS if order_of <= FEW else VECTORS_A_PASS
    for i in range(0, n_out, LANES):
        rows, panel = min(LANES, n_out - i), at + i * n_in
        for first in range(0, count, a_pass):
            x_at, y_at = first * width + a, first * width + out + i
            vectors = min(a_pass, count - first) if order_of <= FEW else a_pass
            if rows == LANES:
                times_panel(w, panel, LANES, n_in, flat, x_at, width, flat, y_at, width, vectors)
                continue
            times_panel(w, panel, LANES, n_in, flat, x_at, width, scratch, 0, LANES, vectors)
            for c in range(min(vectors, count - first)):
                for row in range(rows):
                    flat[y_at + c * width + row] = scratch[c * LANES + row]


@njit(**IN_ORDER)
def add_rows(w, at, work, a, out, nonzero, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Add up the rows at `at` of w, times the vectors at `a` of the first `count` rows of working memory, at `out`.

    Rows times zero for all of them are not read, the others once. The sums do not depend on the other vectors.
    """
    some = 0
    for j in range(n_in):
        for r in range(count):
            if work[r, a + j] != 0:
                nonzero[some] = j
                some += 1
                break
    for r in range(count):
        work[r, out : out + n_out] = ZERO
    k = 0
    while k + 4 <= some:
        j0, j1, j2, j3 = nonzero[k], nonzero[k + 1], nonzero[k + 2], nonzero[k + 3]
        w0 = w[at + j0 * n_out : at + (j0 + 1) * n_out]
        w1 = w[at + j1 * n_out : at + (j1 + 1) * n_out]
        w2 = w[at + j2 * n_out : at + (j2 + 1) * n_out]
        w3 = w[at + j3 * n_out : at + (j3 + 1) * n_out]
        for r in range(count):
            x0, x1, x2, x3 = work[r, a + j0], work[r, a + j1], work[r, a + j2], work[r, a + j3]
            if x0 == 0 and x1 == 0 and x2 == 0 and x3 == 0:
                continue
            y = work[r, out : out + n_out]
            for i in range(n_out):
                sum01 = (y[i] + x0 * to_float32(w0[i])) + x1 * to_float32(w1[i])
                y[i] = (sum01 + x2 * to_float32(w2[i])) + x3 * to_float32(w3[i])
        k += 4
    while k < some:
        j0 = nonzero[k]
        for r in range(count):
            x0, y = work[r, a + j0], work[r, out : out + n_out]
            for i in range(n_out):
                y[i] += x0 * to_float32(w[at + j0 * n_out + i])
        k += 1
