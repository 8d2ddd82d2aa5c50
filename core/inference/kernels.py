"""Runs a rung's program (core/models/program.py), and the drawing of characters, as machine code.

Compiled by numba at its first use and kept on disk. Importing this needs numba; loader.py does so, aside.
The interpreter's lock is not held while anything here runs, and several threads may read one text, each a piece of it
(`run`).

Letters: B texts, T characters of a text read at once, R rows of working memory, one for each character of each text, N
characters written in one call, V vocabulary.
"""

import math
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from core import system
from core.inference.guessing import expect, learn
from core.inference.products import (
    ABREAST,
    AHEAD,
    NOUGHT,
    OPTIONS,
    WIDEST,
    add_rows,
    call_up,
    four_panels_by_four,
    four_panels_by_one,
    matrix_times,
    times_panel,
    two_to,
)
from core.models.packing import LANES
from core.models.program import BEFORE, FEW, GUESSES, Step

EMBED, POSITION, LINEAR, NORM, ACTIVATE, COMBINE, GATE = (int(s) for s in list(Step)[:7])
RECENT, DELAY, ATTEND, CELL, RECALL, WEIGHTED, TRIGRAM, KEEP, LOOK = (int(s) for s in list(Step)[7:])
ONE = np.float32(1)
BEGINNING = 32
"""Lines of what is read next that are called before: further on the loops do so themselves."""


@njit(**OPTIONS)
def exponential(x):  # type: ignore[no-untyped-def]
    """e^x, to a few parts in ten million: a loop over it is done for as many numbers at once as a register holds."""
    x = np.float32(-87) if x < np.float32(-87) else np.float32(88) if x > np.float32(88) else x
    doublings = x * np.float32(1 / math.log(2))
    whole = np.floor(doublings + np.float32(0.5))
    r = (doublings - whole) * np.float32(math.log(2))
    series = ONE + r * np.float32(1 / 7)
    series = ONE + series * r * np.float32(1 / 6)
    series = ONE + series * r * np.float32(1 / 5)
    series = ONE + series * r * np.float32(1 / 4)
    series = ONE + series * r * np.float32(1 / 3)
    series = ONE + series * r * np.float32(1 / 2)
    return (ONE + series * r) * two_to(np.int32(whole))


@njit(**OPTIONS)
def tanh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic tangent."""
    return ONE - np.float32(2) / (exponential(x + x) + ONE)


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
            x[i] = tanh(x[i])


@njit(**OPTIONS)
def logistic(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^-x)."""
    return ONE / (ONE + exponential(-x))


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


@njit(**{**OPTIONS, "fastmath": OPTIONS["fastmath"] | {"nnan"}})
def largest(x, n):  # type: ignore[no-untyped-def]
    """The largest of the first n numbers; of NaN it says nothing."""
    most = x[0]
    for i in range(1, n):
        most = max(most, x[i])
    return most


@njit(**OPTIONS)
def keep(store, qkv, now, context, heads):  # type: ignore[no-untyped-def]
    """Keep the key and the value of position `now`.

    Of each head the keys stand sixteen positions beside each other, as the rows of packed matrices do, and behind all
    keys the values, one position behind the other.
    """
    size = len(qkv) // 3
    each = size // heads
    padded = -(-each // LANES) * LANES
    for h in range(heads):
        key, value = qkv[size + h * each : size + (h + 1) * each], qkv[2 * size + h * each : 2 * size + (h + 1) * each]
        to = h * context * each + now // LANES * LANES * each + now % LANES
        for i in range(each):
            store[to + i * LANES] = key[i]
        to = heads * context * each + (h * context + now) * padded
        for i in range(each):
            store[to + i] = value[i]


@njit(**OPTIONS)
def soft(scores, until, shrink):  # type: ignore[no-untyped-def]
    """Make shares that add up to one of the first scores."""
    most = largest(scores, until)
    total = NOUGHT
    for s in range(until):
        scores[s] = exponential((scores[s] - most) * shrink)
        total += scores[s]
    share = ONE / total
    for s in range(until):
        scores[s] *= share


@njit(**OPTIONS)
def attend(row, work, r, many, store, now, sums):  # type: ignore[no-untyped-def]
    """Mix the values kept up to each of `many` positions from `now` on, which stand in the rows from r on.

    What is kept is read once. Of a few positions each sum is taken in one order, however many they are.
    """
    out, size, a, b, heads = row[1], row[2], row[3], row[5], row[9]
    width, context, each = work.shape[1], out - b, size // heads
    flat = work.reshape(work.size)
    padded = -(-each // LANES) * LANES
    shrink = np.float32(1 / math.sqrt(each))
    few = many <= ABREAST
    end = -(-(now + many) // ABREAST) * ABREAST  # whole rounds of the loops, for one position as for more
    for h in range(heads):
        keys, values = h * context * each, (heads * each + h * padded) * context
        x_at, y_at = r * width + a + h * each, r * width + b
        if few:
            for line in range(min(BEGINNING, now * padded // LANES)):
                call_up(store, values + line * LANES)
        for s in range(0, now + many, LANES):
            times_panel(store, keys + s * each, LANES, each, flat, x_at, width, flat, y_at + s, width, many)
        for c in range(many):
            scores = work[r + c, b:out]
            until = now + c + 1
            soft(scores, until, shrink)
            for s in range(until, end):
                scores[s] = NOUGHT
        if few and h + 1 < heads:
            for line in range(min(BEGINNING, (now // LANES + 1) * each)):
                call_up(store, keys + (context * each) + line * LANES)
        first, x_at = 0, y_at
        while first < each:
            wide, value = 1, values + first
            if few and first + 4 * LANES <= padded:
                wide, far = 4, value + AHEAD // store.itemsize
                if many == 1:
                    four_panels_by_one(store, value, padded, end, flat, x_at, 0, sums, 0, 0, far, padded, LANES)
                else:
                    spread = 4 * LANES
                    four_panels_by_four(
                        store, value, padded, end, flat, x_at, width, sums, 0, spread, far, padded, LANES
                    )
            else:
                times_panel(store, value, padded, end, flat, x_at, width, sums, 0, LANES, many)
            for c in range(many):
                for i in range(min(wide * LANES, each - first)):
                    work[r + c, out + h * each + first + i] = sums[c * wide * LANES + i]
            first += wide * LANES


@njit(**OPTIONS)
def renew(kind, seen, recalled, memory, out):  # type: ignore[no-untyped-def]
    """Renew a recurrent cell's memory: state, and behind it the LSTM's cell."""
    n = len(out)
    for i in range(n):
        if kind == 0:
            out[i] = tanh(seen[i] + recalled[i])
        elif kind == 1:
            reset = logistic(seen[i] + recalled[i])
            update = logistic(seen[n + i] + recalled[n + i])
            candidate = tanh(seen[2 * n + i] + reset * recalled[2 * n + i])
            out[i] = update * memory[i] + (ONE - update) * candidate
        else:
            into, keep = logistic(seen[i] + recalled[i]), logistic(seen[n + i] + recalled[n + i])
            write = tanh(seen[2 * n + i] + recalled[2 * n + i])
            tell = logistic(seen[3 * n + i] + recalled[3 * n + i])
            memory[n + i] = keep * memory[n + i] + into * write
            out[i] = tell * tanh(memory[n + i])
        memory[i] = out[i]


@njit(**OPTIONS)
def product(row, weights, work, found, sums, thirds, count, like):  # type: ignore[no-untyped-def]
    """Multiply a matrix by a vector in each of the first `count` rows of working memory, each as one of `like`."""
    out, n, a, n_in, w, sparse = row[1], row[2], row[3], row[4], row[6], row[8]
    if sparse < 0 or like > FEW:
        matrix_times(weights, w, work, a, out, sums, thirds, n_in, n, count, like)
    elif count <= FEW or WIDEST < LANES:
        add_rows(weights, sparse, work, a, out, found, n_in, n, count)
    else:  # the same sums: one product after the other
        matrix_times(weights, w, work, a, out, sums, thirds, n_in, n, count, FEW + 1)


@njit(**OPTIONS)
def linear(row, floats, shorts, halves, work, found, sums, thirds, count, like):  # type: ignore[no-untyped-def]
    """One product, its scale, its bias and what bends it."""
    out, n, scale, bias, kind = row[1], row[2], row[5], row[7], row[9]
    if halves:
        product(row, shorts, work, found, sums, thirds, count, like)
    else:
        product(row, floats, work, found, sums, thirds, count, like)
    for r in range(count):
        y = work[r, out : out + n]
        if scale >= 0:
            for i in range(n):
                y[i] *= floats[scale + i]
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


llvm.add_symbol("bardlab_give_way", system.giving_way())
give_way = types.ExternalFunction("bardlab_give_way", types.int32())
PATIENCE = 2000
"""How often it is looked whether somebody is done before others may have the processor: some microseconds."""


def _told(typing_context: Any, progress: Any, piece: Any) -> Any:
    """Read how many steps a piece has told of; what it wrote before that is there."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.int64(progress, types.intp), code


def _tell(typing_context: Any, progress: Any, piece: Any, steps: Any) -> Any:
    """Tell the others that a piece has taken so many steps, once all is there that it wrote."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(progress, types.intp, types.int64), code


told: Any = intrinsic(_told)
tell: Any = intrinsic(_tell)


@njit(**OPTIONS)
def wait(progress, piece, steps):  # type: ignore[no-untyped-def]
    """Wait until a piece has told of so many steps."""
    looks = 0
    while told(progress, piece) < steps:
        looks += 1
        if looks > PATIENCE:
            give_way()


@njit(**OPTIONS)
def run(  # type: ignore[no-untyped-def]
    rows, floats, shorts, halves, state, work, found, sums, thirds, progress, ids, starts, counts, like, piece
):
    """Read counts[b] of text b of ids (B, BEFORE + T or more), at positions from starts[b] on.

    The first BEFORE of them were read before. Sums are taken in the order in which they are for `like` rows.

    Piece 0 waits for nobody. Each later one may be read by another thread while the one before it is: it waits, at
    every step that needs what earlier characters left, until that piece has told in `progress` that it is there.
    """
    count = 0
    text_of, place_of = np.empty(len(work), np.int64), np.empty(len(work), np.int64)
    for text in range(len(ids)):
        for t in range(counts[text]):
            text_of[count], place_of[count] = text, t
            count += 1
    for number in range(len(rows)):
        row = rows[number]
        step, out, n, a, n_in, b, w, bias, one, two = row
        if step == LINEAR:
            linear(row, floats, shorts, halves, work, found, sums, thirds, count, like)
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
                    number = (ids[text, third - 2] * two + ids[text, third - 1]) * two + ids[text, third]
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
            elif step == ACTIVATE:
                y[:] = x
                bent(y, two)
            elif step == COMBINE:
                other, of_a, of_b = work[r, b : b + n], floats[w], floats[w + 1]
                for i in range(n):
                    y[i] = of_a * x[i] + of_b * other[i]
            elif step == GATE:
                for i in range(n):
                    y[i] = tanh(x[i]) * logistic(x[n + i])
            elif step == RECENT:
                places = n // n_in + GUESSES
                at = one + now % places * n_in
                for i in range(n_in):
                    state[text, at + i] = x[i]
                for place in range(n // n_in):
                    then = now + 1 + place - n // n_in
                    to, at = place * n_in, one + then % places * n_in
                    for i in range(n_in):
                        y[to + i] = state[text, at + i] if then >= 0 else NOUGHT
            elif step == DELAY:
                places = two + GUESSES
                before, at = one + (now - two) % places * n, one + now % places * n
                for i in range(n):
                    y[i] = state[text, before + i] if now >= two else NOUGHT
                    state[text, at + i] = x[i]
            elif step == WEIGHTED:
                for i in range(n):
                    y[i] += floats[w + i] * x[i]
            elif step in (ATTEND, KEEP):
                if w >= 0:
                    half = n // two // 2
                    cos, sin = floats[w + now * half : w + (now + 1) * half], floats[bias + now * half :]
                    rotated(x[: 2 * n], cos, sin, 2 * two)
                keep(state[text, one:], x, now, out - b, two)
            elif step == CELL:
                carried = 2 if two == 2 else 1
                renew(two, x, work[r, b : b + n_in], state[text, one : one + carried * n], y)
        if lasting:
            tell(progress, piece, number + 1)
        if step in (ATTEND, LOOK):
            r = 0
            for text in range(len(ids)):
                T = counts[text]
                widest = ABREAST if T <= FEW else WIDEST
                for t in range(0, T, widest):
                    attend(row, work, r + t, min(widest, T - t), state[text, one:], starts[text] + t, sums)
                r += T


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
    telling,
    rows,
    floats,
    shorts,
    halves,
    state,
    work,
    found,
    sums,
    thirds,
    progress,
    ids,
    start,
    at,
    noise,
    temperature,
    top_k,
    top_p,
    probs,
    steps,
    drawn,
    logits,
    chances,
    least,
    ahead,
    known,
):
    """Read the latest of ids (B, BEFORE + 2 + GUESSES) and draw the next, until every text has written `least`.

    If the latest were read already, `telling` are the steps left that lead to what is drawn from; else there are none.
    `ahead` characters of each text are guessed and the places behind them computed with the first, more of the others
    once a text is at its end; the guesses stand as long as they are what is drawn. With less than none nothing is
    learned for guesses either. Returns in how many passes. start: the position of the first character that is written.
    noise, logits: (N, B, V); drawn, chances: (N, B); steps: (B,) how many of N each text has written. ids and steps
    move on; those of a text stay where they are if nothing can be drawn, and then all ends.
    """
    B, V = len(ids), logits.shape[2]
    starts, counts = np.empty(B, np.int64), np.empty(B, np.int64)
    passes = 0
    possible, anew = True, len(telling) == 0
    while possible and steps.min() < least:
        going = 0
        for text in range(B):
            going += steps[text] < len(drawn)
        each = min(1 + GUESSES, B * (1 + ahead) // going) if ahead > 0 and anew else 1
        for text in range(B):
            step = steps[text]
            starts[text], counts[text] = start + step, min(each, len(drawn) - step)
            for t in range(1, counts[text]):
                guess = expect(known, ids[text], BEFORE + t - 1)
                ids[text, BEFORE + t] = max(0, draw(guess, noise[step + t - 1, text], temperature, top_k, top_p, probs))
        given = state, work, found, sums, thirds
        run(rows if anew else telling, floats, shorts, halves, *given, progress, ids, starts, counts, B, 0)
        anew = True
        passes += 1
        r = 0
        for text in range(B):
            new, right = 0, True
            while right and new < counts[text]:
                step = steps[text] + new
                logits[step, text] = work[r + new, at : at + V]
                chosen = draw(logits[step, text], noise[step, text], temperature, top_k, top_p, probs)
                if chosen < 0:
                    possible = False
                    break
                drawn[step, text], chances[step, text] = chosen, probs[chosen]
                if ahead >= 0:
                    learn(known, ids[text], BEFORE + new, logits[step, text])
                new += 1
                right = ids[text, BEFORE + new] == chosen
                ids[text, BEFORE + new] = chosen
            for place in range(BEFORE + 1):
                ids[text, place] = ids[text, place + new]
            steps[text] += new
            r += counts[text]
    return passes
