"""The rules of the catalogue from closes to marks, one pass a parameter set: the targets of `strategy.catalogue`, bit for bit.

What windows share is made once for all parameter sets of an instrument: with p the prefix sums of the closes (whole units, less a
common base),

    sum of the last n closes at bar t = p[t+1] - p[t+1-n]
    mean of `fast` > mean of `slow`  <=>  p[t+1] (slow - fast) + p[t+1-slow] fast > p[t+1-fast] slow

The prefix sums are float64 wherever every product stays below 2^53: whole numbers there are exact, and eight bars are compared in
one instruction; beyond that they are int64. Either way a tie is a tie.

A mark is what the close of a bar says: of a level rule its target (-1, 0, 1); of a latching rule enter (1), leave (2), or nothing
(0) where the state stays as it was. `changes` turns marks into the few bars at which the target changes.
"""

from __future__ import annotations

import numpy as np

from fieldcast.simulation.fast._compiled import kernel
from fieldcast.simulation.fast._kernels_marks import whole_prices

BUY_AND_HOLD, SMA_CROSS, RSI, BOLLINGER, MACD, MOMENTUM, MEAN_REVERSION = range(7)
_ONE, _LEFT, _NONE = np.int8(1), np.int8(2), np.int8(0)
_BYTES = np.uint64(0x0101010101010101)
EXACT = 2.0**53
PART = 4096  # bars that are looked at at once: what is made of them stays in the cache


@kernel
def sma_cross(prefix, fast, slow, short, marks):  # type: ignore[no-untyped-def]
    """Levels of the cross; prefix (T + 1,), marks (T,) int8."""
    bars = prefix.shape[0] - 1
    first = min(slow - 1, bars)
    marks[:first] = 0
    count = bars - first
    newest, middle, oldest, out = prefix[slow:], prefix[slow - fast :], prefix[:count], marks[first:]
    whole = prefix[0] * 0 + slow      # of the type of the sums
    part = prefix[0] * 0 + fast
    rest = whole - part
    if short:
        for i in range(count):
            up = newest[i] * rest + oldest[i] * part
            down = middle[i] * whole
            out[i] = (_ONE if up > down else _NONE) - (_ONE if up < down else _NONE)
    else:
        for i in range(count):
            out[i] = _ONE if newest[i] * rest + oldest[i] * part > middle[i] * whole else _NONE


@kernel
def mean_reversion(closes, prefix, period, short, marks):  # type: ignore[no-untyped-def]
    """Levels: below the mean of the last `period` closes, or above it; closes (T,) on the base of the sums."""
    bars = closes.shape[0]
    first = min(period - 1, bars)
    marks[:first] = 0
    newest, oldest, here, out = prefix[first + 1 :], prefix[: bars - first], closes[first:], marks[first:]
    whole = prefix[0] * 0 + period
    for i in range(bars - first):
        total, own = newest[i] - oldest[i], here[i] * whole
        out[i] = (_ONE if own < total else _NONE) - (_ONE if short and own > total else _NONE)


@kernel
def momentum(closes, period, short, marks):  # type: ignore[no-untyped-def]
    """Levels: above the close of `period` bars ago, or below it."""
    bars = closes.shape[0]
    first = min(period, bars)
    marks[:first] = 0
    here, then, out = closes[first:], closes[: bars - first], marks[first:]
    for i in range(bars - first):
        out[i] = (_ONE if here[i] > then[i] else _NONE) - (_ONE if short and here[i] < then[i] else _NONE)


@kernel
def bollinger(units, sums, squares, period, width, exact, marks):  # type: ignore[no-untyped-def]
    """Latches at the bands; units (T,) int64 less the first, sums and squares (T + 1,) int64 prefix sums (differences are exact
    even where the sums themselves have wrapped round)."""
    bars = units.shape[0]
    first = min(period - 1, bars)
    marks[:first] = 0
    limit = width * width
    if exact:
        for row in range(first, bars):
            total = sums[row + 1] - sums[row + 1 - period]
            away = period * units[row] - total
            spread = period * (squares[row + 1] - squares[row + 1 - period]) - total * total
            beyond = spread > 0 and float(away * away) >= limit * float(spread)
            marks[row] = (_ONE if away < 0 else _LEFT) if beyond else _NONE
        return
    for row in range(first, bars):
        middle = 0.0
        for place in range(row - period + 1, row + 1):
            middle += float(units[place] - units[row])
        middle /= period
        variance = 0.0
        for place in range(row - period + 1, row + 1):
            step = float(units[place] - units[row]) - middle
            variance += step * step
        variance /= period
        beyond = variance > 0.0 and middle * middle >= limit * variance
        marks[row] = (_ONE if middle > 0.0 else _LEFT) if beyond else _NONE


@kernel
def strength_lines(units, period, gains, both):  # type: ignore[no-untyped-def]
    """Wilder's averages of one period, shared by all thresholds: 100 gain, and gain + loss (0 before there is one); (T,) each."""
    gain_mean = 0.0
    loss_mean = 0.0
    for row in range(units.shape[0]):
        if row > 0:
            change = float(units[row] - units[row - 1])
            gain = change if change > 0.0 else 0.0
            loss = -change if change < 0.0 else 0.0
            if row <= period:
                gain_mean += gain
                loss_mean += loss
                if row == period:
                    gain_mean /= period
                    loss_mean /= period
            else:
                gain_mean = (gain_mean * (period - 1) + gain) / period
                loss_mean = (loss_mean * (period - 1) + loss) / period
        known = row >= period
        gains[row] = 100.0 * gain_mean if known else 0.0
        both[row] = gain_mean + loss_mean if known else 0.0


@kernel
def strength_marks(gains, both, lower, upper, marks):  # type: ignore[no-untyped-def]
    """Latches where the strength is below `lower` or above `upper`."""
    for row in range(gains.shape[0]):
        below = gains[row] < lower * both[row]
        above = gains[row] > upper * both[row]
        mark = _ONE if below else (_LEFT if above else _NONE)
        marks[row] = mark if both[row] > 0.0 else _NONE


@kernel
def macd(units, fast, slow, signal, short, marks):  # type: ignore[no-untyped-def]
    """Levels of the line against its signal; units (T,) int64 less the first."""
    quick_weight = 2.0 / (fast + 1.0)
    late_weight = 2.0 / (slow + 1.0)
    line_weight = 2.0 / (signal + 1.0)
    quick = 0.0
    late = 0.0
    average = 0.0
    first = slow - 1
    for row in range(units.shape[0]):
        here = float(units[row])
        marks[row] = 0
        if row <= first:
            late += here
            if row > first - fast:
                quick += here
            if row < first:
                continue
            quick /= fast
            late /= slow
        else:
            quick += (here - quick) * quick_weight
            late += (here - late) * late_weight
        line = quick - late
        seen = row - first + 1
        if seen <= signal:
            average += line
            if seen < signal:
                continue
            average /= signal
        else:
            average += (line - average) * line_weight
        marks[row] = (_ONE if line > average else _NONE) - (_ONE if short and line < average else _NONE)


@kernel
def _differs(words, same):  # type: ignore[no-untyped-def]
    found = np.uint64(0)
    for i in range(words.shape[0]):
        found |= words[i] ^ same
    return found != np.uint64(0)


@kernel
def changes(marks, latch, last, bars, codes):  # type: ignore[no-untyped-def]
    """How many bars change the target, which is `last` before them; their numbers and the targets (-1, 0, 1) go into `bars` and
    `codes` (T,) each.

    Sixty-four marks are looked at as eight words: where nothing changes, that is all there is to do.
    """
    words = marks[: marks.shape[0] // 8 * 8].view(np.uint64)
    found = 0
    for start in range(0, marks.shape[0], 64):
        end = min(start + 64, marks.shape[0])
        if end - start == 64:
            same = np.uint64(0) if latch else np.uint64(np.uint8(last)) * _BYTES
            if not _differs(words[start // 8 : start // 8 + 8], same):
                continue
        for row in range(start, end):
            mark = marks[row]
            if latch:
                if mark == _NONE:
                    continue
                mark = _ONE if mark == _ONE else _NONE
            if mark != last:
                last = mark
                bars[found] = row
                codes[found] = mark
                found += 1
    return found


@kernel
def cross_decisions(prices, scale, closes, fast, slow, short, sums, marks, bars, codes):  # type: ignore[no-untyped-def]
    """`changes` of the cross in one pass, some thousand bars at a time: nothing as long as the history is made but the closes.

    The prefix sums begin anew with each part, so that they stay small however many bars there are.

    prices : (T,) float64 that `closes` (T,) int64 are filled from, or (0,) where they are there
    sums (slow + PART,) float64, marks (slow + PART,) int8 : scratch

    Returns -1 where a product of a comparison is no whole number below 2^53 (`closes` are filled all the same).
    """
    found = 0
    last = _NONE
    exact = True
    limit = EXACT / (2.0 * slow)
    for start in range(0, closes.shape[0], PART):
        stop = min(start + PART, closes.shape[0])
        if prices.shape[0] > 0:
            whole_prices(prices[start:stop], scale, closes[start:stop])
        begin = max(0, start - slow + 1)
        here = closes[begin:stop]
        if float(here.shape[0]) * _reach(here) >= limit:
            exact = False
        if not exact:
            continue
        count = here.shape[0]
        _sum_up(here, sums)
        sma_cross(sums[: count + 1], fast, slow, short, marks[:count])
        more = changes(marks[start - begin : count], False, last, bars[found:], codes[found:])
        for k in range(found, found + more):
            bars[k] += start
        found += more
        if more > 0:
            last = np.int8(codes[found - 1])
    return found if exact else -1


@kernel
def _reach(closes):  # type: ignore[no-untyped-def]
    """No close is further from the first: below twice the largest distance, from the bits that any of them has."""
    first = closes[0]
    bits = first * 0
    for i in range(closes.shape[0]):
        away = closes[i] - first
        bits |= away ^ (away >> 63)
    return float(bits) + 1.0


@kernel
def _sum_up(closes, sums):  # type: ignore[no-untyped-def]
    """Prefix sums (n + 1,) float64 of closes (n,) less the first."""
    total, first = closes[0] * 0, closes[0]
    sums[0] = 0.0
    out = sums[1:]
    for i in range(closes.shape[0]):
        total += closes[i] - first
        out[i] = float(total)


@kernel
def carried(marks, begin):  # type: ignore[no-untyped-def]
    """The last latch before a bar; 0 where there was none or it was LEAVE."""
    for row in range(begin - 1, -1, -1):
        if marks[row] != _NONE:
            return marks[row] if marks[row] == _ONE else _NONE
    return _NONE
