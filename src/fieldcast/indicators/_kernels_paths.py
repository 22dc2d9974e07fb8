"""Path-dependent indicators with a finite memory, and directional movement, as kernels.

Kaufman's average and the Supertrend remember without a bound: how long depends on the path. Here each row's value is that of a
run begun `rows` rows before, so that what is older has no say at all.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FUSED = {"contract"}
TIE = 1e-9  # of the price or the value: what lies nearer together is equal, and differs by rounding


@njit(cache=True, fastmath=FUSED)
def adaptive_average(x, period, rows, out):  # type: ignore[no-untyped-def]
    """Kaufman's adaptive average (2, 30), begun at the value `rows` rows before; out (n,)."""
    n = x.shape[0]
    fast, slow = 2.0 / 3.0, 2.0 / 31.0
    share = np.empty(n)
    path = 0.0
    for row in range(n):
        share[row] = np.nan
        if row >= period:
            path = 0.0
            for place in range(row - period + 1, row + 1):
                path += abs(x[place] - x[place - 1])
            ratio = min(abs(x[row] - x[row - period]) / path, 1.0) if path > 0.0 else 1.0
            weight = ratio * (fast - slow) + slow
            share[row] = weight * weight
    first = rows + period - 1
    for row in range(min(first, n)):
        out[row] = np.nan
    size = 256
    value = np.empty(size)
    for start in range(first, n, size):
        length = min(size, n - start)
        for j in range(length):
            value[j] = x[start + j - rows]
        for back in range(rows - 1, -1, -1):
            for j in range(length):
                value[j] += share[start + j - back] * (x[start + j - back] - value[j])
        for j in range(length):
            out[start + j] = value[j]


@njit(cache=True)
def ratchet(high, low, close, reach, width, rows, out):  # type: ignore[no-untyped-def]
    """Supertrend line: bands `width` times `reach` about the middle of the bar, which only move towards the close, begun
    `rows` rows before; out (n,) prices, below the close in an up-trend and above it in a down-trend."""
    n = close.shape[0]
    for row in range(n):
        first = row - rows + 1
        if first < 0 or np.isnan(reach[first]):
            out[row] = np.nan
            continue
        up, bottom, top = True, -np.inf, np.inf
        for place in range(first, row + 1):
            middle = 0.5 * (high[place] + low[place])
            lower = middle - width * reach[place]
            upper = middle + width * reach[place]
            if place == first:
                bottom, top, up = lower, upper, close[place] >= middle
                continue
            if lower > bottom or close[place - 1] < bottom:
                bottom = lower
            if upper < top or close[place - 1] > top:
                top = upper
            if up and close[place] < bottom:
                up = False
            elif not up and close[place] > top:
                up = True
        out[row] = bottom if up else top


@njit(cache=True, fastmath=FUSED)
def directional_shares(high, low, close, period, plus_out, minus_out):  # type: ignore[no-untyped-def]
    """Wilder's +DI and -DI in [0, 1]; each (n,), NaN in the first `period` rows."""
    pluses, minuses, reaches = 0.0, 0.0, 0.0
    keep = (period - 1.0) / period
    for row in range(close.shape[0]):
        plus_out[row] = minus_out[row] = np.nan
        if row == 0:
            continue
        here = max(high[row], close[row - 1]) - min(low[row], close[row - 1])
        up, down = high[row] - high[row - 1], low[row - 1] - low[row]
        tie = TIE * high[row]
        plus = up if up > 0.0 and up - down > tie else 0.0
        minus = down if down > 0.0 and down - up > tie else 0.0
        if row < period:
            pluses += plus
            minuses += minus
            reaches += here
            continue
        pluses = pluses * keep + plus
        minuses = minuses * keep + minus
        reaches = reaches * keep + here
        if reaches > 0.0:
            plus_out[row], minus_out[row] = pluses / reaches, minuses / reaches


@njit(cache=True)
def block_strength(close, period, spacing, blocks, recent, least_move, least_range, rsi, place):  # type: ignore[no-untyped-def]
    """RSI of `blocks` closes `spacing` rows apart, the newest last, and its place in the range of its last `recent` values.

    rsi, place (n,) in [0, 1]; NaN before spacing * blocks rows, where the close moved less than `least_move` of itself, and
    (place) where the RSI's range is not above `least_range`. Rows go side by side in groups, one block's change after another.
    """
    n = close.shape[0]
    span = spacing * blocks
    keep = (period - 1.0) / period
    size = 256
    gain, loss, newest = np.empty(size), np.empty(size), np.empty(size)
    lowest, highest = np.empty(size), np.empty(size)
    for row in range(min(span - 1, n)):
        rsi[row] = place[row] = np.nan
    for start in range(span - 1, n, size):
        length = min(size, n - start)
        gain[:length], loss[:length] = 0.0, 0.0
        lowest[:length], highest[:length] = np.inf, -np.inf
        for change in range(1, blocks):
            here = start - spacing * (blocks - 1 - change)
            if change <= period:
                for j in range(length):
                    moved = close[here + j] - close[here + j - spacing]
                    gain[j] += max(moved, 0.0)
                    loss[j] += max(-moved, 0.0)
                if change == period:
                    for j in range(length):
                        gain[j] /= period
                        loss[j] /= period
                continue
            for j in range(length):
                moved = close[here + j] - close[here + j - spacing]
                gain[j] = gain[j] * keep + max(moved, 0.0) / period
                loss[j] = loss[j] * keep + max(-moved, 0.0) / period
            if change < blocks - recent:
                continue
            for j in range(length):
                total = gain[j] + loss[j]
                strength = gain[j] / total if total > least_move * close[start + j] else np.nan
                newest[j] = strength
                if np.isnan(strength) or np.isnan(lowest[j]):
                    lowest[j] = highest[j] = np.nan
                else:
                    lowest[j] = min(lowest[j], strength)
                    highest[j] = max(highest[j], strength)
        for j in range(length):
            rsi[start + j] = newest[j]
            reach = highest[j] - lowest[j]
            place[start + j] = (newest[j] - lowest[j]) / reach if reach > least_range else np.nan
