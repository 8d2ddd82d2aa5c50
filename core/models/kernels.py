"""Runs a rung's program (core/models/program.py), and the drawing of characters, as machine code.

Compiled by numba at its first use and kept on disk. Importing this needs numba; compiled.py does so, aside.
The interpreter's lock is not held while anything here runs.

Letters: B texts, T characters read at once, R = B·T rows of working memory, N characters written in one call, V
vocabulary.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from core.models.program import Step

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be taken in any order; infinities and NaN keep their meaning."""
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": FAST, "error_model": "numpy"}

EMBED, POSITION, LINEAR, NORM, BEND, COMBINE, GATE = (int(s) for s in list(Step)[:7])
RECENT, DELAY, ATTEND, CELL, RECALL, WEIGHTED, TRIGRAM = (int(s) for s in list(Step)[7:])
ONE, NOUGHT = np.float32(1), np.float32(0)


def _widened(typing_context: Any, bits: Any) -> Any:
    """Read sixteen bits as the upper half of a float32."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(types.uint16), code


widened: Any = intrinsic(_widened)


@njit(**OPTIONS)
def rows_times(w, at, x, y, n_in, n_out):  # type: ignore[no-untyped-def]
    """Multiply the matrix of n_out rows at `at` of w by x, into y: four rows at a time, each number read once."""
    i = 0
    while i + 4 <= n_out:
        w0 = w[at + i * n_in : at + (i + 1) * n_in]
        w1 = w[at + (i + 1) * n_in : at + (i + 2) * n_in]
        w2 = w[at + (i + 2) * n_in : at + (i + 3) * n_in]
        w3 = w[at + (i + 3) * n_in : at + (i + 4) * n_in]
        a, b, c, d = NOUGHT, NOUGHT, NOUGHT, NOUGHT
        for j in range(n_in):
            v = x[j]
            a += w0[j] * v
            b += w1[j] * v
            c += w2[j] * v
            d += w3[j] * v
        y[i], y[i + 1], y[i + 2], y[i + 3] = a, b, c, d
        i += 4
    while i < n_out:
        a = NOUGHT
        for j in range(n_in):
            a += w[at + i * n_in + j] * x[j]
        y[i] = a
        i += 1


@njit(**OPTIONS)
def short_rows_times(w, at, x, y, n_in, n_out):  # type: ignore[no-untyped-def]
    """The same with a matrix in bfloat16."""
    i = 0
    while i + 4 <= n_out:
        w0 = w[at + i * n_in : at + (i + 1) * n_in]
        w1 = w[at + (i + 1) * n_in : at + (i + 2) * n_in]
        w2 = w[at + (i + 2) * n_in : at + (i + 3) * n_in]
        w3 = w[at + (i + 3) * n_in : at + (i + 4) * n_in]
        a, b, c, d = NOUGHT, NOUGHT, NOUGHT, NOUGHT
        for j in range(n_in):
            v = x[j]
            a += widened(w0[j]) * v
            b += widened(w1[j]) * v
            c += widened(w2[j]) * v
            d += widened(w3[j]) * v
        y[i], y[i + 1], y[i + 2], y[i + 3] = a, b, c, d
        i += 4
    while i < n_out:
        a = NOUGHT
        for j in range(n_in):
            a += widened(w[at + i * n_in + j]) * x[j]
        y[i] = a
        i += 1


@njit(**OPTIONS)
def add_rows(w, at, x, y, found, n_in, n_out):  # type: ignore[no-untyped-def]
    """Add to y each of the n_in rows at `at` of w, times its number in x; rows times zero are not read."""
    count = 0
    for j in range(n_in):
        if x[j] != 0:
            found[count] = j
            count += 1
    k = 0
    while k + 4 <= count:
        j0, j1, j2, j3 = found[k], found[k + 1], found[k + 2], found[k + 3]
        w0 = w[at + j0 * n_out : at + (j0 + 1) * n_out]
        w1 = w[at + j1 * n_out : at + (j1 + 1) * n_out]
        w2 = w[at + j2 * n_out : at + (j2 + 1) * n_out]
        w3 = w[at + j3 * n_out : at + (j3 + 1) * n_out]
        x0, x1, x2, x3 = x[j0], x[j1], x[j2], x[j3]
        for i in range(n_out):
            y[i] += x0 * w0[i] + x1 * w1[i] + x2 * w2[i] + x3 * w3[i]
        k += 4
    while k < count:
        j0 = found[k]
        x0 = x[j0]
        for i in range(n_out):
            y[i] += x0 * w[at + j0 * n_out + i]
        k += 1


@njit(**OPTIONS)
def add_short_rows(w, at, x, y, found, n_in, n_out):  # type: ignore[no-untyped-def]
    """The same with a matrix in bfloat16."""
    count = 0
    for j in range(n_in):
        if x[j] != 0:
            found[count] = j
            count += 1
    k = 0
    while k + 4 <= count:
        j0, j1, j2, j3 = found[k], found[k + 1], found[k + 2], found[k + 3]
        w0 = w[at + j0 * n_out : at + (j0 + 1) * n_out]
        w1 = w[at + j1 * n_out : at + (j1 + 1) * n_out]
        w2 = w[at + j2 * n_out : at + (j2 + 1) * n_out]
        w3 = w[at + j3 * n_out : at + (j3 + 1) * n_out]
        x0, x1, x2, x3 = x[j0], x[j1], x[j2], x[j3]
        for i in range(n_out):
            y[i] += x0 * widened(w0[i]) + x1 * widened(w1[i]) + x2 * widened(w2[i]) + x3 * widened(w3[i])
        k += 4
    while k < count:
        j0 = found[k]
        x0 = x[j0]
        for i in range(n_out):
            y[i] += x0 * widened(w[at + j0 * n_out + i])
        k += 1


@njit(**OPTIONS)
def four_by_four(w, at, work, a, out, r, n_in, n_out):  # type: ignore[no-untyped-def]
    """Multiply the matrix at `at` of w by four rows of working memory from r on, four of its own rows at a time."""
    x0, x1 = work[r, a : a + n_in], work[r + 1, a : a + n_in]
    x2, x3 = work[r + 2, a : a + n_in], work[r + 3, a : a + n_in]
    i = 0
    while i + 4 <= n_out:
        w0 = w[at + i * n_in : at + (i + 1) * n_in]
        w1 = w[at + (i + 1) * n_in : at + (i + 2) * n_in]
        w2 = w[at + (i + 2) * n_in : at + (i + 3) * n_in]
        w3 = w[at + (i + 3) * n_in : at + (i + 4) * n_in]
        s00, s01, s02, s03 = NOUGHT, NOUGHT, NOUGHT, NOUGHT
        s10, s11, s12, s13 = NOUGHT, NOUGHT, NOUGHT, NOUGHT
        s20, s21, s22, s23 = NOUGHT, NOUGHT, NOUGHT, NOUGHT
        s30, s31, s32, s33 = NOUGHT, NOUGHT, NOUGHT, NOUGHT
        for j in range(n_in):
            u0, u1, u2, u3 = w0[j], w1[j], w2[j], w3[j]
            v = x0[j]
            s00 += u0 * v
            s01 += u1 * v
            s02 += u2 * v
            s03 += u3 * v
            v = x1[j]
            s10 += u0 * v
            s11 += u1 * v
            s12 += u2 * v
            s13 += u3 * v
            v = x2[j]
            s20 += u0 * v
            s21 += u1 * v
            s22 += u2 * v
            s23 += u3 * v
            v = x3[j]
            s30 += u0 * v
            s31 += u1 * v
            s32 += u2 * v
            s33 += u3 * v
        o = out + i
        work[r, o], work[r, o + 1], work[r, o + 2], work[r, o + 3] = s00, s01, s02, s03
        work[r + 1, o], work[r + 1, o + 1], work[r + 1, o + 2], work[r + 1, o + 3] = s10, s11, s12, s13
        work[r + 2, o], work[r + 2, o + 1], work[r + 2, o + 2], work[r + 2, o + 3] = s20, s21, s22, s23
        work[r + 3, o], work[r + 3, o + 1], work[r + 3, o + 2], work[r + 3, o + 3] = s30, s31, s32, s33
        i += 4
    while i < n_out:
        for q in range(4):
            total = NOUGHT
            for j in range(n_in):
                total += w[at + i * n_in + j] * work[r + q, a + j]
            work[r + q, out + i] = total
        i += 1


@njit(**OPTIONS)
def bent(x, kind):  # type: ignore[no-untyped-def]
    """Bend the numbers of x where they stand."""
    if kind == 1:
        for i in range(len(x)):
            x[i] = x[i] if x[i] > 0 else NOUGHT
    elif kind == 2:
        for i in range(len(x)):
            x[i] = np.float32(0.5) * x[i] * (ONE + np.float32(math.erf(x[i] * np.float32(0.7071067811865476))))
    elif kind == 3:
        for i in range(len(x)):
            x[i] = x[i] * x[i] if x[i] > 0 else NOUGHT
    elif kind == 4:
        for i in range(len(x)):
            x[i] = np.tanh(x[i])


@njit(**OPTIONS)
def logistic(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^-x)."""
    return ONE / (ONE + np.exp(-x))


@njit(**OPTIONS)
def rotated(x, cos, sin, heads):  # type: ignore[no-untyped-def]
    """Turn the pairs of each head by the position's angles, where they stand."""
    size = len(x) // heads
    half = size // 2
    for h in range(heads):
        for i in range(half):
            first, second = x[h * size + i], x[h * size + half + i]
            x[h * size + i] = first * cos[i] - second * sin[i]
            x[h * size + half + i] = first * sin[i] + second * cos[i]


@njit(**OPTIONS)
def attend(qkv, out, scores, store, now, heads):  # type: ignore[no-untyped-def]
    """Keep the key and the value of position `now`, then mix all values up to it. store: (2, heads, context, D)."""
    size = len(out)
    each = size // heads
    context = len(store) // (2 * size)
    shrink = np.float32(1 / math.sqrt(each))
    for h in range(heads):
        keys = h * context * each
        values = keys + context * size
        for i in range(each):
            store[keys + now * each + i] = qkv[size + h * each + i]
            store[values + now * each + i] = qkv[2 * size + h * each + i]
        rows_times(store, keys, qkv[h * each : (h + 1) * each], scores, each, now + 1)
        most = scores[0]
        for s in range(1, now + 1):
            most = max(most, scores[s])
        total = NOUGHT
        for s in range(now + 1):
            scores[s] = np.exp((scores[s] - most) * shrink)
            total += scores[s]
        mixed = out[h * each : (h + 1) * each]
        mixed[:] = NOUGHT
        s = 0
        while s + 4 <= now + 1:
            first = values + s * each
            p0, p1, p2, p3 = scores[s] / total, scores[s + 1] / total, scores[s + 2] / total, scores[s + 3] / total
            v0, v1 = store[first : first + each], store[first + each : first + 2 * each]
            v2, v3 = store[first + 2 * each : first + 3 * each], store[first + 3 * each : first + 4 * each]
            for i in range(each):
                mixed[i] += p0 * v0[i] + p1 * v1[i] + p2 * v2[i] + p3 * v3[i]
            s += 4
        while s < now + 1:
            p0 = scores[s] / total
            for i in range(each):
                mixed[i] += p0 * store[values + s * each + i]
            s += 1


@njit(**OPTIONS)
def renew(kind, seen, recalled, memory, out):  # type: ignore[no-untyped-def]
    """Renew a recurrent cell's memory: state, and behind it the LSTM's cell."""
    n = len(out)
    for i in range(n):
        if kind == 0:
            out[i] = np.tanh(seen[i] + recalled[i])
        elif kind == 1:
            reset = logistic(seen[i] + recalled[i])
            update = logistic(seen[n + i] + recalled[n + i])
            candidate = np.tanh(seen[2 * n + i] + reset * recalled[2 * n + i])
            out[i] = update * memory[i] + (ONE - update) * candidate
        else:
            into, keep = logistic(seen[i] + recalled[i]), logistic(seen[n + i] + recalled[n + i])
            write = np.tanh(seen[2 * n + i] + recalled[2 * n + i])
            tell = logistic(seen[3 * n + i] + recalled[3 * n + i])
            memory[n + i] = keep * memory[n + i] + into * write
            out[i] = tell * np.tanh(memory[n + i])
        memory[i] = out[i]


@njit(**OPTIONS)
def linear(row, floats, shorts, halves, work, found, count):  # type: ignore[no-untyped-def]
    """One product for the first `count` rows of working memory."""
    out, n, a, n_in, w, bias, turned, kind = row[1], row[2], row[3], row[4], row[6], row[7], row[8], row[9]
    r = 0 if halves else count // 4 * 4
    for i in range(0, n if r else 0, 32):  # so many rows of the matrix stay near while all of working memory passes
        for four in range(0, r, 4):
            four_by_four(floats, w + i * n_in, work, a, out + i, four, n_in, min(32, n - i))
    while r < count:
        x, y = work[r, a : a + n_in], work[r, out : out + n]
        if turned >= 0:
            y[:] = NOUGHT
            if halves:
                add_short_rows(shorts, turned, x, y, found, n_in, n)
            else:
                add_rows(floats, turned, x, y, found, n_in, n)
        elif halves:
            short_rows_times(shorts, w, x, y, n_in, n)
        else:
            rows_times(floats, w, x, y, n_in, n)
        r += 1
    for r in range(count):
        y = work[r, out : out + n]
        if bias >= 0:
            for i in range(n):
                y[i] += floats[bias + i]
        if kind:
            bent(y, kind)


@njit(**OPTIONS)
def normalise(x, y, floats, w, bias, eps):  # type: ignore[no-untyped-def]
    """Layer normalisation of x into y."""
    n = len(x)
    mean = NOUGHT
    for i in range(n):
        mean += x[i]
    mean /= np.float32(n)
    spread = NOUGHT
    for i in range(n):
        spread += (x[i] - mean) * (x[i] - mean)
    scale = ONE / np.sqrt(spread / np.float32(n) + eps)
    for i in range(n):
        y[i] = (x[i] - mean) * scale * floats[w + i] + floats[bias + i]


@njit(**OPTIONS)
def run(rows, floats, shorts, halves, state, work, found, ids, start):  # type: ignore[no-untyped-def]
    """Read ids (B, 2 + T), of which the first two were read before, at positions from `start` on."""
    T = ids.shape[1] - 2
    count = len(ids) * T
    for row in rows:
        step, out, n, a, n_in, b, w, bias, one, two = row
        if step == LINEAR:
            linear(row, floats, shorts, halves, work, found, count)
            continue
        for r in range(count):
            text, t = r // T, r % T
            now = start + t
            y = work[r, out : out + n]
            if step == EMBED:
                at = w + ids[text, 2 + t] * n
                y[:] = floats[at : at + n]
                continue
            if step == POSITION:
                at = w + now * n
                for i in range(n):
                    y[i] += floats[at + i]
                continue
            if step == TRIGRAM:
                if now >= 2:
                    number = (ids[text, t] * two + ids[text, t + 1]) * two + ids[text, t + 2]
                    at = w + number * 2_654_435_761 % 4_294_967_296 * one // 4_294_967_296 * n
                    for i in range(n):
                        y[i] += floats[at + i]
                continue
            if step == RECALL:
                y[:] = state[text, one : one + n]
                continue
            x = work[r, a : a + n_in]
            if step == NORM:
                normalise(x, y, floats, w, bias, floats[one])
            elif step == BEND:
                y[:] = x
                bent(y, two)
            elif step == COMBINE:
                other, of_a, of_b = work[r, b : b + n], floats[w], floats[w + 1]
                for i in range(n):
                    y[i] = of_a * x[i] + of_b * other[i]
            elif step == GATE:
                for i in range(n):
                    y[i] = np.tanh(x[i]) * logistic(x[n + i])
            elif step == RECENT:
                kept = state[text, one : one + n]
                for i in range(n - n_in):
                    kept[i] = kept[i + n_in]
                kept[n - n_in :] = x
                y[:] = kept
            elif step == DELAY:
                at = one + now % two * n
                for i in range(n):
                    here = x[i]
                    y[i] = state[text, at + i]
                    state[text, at + i] = here
            elif step == WEIGHTED:
                for i in range(n):
                    y[i] += floats[w + i] * x[i]
            elif step == ATTEND:
                if w >= 0:
                    half = n // two // 2
                    cos, sin = floats[w + now * half : w + (now + 1) * half], floats[bias + now * half :]
                    rotated(x[: 2 * n], cos, sin, 2 * two)
                attend(x, y, work[r, b:out], state[text, one : one + 2 * n * (out - b)], now, two)
            elif step == CELL:
                carried = 2 if two == 2 else 1
                renew(two, x, work[r, b : b + n_in], state[text, one : one + carried * n], y)


@njit(**OPTIONS)
def draw(logits, noise, temperature, top_k, top_p, probs):  # type: ignore[no-untyped-def]
    """Draw by the rule of core/sampling.py: the largest of probability / noise. Returns -1 if nothing can be drawn."""
    V = len(logits)
    best = 0
    for i in range(1, V):
        if logits[i] > logits[best]:
            best = i
    if temperature < np.float32(1e-6):
        probs[:] = NOUGHT
        probs[best] = ONE
        return best if logits[best] == logits[best] else -1
    most = logits[best] / temperature
    least = np.float32(-np.inf)
    if 0 < top_k < V:
        least = np.sort(logits / temperature)[V - top_k]
    total = NOUGHT
    for i in range(V):
        scaled = logits[i] / temperature
        probs[i] = np.exp(scaled - most) if scaled >= least else NOUGHT
        total += probs[i]
    if not (0 < total < np.inf):
        return -1
    for i in range(V):
        probs[i] /= total
    if top_p < ONE:
        order = np.argsort(-probs, kind="mergesort")
        before, kept = NOUGHT, NOUGHT
        for i in order:
            share = probs[i]
            if before < top_p:
                kept += share
            else:
                probs[i] = NOUGHT
            before += share
        for i in range(V):
            probs[i] /= kept
    drawn, highest = 0, np.float32(-1)
    for i in range(V):
        height = probs[i] / noise[i]
        if height > highest:
            drawn, highest = i, height
    return drawn


@njit(**OPTIONS)
def write(  # type: ignore[no-untyped-def]
    rows,
    floats,
    shorts,
    halves,
    state,
    work,
    found,
    ids,
    start,
    at,
    noise,
    temperature,
    top_k,
    top_p,
    probs,
    drawn,
    logits,
    chances,
):
    """Read the last of ids (B, 3) and draw the next, N times. Returns how many were written: fewer if none could be.

    noise, logits: (N, B, V); drawn, chances: (N, B); ids move on.
    """
    V = logits.shape[2]
    for step in range(len(drawn)):
        run(rows, floats, shorts, halves, state, work, found, ids, start + step)
        for text in range(len(ids)):
            logits[step, text] = work[text, at : at + V]
            chosen = draw(logits[step, text], noise[step, text], temperature, top_k, top_p, probs)
            if chosen < 0:
                return step
            drawn[step, text], chances[step, text] = chosen, probs[chosen]
            ids[text, 0], ids[text, 1], ids[text, 2] = ids[text, 1], ids[text, 2], chosen
    return len(drawn)
