"""Macroeconomic series by vintage: what was known of them at a moment.

A value is revised after it is first published. Each version of a row of table `macro` has its own `available_at`; a query as of a
moment returns, for each period, the last version that was out by then: before a revision the first print. The newest period
known is the one with the latest end, whatever older periods were revised in the meantime.

Where a series has only its latest revisions (rows with reason `latest_vintage`) the first prints are not in the store, and
`require_vintages` refuses them rather than pass them off as what was known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from fieldcast.data._merge import known_at
from fieldcast.data.store import Store
from fieldcast.ground import InvalidInput, MissingData, Reason, utc
from fieldcast.market import STAMP, has_reason
from fieldcast.market.tables import MACRO

LATEST = {"as_of": STAMP, "ts": STAMP, "value": pl.Float64(), "available_at": STAMP}


def read_macro(
    store: Store, series: str, as_of: datetime, *, dataset: str | None = None, require_vintages: bool = False
) -> pl.DataFrame:
    """A series as it stood at `as_of`: one row a period, ascending.

    Parameters
    ----------
    series : id, such as `FRED:GDP`
    require_vintages : refuse values that are the newest revision and not what was published then

    Returns
    -------
    schema of `macro`; empty where nothing was out yet

    Raises
    ------
    MissingData : the store has no such series, or only its latest revisions
    """
    rows = store.read(series, table=MACRO.name, as_of=utc(as_of), dataset=dataset)
    if require_vintages and rows.select(has_reason(Reason.LATEST_VINTAGE).any()).item():
        raise MissingData(
            f"expected vintages of {series}, found its latest revisions alone; import a file of ALFRED (alfred-vintages)"
        )
    return rows


def panel(store: Store, series: Sequence[str], as_of: datetime, *, dataset: str | None = None) -> pl.DataFrame:
    """The newest known value of several series at `as_of`.

    Returns
    -------
    a row a series that had a value, in the order asked for: `instrument, ts, value, unit, available_at, age_days, reasons`
    """
    moment = utc(as_of)
    newest = [read_macro(store, name, moment, dataset=dataset).tail(1) for name in series]
    age = (pl.lit(moment).cast(STAMP) - pl.col("ts")).dt.total_seconds() / 86_400
    rows = pl.concat([MACRO.empty(), *newest]).with_columns(age_days=age)
    return rows.select("instrument", "ts", "value", "unit", "available_at", "age_days", "reasons")


def known_versions(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Of all versions of rows of `macro` those that counted at `as_of`, one a series and period."""
    return known_at(rows, as_of, MACRO)


def first_prints(rows: pl.DataFrame) -> pl.DataFrame:
    """Of all versions the first of each period: what a reader saw on the day."""
    return rows.sort(MACRO.version_key).unique(list(MACRO.key), keep="first", maintain_order=True)


def revisions(rows: pl.DataFrame) -> pl.DataFrame:
    """Each change of a value after its first print.

    Returns
    -------
    `instrument, ts, available_at` (of the new value), `before`, `after`, `change`; ascending
    """
    before = pl.col("value").shift(1).over(list(MACRO.key))
    changed = rows.sort(MACRO.version_key).with_columns(before=before).filter(pl.col("before").is_not_null())
    changed = changed.filter(pl.col("before") != pl.col("value"))
    return changed.select("instrument", "ts", "available_at", "before", pl.col("value").alias("after")).with_columns(
        change=pl.col("after") - pl.col("before")
    )


def latest_at(rows: pl.DataFrame, moments: pl.Series) -> pl.DataFrame:
    """The newest known value of one series at each of many moments: the column of a feature table.

    Parameters
    ----------
    rows : every version of one series, schema of `macro`
    moments : (n,) UTC decision times

    Returns
    -------
    (n,) schema `LATEST` in the order of `moments`; null where nothing was out

    Raises
    ------
    InvalidInput : rows of several series
    """
    if rows["instrument"].n_unique() > 1:
        raise InvalidInput(f"expected one series, found {', '.join(rows['instrument'].unique().sort())}")
    asked = pl.DataFrame({"as_of": moments.cast(STAMP)}).with_row_index("place")
    # a version of a period that is older than one already out does not change the newest period
    steps = rows.sort("available_at", "ts").filter(pl.col("ts") >= pl.col("ts").cum_max())
    steps = steps.select("available_at", "ts", "value").unique("available_at", keep="last", maintain_order=True)
    found = asked.sort("as_of").join_asof(
        steps.with_columns(known=pl.col("available_at")), left_on="as_of", right_on="known", strategy="backward"
    )
    return found.sort("place").select(pl.col(name).cast(dtype) for name, dtype in LATEST.items())
