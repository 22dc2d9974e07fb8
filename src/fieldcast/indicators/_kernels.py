"""Recursive indicators as kernels: state in, rows in, values out, state advanced.

Each kernel continues from the state it is given, so the same code is the batch (all rows, fresh state) and the live
step (one row, kept state). The states are plain float arrays, laid out as each docstring says; a fresh state is all
zeros. NaN stands for "not yet defined" in the outputs only; inputs hold none. Seeds follow TA-Lib (metastock mode off).
"""

from __future__ import annotations

import numpy as np
from numba import njit

EMA_STATE = 6
WILDER_STATE = 12
FLOW_STATE = 5


@njit(cache=True)
def exponential_lines(values, periods, skips, state, first, second):  # type: ignore[no-untyped-def]
    """Exponential averages of one series, and the exponential averages of those, for several periods at once.

    first_t = first_{t-1} + (values_t - first_{t-1}) * 2 / (period + 1), seeded with the mean of its first `period`
    values; second is the same of `first`.

    values (n,); periods (m,) integers; skips (m,) leading rows left out of the seed
    state (m, 6): rows seen, sum of the seed and value of the first average; the same three of the second
    first, second (m, n): outputs
    """
    for line in range(periods.shape[0]):
        period = periods[line]
        weight = 2.0 / (period + 1.0)
        s = state[line]
        for row in range(values.shape[0]):
            first[line, row] = np.nan
            second[line, row] = np.nan
            s[0] += 1.0
            seen = s[0] - skips[line]
            if seen <= 0.0:
                continue
            if seen <= period:
                s[1] += values[row]
                if seen < period:
                    continue
                s[2] = s[1] / period
            else:
                s[2] += (values[row] - s[2]) * weight
            first[line, row] = s[2]
            s[3] += 1.0
            if s[3] <= period:
                s[4] += s[2]
                if s[3] < period:
                    continue
                s[5] = s[4] / period
            else:
                s[5] += (s[2] - s[5]) * weight
            second[line, row] = s[5]


@njit(cache=True)
def wilder_lines(high, low, close, period, state, out):  # type: ignore[no-untyped-def]
    """Wilder's averages of one period: relative strength, true range and directional movement.

    state (12,): rows seen; previous high, low and close; mean gain, loss and true range; smoothed plus movement, minus
    movement and true range of the directional index; sum of its first values, and its average
    out (5, n): RSI [0, 100]; average true range; ADX [0, 100]; mean gain + mean loss; true range (prices)
    """
    s = state
    keep = (period - 1.0) / period
    for row in range(close.shape[0]):
        for line in range(5):
            out[line, row] = np.nan
        seen = s[0]
        s[0] += 1.0
        if seen > 0.0:
            change = close[row] - s[3]
            gain = max(change, 0.0)
            loss = max(-change, 0.0)
            reach = max(high[row] - low[row], abs(high[row] - s[3]), abs(low[row] - s[3]))
            up = high[row] - s[1]
            down = s[2] - low[row]
            plus = 0.0
            minus = 0.0
            if down > 0.0 and up < down:
                minus = down
            elif up > 0.0 and up > down:
                plus = up
            out[4, row] = reach
            # relative strength and average true range: the mean of the first `period` changes, then Wilder's average
            if seen <= period:
                s[4] += gain / period
                s[5] += loss / period
                s[6] += reach / period
            else:
                s[4] = s[4] * keep + gain / period
                s[5] = s[5] * keep + loss / period
                s[6] = s[6] * keep + reach / period
            # directional movement: sums of the first period - 1 changes, then Wilder's smoothing
            if seen < period:
                s[7] += plus
                s[8] += minus
                s[9] += reach
            else:
                s[7] = s[7] * keep + plus
                s[8] = s[8] * keep + minus
                s[9] = s[9] * keep + reach
                both = s[7] + s[8]
                moved = s[9] > 0.0 and both > 0.0
                index = 100.0 * abs(s[7] - s[8]) / both if moved else 0.0
                if seen < 2.0 * period:
                    s[10] += index
                    s[11] = s[10] / period
                elif moved:
                    s[11] = s[11] * keep + index / period
            if seen >= period:
                total = s[4] + s[5]
                out[0, row] = 100.0 * s[4] / total if total > 0.0 else 0.0
                out[1, row] = s[6]
                out[3, row] = total
            if seen >= 2.0 * period - 1.0:
                out[2, row] = s[11]
        s[1] = high[row]
        s[2] = low[row]
        s[3] = close[row]


@njit(cache=True)
def flow_lines(high, low, close, volume, fast, slow, state, out):  # type: ignore[no-untyped-def]
    """On-balance volume, and the Chaikin oscillator of the accumulation line.

    state (5,): rows seen; previous close; on-balance volume; fast and slow averages of the accumulation line, both less
    its current value (only differences matter, and so nothing grows with the length of history)
    out (2, n): on-balance volume; fast minus slow average (defined from row `slow` - 1)
    """
    s = state
    fast_keep = 1.0 - 2.0 / (fast + 1.0)
    slow_keep = 1.0 - 2.0 / (slow + 1.0)
    for row in range(close.shape[0]):
        spread = high[row] - low[row]
        added = 0.0
        if spread > 0.0:
            added = ((close[row] - low[row]) - (high[row] - close[row])) / spread * volume[row]
        if s[0] == 0.0:
            s[2] = volume[row]
        else:
            if close[row] > s[1]:
                s[2] += volume[row]
            elif close[row] < s[1]:
                s[2] -= volume[row]
            s[3] = (s[3] - added) * fast_keep
            s[4] = (s[4] - added) * slow_keep
        s[0] += 1.0
        s[1] = close[row]
        out[0, row] = s[2]
        out[1, row] = s[3] - s[4] if s[0] >= slow else np.nan
