"""SHA-256 over canonical column values: equal exactly when two tables hold the same values, however they are stored."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from fieldcast.market import BAR_KEY, BARS


def content_sha256(bars: pl.DataFrame) -> str:
    """Hash of a table of bars, in key order, independent of row order and of the file format.

    Each column enters as its name, its null mask and its values: times as int64 microseconds, prices as little-endian
    float64 with nulls as 0 and -0.0 as 0.0, text as length-prefixed UTF-8.
    """
    rows = bars.select(list(BARS)).sort(BAR_KEY)
    state = hashlib.sha256(f"bars/1 {rows.height}".encode())
    for name, dtype in BARS.items():
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
        else:
            micros = column.dt.timestamp("us").fill_null(0).to_numpy()
            state.update(np.ascontiguousarray(micros, dtype="<i8").tobytes())
    return state.hexdigest()
