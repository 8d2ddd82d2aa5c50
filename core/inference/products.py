"""Products of a matrix with one vector and with several at once, for machine code: the inner loops of kernels.py.

A matrix is packed (core/models/packing.py): its rows stand in panels of sixteen, and in a panel number j of all sixteen
rows side by side, so that the loops read it from its first number to its last. It is float32, or bfloat16 as the upper
halves of float32. Each loop is written once; the compiler makes it for both.
"""

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from core import system
from core.models.packing import LANES, aligned
from core.models.program import FEW

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be taken in any order; infinities and NaN keep their meaning."""
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": FAST, "error_model": "numpy"}
IN_ORDER: dict[str, Any] = {**OPTIONS, "fastmath": FAST - {"reassoc"}}
"""Sums are taken as they are written."""
NOUGHT = np.float32(0)
FEATURES = llvm.get_host_cpu_features()
WIDEST = 16 if FEATURES.get("avx512f") else 4
"""Vectors that are multiplied in one pass over a panel: as many sums as there are registers for."""
ABREAST = 4
"""Vectors for each of which a sum is taken in the same order as for one alone."""
EIGHT = 8
"""Vectors that are multiplied by two panels in one pass where there are many: nothing is faster on 32 registers."""
AHEAD = 2048
"""Bytes from the number that is read to the one that is called from memory, so that it is there in time."""


def _wide(builder: Any, stored: Any) -> Any:
    """Make float32 of numbers of a matrix as they are stored, one or several side by side."""
    several = isinstance(stored.type, ir.VectorType)

    def kind(one: Any) -> Any:
        return ir.VectorType(one, stored.type.count) if several else one

    if stored.type == kind(ir.FloatType()):
        return stored
    word = kind(ir.IntType(32))
    up = ir.Constant(word, [16] * stored.type.count if several else 16)
    return builder.bitcast(builder.shl(builder.zext(stored, word), up), kind(ir.FloatType()))


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


def _place(context: Any, builder: Any, signature: Any, arguments: Any, which: int, at: Any, kind: Any) -> Any:
    """Point to a place in one of the arrays that were given."""
    data = context.make_array(signature.args[which])(context, builder, arguments[which]).data
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


def _panel(count: int, panels: int = 1, at_once: int = ABREAST) -> Any:
    """Make the product of a panel of sixteen rows with so many vectors: no loop of the compiler's own is as tight.

    Number j of the rows stands at w[at + j * apart], of vector c at x[x_at + c * step + j]; its sixteen sums go to y
    from y_at + c * stride on. Several panels stand `beside` numbers from each other. Meanwhile lines are called from
    memory that will be read soon, at each j the one at w[far + j * pace]. `at_once`: of how many numbers of each row a
    sum of its own is taken, since a sum has to wait for the one before.
    """

    def typed(
        typing_context: Any,
        w: Any,
        at: Any,
        apart: Any,
        n_in: Any,
        x: Any,
        x_at: Any,
        step: Any,
        y: Any,
        y_at: Any,
        stride: Any,
        far: Any,
        pace: Any,
        beside: Any,
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            w_at, apart, n_in, x_at, step = arguments[1], arguments[2], arguments[3], arguments[5], arguments[6]
            number, whole, word = ir.FloatType(), n_in.type, ir.IntType(32)
            lanes, byte = ir.VectorType(number, LANES), ir.IntType(8).as_pointer()
            fetch = builder.module.declare_intrinsic(
                "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            )

            def numbers(place: int) -> Any:
                return context.make_array(signature.args[place])(context, builder, arguments[place]).data

            def plus(a: Any, b: Any) -> Any:
                return builder.add(a, b)

            def times(a: Any, b: int) -> Any:
                return builder.mul(a, ir.Constant(whole, b))

            weights, vectors, sums = numbers(0), numbers(4), numbers(7)
            stored = weights.type.pointee
            bytes_each = 4 if stored == number else 2
            none = ir.Constant(lanes, None)
            totals = [
                [
                    [cgutils.alloca_once_value(builder, none) for _ in range(at_once)]  # type: ignore[no-untyped-call]
                    for _ in range(count)
                ]
                for _ in range(panels)
            ]
            for total in (total for panel in totals for each in panel for total in each):
                builder.store(none, total)

            def add(j: Any, turn: int) -> None:
                """Add what number j of the rows makes of number j of each vector."""
                first = plus(x_at, j)
                spreads = []
                for c in range(count):
                    x_j = builder.load(builder.gep(vectors, [plus(first, times(step, c))]))
                    spread = builder.insert_element(ir.Constant(lanes, ir.Undefined), x_j, ir.Constant(word, 0))
                    same = ir.Constant(ir.VectorType(word, LANES), [0] * LANES)
                    spreads.append(builder.shuffle_vector(spread, spread, same))
                for p, panel in enumerate(totals):
                    row = plus(plus(w_at, builder.mul(j, apart)), times(arguments[12], p))
                    place = builder.gep(weights, [row])
                    sixteen = builder.bitcast(place, ir.VectorType(stored, LANES).as_pointer())
                    rows = _wide(builder, builder.load(sixteen, align=bytes_each))
                    line = plus(plus(arguments[10], builder.mul(j, arguments[11])), times(arguments[12], p))
                    called = builder.bitcast(builder.gep(weights, [line]), byte)
                    builder.call(fetch, [called, *(ir.Constant(word, n) for n in (0, 3, 1))])
                    for spread, each in zip(spreads, panel, strict=True):
                        product = builder.fmul(spread, rows, flags=("contract",))
                        builder.store(builder.fadd(builder.load(each[turn]), product, flags=("contract",)), each[turn])

            rounds = builder.sdiv(n_in, ir.Constant(whole, at_once))
            with cgutils.for_range(builder, rounds, intp=whole) as loop:
                for turn in range(at_once):
                    add(plus(times(loop.index, at_once), ir.Constant(whole, turn)), turn)
            with cgutils.for_range(builder, n_in, start=times(rounds, at_once), intp=whole) as loop:
                add(loop.index, 0)
            for p, panel in enumerate(totals):
                for c, each in enumerate(panel):
                    parts = [builder.load(total) for total in each]
                    while len(parts) > 1:
                        parts = [builder.fadd(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
                    to = plus(plus(arguments[8], ir.Constant(whole, p * LANES)), times(arguments[9], c))
                    out = builder.gep(sums, [to])
                    builder.store(parts[0], builder.bitcast(out, lanes.as_pointer()), align=4)
            return context.get_dummy_value()

        i = types.intp
        return types.void(w, i, i, i, x, i, i, y, i, i, i, i, i), code

    return intrinsic(typed)


panel_by_one, panel_by_four = _panel(1), _panel(4)
panel_by_eight, panel_by_sixteen = _panel(8, at_once=2), _panel(16, at_once=1)
four_panels_by_one, four_panels_by_four = _panel(1, 4, at_once=1), _panel(4, 4, at_once=1)
panel_by_eight_in_order, two_panels_by_eight = _panel(8, at_once=1), _panel(8, 2, at_once=1)


def _call_up(typing_context: Any, w: Any, at: Any) -> Any:
    """Call a line from memory that will be read soon."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8), ir.IntType(32)
        place = _place(context, builder, signature, arguments, 0, arguments[1], byte)
        kind = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(fetch, [place, *(ir.Constant(word, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(w, types.intp), code


call_up: Any = intrinsic(_call_up)


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


MATRIX_UNIT = bool(FEATURES.get("amx-bf16")) and system.allow_matrix_unit()
"""Whether there is a unit that multiplies tiles of bfloat16 (AMX), and this process may use it."""
MOST, OF_HALVES = 32, 16
"""Vectors from which on the matrix unit multiplies, if there is one: only float32 has to be taken apart before."""
TILE, ACROSS, THIRDS = 512, 32, 3
"""Numbers of 16 bits in one of its tiles, how many side by side, and the parts of a float32: see `tiles_times`."""
PRODUCTS = (0, 2), (0, 1), (1, 1), (1, 0), (0, 0), (2, 0)
"""Which third of the vectors is multiplied by which of the matrix, in an order in which one of both stays."""
PRODUCTS_OF_HALVES = (2, 0), (1, 0), (0, 0)
"""The same where the matrix is in bfloat16."""
SETUP = np.zeros(64, np.uint8)
"""The shape of its eight tiles: 16 rows of 64 bytes each."""
SETUP[0], SETUP[16:32:2], SETUP[48:56] = 1, 64, 16


def _in_thirds(builder: Any, numbers: Any, lanes: int) -> Any:
    """Take float32 apart into three bfloat16 that add up to it, in the upper halves of 32 bits, largest first."""
    number, word = ir.VectorType(ir.FloatType(), lanes), ir.VectorType(ir.IntType(32), lanes)
    half, upper = ir.Constant(word, [0x8000] * lanes), ir.Constant(word, [0xFFFF0000] * lanes)
    for _ in range(THIRDS):
        third = builder.and_(builder.add(builder.bitcast(numbers, word), half), upper)
        numbers = builder.fsub(numbers, builder.bitcast(third, number))
        yield third


def _part_vector(typing_context: Any, x: Any, at: Any, thirds: Any, to: Any) -> Any:
    """Take 32 numbers of a vector apart: a row of a tile for each third."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = context, builder, signature, arguments
        short = ir.VectorType(ir.IntType(16), ACROSS)
        numbers = builder.load(_place(*given, 0, arguments[1], ir.VectorType(ir.FloatType(), ACROSS)), align=4)
        for i, third in enumerate(_in_thirds(builder, numbers, ACROSS)):
            place = _place(*given, 2, builder.add(arguments[3], ir.Constant(arguments[3].type, i * TILE)), short)
            shift = ir.Constant(third.type, [16] * ACROSS)
            builder.store(builder.trunc(builder.lshr(third, shift), short), place, align=2)
        return context.get_dummy_value()

    return types.void(x, types.intp, thirds, types.intp), code


def _part_rows(typing_context: Any, w: Any, at: Any, after: Any, thirds: Any, to: Any) -> Any:
    """Take one number of sixteen rows of a matrix apart, and the one after it: a row of a tile for each third."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = context, builder, signature, arguments
        stored = ir.FloatType() if w.dtype == types.float32 else ir.IntType(16)
        word = ir.VectorType(ir.IntType(32), LANES)
        lower, upper = (
            _wide(builder, builder.load(_place(*given, 0, each, ir.VectorType(stored, LANES)), align=2))
            for each in arguments[1:3]
        )
        byte, whole, number = ir.IntType(8), arguments[1].type, ir.IntType(32)
        for line in range(2 * LANES * (4 if w.dtype == types.float32 else 2) // 64):
            far = builder.add(arguments[1], ir.Constant(whole, (AHEAD + 64 * line) // w.dtype.bitwidth * 8))
            kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), number, number, number])
            fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte.as_pointer()], kind)
            builder.call(fetch, [_place(*given, 0, far, byte), *(ir.Constant(number, n) for n in (0, 3, 1))])
        both = zip(_in_thirds(builder, lower, LANES), _in_thirds(builder, upper, LANES), strict=True)
        for i, (first, second) in enumerate(both):
            place = _place(*given, 3, builder.add(arguments[4], ir.Constant(arguments[4].type, i * TILE)), word)
            first = builder.lshr(first, ir.Constant(word, [16] * LANES))
            builder.store(builder.or_(first, second), place, align=2)
            if w.dtype != types.float32:
                break  # it is one third
        return context.get_dummy_value()

    return types.void(w, types.intp, types.intp, thirds, types.intp), code


def _tiles(
    typing_context: Any,
    w: Any,
    setup: Any,
    thirds: Any,
    chunks: Any,
    pairs: Any,
    y: Any,
    y_at: Any,
    stride: Any,
) -> Any:
    """Multiply two panels by all vectors, taken apart before: of vector c the 32 sums go to y[y_at + c * stride]."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, whole, number = ir.IntType(8), arguments[3].type, ir.FloatType()
        row, of_y = ir.Constant(ir.IntType(64), 64), builder.mul(arguments[7], ir.Constant(whole, 4))

        def place(array: int, at: Any, kind: Any) -> Any:
            return _place(context, builder, signature, arguments, array, at, kind)

        def plus(a: Any, b: int) -> Any:
            return builder.add(a, ir.Constant(whole, b))

        def times(a: Any, b: int) -> Any:
            return builder.mul(a, ir.Constant(whole, b))

        def unit(name: str, *given: Any) -> None:
            taken = [ir.Constant(byte, each) if isinstance(each, int) else each for each in given]
            kind = ir.FunctionType(ir.VoidType(), [each.type for each in taken])
            builder.call(builder.module.declare_intrinsic(f"llvm.x86.{name}", [], kind), taken)

        if not FEATURES.get("amx-bf16"):
            return context.get_dummy_value()  # never called: there are no such instructions
        unit("ldtilecfg", place(1, ir.Constant(whole, 0), byte))
        with cgutils.for_range(builder, arguments[4], intp=whole) as pair:
            for sum_of in range(4):
                unit("tilezero", sum_of)
            with cgutils.for_range(builder, arguments[3], intp=whole) as chunk:

                def third(group: Any, which: int) -> Any:
                    """Point to the tile of a group of sixteen rows or vectors."""
                    at = plus(times(builder.add(builder.mul(group, arguments[3]), chunk.index), THIRDS), which)
                    return place(2, times(at, TILE), byte)

                held: dict[int, int] = {}
                for given in PRODUCTS if w.dtype == types.float32 else PRODUCTS_OF_HALVES:
                    for tile, which in zip((4, 6), given, strict=True):
                        if held.get(tile) == which:
                            continue
                        held[tile] = which
                        for i in range(2):
                            group = plus(times(pair.index, 2), 2 + i) if tile == 4 else ir.Constant(whole, i)
                            unit("tileloadd64", tile + i, third(group, which), row)
                    for sum_of in range(4):
                        unit("tdpbf16ps", sum_of, 4 + sum_of // 2, 6 + sum_of % 2)
            for sum_of in range(4):
                vector = plus(times(pair.index, 2 * LANES), sum_of // 2 * LANES)
                at = plus(builder.add(arguments[6], builder.mul(vector, arguments[7])), sum_of % 2 * LANES)
                unit("tilestored64", sum_of, builder.bitcast(place(5, at, number), byte.as_pointer()), of_y)
        unit("tilerelease")
        return context.get_dummy_value()

    return types.void(w, setup, thirds, types.intp, types.intp, y, types.intp, types.intp), code


part_vector: Any = intrinsic(_part_vector)
part_rows: Any = intrinsic(_part_rows)
tiles: Any = intrinsic(_tiles)


@njit(**OPTIONS)
def tiles_times(w, at, work, a, out, sums, thirds, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Do what `matrix_times` does by the matrix unit, which multiplies bfloat16 and adds in float32.

    A float32 is the sum of three bfloat16. Of the nine products of their thirds the six largest are taken; what the
    others would add is less than what adding in float32 rounds away. A matrix in bfloat16 is its first third.
    """
    width = work.shape[1]
    flat = work.reshape(work.size)
    chunks, pairs, whole = -(-n_in // ACROSS), -(-count // (2 * LANES)), n_in // ACROSS * ACROSS
    for r in range(count):
        x, to = r * width + a, ((2 + r // LANES) * chunks * THIRDS) * TILE + r % LANES * ACROSS
        for j in range(0, whole, ACROSS):
            part_vector(flat, x + j, thirds, to + j // ACROSS * THIRDS * TILE)
        if whole < n_in:
            for j in range(ACROSS):
                sums[j] = flat[x + whole + j] if whole + j < n_in else NOUGHT
            part_vector(sums, 0, thirds, to + whole // ACROSS * THIRDS * TILE)
    for i in range(0, n_out, 2 * LANES):
        for p in range(2 if i + LANES < n_out else 1):
            panel = at + (i + p * LANES) * n_in
            for j in range(0, chunks * ACROSS, 2):  # behind the last number the vectors are zero
                first, second = panel + min(j, n_in - 1) * LANES, panel + min(j + 1, n_in - 1) * LANES
                part_rows(w, first, second, thirds, ((p * chunks + j // ACROSS) * THIRDS) * TILE + j % ACROSS * LANES)
        if i + 2 * LANES <= n_out and pairs * 2 * LANES <= len(work):
            tiles(w, SETUP, thirds, chunks, pairs, flat, out + i, width)
            continue
        tiles(w, SETUP, thirds, chunks, pairs, sums, 0, 2 * LANES)
        for r in range(count):
            for row in range(min(2 * LANES, n_out - i)):
                flat[r * width + out + i + row] = sums[r * 2 * LANES + row]


def room(count: int, n_in: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make what `matrix_times` writes to aside, for so many vectors of at most n_in numbers."""
    pairs, chunks = -(-count // (2 * LANES)), -(-n_in // ACROSS)
    parted = 2 * (1 + pairs) * chunks * THIRDS * TILE if MATRIX_UNIT and count >= OF_HALVES else 0
    return aligned(4 * LANES * LANES * pairs), aligned(parted, np.uint16)


@njit(**OPTIONS)
def times_panel(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, count):  # type: ignore[no-untyped-def]
    """Multiply a panel by at least `count` vectors, at most sixteen; what is not asked for is read and written too."""
    far = panel + AHEAD // w.itemsize
    if count > 8:
        panel_by_sixteen(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)
    elif count > 4:
        panel_by_eight(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)
    elif count > 1:
        panel_by_four(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)
    else:
        panel_by_one(w, panel, apart, n_in, x, x_at, step, y, y_at, stride, far, apart, 0)


@njit(**OPTIONS)
def matrix_times(w, at, work, a, out, sums, thirds, n_in, n_out, count, like):  # type: ignore[no-untyped-def]
    """Multiply the matrix at `at` of w by the vectors at `a` of the first `count` rows of working memory, into `out`.

    The matrix is read once. Each sum is taken in the order in which it is for `like` vectors. Behind several vectors
    there are sixteen rows more. sums, thirds: from `room`.
    """
    if len(thirds) > 0 and like >= (MOST if w.itemsize == 4 else OF_HALVES):
        tiles_times(w, at, work, a, out, sums, thirds, n_in, n_out, count)
        return
    if like > FEW and count > LANES == WIDEST:
        panels_by_eights(w, at, work, a, out, sums, n_in, n_out, count)
        return
    width = work.shape[1]
    flat = work.reshape(work.size)
    widest = ABREAST if like <= FEW else WIDEST
    for i in range(0, n_out, LANES):
        rows, panel = min(LANES, n_out - i), at + i * n_in
        for first in range(0, count, widest):
            x_at, y_at = first * width + a, first * width + out + i
            many = min(widest, count - first) if like <= FEW else widest
            if rows == LANES:
                times_panel(w, panel, LANES, n_in, flat, x_at, width, flat, y_at, width, many)
                continue
            times_panel(w, panel, LANES, n_in, flat, x_at, width, sums, 0, LANES, many)
            for c in range(min(many, count - first)):
                for row in range(rows):
                    flat[y_at + c * width + row] = sums[c * LANES + row]


@njit(**OPTIONS)
def panels_by_eights(w, at, work, a, out, sums, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """Do what `matrix_times` does for many vectors: two panels by eight vectors at a time.

    All wait for the numbers of two panels, or for their sums: so each eight calls its share of the panels after these.
    """
    width = work.shape[1]
    flat = work.reshape(work.size)
    eights, beside = -(-count // EIGHT), LANES * n_in
    for i in range(0, n_out, 2 * LANES):
        rows, panel = min(2 * LANES, n_out - i), at + i * n_in
        for eight in range(eights):
            x_at, y_at = eight * EIGHT * width + a, eight * EIGHT * width + out + i
            far, pace = panel + 2 * beside + eight * beside // eights, LANES // eights
            if rows == 2 * LANES:
                two_panels_by_eight(w, panel, LANES, n_in, flat, x_at, width, flat, y_at, width, far, pace, beside)
                continue
            if rows > LANES:
                two_panels_by_eight(w, panel, LANES, n_in, flat, x_at, width, sums, 0, 2 * LANES, far, pace, beside)
            else:
                panel_by_eight_in_order(w, panel, LANES, n_in, flat, x_at, width, sums, 0, 2 * LANES, far, pace, 0)
            for c in range(min(EIGHT, count - eight * EIGHT)):
                for row in range(rows):
                    flat[y_at + c * width + row] = sums[c * 2 * LANES + row]
