"""The processor's unit that multiplies tiles of bfloat16 and adds in float32 (AMX), and what its tiles are filled with.

A float32 is the sum of three bfloat16, its splits, largest first. A matrix in bfloat16 is its first split.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from core import system
from core.inference.kernels.intrinsics import FEATURES, as_float32, fetch, pointer
from core.inference.kernels.panel_intrinsics import PREFETCH_DISTANCE
from core.models.packing import LANES

MATRIX_UNIT = bool(FEATURES.get("amx-bf16")) and system.allow_matrix_unit()
"""Whether there is such a unit, and this process may use it."""
TILE, TILE_ROW, SPLITS = 512, 32, 3
"""Numbers of 16 bits in one of its tiles, in a row of it, and the splits of a float32."""
SPLIT_PRODUCTS = (0, 2), (0, 1), (1, 1), (1, 0), (0, 0), (2, 0)
"""Which split of the vectors is multiplied by which of the matrix, in an order in which one of both stays."""
SPLIT_PRODUCTS_OF_BFLOAT16 = (2, 0), (1, 0), (0, 0)
"""The same where the matrix is in bfloat16."""
TILE_SHAPES = np.zeros(64, np.uint8)
"""Of its eight tiles: 16 rows of 64 bytes each."""
TILE_SHAPES[0], TILE_SHAPES[16:32:2], TILE_SHAPES[48:56] = 1, 64, 16


def _split(builder: Any, numbers: Any, lanes: int) -> Iterator[Any]:
    """Split float32 into three bfloat16 that add up to it, in the upper halves of 32 bits, largest first."""
    number, word = ir.VectorType(ir.FloatType(), lanes), ir.VectorType(ir.IntType(32), lanes)
    half, upper = ir.Constant(word, [0x8000] * lanes), ir.Constant(word, [0xFFFF0000] * lanes)
    for _ in range(SPLITS):
        split = builder.and_(builder.add(builder.bitcast(numbers, word), half), upper)
        numbers = builder.fsub(numbers, builder.bitcast(split, number))
        yield split


def _split_vector(typing_context: Any, x: Any, at: Any, splits: Any, to: Any) -> Any:
    """Split 32 numbers of a vector: a row of a tile for each split."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call = context, builder, signature, arguments
        short = ir.VectorType(ir.IntType(16), TILE_ROW)
        numbers = builder.load(pointer(*call, 0, arguments[1], ir.VectorType(ir.FloatType(), TILE_ROW)), align=4)
        for i, split in enumerate(_split(builder, numbers, TILE_ROW)):
            place = pointer(*call, 2, builder.add(arguments[3], ir.Constant(arguments[3].type, i * TILE)), short)
            shift = ir.Constant(split.type, [16] * TILE_ROW)
            builder.store(builder.trunc(builder.lshr(split, shift), short), place, align=2)
        return context.get_dummy_value()

    return types.void(x, types.intp, splits, types.intp), code


def _split_rows(typing_context: Any, w: Any, at: Any, after: Any, splits: Any, to: Any) -> Any:
    """Split one number of sixteen rows of a matrix, and the one after it: a row of a tile for each split."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call = context, builder, signature, arguments
        stored = ir.FloatType() if w.dtype == types.float32 else ir.IntType(16)
        word = ir.VectorType(ir.IntType(32), LANES)
        lower, upper = (
            as_float32(builder, builder.load(pointer(*call, 0, at, ir.VectorType(stored, LANES)), align=2))
            for at in arguments[1:3]
        )
        byte, whole = ir.IntType(8), arguments[1].type
        for line in range(2 * LANES * (4 if w.dtype == types.float32 else 2) // 64):
            distance = (PREFETCH_DISTANCE + 64 * line) // w.dtype.bitwidth * 8
            fetch(builder, pointer(*call, 0, builder.add(arguments[1], ir.Constant(whole, distance)), byte))
        both = zip(_split(builder, lower, LANES), _split(builder, upper, LANES), strict=True)
        for i, (first, second) in enumerate(both):
            place = pointer(*call, 3, builder.add(arguments[4], ir.Constant(arguments[4].type, i * TILE)), word)
            first = builder.lshr(first, ir.Constant(word, [16] * LANES))
            builder.store(builder.or_(first, second), place, align=2)
            if w.dtype != types.float32:
                break  # it is one split
        return context.get_dummy_value()

    return types.void(w, types.intp, types.intp, splits, types.intp), code


def _tiles(
    typing_context: Any,
    w: Any,
    shapes: Any,
    splits: Any,
    chunks: Any,
    pairs: Any,
    y: Any,
    y_at: Any,
    stride: Any,
) -> Any:
    """Multiply two panels by all vectors, split before: of vector c the 32 sums go to y[y_at + c * stride]."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, whole, number = ir.IntType(8), arguments[3].type, ir.FloatType()
        row, row_of_y = ir.Constant(ir.IntType(64), 64), builder.mul(arguments[7], ir.Constant(whole, 4))

        def place(array: int, at: Any, kind: Any) -> Any:
            return pointer(context, builder, signature, arguments, array, at, kind)

        def plus(a: Any, b: int) -> Any:
            return builder.add(a, ir.Constant(whole, b))

        def times(a: Any, b: int) -> Any:
            return builder.mul(a, ir.Constant(whole, b))

        def unit(name: str, *operands: Any) -> None:
            values = [ir.Constant(byte, one) if isinstance(one, int) else one for one in operands]
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            builder.call(builder.module.declare_intrinsic(f"llvm.x86.{name}", [], kind), values)

        if not FEATURES.get("amx-bf16"):
            return context.get_dummy_value()  # never called: there are no such instructions
        unit("ldtilecfg", place(1, ir.Constant(whole, 0), byte))
        with cgutils.for_range(builder, arguments[4], intp=whole) as pair:
            for accumulator in range(4):
                unit("tilezero", accumulator)
            with cgutils.for_range(builder, arguments[3], intp=whole) as chunk:

                def tile_at(group: Any, split: int) -> Any:
                    """Point to the tile of a group of sixteen rows or vectors."""
                    at = plus(times(builder.add(builder.mul(group, arguments[3]), chunk.index), SPLITS), split)
                    return place(2, times(at, TILE), byte)

                held: dict[int, int] = {}
                for operands in SPLIT_PRODUCTS if w.dtype == types.float32 else SPLIT_PRODUCTS_OF_BFLOAT16:
                    for tile, split in zip((4, 6), operands, strict=True):
                        if held.get(tile) == split:
                            continue
                        held[tile] = split
                        for i in range(2):
                            group = plus(times(pair.index, 2), 2 + i) if tile == 4 else ir.Constant(whole, i)
                            unit("tileloadd64", tile + i, tile_at(group, split), row)
                    for accumulator in range(4):
                        unit("tdpbf16ps", accumulator, 4 + accumulator // 2, 6 + accumulator % 2)
            for accumulator in range(4):
                vector = plus(times(pair.index, 2 * LANES), accumulator // 2 * LANES)
                at = plus(builder.add(arguments[6], builder.mul(vector, arguments[7])), accumulator % 2 * LANES)
                to = builder.bitcast(place(5, at, number), byte.as_pointer())
                unit("tilestored64", accumulator, to, row_of_y)
        unit("tilerelease")
        return context.get_dummy_value()

    return types.void(w, shapes, splits, types.intp, types.intp, y, types.intp, types.intp), code


split_vector: Any = intrinsic(_split_vector)
split_rows: Any = intrinsic(_split_rows)
tiles: Any = intrinsic(_tiles)
