"""Scale of the next minutes' return in a market that never closes: a regression on ranges, under the seasonality of the week.

    terms      x = log of the trailing mean, each range over its own profile e^s, of
                   one-minute ranges over 5, 15, 60 and 240 bars, the range of the last 15 and 60 minutes,
                   hourly ranges over 24 and 168 ended hours
    season     S = 1/2 log mean of e^{2 s} over the minutes of the horizon, under the profile of the day that it begins in
    fit        f = b0 + sum_i b_i x_i + c S,   sigma = e^f
                   laplace    least mean of |y| e^{-f} + f,   y: the return over the horizon         (Laplace likelihood, convex)
                   range      least squares of log of the range that the horizon will have had

A fit is made at the first bar of each UTC day from rows whose horizon had ended, every fifth of them. Spans from before the first
bar (`earlier`: another venue or instrument of the same kind) count for ten days together, so that the first days do not rest on
themselves alone. Sigma is a scale: what multiple of it a quantile lies at is for the cone to learn. Ranges have a fraction of the
noise of squared returns (Parkinson 1980), and the absolute return is not swayed by a few wild rows as the square is.
Sources: Corsi 2009 (trailing means of several lengths); Parkinson 1980; Forsberg and Ghysels 2007 (absolute values).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import read_bars
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility import weekly_profile as weekly
from fieldcast.models.volatility.weekly_profile import DAY, HOUR, MINUTE, NARROWEST, PARKINSON, QUARTER, WEEK, Hours

Whole = npt.NDArray[np.int64]
Target = Literal["laplace", "range"]

MINUTES = (5, 15, 60, 240)  # bars whose one-minute ranges are averaged
SPANS = (15, 60)  # bars whose common range is taken
LEAST_HOURS = 24
THIN = 5  # rows between two that are fitted
LEAST_FIT = 400  # fitted rows below which there is no forecast
EARLIER_DAYS = 10.0  # of one-minute rows that all earlier spans together count for
RIDGE = 1e-4  # of the mean curvature, on all coefficients but the constant
STEPS, TOLERANCE = 25, 1e-8  # of Newton's method


@dataclass(frozen=True)
class MinuteDesign:
    """What each row knew and what came of it; n rows of one span.

    terms : (n, 10) a constant, the eight terms and the season; NaN where one is unknown
    outcome : (n,) log return over the horizon; reach : (n,) log of the horizon's range as a scale; both NaN where unknown
    stamp : (n,) end of the bar, minutes since 1970
    """

    terms: Floats
    outcome: Floats
    reach: Floats
    stamp: Whole


@dataclass(frozen=True)
class RangeScale:
    """Walk-forward scale of the return over the next minutes.

    Parameters
    ----------
    target : what is fitted, see the module
    """

    target: Target = "laplace"

    def __post_init__(self) -> None:
        if self.target not in ("laplace", "range"):
            raise InvalidInput(f"expected the target laplace or range, found {self.target!r}")

    def path(
        self,
        bars: pl.DataFrame,
        horizon: int,
        *,
        hours: pl.DataFrame | None = None,
        earlier: Sequence[pl.DataFrame] = (),
    ) -> Floats:
        """(n,) sigma of the log return close(t) → close(t + horizon minutes), up to a factor; NaN where unknown.

        Parameters
        ----------
        bars : minute bars of one instrument that trades around the clock, schema `market.BARS`, ascending, ts = end of the bar.
            Bars without a trade may be absent
        horizon : minutes, 1 to 1,440
        hours : hourly bars of the same instrument, which may begin long before the minutes; None = those of the minutes alone
        earlier : minute bars of spans that end before `bars` begin

        Raises
        ------
        InvalidInput : a horizon outside its range, bars that do not end on whole minutes, or a span that is not earlier
        """
        return self.fitted(minute_design(bars, horizon, hours=hours), horizon, [minute_design(span, horizon) for span in earlier])

    def fitted(self, own: MinuteDesign, horizon: int, earlier: Sequence[MinuteDesign] = ()) -> Floats:
        """`path` from designs that are at hand."""
        require_earlier(own.stamp, [span.stamp for span in earlier])
        before = [self._rows(span, np.arange(len(span.stamp))) for span in earlier]
        terms = np.concatenate([np.empty((0, own.terms.shape[1])), *(part[0] for part in before)])
        values = np.concatenate([np.empty(0), *(part[1] for part in before)])
        share = earlier_share(len(values))
        out = np.full(len(own.stamp), np.nan)
        start: Floats | None = None
        for begin, stop in days_of(own.stamp):
            ended = np.flatnonzero(own.stamp[:begin] + horizon < own.stamp[begin])
            now, target = self._rows(own, ended)
            X, y = np.concatenate([terms, now]), np.concatenate([values, target])
            if len(y) < LEAST_FIT:
                continue
            weight = np.concatenate([np.full(len(values), share), np.ones(len(target))])
            start = laplace_fit(X, y, weight, start) if self.target == "laplace" else _least_squares(X, y, weight)
            # row by row, for a matrix product rounds by the shape of the block that it is given
            out[begin:stop] = np.exp((own.terms[begin:stop] * start).sum(axis=1))
        return out

    def _rows(self, span: MinuteDesign, rows: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Terms and target of every fifth of the rows (by the clock) where all is known."""
        target = span.outcome if self.target == "laplace" else span.reach
        use = rows[(span.stamp[rows] % THIN == 0) & np.isfinite(span.terms[rows]).all(axis=1) & np.isfinite(target[rows])]
        return span.terms[use], target[use]


def require_earlier(own: Whole, spans: Sequence[Whole]) -> None:
    """Refuse spans that do not end before the first of `own`; both in minutes since 1970, ascending.

    Raises
    ------
    InvalidInput : one ends later
    """
    late = [span[-1] for span in spans if len(span) and len(own) and span[-1] >= own[0]]
    if late:
        raise InvalidInput(f"expected earlier spans to end before minute {own[0]} since 1970, found one that ends at {late[0]}")


def earlier_share(rows: int) -> float:
    """The weight of each of so many fitted rows of earlier spans."""
    return min(1.0, EARLIER_DAYS * DAY / THIN / rows) if rows else 1.0


def days_of(stamp: Whole) -> list[tuple[int, int]]:
    """First row and end of each UTC day in which bars that end at `stamp` (minutes since 1970, ascending) began."""
    day = (stamp - 1) // DAY
    first = np.flatnonzero(np.diff(day, prepend=-1)).tolist()
    return list(zip(first, [*first[1:], len(day)], strict=True))


def minute_design(bars: pl.DataFrame, horizon: int, *, hours: pl.DataFrame | None = None) -> MinuteDesign:
    """Terms and outcomes of every row of minute bars; parameters and errors as in `RangeScale.path`."""
    if not 1 <= horizon <= DAY:
        raise InvalidInput(f"expected a horizon of 1 to {DAY} minutes, found {horizon}")
    read = read_bars(bars)
    own, quarters = weekly.blocks(bars, HOUR), weekly.blocks(bars, QUARTER)
    stamp, price = read.ts // MINUTE, np.log(read.close)
    high, low = np.log(read.high), np.log(read.low)
    known_hours = own if hours is None else weekly.joined(weekly.blocks(hours, HOUR), own)
    days = np.unique(np.append((known_hours.end - 1) // DAY, (stamp - 1) // DAY))
    profiles = weekly.week_profiles(known_hours, quarters, days)
    season = weekly.at(profiles, days, stamp)
    size = np.maximum(high - low, NARROWEST) / PARKINSON / np.exp(season)
    columns = [np.ones(len(stamp)), *(_log(_trailing(size, length)) for length in MINUTES)]
    for length in SPANS:
        reach = _reach(high, low, length)
        columns.append(np.log(np.maximum(reach, NARROWEST)) - _trailing(season, length))
    columns += _slow(known_hours, profiles, days, stamp)
    columns.append(_ahead(profiles, days, stamp, horizon))
    wanted = stamp + horizon
    place = np.minimum(np.searchsorted(stamp, wanted), len(stamp) - 1)
    there = stamp[place] == wanted
    outcome = np.where(there, price[place] - price, np.nan)
    future = np.full(len(stamp), np.nan)
    whole = np.flatnonzero(there & (place - np.arange(len(stamp)) == horizon))
    future[whole] = _reach(high, low, horizon)[whole + horizon]
    return MinuteDesign(np.column_stack(columns), outcome, np.log(np.maximum(future, NARROWEST)), stamp)


def laplace_fit(X: Floats, y: Floats, weight: Floats, start: Floats | None = None) -> Floats:
    """(k,) least weighted mean of |y| exp(-X b) + X b, by damped Newton steps; the first column of X is the constant.

    Raises
    ------
    InvalidInput : every y is zero
    """
    size = np.abs(y)
    if not size.any():
        raise InvalidInput("expected outcomes that are not all zero, found none; the price never moved")
    total = weight.sum()
    b = np.zeros(X.shape[1]) if start is None else start.copy()
    if start is None:
        b[0] = np.log((weight * size).sum() / total)

    def loss(at: Floats) -> float:
        f = X @ at
        return float((weight * (size * np.exp(np.clip(-f, -50.0, 50.0)) + f)).sum() / total + RIDGE * (at[1:] ** 2).sum() / 2.0)

    now = loss(b)
    for _ in range(STEPS):
        miss = size * np.exp(np.clip(-(X @ b), -50.0, 50.0))
        slope = X.T @ (weight * (1.0 - miss)) / total
        curve = (X * (weight * miss)[:, None]).T @ X / total
        slope[1:] += RIDGE * b[1:]
        curve[np.arange(1, len(b)), np.arange(1, len(b))] += RIDGE
        step = np.linalg.solve(curve, slope)
        share = 1.0
        while loss(b - share * step) > now and share > 1e-6:
            share /= 2.0
        if share <= 1e-6:
            break
        b = b - share * step
        better = loss(b)
        if now - better < TOLERANCE:
            break
        now = better
    return b


def _least_squares(X: Floats, y: Floats, weight: Floats) -> Floats:
    curve = (X * weight[:, None]).T @ X / weight.sum()
    curve[np.arange(1, X.shape[1]), np.arange(1, X.shape[1])] += RIDGE
    found: Floats = np.linalg.solve(curve, X.T @ (weight * y) / weight.sum())
    return found


def _trailing(values: Floats, length: int) -> Floats:
    """Mean of the last `length` rows, each window summed by itself so that no row depends on where the history starts."""
    out = np.full(len(values), np.nan)
    if len(values) >= length:
        out[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1)
    return out


def _log(values: Floats) -> Floats:
    found: Floats = np.log(np.maximum(values, NARROWEST))
    return found


def _reach(high: Floats, low: Floats, length: int) -> Floats:
    """Common range of the last `length` rows, as a scale; NaN in the first ones."""
    out = np.full(len(high), np.nan)
    if len(high) >= length:
        windows = (np.lib.stride_tricks.sliding_window_view(column, length) for column in (high, low))
        above, below = next(windows).max(axis=1), next(windows).min(axis=1)
        out[length - 1 :] = (above - below) / PARKINSON
    return out


def _slow(hours: Hours, profiles: Floats, days: Whole, stamp: Whole) -> list[Floats]:
    """Logs of the mean range over the profile of the last day's and the last week's ended hours, at each minute.

    Hours that are fewer than a week's count as they are, from 24 on.
    """
    plain = hours.size / np.exp(_hour_profile(profiles, days, hours.end))
    last = np.searchsorted(hours.end, stamp, side="right")
    sums = np.concatenate([[0.0], np.cumsum(plain)])
    out = []
    for length in (LEAST_HOURS, WEEK):
        first = np.maximum(last - length, 0)
        count = last - first
        column = np.full(len(stamp), np.nan)
        enough = count >= LEAST_HOURS
        column[enough] = np.log((sums[last[enough]] - sums[first[enough]]) / count[enough])
        out.append(column)
    return out


def _hour_profile(profiles: Floats, days: Whole, end: Whole) -> Floats:
    """Mean of the log profile over the four quarters of the hours that end at `end`."""
    found: Floats = np.mean([weekly.at(profiles, days, end - back) for back in range(0, HOUR, QUARTER)], axis=0)
    return found


def _ahead(profiles: Floats, days: Whole, stamp: Whole, horizon: int) -> Floats:
    """Half the log of the mean of e^{2 s} over the horizon's minutes, under the profile of the day that it begins in."""
    row = np.searchsorted(days, (stamp - 1) // DAY)
    square = np.exp(2.0 * profiles)
    slots = square.shape[1]
    minute = stamp + weekly.THURSDAY * HOUR  # begins of the minutes after the row, from a Monday
    total = np.zeros(len(stamp))
    for ahead in range(horizon):
        total += square[row, (minute + ahead) // QUARTER % slots]
    found: Floats = 0.5 * np.log(total / horizon)
    return found
