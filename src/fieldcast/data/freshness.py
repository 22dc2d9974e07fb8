"""How far a series lags behind what its calendar says should be there, and what that leaves of a position.

A wall clock cannot tell: on a Monday morning an equity's newest bar is sixty hours old and as fresh as can be. So a series is
late by the sessions (and, for minute bars, by the trading minutes) that its own calendar has had since its newest row.

    late by                                                            multiplier
    nothing, or less than the hole allowed on its calendar             1
    more than that, up to one whole session                            0.25
    two sessions or more                                               0

0.25 for data more than a day old, and 0 for data that failed, are the multipliers of mini-quant-fund (reference 2.7); one session
stands for its 24 hours. Two sessions are where the quality score of this package falls below its threshold. The hole that is
allowed is that of `data.gaps`: 5 bars where sessions pause, 60 minutes for crypto and FX.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fieldcast.data.gaps import HOLE_BARS, HOLE_MINUTES
from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.market import DAILY, Instrument, Kind, segments, sessions, table_of

FRESH, LATE, LOST = 1.0, 0.25, 0.0
_STEP = {"1s": 1 / 60, "1m": 1.0, "5m": 5.0, "15m": 15.0, "30m": 30.0, "1h": 60.0}


@dataclass(frozen=True)
class Freshness:
    """How late a series is at a moment.

    Parameters
    ----------
    newest : ts of its newest row; none = there is no row
    sessions_late : whole sessions, over by then, of which nothing is there
    minutes_late : trading minutes since the newest row, for intraday tables (0 for others)
    multiplier : 1, 0.25 or 0
    """

    instrument: str
    table: str
    as_of: datetime
    newest: datetime | None
    sessions_late: int
    minutes_late: float
    multiplier: float

    @property
    def reasons(self) -> tuple[Reason, ...]:
        if self.newest is None:
            return (Reason.NO_DATA,)
        return (Reason.STALE,) if self.multiplier < FRESH else ()


def freshness(newest: datetime | None, instrument: Instrument, as_of: datetime, table: str = DAILY) -> Freshness:
    """Judge a series by its newest row.

    Parameters
    ----------
    newest : ts (end) of the newest row that was known at `as_of`; none = there is none

    Raises
    ------
    InvalidInput : the newest row is later than `as_of`, or the table has no regular rows
    """
    as_of, kind = utc(as_of), table_of(table)
    if kind.kind not in ("bars", "quote_bars", "chains", "open_interest", "short_volume", "trades", "quotes", "depth"):
        raise InvalidInput(f"expected a table with rows in every session, found {table}, whose rows come when they come")
    if newest is None:
        return Freshness(instrument.id, table, as_of, None, 0, 0.0, LOST)
    newest = utc(newest)
    if newest > as_of:
        raise InvalidInput(f"expected rows known at {as_of.isoformat()}, found one of {newest.isoformat()}; read as of then")
    daily = kind.interval in (None, "1d") and kind.kind not in ("trades", "quotes", "depth")
    due = sessions(instrument.calendar).filter(pl.col("as_of") <= as_of)
    late = due.filter(pl.col("close") > newest if daily else pl.col("open") >= newest).height
    minutes = 0.0 if daily else _trading_minutes(instrument.calendar, newest, as_of)
    multiplier = _multiplier(late, minutes, instrument, kind.interval, daily)
    return Freshness(instrument.id, table, as_of, newest, late, minutes, multiplier)


def _multiplier(late: int, minutes: float, instrument: Instrument, interval: str | None, daily: bool) -> float:
    if late >= 2:
        return LOST
    if late == 1:
        return LATE
    if daily:
        return FRESH
    if instrument.kind in (Kind.CRYPTO, Kind.FX):
        allowed = float(HOLE_MINUTES)
    else:
        allowed = HOLE_BARS * _STEP.get(interval or "1m", 1.0)
    step = _STEP.get(interval or "1m", 1.0)  # the bar that is being formed cannot be there yet
    return FRESH if minutes < allowed + step else LATE


def _trading_minutes(calendar: str, first: datetime, last: datetime) -> float:
    """Minutes of trading between two moments."""
    spans = segments(calendar).filter((pl.col("end") > first) & (pl.col("start") < last))
    stretch = pl.min_horizontal(pl.col("end"), pl.lit(last)) - pl.max_horizontal(pl.col("start"), pl.lit(first))
    return float(spans.select(stretch.dt.total_seconds().sum()).item()) / 60.0
