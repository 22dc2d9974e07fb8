"""Indicators as kernels: state in, rows in, values out, state advanced.

Each recursive kernel continues from the state it is given, so the same code is the batch (all rows, fresh state) and the live
step (one row, kept state). The states are plain float arrays, laid out as each docstring says; a fresh state is all zeros. The
loop works on local copies, which stay in registers. NaN stands for "not yet defined" in the outputs only; inputs hold none.
Seeds follow TA-Lib (metastock mode off).

The windowed kernels add up whole windows in two halves, the end of one block of `rows` values and the start of the next: one
addition a row, and no rounding error grows along the series, as it would in a running sum.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FUSED = {"contract"}  # a product and the sum it enters are one instruction, rounded once
TIE = 1e-9  # of the price or the value: what lies nearer together is equal, and differs by rounding
EMA_STATE = 6
WILDER_STATE = 12
FLOW_STATE = 5


@njit(cache=True, fastmath=FUSED)
def exponential_lines(values, periods, skips, double, state, out):  # type: ignore[no-untyped-def]
    """Exponential averages of one series for several periods at once, or double exponential ones.

    first_t = (1 - w) first_{t-1} + w values_t, w = 2 / (period + 1), seeded with the mean of its first `period` values;
    second is the same of `first`; double = 2 first - second.

    values (n,); periods (m,) integers; skips (m,) leading rows left out of the seed; double: which of the two
    state (m, 6): rows seen, sum of the seed and value of the first average; the same three of the second
    out (m, n)
    """
    for line in range(periods.shape[0]):
        period = periods[line]
        weight = 2.0 / (period + 1.0)
        keep = 1.0 - weight
        skip = skips[line]
        s = state[line]
        rows, total, first = s[0], s[1], s[2]
        rows2, total2, second = s[3], s[4], s[5]
        for row in range(values.shape[0]):
            rows += 1.0
            seen = rows - skip
            if seen > period:
                first = first * keep + values[row] * weight
            else:
                out[line, row] = np.nan
                if seen <= 0.0:
                    continue
                total += values[row]
                if seen < period:
                    continue
                first = total / period
            if not double:
                out[line, row] = first
                continue
            rows2 += 1.0
            if rows2 > period:
                second = second * keep + first * weight
            else:
                out[line, row] = np.nan
                total2 += first
                if rows2 < period:
                    continue
                second = total2 / period
            out[line, row] = 2.0 * first - second
        s[0], s[1], s[2], s[3], s[4], s[5] = rows, total, first, rows2, total2, second


@njit(cache=True, fastmath=FUSED)
def strength_line(close, period, state, strength, move):  # type: ignore[no-untyped-def]
    """Wilder's relative strength.

    state (12,), of which: [0] rows seen, [3] previous close, [4] mean gain, [5] mean loss
    strength (n,) RSI in [0, 100]; move (n,) mean gain + mean loss (prices), or empty where it is not wanted
    """
    seen, previous, gains, losses = state[0], state[3], state[4], state[5]
    keep = (period - 1.0) / period
    share = 1.0 / period
    wanted = move.shape[0] > 0
    for row in range(close.shape[0]):
        if seen > 0.0:
            change = (close[row] - previous) * share
            gain = change if change > 0.0 else 0.0
            loss = gain - change
            if seen <= period:      # the mean of the first `period` changes, then Wilder's average
                gains += gain
                losses += loss
            else:
                gains = gains * keep + gain
                losses = losses * keep + loss
        total = gains + losses
        known = seen >= period
        strength[row] = (100.0 * gains / total if total > 0.0 else 0.0) if known else np.nan
        if wanted:
            move[row] = total if known else np.nan
        previous = close[row]
        seen += 1.0
    state[0], state[3], state[4], state[5] = seen, previous, gains, losses


@njit(cache=True, fastmath=FUSED)
def range_lines(high, low, close, period, state, reach, mean):  # type: ignore[no-untyped-def]
    """True range and its Wilder average.

    state (12,), of which: [0] rows seen, [3] previous close, [6] mean true range
    reach (n,) true range, or empty where it is not wanted; mean (n,) average true range (prices)
    """
    seen, previous, average = state[0], state[3], state[6]
    keep = (period - 1.0) / period
    share = 1.0 / period
    wanted = reach.shape[0] > 0
    for row in range(close.shape[0]):
        here = np.nan
        if seen > 0.0:
            top = high[row] if high[row] > previous else previous
            bottom = low[row] if low[row] < previous else previous
            here = top - bottom
            average = average * (keep if seen > period else 1.0) + here * share
        mean[row] = average if seen >= period else np.nan
        if wanted:
            reach[row] = here
        previous = close[row]
        seen += 1.0
    state[0], state[3], state[6] = seen, previous, average


@njit(cache=True, fastmath=FUSED)
def direction_line(high, low, close, period, state, out):  # type: ignore[no-untyped-def]
    """Wilder's average directional index.

    state (12,), of which: [0] rows seen, [1] [2] [3] previous high, low and close, [7] [8] [9] smoothed plus movement, minus
    movement and true range, [10] sum of the index's first values, [11] its average
    out (n,) ADX in [0, 100]
    """
    seen, top, bottom, previous = state[0], state[1], state[2], state[3]
    pluses, minuses, reaches, total, average = state[7], state[8], state[9], state[10], state[11]
    keep = (period - 1.0) / period
    for row in range(close.shape[0]):
        if seen > 0.0:
            here = (high[row] if high[row] > previous else previous) - (low[row] if low[row] < previous else previous)
            up = high[row] - top
            down = bottom - low[row]
            plus = 0.0
            minus = 0.0
            tie = TIE * high[row]       # moves that are equal but for their rounding: neither counts, at any scale of the prices
            if down > 0.0 and down - up > tie:
                minus = down
            elif up > 0.0 and up - down > tie:
                plus = up
            if seen < period:       # sums of the first period - 1 changes, then Wilder's smoothing
                pluses += plus
                minuses += minus
                reaches += here
            else:
                pluses = pluses * keep + plus
                minuses = minuses * keep + minus
                reaches = reaches * keep + here
                both = pluses + minuses
                moved = reaches > 0.0 and both > 0.0
                index = 100.0 * abs(pluses - minuses) / both if moved else 0.0
                if seen < 2.0 * period:
                    total += index
                    average = total / period
                elif moved:
                    average = average * keep + index / period
        out[row] = average if seen >= 2.0 * period - 1.0 else np.nan
        top, bottom, previous = high[row], low[row], close[row]
        seen += 1.0
    state[0], state[1], state[2], state[3] = seen, top, bottom, previous
    state[7], state[8], state[9], state[10], state[11] = pluses, minuses, reaches, total, average


@njit(cache=True, fastmath=FUSED)
def balance_line(close, volume, state, out):  # type: ignore[no-untyped-def]
    """On-balance volume; state (5,), of which: [0] rows seen, [1] previous close, [2] the balance; out (n,)."""
    seen, previous, balance = state[0], state[1], state[2]
    for row in range(close.shape[0]):
        sign = (1.0 if close[row] > previous else 0.0) - (1.0 if close[row] < previous else 0.0)
        balance += (sign if seen > 0.0 else 1.0) * volume[row]
        out[row] = balance
        previous = close[row]
        seen += 1.0
    state[0], state[1], state[2] = seen, previous, balance


@njit(cache=True, fastmath=FUSED)
def chaikin_line(high, low, close, volume, fast, slow, state, out):  # type: ignore[no-untyped-def]
    """The Chaikin oscillator of the accumulation line.

    state (5,), of which: [0] rows seen, [3] [4] fast and slow averages of the accumulation line, both less its current value
    (only differences matter, and so nothing grows with the length of history)
    out (n,): fast minus slow average, defined from row `slow` - 1
    """
    seen, quick, late = state[0], state[3], state[4]
    fast_keep = 1.0 - 2.0 / (fast + 1.0)
    slow_keep = 1.0 - 2.0 / (slow + 1.0)
    for row in range(close.shape[0]):
        spread = high[row] - low[row]
        added = 0.0
        if spread > 0.0:
            added = ((close[row] - low[row]) - (high[row] - close[row])) / spread * volume[row]
        if seen > 0.0:
            quick = quick * fast_keep - added * fast_keep
            late = late * slow_keep - added * slow_keep
        seen += 1.0
        out[row] = quick - late if seen >= slow else np.nan
    state[0], state[3], state[4] = seen, quick, late


@njit(cache=True, fastmath=FUSED)
def window_sums(values, rows, out):  # type: ignore[no-untyped-def]
    """Sum of the last `rows` values; out (n,), NaN in the first rows - 1."""
    behind = np.zeros(rows + 1)     # behind[j]: sum of the last whole block's values from place j on
    for start in range(0, values.shape[0], rows):
        length = min(rows, values.shape[0] - start)
        ahead, after = 0.0, 0.0
        for place in range(length):     # two chains of additions side by side: this block's start, then below its end
            ahead += values[start + place]
            out[start + place] = ahead
        for place in range(length):
            out[start + place] += behind[place + 1]
        if length == rows:
            for place in range(rows - 1, -1, -1):
                after += values[start + place]
                behind[place] = after
    for row in range(min(rows - 1, values.shape[0])):
        out[row] = np.nan


@njit(cache=True, fastmath={"contract", "reassoc"})
def band_place(values, rows, width, out):  # type: ignore[no-untyped-def]
    """Place of each value between the bands at mean ± width population deviations of its window; out (n,).

    NaN in the first rows - 1, and where the deviation is within rounding of nothing.
    """
    window_sums(values, rows, out)
    for row in range(rows - 1, values.shape[0]):
        middle = out[row] / rows
        part = values[row - rows + 1 : row + 1]
        squares = 0.0
        for place in range(np.uint64(rows)):
            away = part[np.uint64(place)] - middle
            squares += away * away
        deviation = np.sqrt(squares / rows)
        if deviation > 1e-12 * abs(middle):
            out[row] = (values[row] - middle + width * deviation) / (2.0 * width * deviation)
        else:
            out[row] = np.nan


@njit(cache=True, fastmath=FUSED)
def range_place(values, rows, least_range, otherwise, out):  # type: ignore[no-untyped-def]
    """Place of each value in the range of its window; out (n - rows + 1,), `otherwise` where that is not above `least_range`
    or a value of the window is NaN."""
    for row in range(rows - 1, values.shape[0]):
        low = high = values[row]
        known = low == low
        for place in range(row - rows + 1, row):
            here = values[place]
            known = known and here == here
            low = here if here < low else low
            high = here if here > high else high
        reach = high - low
        out[row - rows + 1] = (values[row] - low) / reach if known and reach > least_range else otherwise
