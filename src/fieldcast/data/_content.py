"""SHA-256 over canonical column values: equal exactly when two tables hold the same values, however they are stored."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data._order import is_ascending
from fieldcast.market import DAILY, Table, table_of

_NO_NULLS, _MASK, _ONCE, _EACH = b"\0", b"\1", b"\2", b"\3"


def content_sha256(rows: pl.DataFrame, table: Table | None = None, *, ascending: bool = False) -> str:
    """Hash of rows of a table (none = daily bars), independent of row order and of the file format.

    Each column enters as its name, its null mask (one byte where there are no nulls) and its values: times as int64
    microseconds, `available_at` as its distance from `ts`, numbers as little-endian float64 or int64 with nulls as 0 and -0.0 as
    0.0, text as lengths and UTF-8. A text column or a distance that is the same on every row enters once, behind a mark of its
    own: hashing is what a write waits for, and an id a million times over says no more than once.

    `ascending` : the rows are known to be in the order of their versions
    """
    table = table or table_of(DAILY)
    if not ascending and not is_ascending(rows):
        rows = rows.sort(table.version_key)
    state = hashlib.sha256(f"{table.kind}/2 {rows.height}".encode())
    for name, dtype in table.schema.items():
        column = rows[name]
        state.update(f"|{name}|".encode())
        state.update(_MASK + np.packbits(column.is_null().to_numpy()).tobytes() if column.null_count() else _NO_NULLS)
        if dtype == pl.String:
            _add_text(state, column)
        elif name == "available_at":
            _add_distance(state, _numbers(column, dtype) - _numbers(rows["ts"], dtype))
        else:
            state.update(_numbers(column, dtype).data)
    return state.hexdigest()


def _numbers(column: pl.Series, dtype: pl.DataType) -> np.ndarray[Any, Any]:
    """Eight bytes a row, without a copy where the values allow it."""
    if dtype == pl.Float64:
        values = (column.fill_null(0.0) if column.null_count() else column).to_numpy()
        if not values.all():  # a zero may be a negative one
            values = values + 0.0
        return np.ascontiguousarray(values, dtype="<f8")
    physical = column.cast(pl.Int64)
    return np.ascontiguousarray((physical.fill_null(0) if column.null_count() else physical).to_numpy(), dtype="<i8")


def _add_distance(state: Any, distance: np.ndarray[Any, Any]) -> None:
    """How long after each event its row was known: once where it is always the same."""
    if distance.size and bool((distance == distance[0]).all()):
        state.update(_ONCE + distance[:1].tobytes())
    else:
        state.update(_EACH)
        state.update(distance.data)


def _add_text(state: Any, column: pl.Series) -> None:
    """The lengths of all texts, then all texts; a text that every row has, once."""
    count = column.len()
    if column.null_count() == count:
        return  # the mask says all
    if column.null_count() == 0 and bool((column == column[0]).all()):
        text = str(column[0]).encode()
        state.update(_ONCE + len(text).to_bytes(8, "little") + text)
    else:
        import pyarrow as pa

        state.update(_EACH)
        texts = (column.fill_null("") if column.null_count() else column).to_arrow().cast(pa.large_string())
        _, places, data = texts.buffers()  # the texts stand one behind the other, from each place to the next
        offsets = np.frombuffer(places, dtype="<i8")[texts.offset : texts.offset + count + 1]
        state.update(np.diff(offsets).data)
        if data is not None:
            state.update(memoryview(data)[offsets[0] : offsets[-1]])
