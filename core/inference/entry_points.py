"""What a decoder calls of the machine code: known here without a compiler."""

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Kernels(NamedTuple):
    """The compiled functions, see core/inference/kernels."""

    run: Callable[..., None]
    """Reads characters (interpreter.py)."""
    write: Callable[..., int]
    """Reads, draws and guesses until so many characters are written (writing.py)."""
    make_scratch: Callable[[int, int], tuple[NDArray[Any], NDArray[Any]]]
    """Makes what products of so many vectors of at most so many numbers write aside (products.py)."""
    make_tables: Callable[[int], Any]
    """Makes empty tables for guesses over so many characters (guessing.py)."""
    matrix_unit: bool
    """Whether tiles of bfloat16 are multiplied by a unit of the processor's own (tile_intrinsics.py)."""
