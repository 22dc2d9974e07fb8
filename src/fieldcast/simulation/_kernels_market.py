"""One pass over the bars of a market: what is wrong with them, and how many decimals their prices have."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldcast.ground.compiler import intrinsic, njit, types

BLOCK = 1024      # prices of one row
LARGEST = 2**63 - 1
PART = 512        # bars: four rows of prices stay in the nearest cache


@njit(cache=True, error_model="numpy")
def possible(opened, high, low, close):  # type: ignore[no-untyped-def]
    """True where every bar has four prices that can be; without a branch in the loop."""
    odd = False
    for t in range(len(close)):
        odd |= not low[t] > 0.0
        odd |= not high[t] < 1e300
        odd |= not high[t] >= opened[t]
        odd |= not high[t] >= close[t]
        odd |= not low[t] <= opened[t]
        odd |= not low[t] <= close[t]
    return not odd


@njit(cache=True, error_model="numpy")
def none_below_zero(volume):  # type: ignore[no-untyped-def]
    """True where no volume is below zero; NaN is none."""
    odd = False
    for t in range(len(volume)):
        odd |= volume[t] < 0.0
    return not odd


@njit(cache=True, error_model="numpy")
def is_plain(opened, high, low, close, volume):  # type: ignore[no-untyped-def]
    """True where every bar of a row has four prices that can be, and no volume below zero."""
    return possible(opened, high, low, close) and none_below_zero(volume)


@njit(cache=True)
def first_bad_bar(opened, high, low, close, volume):  # type: ignore[no-untyped-def]
    """(row, bar, what) of the first bar that cannot be; what = 0 none, 1 price, 2 range, 3 volume, 4 no close."""
    rows, bars = close.shape
    for n in range(rows):
        if is_plain(opened[n], high[n], low[n], close[n], volume[n]):
            continue
        for t in range(bars):
            o, h, l, c, v = opened[n, t], high[n, t], low[n, t], close[n, t], volume[n, t]  # noqa: E741
            if o > 0.0 and c > 0.0 and l > 0.0 and h < 1e300 and h >= o and h >= c and l <= o and l <= c and not v < 0.0:
                continue
            if c != c:
                if o == o or h == h or l == l:
                    return n, t, 4
                continue
            if o <= 0.0 or h <= 0.0 or l <= 0.0 or c <= 0.0 or o > 1e300 or h > 1e300 or l > 1e300 or c > 1e300:
                return n, t, 1
            if h < o or h < c or l > o or l > c or h < l:
                return n, t, 2
            if v < 0.0:
                return n, t, 3
    return 0, 0, 0


def _fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""
    return types.float64(a, b, c), lambda context, builder, signature, arguments: builder.fma(*arguments)


fused: Any = intrinsic(_fused)


@njit(cache=True, error_model="numpy")
def divided(whole, scale, inverse):  # type: ignore[no-untyped-def]
    """whole / scale as a division rounds it, for a scale of 10^p, p <= 8, and inverse = 1 / scale; a fifth of its time.

    The first guess is off by two units in the last place at most, so that its remainder is exact; the sum of both is off by less
    than 2^-52 of a unit before it is rounded. A quotient by 10^p is never so near to the middle between two floats: it is at
    least 1 / (2 * 10^p) of a unit away, or has no more digits than a float.
    """
    guess = whole * inverse
    return fused(fused(-guess, scale, whole), inverse, guess)


@njit(cache=True, error_model="numpy")
def carries(block, scale):  # type: ignore[no-untyped-def]
    """True where every price of a block is a whole number of 1 / scale; NaN is passed over."""
    lost, inverse = False, 1.0 / scale
    for value in block:
        carried = divided(np.rint(value * scale), scale, inverse)
        lost |= carried < value
        lost |= carried > value
    return not lost


@njit(cache=True, error_model="numpy")
def decimals_needed(prices, start, scales):  # type: ignore[no-untyped-def]
    """The fewest decimals, from `start` to 8, that carry every price of a flat array; NaN is passed over.

    A block is tried as a whole at the decimals found so far; only one that fails is walked price by price.
    """
    place = start
    for begin in range(0, len(prices), BLOCK):
        block = prices[begin : begin + BLOCK]
        if place == 8 or carries(block, scales[place]):
            continue
        for value in block:
            while value > 0.0 and place < 8 and round(value * scales[place]) / scales[place] != value:
                place += 1
    return place


@njit(cache=True, error_model="numpy")
def all_carried(opened, high, low, close, scale):  # type: ignore[no-untyped-def]
    """`carries` of the four rows of a part at once."""
    lost, inverse = False, 1.0 / scale
    for t in range(len(close)):
        lost |= divided(np.rint(opened[t] * scale), scale, inverse) != opened[t]
        lost |= divided(np.rint(high[t] * scale), scale, inverse) != high[t]
        lost |= divided(np.rint(low[t] * scale), scale, inverse) != low[t]
        lost |= divided(np.rint(close[t] * scale), scale, inverse) != close[t]
    return not lost


@njit(cache=True, error_model="numpy")
def highest(prices):  # type: ignore[no-untyped-def]
    """The largest of prices above zero: their bits are in the same order, and the compiler has no quick maximum of floats."""
    bits = prices.view(np.int64)
    most = bits[0]
    for t in range(len(bits)):
        most = max(most, bits[t])
    return most


@njit(cache=True, error_model="numpy")
def survey(opened, high, low, close, volume, scales, plain, places, tops):  # type: ignore[no-untyped-def]
    """What a run must know of each row's prices, in one pass over memory.

    opened, high, low, close (N, T) in one piece, T > 0; volume (N, T), or (N, 0) where none is known
    plain (N,) bool : see `is_plain`; places (N,) int64, tops (N,) float64 : decimals and highest price of the plain rows
    """
    rows, bars = close.shape
    for n in range(rows):
        fine, place, top = True, 0, np.int64(0)
        for begin in range(0, bars, PART):
            o, h = opened[n, begin : begin + PART], high[n, begin : begin + PART]
            l, c = low[n, begin : begin + PART], close[n, begin : begin + PART]  # noqa: E741
            if not (possible(o, h, l, c) and none_below_zero(volume[n, begin : begin + PART])):
                fine = False
                break
            top = max(top, highest(h))
            if place < 8 and not all_carried(o, h, l, c, scales[place]):
                for part in (c, o, h, l):
                    place = decimals_needed(part, place, scales)
        plain[n], places[n], tops[n] = fine, place, np.int64(top).view(np.float64)


@njit(cache=True)
def out_of_order(ts, open_ts, session):  # type: ignore[no-untyped-def]
    """Whether a stamp is out of place, and the shortest step between ends (the largest number for a single bar).

    In place: ts ascends, ts[t-1] <= open_ts[t] <= ts[t], sessions never go back; session (0,): not looked at.
    """
    bad, shortest = open_ts[0] > ts[0], np.int64(LARGEST)
    here, before, opened = ts[1:], ts[: len(ts) - 1], open_ts[1:]
    for t in range(len(here)):
        bad |= opened[t] > here[t]
        bad |= opened[t] < before[t]
        bad |= here[t] <= before[t]
        shortest = min(shortest, here[t] - before[t])
    for t in range(1, len(session)):
        bad |= session[t] < session[t - 1]
    return bad, shortest
