"""Tier a20 in three passes over blocks of rows: averages that remember without a bound, windows of the close, and whole bars.

The lines equal those of `fieldcast.indicators` but for rounding; their seeds are TA-Lib's.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import numpy as np
from numba import njit

from fieldcast.features._kernels_a20_windows import (
    BLOCK,
    KEEP,
    LINES,
    PERIOD,
    WIDTH,
    blank,
    log_ratios,
    price_windows,
    volume_windows,
    weekly_windows,
)

FUSED = {"contract"}
TIE = 1e-9  # of the price: moves that lie nearer together are equal, and differ by rounding
FAST, SLOW = 12, 26  # of MACD
AVERAGE_LINES = np.array([0, 1, 2, 3, 4, 13])  # places in the table
WINDOW_LINES = np.array([5, 6, 7, 8, 10, 12, 18])
BAR_LINES = np.array([9, 11, 14, 15, 16, 17, 19])


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def seed_averages(close, periods, base, out, first, second):  # type: ignore[no-untyped-def]
    """The first rows of every average, seeds and all; returns how many. first (7,), second (5,): where they stand then.

    A seed is the mean of the first `period` values; MACD's fast average begins with the slow one.
    """
    lead = min(close.shape[0], 2 * max(periods[4], SLOW))
    for line in range(5):
        period = periods[line]
        weight = 2.0 / (period + 1.0)
        total, total2 = 0.0, 0.0
        for row in range(lead):
            out[line, base + row] = np.nan
            if row < period:
                total += close[row]
                first[line] = total / period
            else:
                first[line] = first[line] * (1.0 - weight) + close[row] * weight
            if row < period - 1:
                continue
            if row < 2 * period - 1:
                total2 += first[line]
                second[line] = total2 / period
            else:
                second[line] = second[line] * (1.0 - weight) + first[line] * weight
            if row >= 2 * period - 2:
                out[line, base + row] = 2.0 * first[line] - second[line]
    for line, period in ((5, FAST), (6, SLOW)):
        weight = 2.0 / (period + 1.0)
        total = 0.0
        for row in range(lead):
            if row < SLOW:
                total += close[row] if row >= SLOW - period else 0.0
                first[line] = total / period
            else:
                first[line] = first[line] * (1.0 - weight) + close[row] * weight
            if line == 5:
                out[13, base + row] = first[line]
            else:
                out[13, base + row] = (out[13, base + row] - first[line]) / close[row] if row >= SLOW - 1 else np.nan
    return lead


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def averages(close, periods, start, stop, base, out, first, second):  # type: ignore[no-untyped-def]
    """Rows start to stop of five double exponential averages (the lines 0 to 4) and of MACD over the close (13)."""
    w0, w1, w2 = 2.0 / (periods[0] + 1.0), 2.0 / (periods[1] + 1.0), 2.0 / (periods[2] + 1.0)
    w3, w4, w5, w6 = 2.0 / (periods[3] + 1.0), 2.0 / (periods[4] + 1.0), 2.0 / (FAST + 1.0), 2.0 / (SLOW + 1.0)
    k0, k1, k2, k3, k4, k5, k6 = 1.0 - w0, 1.0 - w1, 1.0 - w2, 1.0 - w3, 1.0 - w4, 1.0 - w5, 1.0 - w6
    a0, a1, a2, a3, a4, a5, a6 = first[0], first[1], first[2], first[3], first[4], first[5], first[6]
    b0, b1, b2, b3, b4 = second[0], second[1], second[2], second[3], second[4]
    l0, l1, l2, l3, l4, l5 = out[0, base:], out[1, base:], out[2, base:], out[3, base:], out[4, base:], out[13, base:]
    for row in range(start, stop):
        x = close[row]
        a0 = a0 * k0 + x * w0
        a1 = a1 * k1 + x * w1
        a2 = a2 * k2 + x * w2
        a3 = a3 * k3 + x * w3
        a4 = a4 * k4 + x * w4
        a5 = a5 * k5 + x * w5
        a6 = a6 * k6 + x * w6
        b0 = b0 * k0 + a0 * w0
        b1 = b1 * k1 + a1 * w1
        b2 = b2 * k2 + a2 * w2
        b3 = b3 * k3 + a3 * w3
        b4 = b4 * k4 + a4 * w4
        l0[row] = 2.0 * a0 - b0
        l1[row] = 2.0 * a1 - b1
        l2[row] = 2.0 * a2 - b2
        l3[row] = 2.0 * a3 - b3
        l4[row] = 2.0 * a4 - b4
        l5[row] = (a5 - a6) / x
    first[0], first[1], first[2], first[3], first[4], first[5], first[6] = a0, a1, a2, a3, a4, a5, a6
    second[0], second[1], second[2], second[3], second[4] = b0, b1, b2, b3, b4


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FUSED)
def average_lines(close, bounds, periods, warmups, out):  # type: ignore[no-untyped-def]
    """AVERAGE_LINES of `out` (20, n), which remember every close before: one instrument from its first row to its last.

    bounds (k + 1,): first row of each instrument, and the end of the last
    periods: of the DEMAs, ascending; warmups (20,): first rows of each line that are NaN
    """
    for k in range(bounds.shape[0] - 1):
        base, last = bounds[k], bounds[k + 1]
        here = close[base:last]
        n = last - base
        first, second = np.zeros(7), np.zeros(5)
        done = seed_averages(here, periods, base, out, first, second)
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            averages(here, periods, max(start, min(done, stop)), stop, base, out, first, second)
            for line in range(5):
                log_ratios(here[start:stop], out[line, base + start : base + stop], 1.0)
        blank(out, AVERAGE_LINES, warmups, base, last)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FUSED)
def window_lines(close, bounds, first_row, last_row, spans, warmups, out, least_move, least_range):  # type: ignore[no-untyped-def]
    """WINDOW_LINES of `out` (20, n), whose values need the close alone and forget: of the blocks that begin from `first_row` of
    the table on but before `last_row`, so that a long table may be filled in parts, in any order.

    bounds, warmups: as of `average_lines`; spans: of the SMAs
    """
    w = np.empty((LINES, WIDTH))
    for k in range(bounds.shape[0] - 1):
        base, last = bounds[k], bounds[k + 1]
        if last <= first_row or base >= last_row:
            continue
        here = close[base:last]
        n = last - base
        begin = max(first_row - base + BLOCK - 1, 0) // BLOCK * BLOCK
        for start in range(begin, min(n, last_row - base), BLOCK):
            stop = min(start + BLOCK, n)
            price_windows(here, start, stop, w, base, out)
            for line in range(4):
                log_ratios(here[start:stop], out[5 + line, base + start : base + stop], 1.0 / spans[line])
            weekly_windows(start, stop, least_move, least_range, w, base, out)
            if start == 0:
                blank(out, WINDOW_LINES, warmups, base, base + stop)


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def moves(high, low, close, start, stop, held):  # type: ignore[no-untyped-def]
    """What Wilder's averages are made of: gain and loss over the period, true range, plus and minus movement; row 0 has none."""
    begin = max(start, 1)
    skip = begin - start
    if skip:
        held[0, 0] = held[1, 0] = held[2, 0] = held[3, 0] = held[4, 0] = 0.0
    h, l, c, p = high[begin:stop], low[begin:stop], close[begin:stop], close[begin - 1 : stop - 1]  # noqa: E741
    gain, loss, reach, plus, minus = held[0, skip:], held[1, skip:], held[2, skip:], held[3, skip:], held[4, skip:]
    for i in range(c.shape[0]):
        change = (c[i] - p[i]) / PERIOD
        gain[i] = change if change > 0.0 else 0.0
    for i in range(c.shape[0]):
        change = (p[i] - c[i]) / PERIOD
        loss[i] = change if change > 0.0 else 0.0
    for i in range(c.shape[0]):
        reach[i] = (h[i] if h[i] > p[i] else p[i]) - (l[i] if l[i] < p[i] else p[i])
    top, bottom = high[begin - 1 : stop - 1], low[begin - 1 : stop - 1]
    for i in range(c.shape[0]):
        up, down = h[i] - top[i], bottom[i] - l[i]
        plus[i] = up if (up > 0.0) & (up - down > TIE * h[i]) else 0.0
    for i in range(c.shape[0]):
        up, down = h[i] - top[i], bottom[i] - l[i]
        minus[i] = down if (down > 0.0) & (down - up > TIE * h[i]) else 0.0


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def smooth(held, start, length, state):  # type: ignore[no-untyped-def]
    """The moves become Wilder's averages of gain, loss and true range, and his sums of plus and minus movement (3, 4) and
    range (5); state (7,): where they stand. The first `period` rows add up."""
    gain, loss, mean, plus, minus, reaches = state[0], state[1], state[2], state[3], state[4], state[5]
    g, l, r, p, m, s = held[0], held[1], held[2], held[3], held[4], held[5]  # noqa: E741
    for i in range(length):
        row = start + i
        keep = KEEP if row > PERIOD else 1.0
        again = KEEP if row >= PERIOD else 1.0
        gain = gain * keep + g[i]
        loss = loss * keep + l[i]
        mean = mean * keep + r[i] / PERIOD
        plus = plus * again + p[i]
        minus = minus * again + m[i]
        reaches = reaches * again + r[i]
        g[i], l[i], r[i], p[i], m[i], s[i] = gain, loss, mean, plus, minus, reaches
    state[0], state[1], state[2], state[3], state[4], state[5] = gain, loss, mean, plus, minus, reaches


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def direction(held, start, length, state, line):  # type: ignore[no-untyped-def]
    """ADX in [0, 1]: the mean of the first `period` indices, then Wilder's average; it stands where nothing moved."""
    p, m, s = held[3, :length], held[4, :length], held[5, :length]
    for i in range(length):
        both = p[i] + m[i]
        index = abs(p[i] - m[i]) / both
        p[i] = index if (s[i] > 0.0) & (both > 0.0) else -1.0
    average = state[6]
    for i in range(length):
        row = start + i
        if row >= PERIOD and p[i] >= 0.0:
            average = average * (KEEP if row >= 2 * PERIOD else 1.0) + p[i] / PERIOD
        line[i] = average
    state[6] = average


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def strength(gain, loss, close, least_move, line):  # type: ignore[no-untyped-def]
    """RSI in [0, 1]; NaN where the close hardly moved."""
    for i in range(line.shape[0]):
        total = gain[i] + loss[i]
        value = gain[i] / total
        line[i] = value if total > least_move * close[i] else np.nan


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def strength_place(line, begin, stop, least_range, out):  # type: ignore[no-untyped-def]
    """Place of each value in the range of the last five; NaN where one of them is not known or there is no range."""
    a, b, c, d = line[begin - 4 : stop - 4], line[begin - 3 : stop - 3], line[begin - 2 : stop - 2], line[begin - 1 : stop - 1]
    e = line[begin:stop]
    for i in range(e.shape[0]):
        low = a[i] if a[i] < b[i] else b[i]
        low = low if low < c[i] else c[i]
        low = low if low < d[i] else d[i]
        low = low if low < e[i] else e[i]
        high = a[i] if a[i] > b[i] else b[i]
        high = high if high > c[i] else c[i]
        high = high if high > d[i] else d[i]
        high = high if high > e[i] else e[i]
        every = a[i] + b[i] + c[i] + d[i] + e[i]
        value = (e[i] - low) / (high - low)
        out[begin + i] = value if (high - low > least_range) & (every == every) else np.nan


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def chaikin(high, low, close, volume, start, stop, held, state):  # type: ignore[no-untyped-def]
    """Chaikin's oscillator (3, 10) in line 0 of `held`; state (2,): fast and slow average of the accumulation line less its
    current value."""
    added = held[0, : stop - start]
    h, l, c, v = high[start:stop], low[start:stop], close[start:stop], volume[start:stop]  # noqa: E741
    for i in range(added.shape[0]):
        spread = h[i] - l[i]
        value = ((c[i] - l[i]) - (h[i] - c[i])) / spread * v[i]
        added[i] = value if spread > 0.0 else 0.0
    if start == 0:
        added[0] = 0.0
    quick, late = state[0], state[1]
    fast, slow = 1.0 - 2.0 / 4.0, 1.0 - 2.0 / 11.0
    for i in range(added.shape[0]):
        quick = quick * fast - added[i] * fast
        late = late * slow - added[i] * slow
        added[i] = quick - late
    state[0], state[1] = quick, late


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def bar_rows(high, low, close, volume, least_move, least_range, w, held, base, out):  # type: ignore[no-untyped-def]
    """BAR_LINES of one instrument, from place `base` of `out` on."""
    n = close.shape[0]
    state, flow = np.zeros(7), np.zeros(2)
    rsi, place = out[9, base : base + n], out[11, base : base + n]
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        length = stop - start
        here = close[start:stop]
        moves(high, low, close, start, stop, held)
        smooth(held, start, length, state)
        strength(held[0], held[1], here, least_move, rsi[start:stop])
        if start == 0:
            rsi[:PERIOD] = np.nan  # which its place must know at once
            place[:4] = np.nan
        line, mean = out[16, base + start : base + stop], held[2]
        for i in range(length):
            line[i] = mean[i] / here[i]
        direction(held, start, length, state, out[17, base + start : base + stop])
        strength_place(rsi, max(start, 4), stop, least_range, place)
        chaikin(high, low, close, volume, start, stop, held, flow)
        volume_windows(close, volume, held[0, :length], start, stop, w, base, out)
        log_ratios(here, out[19, base + start : base + stop], 1.0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FUSED)
def bar_lines(high, low, close, volume, bounds, warmups, out, least_move, least_range):  # type: ignore[no-untyped-def]
    """BAR_LINES of `out` (20, n); bounds and warmups as of `average_lines`."""
    w, held = np.empty((LINES, WIDTH)), np.empty((6, BLOCK))
    for k in range(bounds.shape[0] - 1):
        first, last = bounds[k], bounds[k + 1]
        h, l, c, v = high[first:last], low[first:last], close[first:last], volume[first:last]  # noqa: E741
        bar_rows(h, l, c, v, least_move, least_range, w, held, first, out)
        blank(out, BAR_LINES, warmups, first, last)
