"""Products of the panels of a matrix with vectors on the registers."""

from numba import njit

from core.inference.kernels.intrinsics import OPTIONS
from core.inference.kernels.panel_intrinsics import (
    PREFETCH_DISTANCE,
    panel_by_eight,
    panel_by_eight_in_order,
    panel_by_four,
    panel_by_one,
    panel_by_sixteen,
    two_panels_by_eight,
)
from core.models.packing import LANES

EIGHT = 8
"""Vectors that are multiplied by two panels in one pass where there are many: nothing is faster on 32 registers."""


@njit(**OPTIONS)
def times_panel(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, count):  # type: ignore[no-untyped-def]
    """Multiply a panel by at least `count` vectors, at most sixteen; what is not asked for is read and written too."""
    far = panel + PREFETCH_DISTANCE // w.itemsize
    if count > 8:
        panel_by_sixteen(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)
    elif count > 4:
        panel_by_eight(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)
    elif count > 1:
        panel_by_four(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)
    else:
        panel_by_one(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)


@njit(**OPTIONS)
def panels_by_eights(w, at, work, a, out, scratch, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Do what `matrix_times` does for many vectors: two panels by eight vectors at a time.

    All wait for the numbers of two panels, or for their sums: so each eight fetches a share of the panels after these.
    """
    width = work.shape[1]
    flat = work.reshape(work.size)
    eights, beside = -(-count // EIGHT), LANES * n_in
    for i in range(0, n_out, 2 * LANES):
        rows, panel = min(2 * LANES, n_out - i), at + i * n_in
        for eight in range(eights):
            x_at, y_at = eight * EIGHT * width + a, eight * EIGHT * width + out + i
            far, pace = panel + 2 * beside + eight * beside // eights, LANES // eights
            if rows == 2 * LANES:
                two_panels_by_eight(w, panel, LANES, n_in, flat, x_at, width, flat, y_at, width, far, pace, beside)
                continue
            if rows > LANES:
                two_panels_by_eight(w, panel, LANES, n_in, flat, x_at, width, scratch, 0, 2 * LANES, far, pace, beside)
            else:
                panel_by_eight_in_order(w, panel, LANES, n_in, flat, x_at, width, scratch, 0, 2 * LANES, far, pace, 0)
            for c in range(min(EIGHT, count - eight * EIGHT)):
                for row in range(rows):
                    flat[y_at + c * width + row] = scratch[c * 2 * LANES + row]
