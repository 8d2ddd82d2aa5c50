"""Products of panels with vectors, as instructions on vector registers.

A matrix is packed (core/models/packing.py): its rows stand in panels of sixteen, and in a panel number j of all sixteen
rows side by side, so that it is read from its first number to its last. It is float32, or bfloat16 as the upper halves
of float32. Each product is written once; the compiler makes it for both.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from core.inference.kernels.intrinsics import FEATURES, as_float32, fetch
from core.models.packing import LANES

VECTORS_A_PASS = 16 if FEATURES.get("avx512f") else 4
"""Vectors that are multiplied in one pass over a panel: as many accumulators as there are registers for."""
FEW_A_PASS = 4
"""Vectors for each of which a sum is taken in the same order as for one alone."""
PREFETCH_DISTANCE = 2048
"""Bytes from the number that is read to the one that is fetched from memory, so that it is there in time."""


def _panel(count: int, panels: int = 1, at_once: int = FEW_A_PASS) -> Any:
    """Make the product of a panel of sixteen rows with so many vectors: no loop of the compiler's own is as tight.

    Number j of the rows stands at w[at + j * apart], of vector c at x[x_at + c * step + j]; its sixteen sums go to y
    from y_at + c * stride on. Several panels stand `beside` numbers from each other. Meanwhile lines are fetched from
    memory that will be read soon, at each j the one at w[far + j * pace]. `at_once`: of how many numbers of each row an
    accumulator of its own is kept, since a sum has to wait for the one before.
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
            y_at, stride, far, pace, beside = arguments[8:13]
            number, whole, word = ir.FloatType(), n_in.type, ir.IntType(32)
            lanes, byte = ir.VectorType(number, LANES), ir.IntType(8).as_pointer()

            def numbers(place: int) -> Any:
                return context.make_array(signature.args[place])(context, builder, arguments[place]).data

            def plus(a: Any, b: Any) -> Any:
                return builder.add(a, b)

            def times(a: Any, b: int) -> Any:
                return builder.mul(a, ir.Constant(whole, b))

            weights, vectors, out = numbers(0), numbers(4), numbers(7)
            stored = weights.type.pointee
            bytes_each = 4 if stored == number else 2
            zeros = ir.Constant(lanes, None)
            accumulators = [
                [[cgutils.alloca_once_value(builder, zeros) for _ in range(at_once)] for _ in range(count)]
                for _ in range(panels)
            ]
            for accumulator in (one for panel in accumulators for vector in panel for one in vector):
                builder.store(zeros, accumulator)

            def add(j: Any, turn: int) -> None:
                """Add what number j of the rows makes of number j of each vector."""
                first = plus(x_at, j)
                broadcasts = []
                for c in range(count):
                    x_j = builder.load(builder.gep(vectors, [plus(first, times(step, c))]))
                    lane = builder.insert_element(ir.Constant(lanes, ir.Undefined), x_j, ir.Constant(word, 0))
                    same = ir.Constant(ir.VectorType(word, LANES), [0] * LANES)
                    broadcasts.append(builder.shuffle_vector(lane, lane, same))
                for p, panel in enumerate(accumulators):
                    row = plus(plus(w_at, builder.mul(j, apart)), times(beside, p))
                    place = builder.gep(weights, [row])
                    sixteen = builder.bitcast(place, ir.VectorType(stored, LANES).as_pointer())
                    rows = as_float32(builder, builder.load(sixteen, align=bytes_each))
                    line = plus(plus(far, builder.mul(j, pace)), times(beside, p))
                    fetch(builder, builder.bitcast(builder.gep(weights, [line]), byte))
                    for broadcast, vector in zip(broadcasts, panel, strict=True):
                        product, sum_to = builder.fmul(broadcast, rows, flags=("contract",)), vector[turn]
                        builder.store(builder.fadd(builder.load(sum_to), product, flags=("contract",)), sum_to)

            rounds = builder.sdiv(n_in, ir.Constant(whole, at_once))
            with cgutils.for_range(builder, rounds, intp=whole) as loop:
                for turn in range(at_once):
                    add(plus(times(loop.index, at_once), ir.Constant(whole, turn)), turn)
            with cgutils.for_range(builder, n_in, start=times(rounds, at_once), intp=whole) as loop:
                add(loop.index, 0)
            for p, panel in enumerate(accumulators):
                for c, vector in enumerate(panel):
                    parts = [builder.load(accumulator) for accumulator in vector]
                    while len(parts) > 1:
                        parts = [builder.fadd(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
                    to = builder.gep(out, [plus(plus(y_at, ir.Constant(whole, p * LANES)), times(stride, c))])
                    builder.store(parts[0], builder.bitcast(to, lanes.as_pointer()), align=4)
            return context.get_dummy_value()

        i = types.intp
        return types.void(w, i, i, i, x, i, i, y, i, i, i, i, i), code

    return intrinsic(typed)


panel_by_one, panel_by_four = _panel(1), _panel(4)
panel_by_eight, panel_by_sixteen = _panel(8, at_once=2), _panel(16, at_once=1)
four_panels_by_one, four_panels_by_four = _panel(1, 4, at_once=1), _panel(4, 4, at_once=1)
panel_by_eight_in_order, two_panels_by_eight = _panel(8, at_once=1), _panel(8, 2, at_once=1)
