"""The interpreter: takes the steps of a program, one after the other, each for all characters that are read."""

import numpy as np
from numba import njit

from core.inference.kernels.attention import attend, keep, rotate
from core.inference.kernels.elementwise import activate, sigmoid, tanh
from core.inference.kernels.intrinsics import OPTIONS, ZERO, store_release
from core.inference.kernels.layers import cell, layer_norm, linear
from core.inference.kernels.panel_intrinsics import FEW_A_PASS, VECTORS_A_PASS
from core.inference.kernels.progress import wait
from core.models.program import BEFORE, FEW, GUESSES, Step

EMBED, POSITION, LINEAR, NORM, ACTIVATE, COMBINE, GATE = (int(s) for s in list(Step)[:7])
RECENT, DELAY, ATTEND, CELL, RECALL, WEIGHTED, TRIGRAM, KEEP, LOOK = (int(s) for s in list(Step)[7:])


@njit(**OPTIONS)
def run(  # type: ignore[no-untyped-def]
    steps,
    floats,
    shorts,
    halves,
    state,
    work,
    nonzero,
    scratch,
    splits,
    progress,
    ids,
    starts,
    counts,
    order_of,
    piece,
):
    """Read counts[b] of text b of ids (B, BEFORE + T or more), at positions from starts[b] on.

    The first BEFORE of them were read before. Sums are taken in the order in which they are for `order_of` rows.

    Piece 0 waits for nobody. Each later one may be read by another thread while the one before it is: it waits, at
    every step that needs what earlier characters left, until that piece has told in `progress` that it is there.
    """
    count = 0
    text_of, place_of = np.empty(len(work), np.int64), np.empty(len(work), np.int64)
    for text in range(len(ids)):
        for t in range(counts[text]):
            text_of[count], place_of[count] = text, t
            count += 1
    for number in range(len(steps)):
        row = steps[number]
        step, out, n, a, n_in, b, w, bias, one, two = row
        if step == LINEAR:
            linear(row, floats, shorts, halves, work, nonzero, scratch, splits, count, order_of)
            continue
        lasting = step in (RECENT, DELAY, ATTEND)
        if lasting and piece > 0:
            wait(progress, piece - 1, number + 1)
        for r in range(count):
            text, t = text_of[r], place_of[r]
            now = starts[text] + t
            y = work[r, out : out + n]
            if step == EMBED:
                at = w + ids[text, BEFORE + t] * n
                y[:] = floats[at : at + n]
                continue
            if step == POSITION:
                at = w + now * n
                for i in range(n):
                    y[i] += floats[at + i]
                continue
            if step == TRIGRAM:
                if now >= 2:
                    third = BEFORE + t
                    key = (ids[text, third - 2] * two + ids[text, third - 1]) * two + ids[text, third]
                    at = w + key * 2_654_435_761 % 4_294_967_296 * one // 4_294_967_296 * n
                    for i in range(n):
                        y[i] += floats[at + i]
                continue
            if step == RECALL:
                y[:] = state[text, one : one + n]
                continue
            x = work[r, a : a + n_in]
            if step == NORM:
                layer_norm(x, y, floats, w, bias, floats[one])
            elif step == ACTIVATE:
                y[:] = x
                activate(y, two)
            elif step == COMBINE:
                other, of_a, of_b = work[r, b : b + n], floats[w], floats[w + 1]
                for i in range(n):
                    y[i] = of_a * x[i] + of_b * other[i]
            elif step == GATE:
                for i in range(n):
                    y[i] = tanh(x[i]) * sigmoid(x[n + i])
            elif step == RECENT:
                places = n // n_in + GUESSES
                at = one + now % places * n_in
                for i in range(n_in):
                    state[text, at + i] = x[i]
                for place in range(n // n_in):
                    then = now + 1 + place - n // n_in
                    to, at = place * n_in, one + then % places * n_in
                    for i in range(n_in):
                        y[to + i] = state[text, at + i] if then >= 0 else ZERO
            elif step == DELAY:
                places = two + GUESSES
                before, at = one + (now - two) % places * n, one + now % places * n
                for i in range(n):
                    y[i] = state[text, before + i] if now >= two else ZERO
                    state[text, at + i] = x[i]
            elif step == WEIGHTED:
                for i in range(n):
                    y[i] += floats[w + i] * x[i]
            elif step in (ATTEND, KEEP):
                if w >= 0:
                    half = n // two // 2
                    cos, sin = floats[w + now * half : w + (now + 1) * half], floats[bias + now * half :]
                    rotate(x[: 2 * n], cos, sin, 2 * two)
                keep(state[text, one:], x, now, out - b, two)
            elif step == CELL:
                carried = 2 if two == 2 else 1
                cell(two, x, work[r, b : b + n_in], state[text, one : one + carried * n], y)
        if lasting:
            store_release(progress, piece, number + 1)
        if step in (ATTEND, LOOK):
            r = 0
            for text in range(len(ids)):
                T = counts[text]
                a_pass = FEW_A_PASS if T <= FEW else VECTORS_A_PASS
                for t in range(0, T, a_pass):
                    attend(row, work, r + t, min(a_pass, T - t), state[text, one:], starts[text] + t, scratch)
                r += T
