"""Gap checks on each instrument's own calendar.

Daily bars: every session between the first and the last row must have one. Minute bars: every step of every session
must have one, `ts` being the bar's end; a half-day has fewer steps. A hole is a run of missing bars. It ends with its
session, except where trading goes on without a pause (a calendar such as 24/7). Limits:

- daily: no missing session;
- minutes, where sessions pause (equities, ETFs, indices): no hole above 5 bars within a session;
- minutes, crypto and FX: no hole above 60 minutes.

Completeness is the share of expected bars that are there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import STAMP, Instrument, Kind, sessions

HOLE_BARS = 5
HOLE_MINUTES = 60
_YEAR = timedelta(days=365)
_TIMEFRAME = re.compile(r"(1d)|([1-9]\d?)m")

GAPS: dict[str, pl.DataType] = {
    "first": STAMP,  # ts of the first missing bar
    "last": STAMP,  # ts of the last missing bar
    "bars": pl.Int64(),
    "minutes": pl.Int64(),  # trading time that is missing
    "breach": pl.Boolean(),  # above the limit
}


@dataclass(frozen=True)
class GapReport:
    """What is missing between the first and the last row.

    Parameters
    ----------
    expected, present : bars
    outside : rows that stand on no expected time (before or after hours, or on no session); not counted as present
    sessions, half_days : of the span; a half-day is shorter than the calendar's usual session
    gaps : schema `GAPS`, ascending
    limit : what was applied, in words
    """

    instrument: str
    timeframe: str
    calendar: str
    expected: int
    present: int
    outside: int
    sessions: int
    half_days: int
    gaps: pl.DataFrame
    limit: str

    @property
    def completeness(self) -> float:
        """Percentage of expected bars that are there, 0 to 100."""
        return 100.0 * self.present / self.expected

    @property
    def ok(self) -> bool:
        """True where no hole is above the limit."""
        return not self.gaps["breach"].any()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        if self.gaps.is_empty():
            return ()
        return (Reason.MISSING_SESSION,) if self.timeframe == "1d" else (Reason.MISSING_BARS,)


def gap_report(bars: pl.DataFrame, instrument: Instrument, timeframe: str = "1d") -> GapReport:
    """Compare the times of `bars` with the calendar of the instrument.

    Parameters
    ----------
    bars : one instrument; only `ts`, the bar's end in UTC, is used
    timeframe : `1d`, or minutes such as `1m` and `5m`

    Raises
    ------
    InvalidInput : an unknown timeframe
    MissingData : there are no rows, or none on an expected time
    """
    if not _TIMEFRAME.fullmatch(timeframe):
        raise InvalidInput(f"expected a timeframe such as 1d, 1m or 5m, found {timeframe!r}")
    if bars.is_empty():
        raise MissingData(f"expected rows of {instrument.id} to check for gaps, found none")
    stamps = bars.select(pl.col("ts").cast(STAMP)).unique().sort("ts")
    span = _span(stamps, instrument)
    expected = (
        span.select(ts="close", minutes=_length(), run=pl.lit(0, dtype=pl.UInt32))
        if timeframe == "1d"
        else _grid(span, timeframe)
    )
    expected = expected.filter(pl.col("ts").is_between(stamps["ts"][0], stamps["ts"][-1]))
    here = expected["ts"].is_in(stamps["ts"].implode())
    if not here.any():
        raise MissingData(f"expected rows of {instrument.id} on times of {instrument.calendar}, found none")
    limit_bars, limit_minutes, words = _limit(instrument, timeframe)
    present = int(here.sum())
    return GapReport(
        instrument=instrument.id,
        timeframe=timeframe,
        calendar=instrument.calendar,
        expected=expected.height,
        present=present,
        outside=stamps.height - present,
        sessions=span.height,
        half_days=span.filter(_length() < pl.col("usual")).height,
        gaps=_holes(expected.with_columns(here=here)).with_columns(
            breach=(pl.col("bars") > limit_bars) | (pl.col("minutes") > limit_minutes)
        ),
        limit=words,
    )


def _length() -> pl.Expr:
    """Minutes from open to close."""
    return (pl.col("close") - pl.col("open")).dt.total_minutes()


def _span(stamps: pl.DataFrame, instrument: Instrument) -> pl.DataFrame:
    """Sessions that the rows touch or span, the run without a pause to which each belongs, and the usual length.

    Usual is the median of the year on either side, so that a half-day is known as one even alone.
    """
    first, last = stamps["ts"][0], stamps["ts"][-1]
    around = sessions(instrument.calendar).filter(pl.col("close").is_between(first - _YEAR, last + _YEAR))
    table = around.with_columns(usual=_length().median())
    table = table.filter((pl.col("close") >= first) & (pl.col("open") <= last))
    pause = (pl.col("open") > pl.col("close").shift(1)).fill_null(value=False)
    return table.with_columns(run=pause.cum_sum())


def _grid(span: pl.DataFrame, timeframe: str) -> pl.DataFrame:
    """The end of every bar of every session: the whole steps between open and close."""
    step = int(timeframe[:-1])
    every = f"{step}m"
    return (
        span.select(
            "run",
            ts=pl.datetime_ranges(pl.col("open") + pl.duration(minutes=step), pl.col("close"), every),
        )
        .explode("ts")
        .drop_nulls("ts")
        .with_columns(minutes=pl.lit(step, dtype=pl.Int64))
    )


def _limit(instrument: Instrument, timeframe: str) -> tuple[float, float, str]:
    """Largest hole allowed in bars and in minutes, and in words."""
    if timeframe == "1d":
        return 0, np.inf, "no missing session"
    if instrument.kind in (Kind.CRYPTO, Kind.FX):
        return np.inf, HOLE_MINUTES, f"no hole above {HOLE_MINUTES} minutes"
    return HOLE_BARS, np.inf, f"no hole above {HOLE_BARS} bars within a session"


def _holes(expected: pl.DataFrame) -> pl.DataFrame:
    """Runs of expected bars that are not there."""
    changed = (pl.col("here") != pl.col("here").shift(1)) | (pl.col("run") != pl.col("run").shift(1))
    return (
        expected.sort("ts")
        .with_columns(hole=changed.fill_null(value=True).cum_sum())
        .filter(~pl.col("here"))
        .group_by("hole", maintain_order=True)
        .agg(first=pl.col("ts").first(), last=pl.col("ts").last(), bars=pl.len(), minutes=pl.col("minutes").sum())
        .drop("hole")
        .with_columns(pl.col("bars", "minutes").cast(pl.Int64))
    )
