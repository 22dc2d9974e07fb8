"""Seasonality of a market that never closes: how wide an hour of the week usually is, from its past hours.

    range      p_j = log(high_j / low_j) / sqrt(4 log 2), at least 0.01 bp                    of each ended hour (Parkinson)
    deviation  d_j = log p_j - mean of log p over the 168 hours around j                     known 84 hours later
    base       b(q) = sum_j w_j d_j / (sum_j w_j + 2),   q: the hour of the day, on weekdays and at weekends apart
    profile    s(g) = (sum_j w_j d_j + 12 b(q)) / (sum_j w_j + 12),   g: the hour of the week;    w_j halves every 26 weeks
    quarters   s(g, k) = s(g) + sum w e / (sum w + 10),   e: log range of a quarter of an hour less the mean of its hour's four

The profile in force on a day is made of what was known when that day began. Both sums draw an hour that has been seen seldom to
what is like it. Hours may come from a longer history than the minutes. Settings were fixed on hourly bars of 2022.
Sources: Andersen and Bollerslev 1997 (intraday periodicity); Parkinson 1980 (range).
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

MINUTE = 60_000_000  # microseconds
HOUR, QUARTER, DAY = 60, 15, 1440  # minutes
WEEK = 168  # hours
THURSDAY = 72  # hours of the week, from Monday, at which 1970 began
HALF_LIFE = 26.0  # weeks
BASE_PULL, WEEK_PULL, QUARTER_PULL = 2.0, 12.0, 10.0  # hours seen that the prior counts for
NARROWEST = 1e-6  # 0.01 bp
PARKINSON = float(np.sqrt(4.0 * np.log(2.0)))
MEMORY = 104  # weeks past which an hour is left out


@dataclass(frozen=True)
class Hours:
    """Ended hours, ascending: `end` (m,) minutes since 1970, `size` (m,) their range as a scale of the return."""

    end: Whole
    size: Floats


def blocks(bars: pl.DataFrame, length: int) -> Hours:
    """Ranges of clock-aligned blocks of `length` minutes from shorter or equal bars (ts = the end of a bar).

    A block stands at its clock end, whichever of its bars are absent; half of it has to be there where bars are minutes.

    Raises
    ------
    InvalidInput : bars that do not end on whole minutes
    """
    read = read_bars(bars)
    if (read.ts % MINUTE).any():
        raise InvalidInput("expected bars that end on whole minutes; resample them first")
    stamp = read.ts // MINUTE
    end = -(-stamp // length) * length
    first = np.flatnonzero(np.diff(end, prepend=-1))
    high, low = np.maximum.reduceat(read.high, first), np.minimum.reduceat(read.low, first)
    count = np.diff(np.append(first, len(end)))
    step = int(np.median(np.diff(stamp))) if len(stamp) > 1 else length
    whole = count * min(step, length) * 2 >= length
    return Hours(end[first][whole], np.maximum(np.log(high / low) / PARKINSON, NARROWEST)[whole])


def joined(long: Hours, own: Hours) -> Hours:
    """The hours of `own`, and those of `long` where it has none."""
    keep = ~np.isin(long.end, own.end)
    end, size = np.append(long.end[keep], own.end), np.append(long.size[keep], own.size)
    order = np.argsort(end, kind="stable")
    return Hours(end[order], size[order])


def week_profiles(hours: Hours, quarters: Hours, days: Whole) -> Floats:
    """(d, 672) log profile of the scale, by quarter of an hour from Monday 00:00 UTC, in force on each of `days`.

    Parameters
    ----------
    quarters : ranges of quarters of an hour, for the shape within the hour; may be empty
    days : (d,) days since 1970, UTC, ascending
    """
    logs = np.log(hours.size)
    centre = np.full(len(logs), np.nan)
    if len(logs) >= WEEK:
        centre[WEEK // 2 : len(logs) - WEEK // 2 + 1] = np.lib.stride_tricks.sliding_window_view(logs, WEEK).mean(axis=1)
    known = np.flatnonzero(np.isfinite(centre))
    deviation = logs[known] - centre[known]
    revealed = hours.end[known + WEEK // 2 - 1]
    place = (hours.end[known] // HOUR - 1 + THURSDAY) % WEEK
    inner_end, inner_place, inner = _within(quarters)
    out = np.zeros((len(days), WEEK * 4))
    slot = np.arange(WEEK)
    group = slot % 24 + 24 * (slot >= 5 * 24)
    for row, day in enumerate(days.tolist()):
        begin = day * DAY
        seen = slice(np.searchsorted(revealed, begin - MEMORY * WEEK * HOUR), np.searchsorted(revealed, begin, side="right"))
        weight = _weight(begin, revealed[seen])
        mass, total = (np.bincount(place[seen], weights=w, minlength=WEEK) for w in (weight, weight * deviation[seen]))
        base_mass, base_total = (np.bincount(group, weights=v, minlength=48) for v in (mass, total))
        base = (base_total / (base_mass + BASE_PULL))[group]
        week = (total + WEEK_PULL * base) / (mass + WEEK_PULL)
        part = slice(np.searchsorted(inner_end, begin - MEMORY * WEEK * HOUR), np.searchsorted(inner_end, begin, side="right"))
        weight = _weight(begin, inner_end[part])
        mass, total = (np.bincount(inner_place[part], weights=w, minlength=96) for w in (weight, weight * inner[part]))
        out[row] = np.repeat(week, 4) + np.tile(total / (mass + QUARTER_PULL), 7)
    return out


def _weight(now: int, end: Whole) -> Floats:
    weight: Floats = 0.5 ** ((now - end) / (HALF_LIFE * WEEK * HOUR))
    return weight


def _within(quarters: Hours) -> tuple[Whole, Whole, Floats]:
    """End of the hour, quarter of the day, and log range less the hour's mean, of the quarters of whole hours."""
    hour = -(-quarters.end // HOUR)
    first = np.flatnonzero(np.diff(hour, prepend=-1))
    count = np.diff(np.append(first, len(hour)))
    whole = np.repeat(count == 4, count)
    logs = np.log(quarters.size[whole])
    deviation = logs - np.repeat(logs.reshape(-1, 4).mean(axis=1), 4)
    return hour[whole] * HOUR, (quarters.end[whole] // QUARTER - 1) % 96, deviation


def at(profiles: Floats, days: Whole, stamp: Whole) -> Floats:
    """Log profile in force on the day in which each minute bar, ending at `stamp` minutes since 1970, began."""
    minute = stamp - 1
    row = np.searchsorted(days, minute // DAY)
    out: Floats = profiles[row, (minute // QUARTER + THURSDAY * 4) % (WEEK * 4)]
    return out
