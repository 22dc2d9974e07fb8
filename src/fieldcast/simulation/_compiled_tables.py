"""Tables that a kernel takes by one address.

    class Bars(Tables, ts=Table(np.int64, 1, writeable=False), open=Table(np.float64, 2, writeable=False)):
        ts: NDArray[np.int64]
        open: NDArray[np.float64]

Python reads `bars.ts` as an array, and so does a kernel that is handed `bars`: it finds the table's place and shape in a
directory of 64-bit words, whose address is all that a call carries. A tuple of as many arrays is copied whole at each call
(some 170 words for the venue's), which was most of the time of a fill and of the compilation. The directory of an object never
changes, so what has been read from it once is kept; the tables themselves can be written to.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

WORD = ir.IntType(64)


@dataclass(frozen=True)
class Table:
    """What is known of a table before a run: rows vary, and so do columns unless their number is given.

    Parameters
    ----------
    dtype, dimensions : of the array, which lies in one piece, row by row
    columns : length of its last dimension, where that is the same for all runs
    writeable : False where no kernel may change it
    """

    dtype: type[np.generic]
    dimensions: int = 2
    columns: int | None = None
    writeable: bool = True

    def wrong(self, array: NDArray[Any]) -> bool:
        """True for an array that is not such a table."""
        shaped = array.ndim == self.dimensions and (self.columns is None or array.shape[-1] == self.columns)
        return not (shaped and array.dtype == self.dtype and array.flags.c_contiguous)

    @property
    def compiled(self) -> types.Array:
        """The type that a kernel sees."""
        return types.Array(from_dtype(np.dtype(self.dtype)), self.dimensions, "C", readonly=not self.writeable)


class Tables:
    """Base of a set of tables; a subclass names them as keywords of its class statement, in any order.

    Raises
    ------
    ValueError : a table is missing, or an array is of another type or shape than was said, or not in one piece
    """

    layout: ClassVar[dict[str, Table]]
    _numba_type_: ClassVar[TablesType]

    def __init_subclass__(cls, **layout: Table) -> None:
        cls.layout = layout
        cls._numba_type_ = TablesType(cls)

    def __init__(self, **arrays: NDArray[Any]) -> None:
        if arrays.keys() != self.layout.keys():
            raise ValueError(f"expected the tables {', '.join(self.layout)}, found {', '.join(arrays)}")
        words: list[int] = []
        for name, table in self.layout.items():
            array = arrays[name]
            if table.wrong(array):
                raise ValueError(f"expected {name} as {table} in one piece, found {array.dtype} of shape {array.shape}")
            words += (array.ctypes.data, *array.shape)
            setattr(self, name, array)
        self._directory = np.array(words, dtype=np.int64)
        self.address = self._directory.ctypes.data

    def with_tables(self, **arrays: NDArray[Any]) -> Any:
        """The same tables but for these."""
        return type(self)(**{name: arrays.get(name, getattr(self, name)) for name in self.layout})


class TablesType(types.Type):
    """The compiled type of a subclass of `Tables`: the address of its directory."""

    def __init__(self, kind: type[Tables]) -> None:
        self.kind = kind
        super().__init__(name=f"{kind.__module__}.{kind.__qualname__}")


@register_model(TablesType)
class _TablesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: TablesType) -> None:
        super().__init__(manager, kind, WORD)


@typeof_impl.register(Tables)
def _type_of(value: Tables, context: Any) -> TablesType:
    return value._numba_type_


@unbox(TablesType)
def _address_of(kind: TablesType, value: Any, c: Any) -> NativeValue:
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(address, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@infer_getattr
class _TableOf(AttributeTemplate):
    key = TablesType

    def generic_resolve(self, kind: Any, name: Any) -> Any:  # type: ignore[override]
        table = kind.kind.layout.get(name)
        return None if table is None else table.compiled


@lower_getattr_generic(TablesType)
def _lower_table(context: Any, builder: Any, kind: TablesType, address: Any, name: str) -> Any:
    """An array over the memory that the directory names for this table."""
    layout = kind.kind.layout
    at = sum(1 + layout[before].dimensions for before in list(layout)[: list(layout).index(name)])
    table = layout[name]
    directory = builder.inttoptr(address, WORD.as_pointer())

    def word(place: int) -> Any:
        value = builder.load(builder.gep(directory, [WORD(at + place)]))
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value

    size = np.dtype(table.dtype).itemsize
    shape = [word(1 + dimension) for dimension in range(table.dimensions)]
    if table.columns is not None:
        shape[-1] = WORD(table.columns)
    strides = [WORD(size)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(length, strides[0]))
    array = make_array(table.compiled)(context, builder)
    data = builder.inttoptr(word(0), array.data.type)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return array._getvalue()


def _fetch(typing_context: Any, table: Any, at: Any) -> Any:
    """Have the processor bring the memory of number `at` of a table (counted through its rows) near before it is read.

    Nothing is read, so `at` may lie beyond the end.
    """

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(hint, [place, number(0), number(3), number(1)])  # to read, kept near, data
        return context.get_dummy_value()

    return types.void(table, types.int64), lower


fetch: Any = intrinsic(_fetch)
