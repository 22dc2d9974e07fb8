"""What single bars tell about liquidity, over windows: effort and result, phase, squeeze, spreads, price impact.

Called with (n,) arrays of one stretch of known rows. Each window is summed by itself, so that nothing older than it leaves
a trace and no rounding error grows along the series. The equations stand in the modules that call these kernels.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EFFORT_RESULT, ABSORPTION, DISPLACEMENT = range(3)  # columns of `effort`
ACCUMULATION, MARKUP, DISTRIBUTION, MARKDOWN, DEVIATION = range(5)  # columns of `phase`
SQUEEZE, AGE, SINCE, MOMENTUM = range(4)  # columns of `squeeze`
CORWIN_SCHULTZ, ABDI_RANALDO, ABDI_RANALDO_PAIRS = range(3)  # columns of `range_spreads`
LAMBDA, IMPACT = range(2)  # columns of `kyle`

SAME = 1e-9  # of a price: far below a tick, far above what adjusting or rescaling rounds


@njit(cache=True)
def reach(high: float, low: float, before: float) -> float:
    """True range: from the extremes of the bar and the close before it."""
    return max(high, before) - min(low, before)


@njit(cache=True)
def effort(high: Floats, low: Floats, close: Floats, volume: Floats, window: int, result: Floats) -> None:
    """Fill `result` (n, 3) from row window + 1 on; rows without range, trading or a past of both stay as they are."""
    for t in range(window + 1, close.size):
        traded, moved = 0.0, 0.0
        for j in range(t - window, t):
            traded += close[j] * volume[j]
            moved += reach(high[j], low[j], close[j - 1]) / close[j - 1]
        here = reach(high[t], low[t], close[t - 1])
        if traded <= 0.0 or moved <= 0.0 or here <= 0.0 or volume[t] <= 0.0:
            continue
        work = math.log(close[t] * volume[t] * window / traded)
        gain = math.log(here / close[t - 1] * window / moved)
        result[t, EFFORT_RESULT] = work - gain
        result[t, ABSORPTION] = max(0.0, math.tanh(work)) * max(0.0, math.tanh(-gain))
        result[t, DISPLACEMENT] = (close[t] - close[t - 1]) / here * max(0.0, math.tanh(gain))


@njit(cache=True)
def phase(
    high: Floats, low: Floats, close: Floats, volume: Floats, window: int, short: int, slope: float, lean: float, result: Floats
) -> None:
    """Fill `result` (n, 5) from row window − 1 on: four phases that sum to 1, and the close in VWAP deviations."""
    exponents = np.empty(4)
    for t in range(max(window - 1, short), close.size):
        top, bottom = high[t], low[t]
        weight, value = 0.0, 0.0
        for j in range(t - window + 1, t + 1):
            top = max(top, high[j])
            bottom = min(bottom, low[j])
            weight += volume[j]
            value += volume[j] * (high[j] + low[j] + close[j]) / 3.0
        if weight > 0.0:
            mean = value / weight
            squares = 0.0
            for j in range(t - window + 1, t + 1):
                away = (high[j] + low[j] + close[j]) / 3.0 - mean
                squares += volume[j] * away * away
            deviation = math.sqrt(squares / weight)
            if deviation > 1e-9 * mean:
                result[t, DEVIATION] = (close[t] - mean) / deviation

        path, flow, traded = 0.0, 0.0, 0.0
        for j in range(t - short + 1, t + 1):
            path += abs(close[j] - close[j - 1])
            traded += volume[j]
            if high[j] > low[j]:
                flow += volume[j] * min(1.0, max(-1.0, (2.0 * close[j] - high[j] - low[j]) / (high[j] - low[j])))
        if top <= bottom or path <= 0.0 or traded <= 0.0:
            continue
        place = min(1.0, max(-1.0, 2.0 * (close[t] - bottom) / (top - bottom) - 1.0))
        trend = min(1.0, max(-1.0, (close[t] - close[t - short]) / path))
        exponents[MARKUP] = slope * trend
        exponents[MARKDOWN] = -slope * trend
        exponents[ACCUMULATION] = 1.0 - lean * abs(trend) - lean * (place - flow / traded)
        exponents[DISTRIBUTION] = 1.0 - lean * abs(trend) + lean * (place - flow / traded)
        total = 0.0
        for k in range(4):
            exponents[k] = math.exp(exponents[k])
            total += exponents[k]
        for k in range(4):
            result[t, k] = exponents[k] / total


@njit(cache=True)
def squeeze(
    high: Floats, low: Floats, close: Floats, window: int, bands: float, channels: float, memory: int, result: Floats
) -> None:
    """Fill `result` (n, 4): width ratio, bars in the squeeze, bars since the last one, momentum. Rows still warming up stay."""
    n = close.size
    away = np.empty(n)  # of the close from the middle of its channel
    on = np.zeros(n, np.bool_)
    for t in range(window - 1, n):
        total = 0.0
        top, bottom = high[t], low[t]
        for j in range(t - window + 1, t + 1):
            total += close[j]
            top = max(top, high[j])
            bottom = min(bottom, low[j])
        mean = total / window
        away[t] = close[t] - 0.5 * (0.5 * (top + bottom) + mean)
        if t < window:
            continue
        squares, moved = 0.0, 0.0
        for j in range(t - window + 1, t + 1):
            squares += (close[j] - mean) * (close[j] - mean)
            moved += reach(high[j], low[j], close[j - 1])
        deviation = math.sqrt(squares / window)
        moved /= window
        if moved > 1e-12 * mean:
            if deviation > 1e-12 * mean:
                result[t, SQUEEZE] = math.log(bands * deviation / (channels * moved))
            on[t] = bands * deviation < channels * moved
            if t >= 2 * window - 2:
                middle = 0.5 * (window - 1)
                level, slope = 0.0, 0.0
                for k in range(window):
                    level += away[t - window + 1 + k]
                    slope += (k - middle) * away[t - window + 1 + k]
                slope *= 12.0 / (window * (window * window - 1.0))
                result[t, MOMENTUM] = (level / window + slope * middle) / moved
        if t < window + memory - 1:
            continue
        age = 0
        while age < memory and on[t - age]:
            age += 1
        result[t, AGE] = age
        since = 0
        while since < memory and not on[t - since]:
            since += 1
        if since < memory:
            result[t, SINCE] = since


@njit(cache=True)
def corwin_schultz_pair(high_before: float, low_before: float, close_before: float, high: float, low: float) -> float:
    """Proportional spread of two consecutive bars; negative where their range does not grow as that of a random walk."""
    if close_before > high:  # the price moved while the market was shut: put the bar back where it left off
        ratio_high, ratio_low = close_before, low + (close_before - high)
    elif close_before < low:
        ratio_high, ratio_low = high - (low - close_before), close_before
    else:
        ratio_high, ratio_low = high, low
    one, two = math.log(high_before / low_before), math.log(ratio_high / ratio_low)
    beta = one * one + two * two
    both = math.log(max(high_before, ratio_high) / min(low_before, ratio_low))
    gamma = both * both
    scale = 3.0 - 2.0 * math.sqrt(2.0)
    alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / scale - math.sqrt(gamma / scale)
    grown = math.exp(alpha)
    return 2.0 * (grown - 1.0) / (1.0 + grown)


@njit(cache=True)
def range_spreads(high: Floats, low: Floats, close: Floats, window: int, result: Floats) -> None:
    """Fill `result` (n, 3) from row `window` on with proportional spreads; windows without any range stay as they are."""
    n = close.size
    two_day, product = np.zeros(n), np.zeros(n)
    for j in range(1, n):
        two_day[j] = max(0.0, corwin_schultz_pair(high[j - 1], low[j - 1], close[j - 1], high[j], low[j]))
        before = math.log(close[j - 1] / math.sqrt(high[j - 1] * low[j - 1]))
        after = math.log(close[j - 1] / math.sqrt(high[j] * low[j]))
        product[j] = 4.0 * before * after
    for t in range(window, n):
        ranges, pairs, products, roots = 0.0, 0.0, 0.0, 0.0
        for j in range(t - window + 1, t + 1):
            ranges += high[j] - low[j]
            pairs += two_day[j]
            products += product[j]
            roots += math.sqrt(max(0.0, product[j]))
        if ranges <= 0.0:
            continue
        result[t, CORWIN_SCHULTZ] = pairs / window
        result[t, ABDI_RANALDO] = math.sqrt(max(0.0, products / window))
        result[t, ABDI_RANALDO_PAIRS] = roots / window


@njit(cache=True)
def differ(one: float, other: float) -> bool:
    """Whether two prices differ by more than rounding: adjusting may part the open and the high of one trade in the last bit."""
    return abs(one - other) > SAME * other


@njit(cache=True)
def variance(square: float, mean: float) -> float:
    """Variance from the mean square and the mean; what is no more than their rounding counts as none."""
    found = square - mean * mean
    return found if found > 1e-12 * square else 0.0


@njit(cache=True)
def edge(opened: Floats, high: Floats, low: Floats, close: Floats, window: int, result: Floats) -> None:
    """Fill `result` (n,) from row `window` on with the signed root of the squared spread of the last `window` pairs of bars."""
    n = close.size
    o, m, c = np.log(opened), 0.5 * (np.log(high) + np.log(low)), np.log(close)
    for t in range(window, n):
        moving, opens, closes = 0.0, 0.0, 0.0
        mean1, mean3, mean5 = 0.0, 0.0, 0.0
        for j in range(t - window + 1, t + 1):
            mean1 += m[j] - o[j]
            mean3 += m[j] - c[j - 1]
            mean5 += o[j] - c[j - 1]
            if differ(high[j], low[j]) or differ(low[j], close[j - 1]):
                moving += 1.0
                opens += (1.0 if differ(opened[j], high[j]) else 0.0) + (1.0 if differ(opened[j], low[j]) else 0.0)
                closes += 1.0 if differ(close[j - 1], high[j - 1]) else 0.0
                closes += 1.0 if differ(close[j - 1], low[j - 1]) else 0.0
        if moving < 2.0 or opens == 0.0 or closes == 0.0:
            continue
        mean1, mean3, mean5 = mean1 / moving, mean3 / moving, mean5 / moving
        by_open, by_close = -4.0 * window / opens, -4.0 * window / closes
        e1, e2, v1, v2 = 0.0, 0.0, 0.0, 0.0
        for j in range(t - window + 1, t + 1):
            tau = 1.0 if differ(high[j], low[j]) or differ(low[j], close[j - 1]) else 0.0
            d1, d3, d5 = m[j] - o[j] - tau * mean1, m[j] - c[j - 1] - tau * mean3, o[j] - c[j - 1] - tau * mean5
            x1 = by_open * d1 * (o[j] - m[j - 1]) + by_close * d3 * (c[j - 1] - m[j - 1])
            x2 = by_open * d1 * (o[j] - c[j - 1]) + by_close * d5 * (c[j - 1] - m[j - 1])
            e1 += x1
            e2 += x2
            v1 += x1 * x1
            v2 += x2 * x2
        e1, e2 = e1 / window, e2 / window
        v1 = variance(v1 / window, e1)
        v2 = variance(v2 / window, e2)
        both = v1 + v2
        squared = (v2 * e1 + v1 * e2) / both if both > 0.0 else 0.5 * (e1 + e2)
        result[t] = math.copysign(math.sqrt(abs(squared)), squared)


@njit(cache=True)
def kyle(close: Floats, volume: Floats, window: int, bulk: bool, scale: float, result: Floats) -> None:
    """Fill `result` (n, 2) from row `window` on; windows in which signed volume does not vary stay as they are."""
    n = close.size
    returns, signed = np.zeros(n), np.empty(window)
    for j in range(1, n):
        returns[j] = math.log(close[j] / close[j - 1])
    for t in range(window, n):
        mean, squares = 0.0, 0.0
        moved = returns[t - window + 1 : t + 1]
        for k in range(window):
            mean += moved[k]
        mean /= window
        for k in range(window):
            squares += (moved[k] - mean) * (moved[k] - mean)
        spread = math.sqrt(squares / window)
        if spread <= 1e-12:
            continue
        flow, size, length = 0.0, 0.0, 0.0
        for k in range(window):
            j = t - window + 1 + k
            if bulk:
                side = math.erf(moved[k] / (spread * math.sqrt(2.0)))
            else:
                side = math.copysign(1.0, moved[k]) if differ(close[j], close[j - 1]) else 0.0
            signed[k] = side * close[j] * volume[j] / scale
            flow += signed[k]
            size += abs(signed[k])
            length += signed[k] * signed[k]
        flow /= window
        across, own = 0.0, 0.0
        for k in range(window):
            across += (signed[k] - flow) * (moved[k] - mean)
            own += (signed[k] - flow) * (signed[k] - flow)
        if own <= 1e-12 * length:
            continue
        result[t, LAMBDA] = across / own
        result[t, IMPACT] = across / own * (size / window) / spread


@njit(cache=True)
def open_gaps(near: Floats, far: Floats, memory: int, result: Floats) -> None:
    """Fill `result` (n,) with the fill price of the newest gap up of the last `memory` rows that is still open."""
    n = near.size
    for row in range(1, n):
        fill = far[row - 1]
        t = row
        while t < min(n, row + memory) and near[t] > fill:
            result[t] = fill  # a newer open gap lies nearer, and overwrites
            t += 1
