"""Volume by price: the profile of every window, of a session as it grows, and volume-weighted bands.

Called with (n,) arrays of one stretch of known rows. No value reads a later row than its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# columns of the result of `volume_profiles`; the first four are also those of `developing_profile`
POC, VAL, VAH, HELD, VWAP, HVN_ABOVE, HVN_BELOW, LVN_ABOVE, LVN_BELOW = range(9)
WIDTH = 9

TIE = 1e-9  # volumes closer than this share of the largest bin are equal: rounding must not choose the POC
HIGH_NODE = 1.5  # of the mean bin
LOW_NODE = 0.5


@njit(cache=True)
def add_bars(high: Floats, low: Floats, volume: Floats, first: int, last: int, bottom: float, width: float, held: Floats) -> None:
    """Add the volume of rows first … last − 1 to `held`, spread evenly from each bar's low to its high."""
    bins = held.size
    for j in range(first, last):
        a = (low[j] - bottom) / width
        b = (high[j] - bottom) / width
        if b - a < TIE:
            held[min(bins - 1, int(a + TIE))] += volume[j]
            continue
        density = volume[j] / (b - a)
        top = min(bins - 1, int(b))
        for k in range(min(bins - 1, int(a)), top + 1):
            held[k] += density * max(0.0, min(b, k + 1.0) - max(a, float(k)))


@njit(cache=True)
def value_area(held: Floats, total: float, share: float) -> Any:
    """Bin of the point of control, first and last bin of the value area, and the volume inside it.

    The point of control is the middle of the first run of bins that share the largest volume; from there outward, always
    the heavier neighbour next, until the area holds its share.
    """
    bins = held.size
    largest = 0.0
    for k in range(bins):
        largest = max(largest, held[k])
    peak = 0
    while held[peak] < largest * (1.0 - TIE):
        peak += 1
    end = peak
    while end + 1 < bins and held[end + 1] >= largest * (1.0 - TIE):
        end += 1
    peak = (peak + end) // 2
    down, up = peak, peak
    inside = held[peak]
    while inside < share * total * (1.0 + TIE) and (down > 0 or up < bins - 1):
        if down == 0 or (up < bins - 1 and held[up + 1] >= held[down - 1] - TIE * largest):
            up += 1
            inside += held[up]
        else:
            down -= 1
            inside += held[down]
    return peak, down, up, inside


@njit(cache=True)
def volume_profiles(
    high: Floats, low: Floats, close: Floats, volume: Floats, window: int, share: float, held: Floats, result: Floats
) -> None:
    """Fill `result` (n, WIDTH) from row window − 1 on; rows without volume in their window stay as they are.

    `held` (bins,) is scratch space. Loops stand where array expressions could: each of those costs 0.2 s of compilation.
    """
    bins = held.size
    for t in range(window - 1, high.size):
        first = t - window + 1
        bottom, top = low[first], high[first]
        total = 0.0
        value = 0.0
        for j in range(first, t + 1):
            bottom = min(bottom, low[j])
            top = max(top, high[j])
            total += volume[j]
            value += volume[j] * (high[j] + low[j] + close[j]) / 3.0
        if total <= 0.0:
            continue
        result[t, VWAP] = value / total
        if top <= bottom:  # one price in the whole window
            result[t, POC] = result[t, VAL] = result[t, VAH] = top
            result[t, HELD] = 1.0
            continue

        width = (top - bottom) / bins
        for k in range(bins):
            held[k] = 0.0
        add_bars(high, low, volume, first, t + 1, bottom, width, held)
        peak, down, up, inside = value_area(held, total, share)
        result[t, POC] = bottom + (peak + 0.5) * width
        result[t, VAL] = bottom + down * width
        result[t, VAH] = bottom + (up + 1.0) * width
        result[t, HELD] = min(1.0, inside / total)

        # nodes: runs of heavy bins, and runs of light bins between heavier ones
        k = 0
        least, most = HIGH_NODE * total / bins, LOW_NODE * total / bins
        while k < bins:
            heavy = held[k] >= least
            light = held[k] <= most
            run = k
            if heavy or light:
                weight, moment = 0.0, 0.0
                while run < bins and ((heavy and held[run] >= least) or (light and held[run] <= most)):
                    weight += held[run]
                    moment += held[run] * (run + 0.5)
                    run += 1
                if heavy:
                    node = bottom + width * moment / weight
                    if node >= close[t]:
                        if np.isnan(result[t, HVN_ABOVE]):
                            result[t, HVN_ABOVE] = node
                    else:
                        result[t, HVN_BELOW] = node
                elif k > 0 and run < bins:
                    node = bottom + width * 0.5 * (k + run)
                    if node >= close[t]:
                        if np.isnan(result[t, LVN_ABOVE]):
                            result[t, LVN_ABOVE] = node
                    else:
                        result[t, LVN_BELOW] = node
            k = max(run, k + 1)


@njit(cache=True)
def developing_profile(high: Floats, low: Floats, volume: Floats, share: float, held: Floats, result: Floats) -> None:
    """Fill `result` (n, 4: POC, VAL, VAH, HELD) with the profile of rows 0 … t, for every t.

    The bins span the range until now. A bar inside that range is added to them; one that widens it makes them anew, so
    that no bin ever knows of a price that is still to come. Rows before the first volume stay as they are.
    """
    bins = held.size
    bottom, top, width, total = np.inf, -np.inf, 0.0, 0.0
    for t in range(high.size):
        total += volume[t]
        if low[t] < bottom or high[t] > top:
            bottom = min(bottom, low[t])
            top = max(top, high[t])
            width = (top - bottom) / bins
            for k in range(bins):
                held[k] = 0.0
            if width > 0.0:
                add_bars(high, low, volume, 0, t + 1, bottom, width, held)
        elif width > 0.0:
            add_bars(high, low, volume, t, t + 1, bottom, width, held)
        if total <= 0.0:
            continue
        if width <= 0.0:
            result[t, POC] = result[t, VAL] = result[t, VAH] = top
            result[t, HELD] = 1.0
            continue
        peak, down, up, inside = value_area(held, total, share)
        result[t, POC] = bottom + (peak + 0.5) * width
        result[t, VAL] = bottom + down * width
        result[t, VAH] = bottom + (up + 1.0) * width
        result[t, HELD] = min(1.0, inside / total)


@njit(cache=True)
def weighted_bands(price: Floats, volume: Floats, restart: NDArray[np.bool_], result: Floats) -> None:
    """Fill `result` (n, 2) with the volume-weighted mean and standard deviation since the last restart.

    West's update: mean += (w / W) (x − mean), sum of squares += w (x − old mean)(x − new mean). It loses no digits where
    the sums of squares of prices would. Rows before the first restart, or before its first volume, stay as they are.
    """
    mean, squares, weight = 0.0, 0.0, 0.0
    begun = False
    for t in range(price.size):
        if restart[t]:
            mean, squares, weight, begun = 0.0, 0.0, 0.0, True
        if not begun:
            continue
        if volume[t] > 0.0:
            weight += volume[t]
            away = price[t] - mean
            mean += away * volume[t] / weight
            squares += volume[t] * away * (price[t] - mean)
        if weight > 0.0:
            result[t, 0] = mean
            result[t, 1] = np.sqrt(max(0.0, squares / weight))
