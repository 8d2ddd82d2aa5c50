"""Guesses at the next characters, so that several places of a text can be computed at once.

What a model said after the same last characters before is a good guess at what it will say now. The logits it gave are
summed up by the last characters, none to ORDER of them, in tables of a fixed size in which the newest wins. A guess
mixes what is known of all lengths, the longest counting most (as interpolated n-grams do, Jelinek and Mercer 1980), and
draws from it with the very noise with which the model's own distribution will be drawn from. A wrong guess costs time
and changes nothing: what is written is what the model itself draws.

Guessing several and checking them in one pass: Leviathan et al. (2023), "Fast inference from transformers via
speculative decoding", here with the noise of each place fixed, so that not only the distribution but the text is kept.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.inference.kernels.intrinsics import OPTIONS, ZERO
from core.models.program import BEFORE

ORDER = BEFORE + 1
"""The most characters that a guess looks back on."""
NUMBERS = 2**21
"""Numbers in all tables together."""
SMOOTHING = np.float32(0.5)
"""How many observations what fewer characters say counts for."""
MULTIPLIER = 6_364_136_223_846_793_005
"""Spreads contexts over a table (Knuth, MMIX)."""


class Tables(NamedTuple):
    """What a model said, by the last characters."""

    sums: NDArray[np.float32]
    """(ORDER + 1, S, V) logits, summed."""
    counts: NDArray[np.float32]
    """(ORDER + 1, S) how many."""
    tags: NDArray[np.int64]
    """(ORDER + 1, S) which characters they followed."""
    guess: NDArray[np.float32]
    """(V,) room for a guess."""


def make_tables(vocab_size: int) -> Tables:
    """Make empty tables."""
    slots = 1 << max(4, min(12, (NUMBERS // (ORDER + 1) // vocab_size).bit_length() - 1))
    shape = (ORDER + 1, slots)
    made = np.zeros((*shape, vocab_size), np.float32), np.zeros(shape, np.float32), np.full(shape, -1, np.int64)
    return Tables(*made, np.zeros(vocab_size, np.float32))


@njit(**OPTIONS)
def learn(tables, ids, place, logits):  # type: ignore[no-untyped-def]
    """Keep the logits that followed ids up to a place."""
    key = 0
    for order in range(ORDER + 1):
        if order:
            key = (key + ids[place + 1 - order] + 1) * MULTIPLIER
        slot = (key >> 33) & (tables.tags.shape[1] - 1)
        sums = tables.sums[order, slot]
        if tables.tags[order, slot] == key:
            tables.counts[order, slot] += np.float32(1)
            for i in range(len(logits)):
                sums[i] += logits[i]
        else:
            tables.tags[order, slot], tables.counts[order, slot] = key, np.float32(1)
            sums[:] = logits


@njit(**OPTIONS)
def predict(tables, ids, place):  # type: ignore[no-untyped-def]
    """Guess at the logits that follow ids up to a place."""
    guess = tables.guess
    guess[:] = ZERO
    key = 0
    for order in range(ORDER + 1):
        if order:
            key = (key + ids[place + 1 - order] + 1) * MULTIPLIER
        slot = (key >> 33) & (tables.tags.shape[1] - 1)
        if tables.tags[order, slot] == key:
            sums, share = tables.sums[order, slot], np.float32(1) / (tables.counts[order, slot] + SMOOTHING)
            for i in range(len(guess)):
                guess[i] = (sums[i] + SMOOTHING * guess[i]) * share
    return guess
