"""Eight bytes of an array at once, for kernels that read text or bits; no bound is checked here, the callers do."""

# mypy: allow-untyped-decorators, disable-error-code="call-arg,import-untyped,no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WORD, _PAIR = ir.IntType(64), ir.IntType(16)


def _place(context: Any, builder: Any, kind: Any, array: Any, offset: Any, width: Any) -> Any:
    base = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(cgutils.gep_inbounds(builder, base, offset), ir.PointerType(width))


@intrinsic
def load_word(context: Any, array: Any, offset: Any) -> Any:
    """The bytes `offset` to `offset + 7` of a contiguous byte array as one number, the first byte lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_place(context, builder, signature.args[0], arguments[0], arguments[1], _WORD))
        loaded.align = 1
        return loaded

    return types.uint64(array, types.int64), generate


@intrinsic
def store_word(context: Any, array: Any, offset: Any, word: Any) -> Any:
    """A number as the bytes `offset` to `offset + 7` of a contiguous byte array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[2], _place(context, builder, signature.args[0], arguments[0], arguments[1], _WORD))
        stored.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


@intrinsic
def store_pair(context: Any, array: Any, offset: Any, word: Any) -> Any:
    """The two lowest bytes of a number as the bytes `offset` and `offset + 1` of a contiguous byte array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pair = builder.trunc(arguments[2], _PAIR)
        stored = builder.store(pair, _place(context, builder, signature.args[0], arguments[0], arguments[1], _PAIR))
        stored.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


@intrinsic
def trailing_zeros(context: Any, word: Any) -> Any:
    """How many of the lowest bits are 0; 64 of a zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate
