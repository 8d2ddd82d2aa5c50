"""Causal attention over the keys and values that are kept."""

import math

import numpy as np
from numba import njit

from core.inference.kernels.elementwise import exponential
from core.inference.kernels.intrinsics import ONE, OPTIONS, WITHOUT_NAN, ZERO, prefetch
from core.inference.kernels.panel_intrinsics import (
    FEW_A_PASS,
    PREFETCH_DISTANCE,
    four_panels_by_four,
    four_panels_by_one,
)
from core.inference.kernels.panels import times_panel
from core.models.packing import LANES

FIRST_LINES = 32
"""Lines of what is read next that are fetched before: further on the loops do so themselves."""


@njit(**OPTIONS)
def rotate(x, cos, sin, heads):  # type: ignore[no-untyped-def]
    """Turn the pairs of each head by the position's angles, where they stand."""
    size = len(x) // heads
    half = size // 2
    for h in range(heads):
        for i in range(half):
            first, second = x[h * size + i], x[h * size + half + i]
            x[h * size + i] = first * cos[i] - second * sin[i]
            x[h * size + half + i] = first * sin[i] + second * cos[i]


@njit(**WITHOUT_NAN)
def maximum(x, n):  # type: ignore[no-untyped-def]
    """The largest of the first n numbers; of NaN it says nothing."""
    most = x[0]
    for i in range(1, n):
        most = max(most, x[i])
    return most


@njit(**OPTIONS)
def softmax(scores, n, scale):  # type: ignore[no-untyped-def]
    """Make shares that add up to one of the first n scores, each times a scale."""
    most = maximum(scores, n)
    total = ZERO
    for s in range(n):
        scores[s] = exponential((scores[s] - most) * scale)
        total += scores[s]
    share = ONE / total
    for s in range(n):
        scores[s] *= share


@njit(**OPTIONS)
def keep(cache, qkv, now, context, heads):  # type: ignore[no-untyped-def]
    """Keep the key and the value of position `now`.

    Of each head the keys stand sixteen positions beside each other, as the rows of packed matrices do, and behind all
    keys the values, one position behind the other.
    """
    size = len(qkv) // 3
    head = size // heads
    padded = -(-head // LANES) * LANES
    for h in range(heads):
        key, value = qkv[size + h * head : size + (h + 1) * head], qkv[2 * size + h * head : 2 * size + (h + 1) * head]
        to = h * context * head + now // LANES * LANES * head + now % LANES
        for i in range(head):
            cache[to + i * LANES] = key[i]
        to = heads * context * head + (h * context + now) * padded
        for i in range(head):
            cache[to + i] = value[i]


@njit(**OPTIONS)
def attend(row, work, r, count, cache, now, scratch):  # type: ignore[no-untyped-def]
    """Mix the values kept up to each of `count` positions from `now` on, which stand in the rows from r on.

    What is kept is read once. Of a few positions each sum is taken in one order, however many they are.
    """
    out, size, a, b, heads = row[1], row[2], row[3], row[5], row[9]
    width, context, head = work.shape[1], out - b, size // heads
    flat = work.reshape(work.size)
    padded = -(-head // LANES) * LANES
    scale = np.float32(1 / math.sqrt(head))
    few = count <= FEW_A_PASS
    end = -(-(now + count) // FEW_A_PASS) * FEW_A_PASS  # whole rounds of the loops, for one position as for more
    for h in range(heads):
        keys, values = h * context * head, (heads * head + h * padded) * context
        x_at, y_at = r * width + a + h * head, r * width + b
        if few:
            for line in range(min(FIRST_LINES, now * padded // LANES)):
                prefetch(cache, values + line * LANES)
        for s in range(0, now + count, LANES):
            times_panel(cache, keys + s * head, LANES, head, flat, x_at, width, flat, y_at + s, width, count)
        for c in range(count):
            scores = work[r + c, b:out]
            until = now + c + 1
            softmax(scores, until, scale)
            for s in range(until, end):
                scores[s] = ZERO
        if few and h + 1 < heads:
            for line in range(min(FIRST_LINES, (now // LANES + 1) * head)):
                prefetch(cache, keys + (context * head) + line * LANES)
        first, x_at = 0, y_at
        while first < head:
            wide, value = 1, values + first
            if few and first + 4 * LANES <= padded:
                wide, far = 4, value + PREFETCH_DISTANCE // cache.itemsize
                if count == 1:
                    four_panels_by_one(cache, value, padded, end, flat, x_at, 0, scratch, 0, 0, far, padded, LANES)
                else:
                    spread = 4 * LANES
                    four_panels_by_four(
                        cache, value, padded, end, flat, x_at, width, scratch, 0, spread, far, padded, LANES
                    )
            else:
                times_panel(cache, value, padded, end, flat, x_at, width, scratch, 0, LANES, count)
            for c in range(count):
                for i in range(min(wide * LANES, head - first)):
                    work[r + c, out + h * head + first + i] = scratch[c * wide * LANES + i]
            first += wide * LANES
