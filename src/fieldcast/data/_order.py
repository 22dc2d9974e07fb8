"""Whether rows stand in the order of their key already, so that what is sorted is not sorted again."""

from __future__ import annotations

import polars as pl


def is_ascending(rows: pl.DataFrame) -> bool:
    """True where (instrument, ts) rises strictly from row to row: then rows are sorted, and each is a key of its own.

    False says nothing: several rows of one moment may still be in order.
    """
    if rows.height < 2:
        return True
    names, stamps = rows["instrument"], rows["ts"].cast(pl.Int64)
    if names.null_count() or stamps.null_count():
        return False
    later = stamps.slice(1) > stamps.slice(0, rows.height - 1)
    if bool(later.all()) and bool((names == names[0]).all()):  # one instrument
        return True
    before, after = names.slice(0, rows.height - 1), names.slice(1)
    return bool(((after > before) | ((after == before) & later)).all())
