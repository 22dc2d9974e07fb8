"""Bars of a longer interval out of shorter ones, on the sessions of a calendar.

- `to_minutes`: bars of N minutes from minute bars, counted from the open of each session (after a midday break, from its
  end). The last bar of a session ends with it, so that a half-day closes at 13:00 and an hour bar before it is short.
- `to_sessions`: bars of exactly N trading days from daily bars. Their borders are fixed on the calendar, whatever the first row.
- `to_weeks`: Monday to Sunday.

A bar is given only once its span is over and it is known when it became known (the last of its rows' `available_at`): cutting
the rows off at any moment gives the same bars up to there. Every reason of its rows stands on the bar. Volume is the sum; where
one row has none reported, the sum is unknown and null. Prices are taken as they come: across a split, adjust them first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.market import BARS, STAMP, conform, segments, sessions

_MINUTE = 60_000_000  # microseconds
_WEEK_DAYS = 7
FEWEST_INSIDE = 0.25
_MONDAY = 3  # 1970-01-01 was a Thursday: days since it, plus 3, in whole sevens are weeks from Monday
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """Bars of the longer interval, and what became of the rows.

    Parameters
    ----------
    bars : schema `market.BARS`, by instrument and ts
    rows_used : rows that stand in `bars`
    rows_outside : rows on no time of the calendar (before or after hours, between two steps)
    rows_pending : rows whose bar is not over yet
    rows_incomplete : rows of N-session bars of which a session has no row; such a bar is not given
    """

    bars: pl.DataFrame
    rows_used: int
    rows_outside: int
    rows_pending: int
    rows_incomplete: int = 0


def to_minutes(
    bars: pl.DataFrame, calendar: str, minutes: int, *, source_minutes: int = 1, as_of: datetime | None = None
) -> Resampled:
    """Bars of `minutes` minutes on the sessions of `calendar`.

    Parameters
    ----------
    bars : columns of `market.BARS`; one or more instruments of the calendar, one version of each row; `ts` is the bar's end
    minutes : a multiple of `source_minutes`, at most 1,440
    as_of : rows known later stay out, and only spans that are over by then are given; none = up to each instrument's last row

    Raises
    ------
    InvalidInput : the interval, two versions of one row, or hardly a row stands on a step of the calendar
    """
    if source_minutes < 1 or minutes % source_minutes or not source_minutes <= minutes <= 1440:
        raise InvalidInput(f"expected minutes as a multiple of {source_minutes}, at most 1440, found {minutes}")
    rows, code = _ordered(bars, as_of)
    ts = _micros(rows["ts"])
    spans = segments(calendar)
    start, end = _micros(spans["start"]), _micros(spans["end"])
    at = np.searchsorted(start, ts, side="left") - 1  # the segment that starts before ts
    offset = ts - start[at]
    inside = (at >= 0) & (ts <= end[at]) & ((offset % (source_minutes * _MINUTE) == 0) | (ts == end[at]))
    _refuse_strangers(inside, calendar)
    step = minutes * _MINUTE
    first = start[at] + (offset - 1) // step * step
    last = np.minimum(first + step, end[at])
    due = -(-(last - first) // (source_minutes * _MINUTE))
    return _resampled(rows, code, inside, last, due, as_of, lacking=Reason.MISSING_BARS, whole=False)


def to_sessions(daily: pl.DataFrame, calendar: str, n: int, *, as_of: datetime | None = None) -> Resampled:
    """Bars of exactly `n` trading days.

    Sessions are counted from the first that the calendar knows, so that a bar is the same for every request. A bar of which a
    session has no row is not given: its rows are counted as incomplete.

    Parameters
    ----------
    daily : columns of `market.BARS`, `ts` the close of the session
    n : sessions in a bar, at least 1 and at most 252
    """
    if not 1 <= n <= 252:
        raise InvalidInput(f"expected between 1 and 252 sessions in a bar, found {n}")
    rows, code = _ordered(daily, as_of)
    close = _micros(sessions(calendar)["close"])
    at, inside = _sessions_of(rows, close, calendar)
    last_of_group = np.minimum((at // n + 1) * n - 1, close.size - 1)
    due = np.full(rows.height, n)
    return _resampled(rows, code, inside, close[last_of_group], due, as_of, lacking=Reason.MISSING_SESSION, whole=True)


def to_weeks(daily: pl.DataFrame, calendar: str, *, as_of: datetime | None = None) -> Resampled:
    """Bars of the sessions from Monday to Sunday; `ts` is the close of the week's last session.

    A week in which a session has no row carries the reason `missing_session`.
    """
    rows, code = _ordered(daily, as_of)
    table = sessions(calendar)
    close = _micros(table["close"])
    at, inside = _sessions_of(rows, close, calendar)
    week = (table["session"].to_physical().to_numpy().astype(np.int64) + _MONDAY) // _WEEK_DAYS
    last_of_week = np.searchsorted(week, week, side="right") - 1
    held = last_of_week - np.searchsorted(week, week, side="left") + 1
    return _resampled(rows, code, inside, close[last_of_week[at]], held[at], as_of, lacking=Reason.MISSING_SESSION, whole=False)


def session_bars(minutes: pl.DataFrame, calendar: str, *, source_minutes: int = 1, as_of: datetime | None = None) -> Resampled:
    """One bar for each session out of its minute bars, regular hours alone: to check a vendor's dailies with, never to be stored
    in their place (`data.daily_check`): an official close is an auction's print, not the last minute."""
    rows, code = _ordered(minutes, as_of)
    ts = _micros(rows["ts"])
    spans = segments(calendar)
    table = sessions(calendar)
    start, end = _micros(spans["start"]), _micros(spans["end"])
    at = np.searchsorted(start, ts, side="left") - 1
    inside = (at >= 0) & (ts <= end[at])
    _refuse_strangers(inside, calendar)
    opens, close = _micros(table["open"]), _micros(table["close"])
    session = np.maximum(np.searchsorted(opens, ts, side="left") - 1, 0)
    steps = np.bincount(np.searchsorted(opens, start, side="right") - 1, weights=(end - start) // (source_minutes * _MINUTE))
    due = steps.astype(np.int64)[session]
    return _resampled(rows, code, inside, close[session], due, as_of, lacking=Reason.MISSING_BARS, whole=False)


# the rows -----------------------------------------------------------------------------------------------------------


def _ordered(bars: pl.DataFrame, as_of: datetime | None) -> tuple[pl.DataFrame, Ints]:
    """The rows known at `as_of` by instrument and ts, and the running number of their instrument."""
    rows = conform(bars, BARS)
    if rows["ts"].null_count() or rows["instrument"].null_count() or rows["available_at"].null_count():
        raise InvalidInput("expected an instrument, ts and available_at in every row; clean the rows first")
    if as_of is not None:
        rows = rows.filter(pl.col("available_at") <= utc(as_of))
    code, ts = _codes(rows), _micros(rows["ts"])
    if not _ascending(rows, code, ts):
        rows = rows.sort("instrument", "ts")
        code, ts = _codes(rows), _micros(rows["ts"])
    again = (np.diff(code) == 0) & (np.diff(ts) == 0)
    if again.any():
        row = rows.row(int(np.flatnonzero(again)[0]), named=True)
        raise InvalidInput(
            f"expected one version of each bar, found several of {row['instrument']} at {row['ts']}; read as of a moment"
        )
    return rows, code


def _codes(rows: pl.DataFrame) -> Ints:
    return rows["instrument"].rle_id().to_numpy().astype(np.int64)


def _ascending(rows: pl.DataFrame, code: Ints, ts: Ints) -> bool:
    if rows.is_empty():
        return True
    same = np.diff(code) == 0
    return bool((np.diff(ts)[same] > 0).all()) and rows["instrument"].n_unique() == int(code[-1]) + 1


def _micros(stamps: pl.Series) -> Ints:
    return stamps.cast(STAMP).to_physical().to_numpy()


def _refuse_strangers(inside: NDArray[np.bool_], calendar: str) -> None:
    """Hardly a row on the calendar: it, or the convention of the stamps, was misunderstood. (Bars of extended hours are many.)"""
    if inside.size and int(inside.sum()) < FEWEST_INSIDE * inside.size:
        raise InvalidInput(
            f"expected a quarter of the bars or more to end on a step of a session of {calendar}, found "
            f"{inside.size - int(inside.sum())} of {inside.size} that do not; check the calendar, and that ts is the bar's end"
        )


def _sessions_of(rows: pl.DataFrame, close: Ints, calendar: str) -> tuple[Ints, NDArray[np.bool_]]:
    """The number of each row's session, and whether the row stands on its close."""
    ts = _micros(rows["ts"])
    at = np.minimum(np.searchsorted(close, ts, side="left"), close.size - 1)
    inside = close[at] == ts
    _refuse_strangers(inside, calendar)
    return at, inside


# the bars -----------------------------------------------------------------------------------------------------------


def _resampled(
    rows: pl.DataFrame,
    code: Ints,
    inside: NDArray[np.bool_],
    ends: Ints,
    due: Ints,
    as_of: datetime | None,
    *,
    lacking: Reason,
    whole: bool,
) -> Resampled:
    """Bars over runs of rows with the same instrument and end; `due` rows belong to each, `whole` gives full ones only."""
    if rows.is_empty():
        return Resampled(pl.DataFrame(schema=BARS), 0, 0, 0)
    over = ends <= (_newest(rows, code) if as_of is None else int(utc(as_of).timestamp() * 1_000_000))
    wanted = inside & over
    pending = int((inside & ~over).sum())
    outside = int((~inside).sum())
    if not wanted.all():
        rows, code, ends, due = rows.filter(wanted), code[wanted], ends[wanted], due[wanted]
    if not code.size:
        return Resampled(pl.DataFrame(schema=BARS), 0, outside, pending)
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(ends) != 0) | (np.diff(code) != 0)]))
    held = np.diff(np.append(starts, code.size))
    dropped = 0
    if whole and (held < due[starts]).any():
        full = np.repeat(held >= due[starts], held)
        dropped = int((~full).sum())
        rows, code, ends, due = rows.filter(full), code[full], ends[full], due[full]
        if not code.size:
            return Resampled(pl.DataFrame(schema=BARS), 0, outside, pending, dropped)
        starts = np.flatnonzero(np.concatenate([[True], (np.diff(ends) != 0) | (np.diff(code) != 0)]))
        held = np.diff(np.append(starts, code.size))
    return Resampled(_bars(rows, starts, held, ends[starts], held < due[starts], lacking), rows.height, outside, pending, dropped)


def _newest(rows: pl.DataFrame, code: Ints) -> Ints:
    """For each row the last ts of its instrument."""
    ts = _micros(rows["ts"])
    last: Ints = ts[np.append(np.flatnonzero(np.diff(code)), code.size - 1)]
    return np.repeat(last, np.bincount(code))


def _bars(
    rows: pl.DataFrame, starts: Ints, held: Ints, ends: Ints, short: NDArray[np.bool_], lacking: Reason
) -> pl.DataFrame:
    values: dict[str, Floats] = {name: rows[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    last = starts + held - 1
    bare = np.isnan(values["open"] + values["high"] + values["low"])
    close_only = np.logical_or.reduceat(bare, starts)
    high, low = np.maximum.reduceat(values["high"], starts), np.minimum.reduceat(values["low"], starts)
    opened = np.where(close_only, np.nan, values["open"][starts])
    volume = np.add.reduceat(values["volume"], starts)
    known = np.maximum(np.maximum.reduceat(_micros(rows["available_at"]), starts), ends)
    flags = {lacking: short, Reason.CLOSE_ONLY: close_only, Reason.VOLUME_NOT_REPORTED: np.isnan(volume)}
    return pl.DataFrame(
        {
            "instrument": rows["instrument"].gather(starts),
            "ts": pl.Series(ends).cast(STAMP),
            "available_at": pl.Series(known).cast(STAMP),
            "open": pl.Series(opened).fill_nan(None),
            "high": pl.Series(np.where(close_only, np.nan, high)).fill_nan(None),
            "low": pl.Series(np.where(close_only, np.nan, low)).fill_nan(None),
            "close": values["close"][last],
            "volume": pl.Series(volume).fill_nan(None),
            "reasons": _reasons(rows["reasons"], starts, held, flags),
        },
        schema=BARS,
    )


def _reasons(codes: pl.Series, starts: Ints, held: Ints, flags: dict[Reason, NDArray[np.bool_]]) -> pl.Series:
    """Every code of a bar's rows and of its own, sorted and joined; null where there is none."""
    parts = [
        pl.DataFrame({"bar": np.flatnonzero(where)}, schema={"bar": pl.Int64()}).with_columns(code=pl.lit(str(reason)))
        for reason, where in flags.items()
    ]
    if codes.null_count() < codes.len():
        bar = np.repeat(np.arange(starts.size), held)
        said = pl.DataFrame({"bar": bar, "code": codes}).drop_nulls("code").unique()
        parts.append(said.with_columns(pl.col("code").str.split(",")).explode("code"))
    joined = pl.concat(parts).unique().sort("bar", "code").group_by("bar", maintain_order=True).agg(pl.col("code").str.join(","))
    if joined.is_empty():
        return pl.Series("reasons", [None] * starts.size, dtype=pl.String)
    return pl.DataFrame({"bar": np.arange(starts.size)}).join(joined, on="bar", how="left", maintain_order="left")["code"]
