"""Rows out of the store's files."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fieldcast.data._objects import Files
from fieldcast.ground import IntegrityError
from fieldcast.market import Table


def read_rows(
    files: Files, paths: Sequence[str], table: Table, where: pl.Expr | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows of the files that fulfil a condition, in the order of the paths and of the rows in them.

    Raises
    ------
    FileNotFoundError : a file was replaced by a newer generation meanwhile
    IntegrityError : a file cannot be read
    """
    wanted = list(table.schema if columns is None else columns)
    if not paths:
        return table.empty().select(wanted)
    try:
        sources = [files.source(path) for path in paths]
        frame = pl.scan_parquet(sources[0] if len(sources) == 1 else sources, glob=False)  # type: ignore[arg-type]
        if where is not None:
            frame = frame.filter(where)
        rows = frame.collect() if columns is None else frame.select(wanted).collect()
        return rows if rows.columns == wanted else rows.select(wanted)
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise IntegrityError(f"expected readable files, found {error}; `verify` names the damaged one") from None
