"""Equity at the closes, and its figures, without an array of equity.

Between two fills equity is a straight line in the close,

    equity(t) = cash + lots * factor * close(t)

so a stretch is marked in vectorised passes over 512 bars that add up the moments of the returns

    r(t) = lots * factor * (close(t) - close(t-1)) / equity(t-1)

and find the extremes. Where a block has no new peak its deepest point is all that counts; where it has one, and its extremes
leave room for a deeper drawdown, 64 bars are looked at in the same way, and walked bar by bar only if they leave room
themselves. A flat stretch costs nothing. Money is whole; only the figures are float64.

Loops run over slices from 0, and extremes are those of whole numbers: with an offset in the index, or with a minimum of floats,
the compiler does not vectorise them.
"""

from __future__ import annotations

import numpy as np

from fieldcast.ground.compiler import njit
from fieldcast.simulation._kernels_fill import E8
from fieldcast.simulation.fast._compiled import kernel, summing_kernel
from fieldcast.simulation.fast._layout import (
    R_DOWN,
    R_DRAWDOWN,
    R_EQUITY,
    R_LEAST,
    R_PEAK,
    R_SQUARES,
    R_SUM,
    X_BAR,
    X_CASH,
    X_LOTS,
    X_POSITION,
    X_SIDE,
)

BLOCK = 512
CHUNK = 64


@summing_kernel
def _moments(here, then, cash, slope):  # type: ignore[no-untyped-def]
    """Of bars whose bar before was held the same: sums of r, r^2, min(r, 0)^2 and closes, the lowest and the highest close."""
    total = 0.0
    squares = 0.0
    down = 0.0
    values = 0.0
    low = here[0]
    high = low
    for i in range(here.shape[0]):
        now, before = float(here[i]), float(then[i])
        change = slope * (now - before) / (cash + slope * before)
        total += change
        squares += change * change
        loss = min(change, 0.0)
        down += loss * loss
        values += now
        low = min(low, here[i])
        high = max(high, here[i])
    return total, squares, down, values, low, high


@kernel
def lowest_and_highest(values):  # type: ignore[no-untyped-def]
    """Extremes of whole numbers, at least one."""
    low = values[0]
    high = low
    for i in range(values.shape[0]):
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high


@kernel
def _deeper(close, cash, slope, peak, deepest):  # type: ignore[no-untyped-def]
    """(peak, deepest drawdown) after a block in which both may rise."""
    for base in range(0, close.shape[0], CHUNK):
        low, high = lowest_and_highest(close[base : base + CHUNK])
        bottom, top = cash + slope * float(low), cash + slope * float(high)
        if slope < 0.0:
            bottom, top = top, bottom
        highest = max(peak, top)
        if highest - bottom > deepest * highest:
            for t in range(base, min(base + CHUNK, close.shape[0])):
                now = cash + slope * float(close[t])
                if now > peak:
                    peak = now
                elif peak - now > deepest * peak:
                    deepest = (peak - now) / peak
        else:
            peak = highest
    return peak, deepest


@kernel
def mark(close, first, stop, cash, slope, before, real):  # type: ignore[no-untyped-def]
    """Mark bars first..stop-1 (at least one) at their closes; `before` is the equity of the bar before."""
    now = cash + slope * float(close[first])
    change = (now - before) / before
    real[R_SUM] += change
    real[R_SQUARES] += change * change
    if change < 0.0:
        real[R_DOWN] += change * change
    real[R_EQUITY] += now
    real[R_LEAST] = min(real[R_LEAST], now)
    peak, deepest = real[R_PEAK], real[R_DRAWDOWN]
    if now > peak:
        peak = now
    elif peak - now > deepest * peak:
        deepest = (peak - now) / peak
    for base in range(first + 1, stop, BLOCK):
        end = min(base + BLOCK, stop)
        here = close[base:end]
        total, squares, down, values, low, high = _moments(here, close[base - 1 : end - 1], cash, slope)
        real[R_SUM] += total
        real[R_SQUARES] += squares
        real[R_DOWN] += down
        real[R_EQUITY] += cash * (end - base) + slope * values
        bottom, top = cash + slope * float(low), cash + slope * float(high)
        if slope < 0.0:
            bottom, top = top, bottom
        real[R_LEAST] = min(real[R_LEAST], bottom)
        highest = max(peak, top)
        if highest - bottom > deepest * highest:
            if top > peak:
                peak, deepest = _deeper(here, cash, slope, peak, deepest)
            else:
                deepest = (peak - bottom) / peak
        else:
            peak = highest
    real[R_PEAK], real[R_DRAWDOWN] = peak, deepest


@kernel
def flat(bars, cash, before, real):  # type: ignore[no-untyped-def]
    """The same of bars without a position, at least one: only the first can differ from the one before it."""
    if cash != before:
        change = (cash - before) / before
        real[R_SUM] += change
        real[R_SQUARES] += change * change
        if change < 0.0:
            real[R_DOWN] += change * change
        real[R_LEAST] = min(real[R_LEAST], cash)
        if cash > real[R_PEAK]:
            real[R_PEAK] = cash
        elif real[R_PEAK] - cash > real[R_DRAWDOWN] * real[R_PEAK]:
            real[R_DRAWDOWN] = (real[R_PEAK] - cash) / real[R_PEAK]
    real[R_EQUITY] += cash * bars


@kernel
def margin_call(close, first, stop, cash, slope, maintenance):  # type: ignore[no-untyped-def]
    """The first bar of first..stop-1 whose close leaves less equity than the maintenance margin; -1 where none does."""
    share = maintenance / E8
    for t in range(first, stop):
        value = float(close[t])
        if cash + slope * value < share * abs(slope) * value:
            return t
    return -1


@kernel
def _line(close, cash, slope, curve):  # type: ignore[no-untyped-def]
    for i in range(curve.shape[0]):
        curve[i] = cash + slope * close[i]


@kernel
def equity_curve(close, factor, start_cash, fills, begin, curve):  # type: ignore[no-untyped-def]
    """(T,) int64 minimal units at each close, from the fills, whose bars count from `begin` before the first close."""
    cash, lots, first = start_cash, 0, 0
    for k in range(fills.shape[0]):
        until = fills[k, X_BAR] - begin
        if until > first:
            _line(close[first:until], cash, lots * factor, curve[first:until])
            first = until
        cash, lots = fills[k, X_CASH], fills[k, X_POSITION]
    _line(close[first:], cash, lots * factor, curve[first:])


@kernel
def whole_prices(prices, scale, found):  # type: ignore[no-untyped-def]
    """(T,) int64 prices * scale, half to even; 0 where there is none."""
    for t in range(prices.shape[0]):
        price = prices[t]
        found[t] = int(np.rint(price * scale)) if price > 0.0 else 0


@njit(cache=True, nogil=True)
def first_in_first_out(fills, pairs):  # type: ignore[no-untyped-def]
    """Closed parts of positions in order of exit; returns how many.

    pairs (2 n, 5) int64: entry fill, exit fill, lots, and how many lots of each fill were paired before
    """
    left = np.empty(fills.shape[0], np.int64)
    found = 0
    oldest = 0
    for k in range(fills.shape[0]):
        left[k] = fills[k, X_LOTS]
        side = fills[k, X_SIDE]
        while oldest < k and left[k] > 0:
            if left[oldest] == 0:
                oldest += 1
                continue
            if fills[oldest, X_SIDE] == side:
                break
            lots = min(left[oldest], left[k])
            pairs[found, 0], pairs[found, 1], pairs[found, 2] = oldest, k, lots
            pairs[found, 3], pairs[found, 4] = fills[oldest, X_LOTS] - left[oldest], fills[k, X_LOTS] - left[k]
            found += 1
            left[oldest] -= lots
            left[k] -= lots
    return found
