"""Products of a matrix with many vectors by the unit that multiplies tiles."""

from numba import njit

from core.inference.kernels.intrinsics import OPTIONS, ZERO
from core.inference.kernels.tile_intrinsics import (
    SPLITS,
    TILE,
    TILE_ROW,
    TILE_SHAPES,
    split_rows,
    split_vector,
    tiles,
)
from core.models.packing import LANES


@njit(**OPTIONS)
def tiles_times(w, at, work, a, out, scratch, splits, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Do what `matrix_times` does by the matrix unit, which multiplies bfloat16 and adds in float32.

    Of the nine products of the splits of two float32 the six largest are taken; what the others would add is less than
    what adding in float32 rounds away.
    """
    width = work.shape[1]
    flat = work.reshape(work.size)
    chunks, pairs, whole = -(-n_in // TILE_ROW), -(-count // (2 * LANES)), n_in // TILE_ROW * TILE_ROW
    for r in range(count):
        x, to = r * width + a, ((2 + r // LANES) * chunks * SPLITS) * TILE + r % LANES * TILE_ROW
        for j in range(0, whole, TILE_ROW):
            split_vector(flat, x + j, splits, to + j // TILE_ROW * SPLITS * TILE)
        if whole < n_in:
            for j in range(TILE_ROW):
                scratch[j] = flat[x + whole + j] if whole + j < n_in else ZERO
            split_vector(scratch, 0, splits, to + whole // TILE_ROW * SPLITS * TILE)
    for i in range(0, n_out, 2 * LANES):
        for p in range(2 if i + LANES < n_out else 1):
            panel = at + (i + p * LANES) * n_in
            for j in range(0, chunks * TILE_ROW, 2):  # behind the last number the vectors are zero
                first, second = panel + min(j, n_in - 1) * LANES, panel + min(j + 1, n_in - 1) * LANES
                to = ((p * chunks + j // TILE_ROW) * SPLITS) * TILE + j % TILE_ROW * LANES
                split_rows(w, first, second, splits, to)
        if i + 2 * LANES <= n_out and pairs * 2 * LANES <= len(work):
            tiles(w, TILE_SHAPES, splits, chunks, pairs, flat, out + i, width)
            continue
        tiles(w, TILE_SHAPES, splits, chunks, pairs, scratch, 0, 2 * LANES)
        for r in range(count):
            for row in range(min(2 * LANES, n_out - i)):
                flat[r * width + out + i + row] = scratch[r * 2 * LANES + row]
