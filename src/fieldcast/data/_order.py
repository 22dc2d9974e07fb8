"""Whether rows stand in the order of their key already, so that what is sorted is not sorted again.

Columns are looked at piece by piece, as they lie in memory: nothing is copied to find out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

Places = np.ndarray[Any, np.dtype[np.int64]]


def run_starts(column: pl.Series) -> Places:
    """Where the value differs from the one before it; a null is a value. The first row is such a place.

    Returns
    -------
    (k,) places, ascending; empty for an empty column
    """
    found: list[Places] = []
    at, before = 0, None
    for piece in column.get_chunks():
        count = piece.len()
        if count == 0:
            continue
        if at == 0 or piece[0] != before:
            found.append(np.array([at], dtype=np.int64))
        later, earlier = piece.slice(1), piece.slice(0, count - 1)
        changed = later.ne_missing(earlier) if piece.null_count() else later != earlier
        if changed.any():
            found.append(changed.arg_true().to_numpy().astype(np.int64) + at + 1)
        at, before = at + count, piece[-1]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def rises(stamps: pl.Series, starts: Places | None = None) -> bool:
    """True where there is no null and every value is above the one before it, but for those at `starts`."""
    if stamps.null_count():
        return False
    values = stamps.cast(pl.Int64).to_numpy()
    above = values[1:] > values[:-1]
    if starts is not None:
        above[starts[starts > 0] - 1] = True
    return bool(above.all())


def is_ascending(rows: pl.DataFrame, starts: Places | None = None) -> bool:
    """True where (instrument, ts) rises strictly from row to row: then rows are sorted, and each is a key of its own.

    False says nothing: several rows of one moment may still be in order.

    Parameters
    ----------
    starts : where the instrument changes (see `run_starts`), where that is known already
    """
    if rows.height < 2:
        return True
    names = rows["instrument"]
    if names.null_count():
        return False
    if starts is None:
        starts = run_starts(names)
    if not rises(rows["ts"], starts):
        return False
    firsts = names.gather(starts)
    return bool((firsts.slice(1) > firsts.slice(0, firsts.len() - 1)).all())
