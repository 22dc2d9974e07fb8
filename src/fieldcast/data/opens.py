"""Opens that are copies of the previous close.

Some index histories carry no opening print: the vendor filled the open with the previous close. In such a year no fill
and no feature may use the open. The rule, on every import and for each calendar year:

    share of sessions with |open / previous close - 1| < 1 bp   above 20 %   →   reason `open_synthetic` on all its rows

Only sessions that begin after a pause are compared: where trading never stops the open is the previous close by nature.
"""

from __future__ import annotations

import polars as pl

from fieldcast.ground import Reason
from fieldcast.market import BARS, add_reason, sessions

TOLERANCE = 1e-4
SHARE = 0.20
FEWEST = 20  # compared sessions below which a year is not judged


def flag_synthetic_opens(bars: pl.DataFrame, calendar: str, history: pl.DataFrame | None = None) -> pl.DataFrame:
    """`bars` of one instrument, ascending, with `open_synthetic` on every row of a year that breaks the rule.

    Parameters
    ----------
    history : rows of the same instrument that are known already; they help to judge a year and are not returned
    """
    together = bars if history is None else pl.concat([history.filter(~pl.col("ts").is_in(bars["ts"].implode())), bars])
    years = synthetic_years(together, calendar)
    return bars.with_columns(add_reason(Reason.OPEN_SYNTHETIC, pl.col("ts").dt.year().is_in(years))).select(list(BARS))


def synthetic_years(bars: pl.DataFrame, calendar: str) -> list[int]:
    """Calendar years whose opens break the rule, ascending."""
    table = open_copies(bars, calendar)
    return table.filter((pl.col("compared") >= FEWEST) & (pl.col("share") > SHARE))["year"].to_list()


def open_copies(bars: pl.DataFrame, calendar: str) -> pl.DataFrame:
    """By calendar year: `compared` sessions, and the `share` whose open is within 1 bp of the previous close."""
    begins = sessions(calendar).select(ts="close", paused=pl.col("open") > pl.col("close").shift(1))
    return (
        bars.sort("ts")
        .with_columns(previous=pl.col("close").shift(1))
        .join(begins, on="ts", how="left")
        .filter(pl.col("paused") & pl.col("open").is_not_null() & pl.col("previous").is_not_null())
        .group_by(year=pl.col("ts").dt.year())
        .agg(
            compared=pl.len(),
            share=((pl.col("open") / pl.col("previous") - 1).abs() < TOLERANCE).mean(),
        )
        .sort("year")
    )
