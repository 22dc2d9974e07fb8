"""Equity at the closes, and its figures, without an array of equity.

Between two fills equity is a straight line in the close,

    equity(t) = cash + lots * factor * close(t)

so a stretch is marked in one vectorised pass that adds up the moments of the returns

    r(t) = lots * factor * (close(t) - close(t-1)) / equity(t-1)

and finds the extremes of 64 bars at a time; the drawdown is walked bar by bar only where those extremes leave room for a
deeper one. A flat stretch costs nothing. Money is whole; only the figures are float64.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fieldcast.simulation._kernels_fill import E8
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

FAST = {"reassoc", "contract", "nsz", "nnan"}
CHUNK = 64


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _stretch(value, first, stop, cash, slope, real):  # type: ignore[no-untyped-def]
    """Moments and extremes of bars first..stop-1 whose bar before was held the same; returns (lowest, highest) close."""
    total = 0.0
    squares = 0.0
    down = 0.0
    sum_value = 0.0
    low = value[first]
    high = low
    for t in range(first, stop):
        here, then = value[t], value[t - 1]
        change = slope * (here - then) / (cash + slope * then)
        total += change
        squares += change * change
        loss = change if change < 0.0 else 0.0
        down += loss * loss
        sum_value += here
        low = here if here < low else low
        high = here if here > high else high
    real[R_SUM] += total
    real[R_SQUARES] += squares
    real[R_DOWN] += down
    real[R_EQUITY] += cash * (stop - first) + slope * sum_value
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def mark(value, first, stop, cash, slope, before, real):  # type: ignore[no-untyped-def]
    """Mark bars first..stop-1 (at least one) at their closes; `before` is the equity of the bar before."""
    now = cash + slope * value[first]
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
    for base in range(first + 1, stop, CHUNK):
        end = min(base + CHUNK, stop)
        low, high = _stretch(value, base, end, cash, slope, real)
        bottom, top = cash + slope * low, cash + slope * high
        if slope < 0.0:
            bottom, top = top, bottom
        real[R_LEAST] = min(real[R_LEAST], bottom)
        highest = max(peak, top)
        if highest - bottom > deepest * highest:
            for t in range(base, end):
                now = cash + slope * value[t]
                if now > peak:
                    peak = now
                elif peak - now > deepest * peak:
                    deepest = (peak - now) / peak
        else:
            peak = highest
    real[R_PEAK], real[R_DRAWDOWN] = peak, deepest


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def margin_call(value, first, stop, cash, slope, maintenance):  # type: ignore[no-untyped-def]
    """The first bar of first..stop-1 whose close leaves less equity than the maintenance margin; -1 where none does."""
    share = maintenance / E8
    for t in range(first, stop):
        if cash + slope * value[t] < share * abs(slope) * value[t]:
            return t
    return -1


@njit(cache=True, nogil=True)
def equity_curve(close, factor, start_cash, fills, begin, curve):  # type: ignore[no-untyped-def]
    """(T,) int64 minimal units at each close, from the fills, whose bars count from `begin` before the first close."""
    cash, lots, first = start_cash, 0, 0
    for k in range(fills.shape[0]):
        for t in range(first, fills[k, X_BAR] - begin):
            curve[t] = cash + lots * factor * close[t]
        first = max(first, fills[k, X_BAR] - begin)
        cash, lots = fills[k, X_CASH], fills[k, X_POSITION]
    for t in range(first, curve.shape[0]):
        curve[t] = cash + lots * factor * close[t]


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
