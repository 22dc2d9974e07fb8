"""One pass over the bars of a market: what is wrong with them, and how many decimals their prices have."""

from __future__ import annotations

from numba import njit

BLOCK = 1024


@njit(cache=True)
def first_bad_bar(opened, high, low, close, volume):  # type: ignore[no-untyped-def]
    """(row, bar, what) of the first bar that cannot be; what = 0 none, 1 price, 2 range, 3 volume, 4 no close."""
    rows, bars = close.shape
    for n in range(rows):
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


@njit(cache=True, error_model="numpy")
def decimals_needed(prices, bits, start, scales):  # type: ignore[no-untyped-def]
    """(decimals, largest price) of a flat array: the fewest decimals, from `start` to 8, that carry every price; NaN
    is passed over.

    bits : the same memory as int64: floats above zero are in the order of their bits, and whole numbers take a vector's maximum.
    A block is tried as a whole at the decimals found so far, without a branch; only one that fails is walked price by price.
    """
    place, largest = start, 0
    scale = scales[place]
    for begin in range(0, len(prices), BLOCK):
        stop = min(begin + BLOCK, len(prices))
        failed = 0
        for i in range(begin, stop):
            value = prices[i]
            above = value > 0.0
            largest = max(largest, bits[i] if above else 0)
            failed |= int(above & (round(value * scale) / scale != value))
        if failed == 0 or place == 8:
            continue
        for i in range(begin, stop):
            value = prices[i]
            while value > 0.0 and place < 8 and round(value * scale) / scale != value:
                place += 1
                scale = scales[place]
    return place, largest


@njit(cache=True)
def out_of_order(ts, open_ts, session):  # type: ignore[no-untyped-def]
    """True where a stamp is out of place: ts ascends, ts[t-1] <= open_ts[t] <= ts[t], sessions never go back."""
    bad = 0
    for t in range(len(ts)):
        bad |= int(open_ts[t] > ts[t])
    for t in range(1, len(ts)):
        bad |= int(ts[t] <= ts[t - 1]) | int(open_ts[t] < ts[t - 1]) | int(session[t] < session[t - 1])
    return bad != 0
