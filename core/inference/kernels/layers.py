"""Layers but attention: a product with its bias and activation, layer normalisation, a recurrent cell."""

import numpy as np
from numba import njit

from core.inference.kernels.elementwise import activate, sigmoid, tanh
from core.inference.kernels.intrinsics import ONE, OPTIONS, ZERO
from core.inference.kernels.panel_intrinsics import VECTORS_A_PASS
from core.inference.kernels.products import add_rows, matrix_times
from core.models.packing import LANES
from core.models.program import FEW


@njit(**OPTIONS)
def product(row, weights, work, nonzero, scratch, splits, count, order_of):  # type: ignore[no-untyped-def]
    """Multiply a matrix by a vector in each of the first `count` rows of working memory, summed as for `order_of`."""
    out, n, a, n_in, w, sparse = row[1], row[2], row[3], row[4], row[6], row[8]
    if sparse < 0 or order_of > FEW:
        matrix_times(weights, w, work, a, out, scratch, splits, n_in, n, count, order_of)
    elif count <= FEW or VECTORS_A_PASS < LANES:
        add_rows(weights, sparse, work, a, out, nonzero, n_in, n, count)
    else:  # the same sums: one product after the other
        matrix_times(weights, w, work, a, out, scratch, splits, n_in, n, count, FEW + 1)


@njit(**OPTIONS)
def linear(row, floats, shorts, halves, work, nonzero, scratch, splits, count, order_of):  # type: ignore[no-untyped-def]
    """One product, its scale, its bias and its activation."""
    out, n, scale, bias, kind = row[1], row[2], row[5], row[7], row[9]
    if halves:
        product(row, shorts, work, nonzero, scratch, splits, count, order_of)
    else:
        product(row, floats, work, nonzero, scratch, splits, count, order_of)
    for r in range(count):
        y = work[r, out : out + n]
        if scale >= 0:
            for i in range(n):
                y[i] *= floats[scale + i]
        if bias >= 0:
            for i in range(n):
                y[i] += floats[bias + i]
        if kind:
            activate(y, kind)


@njit(**OPTIONS)
def layer_norm(x, y, floats, w, bias, eps):  # type: ignore[no-untyped-def]
    """Layer normalisation of x into y."""
    n = len(x)
    mean = ZERO
    for i in range(n):
        mean += x[i]
    mean /= np.float32(n)
    spread = ZERO
    for i in range(n):
        spread += (x[i] - mean) * (x[i] - mean)
    scale = ONE / np.sqrt(spread / np.float32(n) + eps)
    for i in range(n):
        y[i] = (x[i] - mean) * scale * floats[w + i] + floats[bias + i]


@njit(**OPTIONS)
def cell(kind, seen, recalled, memory, out):  # type: ignore[no-untyped-def]
    """Renew a recurrent cell's memory: state, and behind it the LSTM's cell. Its kind is its place in CELLS."""
    n = len(out)
    for i in range(n):
        if kind == 0:
            out[i] = tanh(seen[i] + recalled[i])
        elif kind == 1:
            reset = sigmoid(seen[i] + recalled[i])
            update = sigmoid(seen[n + i] + recalled[n + i])
            candidate = tanh(seen[2 * n + i] + reset * recalled[2 * n + i])
            out[i] = update * memory[i] + (ONE - update) * candidate
        else:
            input_gate, forget_gate = sigmoid(seen[i] + recalled[i]), sigmoid(seen[n + i] + recalled[n + i])
            candidate = tanh(seen[2 * n + i] + recalled[2 * n + i])
            output_gate = sigmoid(seen[3 * n + i] + recalled[3 * n + i])
            memory[n + i] = forget_gate * memory[n + i] + input_gate * candidate
            out[i] = output_gate * tanh(memory[n + i])
        memory[i] = out[i]
