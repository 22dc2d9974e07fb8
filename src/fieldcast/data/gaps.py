"""Gap checks on each instrument's own calendar.

Daily bars: every session between the first and the last row must have one. Minute bars: every step of every session
must have one, `ts` being the bar's end; a half-day has fewer steps, a midday break and the maintenance hour of futures have
none, and the last step of a session may be short. A hole is a run of missing bars. It ends where trading pauses; where it goes
on without a pause (a calendar such as 24/7) it may span days. Limits:

- daily: no missing session;
- minutes, where sessions pause (equities, ETFs, indices): no hole above 5 bars within a session;
- minutes, crypto and FX: no hole above 60 minutes.

Completeness is the share of expected bars that are there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import STAMP, Instrument, Kind, segments, sessions

HOLE_BARS = 5
HOLE_MINUTES = 60
_YEAR = timedelta(days=365)
_TIMEFRAME = re.compile(r"(1d)|(?:([1-9]\d{0,3})m)|(?:([1-9]\d?)h)")

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
    timeframe : `1d`, or minutes and hours such as `1m`, `5m` and `1h`, counted from the open of each session

    Raises
    ------
    InvalidInput : an unknown timeframe
    MissingData : there are no rows, or none on an expected time
    """
    step = _minutes(timeframe)
    if bars.is_empty():
        raise MissingData(f"expected rows of {instrument.id} to check for gaps, found none")
    if step is None:
        return _daily(np.unique(microseconds(bars["ts"].cast(STAMP))), instrument)
    stamps = bars.select(pl.col("ts").cast(STAMP)).unique().sort("ts")
    span = _span(stamps, instrument)
    expected = _grid(instrument, span, step).filter(pl.col("ts").is_between(stamps["ts"][0], stamps["ts"][-1]))
    here = expected["ts"].is_in(stamps["ts"].implode())
    if not here.any():
        raise _nowhere(instrument)
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


@dataclass(frozen=True)
class SessionTimes:
    """Every session of a calendar, ascending: `open`, `close`, `as_of` in microseconds since 1970; `minutes`, open to close."""

    open: NDArray[np.int64]
    close: NDArray[np.int64]
    as_of: NDArray[np.int64]
    minutes: NDArray[np.int64]


@lru_cache(maxsize=16)
def session_times(calendar: str) -> SessionTimes:
    """The sessions of a calendar as arrays: a look-up costs a search, where a frame is filtered whole."""
    table = sessions(calendar)
    opens, closes, as_of = (microseconds(table[name]) for name in ("open", "close", "as_of"))
    return SessionTimes(opens, closes, as_of, (closes - opens) // (60 * 10**6))


def microseconds(stamps: pl.Series) -> NDArray[np.int64]:
    """Stamps in microseconds since 1970; null is the lowest number there is."""
    return stamps.to_numpy().astype("datetime64[us]", copy=False).view(np.int64)


def is_close(ts: NDArray[np.int64], closes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `ts` stand among `closes`, ascending and not empty."""
    found: NDArray[np.bool_] = closes[np.minimum(np.searchsorted(closes, ts), closes.size - 1)] == ts
    return found


def _nowhere(instrument: Instrument) -> MissingData:
    return MissingData(f"expected rows of {instrument.id} on times of {instrument.calendar}, found none")


def _daily(ts: NDArray[np.int64], instrument: Instrument) -> GapReport:
    """Sorted and unique times of daily bars against the closes of the sessions; see `_span` for the usual length."""
    times = session_times(instrument.calendar)
    first, last, year = ts[0], ts[-1], _YEAR // timedelta(microseconds=1)
    begin, end = np.searchsorted(times.close, first), np.searchsorted(times.close, last, side="right")
    here = np.isin(times.close[begin:end], ts, assume_unique=True)
    if not here.any():
        raise _nowhere(instrument)
    present = int(here.sum())
    spanned = times.minutes[begin : np.searchsorted(times.open, last, side="right")]
    around = slice(np.searchsorted(times.close, first - year), np.searchsorted(times.close, last + year, side="right"))
    _, _, words = _limit(instrument, "1d")
    return GapReport(
        instrument=instrument.id,
        timeframe="1d",
        calendar=instrument.calendar,
        expected=here.size,
        present=present,
        outside=ts.size - present,
        sessions=spanned.size,
        half_days=int((spanned < np.median(times.minutes[around])).sum()),
        gaps=_missing_sessions(times, begin + np.flatnonzero(~here)),
        limit=words,
    )


def _missing_sessions(times: SessionTimes, places: NDArray[np.int64]) -> pl.DataFrame:
    """Runs of the missing sessions that stand at `places`, schema `GAPS`; each is above the limit of none."""
    if not places.size:
        return pl.DataFrame(schema=GAPS)
    begins = np.flatnonzero(np.diff(places, prepend=places[0] - 2) != 1)
    ends = np.append(begins[1:], places.size)
    return pl.DataFrame(
        {
            "first": pl.Series(times.close[places[begins]]).cast(STAMP),
            "last": pl.Series(times.close[places[ends - 1]]).cast(STAMP),
            "bars": ends - begins,
            "minutes": np.add.reduceat(times.minutes[places], begins),
            "breach": np.ones(begins.size, dtype=bool),
        },
        schema=GAPS,
    )


def _length() -> pl.Expr:
    """Minutes from open to close."""
    return (pl.col("close") - pl.col("open")).dt.total_minutes()


def _span(stamps: pl.DataFrame, instrument: Instrument) -> pl.DataFrame:
    """Sessions that the rows touch or span, and the usual length.

    Usual is the median of the year on either side, so that a half-day is known as one even alone.
    """
    first, last = stamps["ts"][0], stamps["ts"][-1]
    around = sessions(instrument.calendar).filter(pl.col("close").is_between(first - _YEAR, last + _YEAR))
    table = around.with_columns(usual=_length().median())
    return table.filter((pl.col("close") >= first) & (pl.col("open") <= last))


def _minutes(timeframe: str) -> int | None:
    """Minutes in a step; none for daily bars."""
    found = _TIMEFRAME.fullmatch(timeframe)
    if not found:
        raise InvalidInput(f"expected a timeframe such as 1d, 1m or 5m, found {timeframe!r}")
    if found[1]:
        return None
    return int(found[2]) if found[2] else 60 * int(found[3])


def _grid(instrument: Instrument, span: pl.DataFrame, step: int) -> pl.DataFrame:
    """The end of every bar of every stretch of trading, and the run without a pause to which it belongs."""
    stretches = segments(instrument.calendar).filter(
        pl.col("start").is_between(span["open"][0], span["close"][-1]) & (pl.col("end") > pl.col("start"))
    )
    pause = (pl.col("start") > pl.col("end").shift(1)).fill_null(value=False)
    reach = pl.col("end") + pl.duration(minutes=step, microseconds=-1)
    return (
        stretches.select(
            "end",
            run=pause.cum_sum(),
            ts=pl.datetime_ranges(pl.col("start") + pl.duration(minutes=step), reach, f"{step}m"),
        )
        .explode("ts")
        .drop_nulls("ts")
        .select(
            "run",
            ts=pl.min_horizontal("ts", "end"),
            minutes=step - (pl.col("ts") - pl.col("end")).dt.total_minutes().clip(lower_bound=0),
        )
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
