"""How numba compiles here, and single instructions for which Python has no expression."""

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be taken in any order; infinities and NaN keep their meaning."""
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": FAST, "error_model": "numpy"}
IN_ORDER: dict[str, Any] = {**OPTIONS, "fastmath": FAST - {"reassoc"}}
"""Sums are taken as they are written."""
WITHOUT_NAN: dict[str, Any] = {**OPTIONS, "fastmath": FAST | {"nnan"}}
"""For what is never asked of NaN."""
ZERO, ONE = np.float32(0), np.float32(1)
FEATURES = llvm.get_host_cpu_features()


def pointer(context: Any, builder: Any, signature: Any, arguments: Any, which: int, at: Any, kind: Any) -> Any:
    """Point to a place in one of the arrays that are the arguments of an intrinsic."""
    data = context.make_array(signature.args[which])(context, builder, arguments[which]).data
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


def fetch(builder: Any, place: Any) -> None:
    """Have the line at a place brought from memory into the cache."""
    word = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
    instruction = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
    builder.call(instruction, [place, *(ir.Constant(word, n) for n in (0, 3, 1))])  # to read, into all levels, data


def as_float32(builder: Any, stored: Any) -> Any:
    """Make float32 of numbers of a matrix as they are stored, one or several side by side."""
    several = isinstance(stored.type, ir.VectorType)

    def kind(one: Any) -> Any:
        return ir.VectorType(one, stored.type.count) if several else one

    if stored.type == kind(ir.FloatType()):
        return stored
    word = kind(ir.IntType(32))
    sixteen = ir.Constant(word, [16] * stored.type.count if several else 16)
    return builder.bitcast(builder.shl(builder.zext(stored, word), sixteen), kind(ir.FloatType()))


def _to_float32(typing_context: Any, number: Any) -> Any:
    """Make a float32 of a number of a matrix as it is stored."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return as_float32(builder, arguments[0])

    return types.float32(number), code


def _power_of_two(typing_context: Any, exponent: Any) -> Any:
    """Make the float32 that is two to a whole number from -126 to 127."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = builder.add(arguments[0], ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(word, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

    return types.float32(types.int32), code


def _prefetch(typing_context: Any, w: Any, at: Any) -> Any:
    """Have a line brought from memory that will be read soon."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        fetch(builder, pointer(context, builder, signature, arguments, 0, arguments[1], ir.IntType(8)))
        return context.get_dummy_value()

    return types.void(w, types.intp), code


def _load_acquire(typing_context: Any, progress: Any, piece: Any) -> Any:
    """Read how many steps a piece has told of; what it wrote before that is there."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.int64(progress, types.intp), code


def _store_release(typing_context: Any, progress: Any, piece: Any, steps: Any) -> Any:
    """Tell the others that a piece has taken so many steps, once all is there that it wrote."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(progress, types.intp, types.int64), code


to_float32: Any = intrinsic(_to_float32)
power_of_two: Any = intrinsic(_power_of_two)
prefetch: Any = intrinsic(_prefetch)
load_acquire: Any = intrinsic(_load_acquire)
store_release: Any = intrinsic(_store_release)
