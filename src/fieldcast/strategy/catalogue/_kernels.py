"""The rules as single passes over closes: what stands in row t is decided before row t + 1 is looked at.

Each takes closes in whole units (see `units`), whole parameters and the targets (T,) float64 to fill. Averages and deviations
are compared as integers, without division: sum_fast * slow > sum_slow * fast. The exponential averages of `rsi` and `macd` have
no finite decimal and are float64, in the order of operations that is written here and without fused or reordered instructions;
another kernel that keeps this order gives the same bits.

They allocate nothing and are compiled without numba's runtime, which takes a new process longer to start than a run takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fieldcast.ground.compiler import njit

kernel: Callable[[Callable[..., Any]], Any] = njit(cache=True, _nrt=False)


@kernel
def sma_cross(units, fast, slow, short, out):  # type: ignore[no-untyped-def]
    """1 where the mean of `fast` closes is above that of `slow`, else 0 (where below and `short`: -1)."""
    quick = units[0] * 0
    late = units[0] * 0
    base = units[0]
    for row in range(units.shape[0]):
        here = units[row] - base
        quick += here - (units[row - fast] - base if row >= fast else 0)
        late += here - (units[row - slow] - base if row >= slow else 0)
        out[row] = 0.0
        if row < slow - 1:
            continue
        # quick / fast against late / slow: whole parts first, so that no product can overflow
        whole, rest = quick // fast, quick % fast
        other, left = late // slow, late % slow
        gap = whole - other if whole != other else rest * slow - left * fast
        if gap > 0:
            out[row] = 1.0
        elif gap < 0 and short:
            out[row] = -1.0


@kernel
def mean_reversion(units, period, short, out):  # type: ignore[no-untyped-def]
    """1 where the close is below the mean of the last `period` closes, its own among them, else 0 (above and `short`: -1)."""
    total = units[0] * 0
    base = units[0]
    for row in range(units.shape[0]):
        here = units[row] - base
        total += here - (units[row - period] - base if row >= period else 0)
        out[row] = 0.0
        if row < period - 1:
            continue
        whole, rest = total // period, total % period      # here < total / period, and its opposite
        if here < whole or (here == whole and rest > 0):
            out[row] = 1.0
        elif short and (here > whole):
            out[row] = -1.0


@kernel
def momentum(units, period, short, out):  # type: ignore[no-untyped-def]
    """1 where the close is above that of `period` bars ago, else 0 (below and `short`: -1)."""
    for row in range(units.shape[0]):
        out[row] = 0.0
        if row < period:
            continue
        change = units[row] - units[row - period]
        if change > 0:
            out[row] = 1.0
        elif change < 0 and short:
            out[row] = -1.0


@kernel
def bollinger(units, period, width, exact, out):  # type: ignore[no-untyped-def]
    """1 from a close at or below mean - width deviations until one at or above mean + width deviations.

    With D = n x - sum x and V = n sum x^2 - (sum x)^2 (both of the last n closes, and both free of the level):
    x <= mean - width sd  <=>  D < 0 and D^2 >= width^2 V. Where V is 0 there are no bands and nothing changes.
    exact : D^2 and V fit in 63 bits and are whole numbers; else both are taken around the window's mean in float64
    """
    base = units[0]
    total = units[0] * 0
    squares = units[0] * 0
    held = 0.0
    limit = width * width
    for row in range(units.shape[0]):
        if exact:
            here = units[row] - base
            total += here
            squares += here * here
            if row >= period:
                gone = units[row - period] - base
                total -= gone
                squares -= gone * gone
            if row >= period - 1:
                away = period * here - total
                spread = period * squares - total * total
                if spread > 0 and float(away * away) >= limit * float(spread):
                    held = 1.0 if away < 0 else 0.0
        elif row >= period - 1:
            middle = 0.0
            for place in range(row - period + 1, row + 1):
                middle += float(units[place] - units[row])
            middle /= period
            variance = 0.0
            for place in range(row - period + 1, row + 1):
                step = float(units[place] - units[row]) - middle
                variance += step * step
            variance /= period
            if variance > 0.0 and middle * middle >= limit * variance:
                held = 1.0 if middle > 0.0 else 0.0
        out[row] = held


@kernel
def rsi(units, period, lower, upper, out):  # type: ignore[no-untyped-def]
    """1 from an RSI below `lower` until one above `upper`; RSI = 100 gain / (gain + loss), Wilder's averages of the changes.

    Where nothing has moved, gain + loss is 0, there is no RSI and nothing changes.
    """
    gains = 0.0
    losses = 0.0
    held = 0.0
    for row in range(units.shape[0]):
        if row > 0:
            change = float(units[row] - units[row - 1])
            gain = change if change > 0.0 else 0.0
            loss = -change if change < 0.0 else 0.0
            if row <= period:                        # the mean of the first `period` changes, then Wilder's average
                gains += gain
                losses += loss
                if row == period:
                    gains /= period
                    losses /= period
            else:
                gains = (gains * (period - 1) + gain) / period
                losses = (losses * (period - 1) + loss) / period
        if row >= period:
            both = gains + losses
            if both > 0.0:
                if 100.0 * gains < lower * both:
                    held = 1.0
                elif 100.0 * gains > upper * both:
                    held = 0.0
        out[row] = held


@kernel
def macd(units, fast, slow, signal, short, out):  # type: ignore[no-untyped-def]
    """1 where the MACD line is above its signal, else 0 (below and `short`: -1).

    e += (x - e) * 2 / (p + 1), each average seeded with the mean of its first p values; the two averages of the close start in
    the same row, slow - 1 (TA-Lib's convention), and the signal slow + signal - 2. Closes are taken from the first one on.
    """
    base = units[0]
    quick_weight = 2.0 / (fast + 1.0)
    late_weight = 2.0 / (slow + 1.0)
    line_weight = 2.0 / (signal + 1.0)
    quick = 0.0
    late = 0.0
    average = 0.0
    first = slow - 1
    for row in range(units.shape[0]):
        here = float(units[row] - base)
        out[row] = 0.0
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
        if line > average:
            out[row] = 1.0
        elif line < average and short:
            out[row] = -1.0
