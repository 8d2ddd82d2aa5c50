"""How weights lie in memory for machine code: from the start of a page on, sixteen rows of a matrix side by side."""

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

LANES = 16
"""Numbers that are multiplied side by side: one wide register, or two or four narrower ones."""


def rounded_up(size: int) -> int:
    """Round up to whole sixteens."""
    return -(-size // LANES) * LANES


def aligned(size: int, kind: Any = np.float32) -> NDArray[Any]:
    """Make zeros that begin at the start of a page, on large pages where the system has them."""
    memory = mmap.mmap(-1, max(1, size) * np.dtype(kind).itemsize)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, kind, size)


def packed(matrix: NDArray[Any]) -> NDArray[Any]:
    """Lay out a matrix in panels: sixteen rows beside each other, number after number; zeros fill the last."""
    n_out, n_in = matrix.shape
    padded = np.pad(matrix, ((0, rounded_up(n_out) - n_out), (0, 0)))
    return padded.reshape(-1, LANES, n_in).transpose(0, 2, 1).ravel()


def concatenated(arrays: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    """Put arrays one behind another, each at the start of a line."""
    whole = aligned(max(LANES, sum(rounded_up(array.size) for array in arrays)), kind)
    at = 0
    for array in arrays:
        whole[at : at + array.size] = array
        at += rounded_up(array.size)
    return whole
