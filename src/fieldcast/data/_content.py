"""SHA-256 over canonical column values: equal exactly when two tables hold the same values, however they are stored."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from fieldcast.market import DAILY, Table, table_of


def content_sha256(rows: pl.DataFrame, table: Table | None = None) -> str:
    """Hash of rows of a table (none = daily bars), independent of row order and of the file format.

    Each column enters as its name, its null mask and its values: times as int64 microseconds, numbers as little-endian
    float64 or int64 with nulls as 0 and -0.0 as 0.0, text as length-prefixed UTF-8.
    """
    table = table or table_of(DAILY)
    rows = rows.select(list(table.schema)).sort(table.version_key)
    state = hashlib.sha256(f"{table.kind}/1 {rows.height}".encode())
    for name, dtype in table.schema.items():
        column = rows[name]
        state.update(f"|{name}|".encode())
        state.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if dtype == pl.Float64:
            values = column.fill_null(0.0).to_numpy() + 0.0
            state.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
        elif dtype == pl.String:
            texts = column.fill_null("")
            lengths = texts.str.len_bytes().cast(pl.Int64).to_numpy()
            state.update(np.ascontiguousarray(lengths, dtype="<i8").tobytes())
            state.update("".join(texts.to_list()).encode())
        elif dtype in (pl.Int64, pl.Boolean):
            state.update(np.ascontiguousarray(column.cast(pl.Int64).fill_null(0).to_numpy(), dtype="<i8").tobytes())
        else:
            micros = column.dt.timestamp("us").fill_null(0).to_numpy()
            state.update(np.ascontiguousarray(micros, dtype="<i8").tobytes())
    return state.hexdigest()
