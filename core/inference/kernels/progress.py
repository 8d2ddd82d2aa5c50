"""How far each piece of a prompt is read, so that threads read several and each waits for the one before it."""

import llvmlite.binding as llvm
from numba import njit, types

from core import system
from core.inference.kernels.intrinsics import OPTIONS, load_acquire

llvm.add_symbol("bardlab_give_way", system.giving_way())
give_way = types.ExternalFunction("bardlab_give_way", types.int32())
PATIENCE = 2000
"""How often it is looked whether somebody is done before others may have the processor: some microseconds."""


@njit(**OPTIONS)
def wait(progress, piece, steps):  # type: ignore[no-untyped-def]
    """Wait until a piece has told of so many steps."""
    looks = 0
    while load_acquire(progress, piece) < steps:
        looks += 1
        if looks > PATIENCE:
            give_way()
