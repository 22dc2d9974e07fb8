"""Intraday volatility: a time-of-day profile, learned from past sessions only, times a slowly moving level.

    profile    log s_d^2(m) = mean over the K sessions before d of log( smoothed r_{d',m}^2 / mean_m r_{d'}^2 ),
               scaled to mean 1 over m
    level      u_t = r_t^2 / s_d^2(m_t);   log-HAR on the trailing means of u over 30, 240 and 1,440 minutes:
               log( V_{t,h} / S_{t,h} ) = b0 + sum_j b_j log mean_j(u) + e,      forecast  V = S k exp(fit)
    where      V_{t,h} = r_{t+1}^2 + ... + r_{t+h}^2,    S_{t,h} = s^2(m_t + 1) + ... + s^2(m_t + h)

m is the bar's place in the day in the exchange's zone, so that a change of summer time moves nothing. The smoothing is a centred
mean over `smooth` minutes of one session, taken within the bars that were traded; the mean of logarithms keeps one wild
session from shaping the profile of all. The regression is renewed at the first bar of each day
from bars of the days before whose horizon had ended; k is the value of least QLIKE. A return that spans a missing bar, a
night or a break is unknown and enters nothing. Forecasts are made only where every bar of the horizon is one of the
profile's: in the last bars of a session there is none. A market that never closes has no last bar: there a horizon runs on into
the next day, under the profile of the day that it begins in, the only one that is known.
Sources: Andersen and Bollerslev 1997 (intraday periodicity); Corsi 2009; Taylor and Xu 1997 (the variance profile).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import read_bars
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats

Whole = npt.NDArray[np.int64]

DAY = 1440  # minutes
SHORTEST = 30  # minutes of known returns without which a day shapes no profile
LEAST_SHARE = 1e-4  # of a day's mean variance, where prices stood still
TRAILING = (30, 240, 1440)  # minutes
LEAST_FIT = 500  # rows below which the level's regression is not made
FLOOR = 1e-12  # (0.01 bp)^2, the least variance a bar
MICROSECONDS_A_MINUTE = 60_000_000


@dataclass(frozen=True)
class IntradayPath:
    """Walk-forward forecasts of the next `horizon` bars, one a bar."""

    sigma: Floats  # (n,) of the log return close(t) → close(t + h bars), NaN where unknown
    realised: Floats  # (n,) sum of the squared bar returns of the horizon, NaN where one is unknown
    profile: Floats  # (n,) s^2 of the bar's own place in the day, known before its day; NaN where unknown
    day: Whole  # (n,) number of the bar's day among those of the data
    slot: Whole  # (n,) place of the bar in the day, in the zone
    horizon: int  # bars


@dataclass(frozen=True)
class TimeOfDay:
    """Forecaster of intraday bars.

    Parameters
    ----------
    zone : time zone of the exchange, such as "America/New_York" or "UTC"
    sessions_back : days that the profile is learned from, at most
    least_sessions : days without which there is no profile
    smooth : minutes of the centred mean
    bar : minutes a bar, a divisor of 1440
    seasonal : False leaves the profile flat (the same forecaster without a time of day, for comparison)
    around_the_clock : True where trading goes on over midnight: returns and horizons do too
    """

    zone: str = "America/New_York"
    sessions_back: int = 20
    least_sessions: int = 3
    smooth: int = 30
    bar: int = 1
    seasonal: bool = True
    around_the_clock: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.least_sessions <= self.sessions_back or self.smooth < 1:
            raise InvalidInput(
                f"expected 1 <= least_sessions <= sessions_back and smooth >= 1, found {self.least_sessions}, "
                f"{self.sessions_back} and {self.smooth}"
            )
        if self.bar < 1 or DAY % self.bar:
            raise InvalidInput(f"expected minutes a bar that divide a day, found {self.bar}")

    @property
    def slots(self) -> int:
        """Bars a day of 24 hours."""
        return DAY // self.bar

    def path(self, bars: pl.DataFrame, horizon: int) -> IntradayPath:
        """Forecast the next `horizon` bars at every bar, from the bars up to it.

        Parameters
        ----------
        bars : bars of `self.bar` minutes of one instrument, schema `market.BARS`, ascending; ts = the end of the bar. Bars
            without a trade may be absent
        horizon : bars ahead, 1 to a day's

        Raises
        ------
        InvalidInput : bars of another length, or a horizon outside its range
        """
        if not 1 <= horizon <= self.slots:
            raise InvalidInput(f"expected a horizon of 1 to {self.slots} bars, found {horizon}")
        read = read_bars(bars)
        length = self.bar * MICROSECONDS_A_MINUTE
        if (read.ts % length).any():
            raise InvalidInput(f"expected bars that end on whole {self.bar} minutes; resample them first")
        stamp = read.ts // length
        day, slot = self._clock(bars)
        ret = np.full(read.rows, np.nan)
        together = (np.diff(stamp) == 1) & (self.around_the_clock | (np.diff(day) == 0))
        if not together.any():
            raise InvalidInput(f"expected bars of {self.bar} minutes, found no two that follow each other")
        ret[1:][together] = np.diff(np.log(read.close))[together]
        square = ret**2
        table = self._profiles(square, day, slot)
        profile = table[day, slot]
        ahead = np.concatenate([table, table], axis=1) if self.around_the_clock else table
        realised, expected = self._ahead(square, stamp, day, slot, ahead, horizon)
        level = np.maximum(square, FLOOR) / np.maximum(profile, 1e-3)
        trailing = tuple(max(minutes // self.bar, 1) for minutes in TRAILING)
        sigma = np.sqrt(self._forecast(level, realised, expected, day, stamp, horizon, trailing))
        return IntradayPath(sigma, realised, profile, day, slot, horizon)

    def _clock(self, bars: pl.DataFrame) -> tuple[Whole, Whole]:
        """Number of the local day that each bar belongs to, and its place in that day."""
        begin = (pl.col("ts") - pl.duration(minutes=self.bar)).dt.convert_time_zone(self.zone)
        local = bars.select(date=begin.dt.date(), minute=begin.dt.hour().cast(pl.Int64) * 60 + begin.dt.minute().cast(pl.Int64))
        dates = local["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
        number = np.unique(dates, return_inverse=True)[1]
        return number.astype(np.int64), local["minute"].to_numpy().astype(np.int64) // self.bar

    def _profiles(self, square: Floats, day: Whole, slot: Whole) -> Floats:
        """(days, slots) profile in force on each day, from the days before it; NaN for bars not seen on half of them."""
        days = int(day[-1]) + 1
        grid = np.full((days, self.slots), np.nan)
        grid[day, slot] = square
        known = np.isfinite(grid)
        count = known.sum(axis=1)
        mean = np.where(known, grid, 0.0).sum(axis=1) / np.maximum(count, 1)
        usable = (count * self.bar >= SHORTEST) & (mean > 0.0)
        window = np.ones(max(self.smooth // self.bar, 1) | 1)  # odd: centred on the bar
        logs = np.full(grid.shape, np.nan)
        for d in np.flatnonzero(usable).tolist():
            total = np.convolve(np.where(known[d], grid[d], 0.0), window, mode="same")
            weight = np.convolve(known[d].astype(np.float64), window, mode="same")
            logs[d, known[d]] = np.log(np.maximum(total[known[d]] / weight[known[d]] / mean[d], LEAST_SHARE))
        out = np.full(grid.shape, np.nan)
        for d in range(days):
            past = np.flatnonzero(usable[:d])[-self.sessions_back :]
            if past.size < self.least_sessions:
                continue
            seen = np.isfinite(logs[past])
            times = seen.sum(axis=0)
            regular = times >= max(1, past.size // 2)
            if not regular.any():
                continue
            total = np.where(seen, logs[past], 0.0).sum(axis=0)
            shape = np.exp(total[regular] / times[regular]) if self.seasonal else np.ones(int(regular.sum()))
            out[d, regular] = shape / shape.mean()
        return out

    @staticmethod
    def _ahead(square: Floats, stamp: Whole, day: Whole, slot: Whole, table: Floats, horizon: int) -> tuple[Floats, Floats]:
        """Realised variance and sum of the profile over the next `horizon` bars of each bar."""
        n = len(square)
        realised = np.full(n, np.nan)
        if n > horizon:
            sums = np.lib.stride_tricks.sliding_window_view(square[1:], horizon).sum(axis=1)
            whole = stamp[horizon:] - stamp[:-horizon] == horizon
            realised[: n - horizon] = np.where(whole, sums, np.nan)
        padded = np.concatenate([np.zeros((len(table), 1)), np.cumsum(np.where(np.isfinite(table), table, 0.0), axis=1)], axis=1)
        seen = np.concatenate([np.zeros((len(table), 1)), np.cumsum(np.isfinite(table), axis=1)], axis=1)
        slots = table.shape[1]
        begin, end = slot + 1, slot + 1 + horizon
        inside = end <= slots
        stop = np.minimum(end, slots)
        full = inside & (seen[day, stop] - seen[day, np.minimum(begin, slots)] == horizon)
        expected = np.where(full, padded[day, stop] - padded[day, np.minimum(begin, slots)], np.nan)
        return realised, expected

    @staticmethod
    def _forecast(
        level: Floats,
        realised: Floats,
        expected: Floats,
        day: Whole,
        stamp: Whole,
        horizon: int,
        trailing: tuple[int, ...],
    ) -> Floats:
        """Variance over the horizon: the log-HAR of the level times the profile."""
        known = np.isfinite(level)
        place = np.cumsum(known) - 1
        values = np.concatenate([[0.0], np.cumsum(level[known])])
        columns = [np.ones(len(level))]
        for length in trailing:
            column = np.full(len(level), np.nan)
            enough = place + 1 >= length
            column[enough] = np.log((values[place[enough] + 1] - values[place[enough] + 1 - length]) / length)
            columns.append(column)
        design = np.column_stack(columns)
        with np.errstate(divide="ignore", invalid="ignore"):
            target = np.log(np.maximum(realised, FLOOR * horizon) / expected)
        ready = np.isfinite(design).all(axis=1)
        learn = ready & np.isfinite(target)
        out = np.full(len(level), np.nan)
        first = np.flatnonzero(np.diff(day, prepend=-1))
        for begin, stop in zip(first, [*first[1:], len(level)], strict=True):
            use = np.flatnonzero(learn[:begin])
            use = use[stamp[use] + horizon < stamp[begin]]  # the outcome was known before the day's first bar
            if use.size < LEAST_FIT:
                continue
            weights = np.linalg.lstsq(design[use], target[use], rcond=None)[0]
            scale = np.mean(np.exp(target[use] - design[use] @ weights))
            block = slice(begin, stop)
            out[block] = expected[block] * scale * np.exp((design[block] * weights).sum(axis=1))
        return out
