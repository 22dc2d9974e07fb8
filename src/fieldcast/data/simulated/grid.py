"""When the bars of an instrument begin and end, and how much time, variance and volume each of them holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.simulated.parameters import INTERVAL_SECONDS, SESSION, PriceProcess, Season
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP, segments, sessions

_DAY = 86_400


@dataclass(frozen=True)
class Grid:
    """The bars of a calendar; every array is (n,), times in seconds since 1970, UTC.

    Parameters
    ----------
    start, end : of each bar; the last bar of a stretch of trading may be short
    seconds : of trading within the bar; less than end - start where a daily bar spans a midday break
    session : number of the bar's session, from 0
    opens : the bar is the first after a time without trading that ended a session
    into : seconds of trading in the session before the bar
    usual_seconds : of trading in a usual session (the most frequent length)
    gaps_per_session : of the calendar as a whole; 1 where every session is followed by a night
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    seconds: NDArray[np.int64]
    session: NDArray[np.int64]
    opens: NDArray[np.bool_]
    into: NDArray[np.int64]
    usual_seconds: int
    gaps_per_session: float

    @property
    def bars(self) -> int:
        return self.start.size

    def stamps(self, seconds: NDArray[np.int64]) -> pl.Series:
        """Seconds since 1970 as times in UTC."""
        return pl.Series(seconds * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(STAMP)

    def shares(self, levels: NDArray[np.float64], clock: str) -> NDArray[np.float64]:
        """(n,) what of a usual session's variance (or volume) falls into each bar, given the levels of its bins."""
        if clock == SESSION:
            length, begin = self.usual_seconds, self.into
        else:
            length, begin = _DAY, self._second_of_day(clock)
        knots = np.arange(levels.size + 1) * (length / levels.size)
        sums = np.concatenate([[0.0], np.cumsum(levels / levels.size)])
        if clock == SESSION:        # a session that is longer than usual goes on as it ended
            knots, sums = np.append(knots, 9 * length), np.append(sums, 1 + 8 * levels[-1])
            scale = 1.0
        else:
            knots, sums = np.append(knots, knots[1:] + length), np.append(sums, sums[1:] + 1)
            scale = _DAY / self.usual_seconds
        found: NDArray[np.float64] = scale * (np.interp(begin + self.seconds, knots, sums) - np.interp(begin, knots, sums))
        return found

    def _second_of_day(self, zone: str) -> NDArray[np.int64]:
        local = self.stamps(self.start).dt.convert_time_zone(zone)
        seconds = local.dt.hour().cast(pl.Int64) * 3600 + local.dt.minute().cast(pl.Int64) * 60 + local.dt.second().cast(pl.Int64)
        return seconds.to_numpy()

    def variance(self, process: PriceProcess, season: Season, interval: str) -> NDArray[np.float64]:
        """(n,) share of a mean session's variance in each bar; gaps are left out."""
        if interval == "1d":
            return (1 - process.gap_share) * self.seconds / self.usual_seconds
        return (1 - process.gap_share) * self.shares(season.variance_levels(), season.clock)

    def volume(self, season: Season, interval: str) -> NDArray[np.float64]:
        """(n,) share of a usual session's volume in each bar."""
        if interval == "1d":
            return self.seconds / self.usual_seconds
        return self.shares(season.volume_levels(), season.clock)

    def business_time(self, process: PriceProcess) -> NDArray[np.float64]:
        """(n,) sessions of business time in each bar: trading time, in usual sessions, without the share of the gaps."""
        return (1 - process.gap_share) * self.seconds / self.usual_seconds

    def gap_time(self, process: PriceProcess) -> float:
        """Sessions of business time in each gap; 0 where the price does not move over gaps.

        Raises
        ------
        InvalidInput : the process has a gap share, and the calendar no gaps
        """
        if process.gap_share == 0:
            return 0.0
        if self.gaps_per_session == 0:
            raise InvalidInput("expected gap_share 0 on a calendar that never closes")
        return process.gap_share / self.gaps_per_session


@lru_cache(maxsize=16)
def _usual(calendar: str) -> tuple[int, float]:
    """Most frequent length of a session in seconds, and gaps per session."""
    length = (pl.col("end") - pl.col("start")).sum().dt.total_seconds()
    lengths = segments(calendar).group_by("session").agg(seconds=length)
    table = sessions(calendar)
    gaps = int((table["open"] > table["close"].shift(1)).sum())
    return int(lengths["seconds"].mode().sort()[0]), gaps / (table.height - 1)


def usual_length(calendar: str) -> int:
    """Seconds of trading in a usual session of a calendar."""
    return _usual(calendar)[0]


@lru_cache(maxsize=8)
def grid_of(calendar: str, interval: str, first: date, last: date) -> Grid:
    """Every bar of the sessions between two dates, both included.

    Raises
    ------
    InvalidInput : the calendar has no session in the span
    """
    spans = segments(calendar).filter(pl.col("session").is_between(first, last)).sort("start")
    if spans.is_empty():
        raise InvalidInput(f"expected a session of {calendar} between {first} and {last}, found none")
    spans = spans.select(
        number=pl.col("session").rank("dense").cast(pl.Int64) - 1, start=_seconds("start"), end=_seconds("end")
    ).with_columns(traded=pl.col("end") - pl.col("start"))
    if interval == "1d":
        spans = spans.group_by("number", maintain_order=True).agg(
            pl.col("start").min(), pl.col("end").max(), pl.col("traded").sum(), into=pl.lit(0, dtype=pl.Int64)
        )
    else:
        spans = spans.with_columns(into=(pl.col("traded").cum_sum() - pl.col("traded")).over("number"))
    number, start, end, into, traded = (spans[name].to_numpy() for name in ("number", "start", "end", "into", "traded"))
    closed = np.concatenate([[False], (start[1:] > end[:-1]) & (number[1:] != number[:-1])])
    usual, gaps = _usual(calendar)
    if interval == "1d":
        return Grid(start, end, traded, number, closed, into, usual, gaps)
    step = INTERVAL_SECONDS[interval]
    count = -(-traded // step)
    span = np.repeat(np.arange(start.size), count)
    within = np.arange(span.size) - np.repeat(np.cumsum(count) - count, count)
    begin = start[span] + within * step
    stop = np.minimum(begin + step, end[span])
    return Grid(begin, stop, stop - begin, number[span], closed[span] & (within == 0), into[span] + within * step, usual, gaps)


def _seconds(name: str) -> pl.Expr:
    return pl.col(name).dt.epoch("s").cast(pl.Int64)
