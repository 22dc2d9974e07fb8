"""Returns month by month."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcast.simulation.report.performance import DailyReturns

SCHEMA: dict[str, pl.DataType] = {
    "year": pl.Int32(),
    "month": pl.Int8(),  # null in the row of the whole year
    "return": pl.Float64(),
    "days": pl.Int64(),
}


def monthly_table(daily: DailyReturns) -> pl.DataFrame:
    """Compounded return of each calendar month that has a day, then of each year (`month` null), and its number of days.

    The first and the last month may be cut by the span of the run: `days` shows it.
    """
    days = pl.DataFrame({"date": daily.dates, "growth": np.log1p(daily.returns)}).with_columns(
        year=pl.col("date").dt.year(), month=pl.col("date").dt.month()
    )
    grown = (pl.col("growth").sum().exp() - 1.0).alias("return")
    months = days.group_by("year", "month", maintain_order=True).agg(grown, days=pl.len())
    years = days.group_by("year", maintain_order=True).agg(grown, days=pl.len()).with_columns(month=None)
    order = list(SCHEMA)
    return pl.concat([part.select(pl.col(name).cast(SCHEMA[name]) for name in order) for part in (months, years)])
