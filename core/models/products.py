"""Products of a matrix with one vector, and with sixteen at once, for machine code: the inner loops of kernels.py.

A matrix is n_out rows of n_in numbers, one after another in a flat array: float32, or bfloat16 as the upper halves of
float32. Each loop is written once; the compiler makes it for both.
"""

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be taken in any order; infinities and NaN keep their meaning."""
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": FAST, "error_model": "numpy"}
IN_ORDER: dict[str, Any] = {**OPTIONS, "fastmath": FAST - {"reassoc"}}
"""Sums are taken as they are written."""
NOUGHT = np.float32(0)
LANES = 16
"""Vectors that are multiplied at once: what one wide register holds, or two or four narrower ones."""
ROWS = 8 if llvm.get_host_cpu_features().get("avx512f") else 4
"""Rows of the matrix that are multiplied at once: as many sums as there are registers for."""


def _wide(builder: Any, number: Any) -> Any:
    """Make a float32 of a number of a matrix as it is stored."""
    if number.type == ir.FloatType():
        return number
    word = builder.shl(builder.zext(number, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
    return builder.bitcast(word, ir.FloatType())


def _widened(typing_context: Any, number: Any) -> Any:
    """Make a float32 of a number of a matrix as it is stored."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _wide(builder, arguments[0])

    return types.float32(number), code


widened: Any = intrinsic(_widened)


def _two_to(typing_context: Any, power: Any) -> Any:
    """Make the float32 that is two to a whole number from -126 to 127."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = builder.add(arguments[0], ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(word, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

    return types.float32(types.int32), code


two_to: Any = intrinsic(_two_to)


def _panel(rows: int) -> Any:
    """Make the product of so many rows of a matrix with sixteen vectors: no loop of the compiler's own is as tight."""

    def typed(typing_context: Any, w: Any, at: Any, n_in: Any, x: Any, x_at: Any, y: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            lanes = ir.VectorType(ir.FloatType(), LANES)
            whole = arguments[2].type

            def numbers(place: int) -> Any:
                array = context.make_array(signature.args[place])(context, builder, arguments[place])
                return array.data

            def sixteen(data: Any, index: Any) -> Any:
                return builder.bitcast(builder.gep(data, [index]), lanes.as_pointer())

            weights, vectors, sums = numbers(0), numbers(3), numbers(5)
            starts = [
                builder.add(arguments[1], builder.mul(arguments[2], ir.Constant(whole, row))) for row in range(rows)
            ]
            none = ir.Constant(lanes, None)
            totals = [cgutils.alloca_once_value(builder, none) for _ in range(rows)]  # type: ignore[no-untyped-call]
            for total in totals:
                builder.store(ir.Constant(lanes, None), total)
            with cgutils.for_range(builder, arguments[2], intp=whole) as loop:
                index = builder.add(arguments[4], builder.mul(loop.index, ir.Constant(whole, LANES)))
                vector = builder.load(sixteen(vectors, index), align=4)
                for start, total in zip(starts, totals, strict=True):
                    number = _wide(builder, builder.load(builder.gep(weights, [builder.add(start, loop.index)])))
                    spread = builder.insert_element(
                        ir.Constant(lanes, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
                    )
                    same = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
                    spread = builder.shuffle_vector(spread, spread, same)
                    product = builder.fmul(spread, vector, flags=("contract",))
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for row, total in enumerate(totals):
                place = sixteen(sums, ir.Constant(whole, row * LANES))
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        return types.void(w, types.intp, types.intp, x, types.intp, y), code

    return intrinsic(typed)


four_rows_by_sixteen, row_by_sixteen = _panel(ROWS), _panel(1)


@njit(**OPTIONS)
def rows_times(w, at, x, y, n_in, n_out):  # type: ignore[no-untyped-def]
    """Multiply the matrix at `at` of w by x, into y: four rows at a time, each number of x read once for all four."""
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


@njit(**IN_ORDER)
def add_rows(w, at, work, a, out, found, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Add up the rows at `at` of w, times the vectors at `a` of the first `count` rows of working memory, at `out`.

    Rows times zero for all of them are not read, the others once. The sums do not depend on the other vectors.
    """
    some = 0
    for j in range(n_in):
        for r in range(count):
            if work[r, a + j] != 0:
                found[some] = j
                some += 1
                break
    for r in range(count):
        work[r, out : out + n_out] = NOUGHT
    k = 0
    while k + 4 <= some:
        j0, j1, j2, j3 = found[k], found[k + 1], found[k + 2], found[k + 3]
        w0 = w[at + j0 * n_out : at + (j0 + 1) * n_out]
        w1 = w[at + j1 * n_out : at + (j1 + 1) * n_out]
        w2 = w[at + j2 * n_out : at + (j2 + 1) * n_out]
        w3 = w[at + j3 * n_out : at + (j3 + 1) * n_out]
        for r in range(count):
            x0, x1, x2, x3 = work[r, a + j0], work[r, a + j1], work[r, a + j2], work[r, a + j3]
            if x0 == 0 and x1 == 0 and x2 == 0 and x3 == 0:
                continue
            y = work[r, out : out + n_out]
            for i in range(n_out):
                sum01 = (y[i] + x0 * widened(w0[i])) + x1 * widened(w1[i])
                y[i] = (sum01 + x2 * widened(w2[i])) + x3 * widened(w3[i])
        k += 4
    while k < some:
        j0 = found[k]
        for r in range(count):
            x0, y = work[r, a + j0], work[r, out : out + n_out]
            for i in range(n_out):
                y[i] += x0 * widened(w[at + j0 * n_out + i])
        k += 1


def room(count: int, n_in: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make what `matrix_times` writes to aside, for so many vectors of at most n_in numbers."""
    rounded = -(-count // LANES) * LANES
    return np.zeros(rounded * n_in, np.float32), np.zeros(LANES * ROWS, np.float32)


@njit(**OPTIONS)
def matrix_times(w, at, work, a, out, turned, sums, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Multiply the matrix at `at` of w by the vectors at `a` of the first `count` rows of working memory, into `out`.

    Every row of the matrix is read once. turned, sums: from `room`; in turned, number j of sixteen vectors stands side
    by side.
    """
    for first in range(0, count, LANES):
        for lane in range(LANES):
            at_x = first * n_in + lane
            if first + lane < count:
                x = work[first + lane, a : a + n_in]
                for j in range(n_in):
                    turned[at_x + j * LANES] = x[j]
            else:
                for j in range(n_in):
                    turned[at_x + j * LANES] = NOUGHT
    i = 0
    while i < n_out:
        rows = ROWS if i + ROWS <= n_out else 1
        for first in range(0, count, LANES):
            if rows == ROWS:
                four_rows_by_sixteen(w, at + i * n_in, n_in, turned, first * n_in, sums)
            else:
                row_by_sixteen(w, at + i * n_in, n_in, turned, first * n_in, sums)
            for lane in range(min(LANES, count - first)):
                for row in range(rows):
                    work[first + lane, out + i + row] = sums[row * LANES + lane]
        i += rows
