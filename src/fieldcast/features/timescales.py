"""The eight timescales of a study, out of daily bars.

    1d  2d  3d  5d          bars of so many sessions, fixed on the calendar        `data.resample.to_sessions`
    1w  2w  1mo             Monday to Sunday, two such weeks, calendar months
    1d+multi                daily bars whose features are joined by those of 1w and 1mo (`multi_timeframe`)

A bar is given once its span is over and is known when the last of its rows was: cutting the rows off at any moment gives the
same bars up to there. Fortnights are counted from the Monday of 1970-01-05, months are those of the session's date. Where a
session of the span has no row the bar carries `missing_session`; where one of its volumes is unknown, the sum is.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fieldcast.features._compute import compute
from fieldcast.features.multi_timeframe import SET31, join_timeframes
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import BARS, STAMP, add_reason, conform, sessions

MULTI = "1d+multi"
SESSIONS = {"2d": 2, "3d": 3, "5d": 5}
TIMESCALES = ("1d", *SESSIONS, "1w", "2w", "1mo", MULTI)
JOINED = ("1w", "1mo")
_MONDAY, _FORTNIGHT = 4, 14  # 1970-01-05; days


def at_timescale(daily: pl.DataFrame, timescale: str, calendar: str) -> pl.DataFrame:
    """Bars of a timescale (of `1d+multi` the daily ones).

    Parameters
    ----------
    daily : schema `market.BARS`, one instrument, ascending, `ts` the close of a session of `calendar`

    Raises
    ------
    InvalidInput : no such timescale, several instruments, or rows on no session
    """
    from fieldcast.data.resample import to_sessions, to_weeks  # brings the store with it

    if timescale not in TIMESCALES:
        raise InvalidInput(f"expected a timescale out of {', '.join(TIMESCALES)}, found {timescale!r}")
    bars = conform(daily, BARS)
    if bars["instrument"].n_unique() > 1:
        raise InvalidInput(f"expected bars of one instrument, found {bars['instrument'].n_unique()}; call once for each")
    if timescale in ("1d", MULTI):
        return bars
    if timescale in SESSIONS:
        return to_sessions(bars, calendar, SESSIONS[timescale]).bars
    if timescale == "1w":
        return to_weeks(bars, calendar).bars
    day = pl.col("session").to_physical().cast(pl.Int64)
    month = pl.col("session").dt.year().cast(pl.Int64) * 12 + pl.col("session").dt.month()
    span = (day - _MONDAY) // _FORTNIGHT if timescale == "2w" else month
    return _spans(bars, calendar, span)


def features_at(daily: pl.DataFrame, timescale: str, calendar: str, blocks: Sequence[str] = SET31) -> pl.DataFrame:
    """The columns of `blocks` at a timescale, one row for each of its bars: `ts` and the columns.

    At `1d+multi` the columns of the weeks and months stand beside the daily ones as `1w.<column>` and `1mo.<column>`, each from
    the moment its bar was over.
    """
    bars = at_timescale(daily, timescale, calendar)
    own = compute(bars, blocks)
    if timescale != MULTI:
        return own
    higher = {name: at_timescale(daily, name, calendar) for name in JOINED}
    joined = join_timeframes(bars, higher, blocks)
    return own.hstack(joined.drop("ts", *(f"{name}.bar_ts" for name in JOINED)))


def _spans(bars: pl.DataFrame, calendar: str, span: pl.Expr) -> pl.DataFrame:
    """Bars of groups of sessions that share `span`, of those groups whose last session has ended by the newest row."""
    table = sessions(calendar).select("session", "close").with_columns(span=span, close=pl.col("close").cast(STAMP))
    held = table.group_by("span").agg(due=pl.len(), last=pl.col("close").max())
    rows = bars.join(table, left_on="ts", right_on="close", how="left", maintain_order="left")
    strange = rows["span"].null_count()
    if strange:
        raise InvalidInput(f"expected every bar at a close of {calendar}, found {strange} elsewhere; align the bars first")
    groups = rows.join(held, on="span", how="left", maintain_order="left").group_by("span", maintain_order=True)
    newest = bars["ts"].max()

    def whole(name: str, value: pl.Expr) -> pl.Expr:
        return pl.when(pl.col(name).null_count() == 0).then(value).alias(name)

    made = groups.agg(
        pl.col("instrument").first(), pl.col("last").first().alias("ts"), pl.col("available_at").max(), pl.col("open").first(),
        whole("high", pl.col("high").max()), whole("low", pl.col("low").min()), pl.col("close").last(),
        whole("volume", pl.col("volume").sum()),
        pl.col("reasons").drop_nulls().str.split(",").explode().unique().sort().str.join(","),
        found=pl.len(), due=pl.col("due").first(),
    ).filter(pl.col("ts") <= newest)  # fmt: skip
    made = made.with_columns(pl.max_horizontal("available_at", "ts"), pl.when(pl.col("reasons") != "").then(pl.col("reasons")))
    return conform(made.with_columns(add_reason(str(Reason.MISSING_SESSION), pl.col("found") < pl.col("due"))), BARS)


def timescale_counts(daily: pl.DataFrame, calendar: str) -> dict[str, int]:
    """Bars that these rows give at each timescale."""
    return {name: at_timescale(daily, name, calendar).height for name in TIMESCALES}
