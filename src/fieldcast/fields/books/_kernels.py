"""Order books as kernels: the best levels after each message in, imbalance and flow out; and the watch over recoveries.

A row holds the best `levels` of both sides after one message, NaN where a side has no such level. `book_lines` advances a state
by a stretch of rows, so that the batch is one call and a live book is a call a message; the cost of a row depends on the number
of levels alone.

State (1 + 4 · levels,): 1 where there is a previous row, else 0; its bid prices, bid sizes, ask prices, ask sizes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# columns of the result of `book_lines`; after them one imbalance for each count, then the flow at each level
MID, SPREAD_BPS, MICROPRICE, WEIGHTED = range(4)
HEAD = 4

# columns of the result of `recoveries`
ROW, SIDE, BEFORE, AFTER, HALF_ROW, LAST_ROW = range(6)
EVENT_WIDTH = 6


@njit(cache=True)
def book_lines(bid, bid_size, ask, ask_size, known, counts, decay_bps, state, out):  # type: ignore[no-untyped-def]
    """Fill `out` (n, HEAD + k + levels) and advance `state`; NaN where a value is unknown.

    bid, bid_size, ask, ask_size (n, levels): best first
    known (n,): False after a message that leaves the book unknown or crossed; the flow starts again behind it
    counts (k,): levels that an imbalance sums over
    decay_bps: distance from the mid at which a level weighs 1/e in the weighted imbalance
    """
    levels = bid.shape[1]
    for i in range(bid.shape[0]):
        for column in range(out.shape[1]):
            out[i, column] = np.nan
        if not known[i]:
            state[0] = 0.0
            continue
        two_sided = bid[i, 0] == bid[i, 0] and ask[i, 0] == ask[i, 0]
        if two_sided:
            mid = 0.5 * (bid[i, 0] + ask[i, 0])
            out[i, MID] = mid
            out[i, SPREAD_BPS] = (ask[i, 0] - bid[i, 0]) / mid * 1e4
            both = bid_size[i, 0] + ask_size[i, 0]
            out[i, MICROPRICE] = (ask[i, 0] * bid_size[i, 0] + bid[i, 0] * ask_size[i, 0]) / both
            bids, asks = 0.0, 0.0
            for level in range(levels):
                if bid[i, level] == bid[i, level]:
                    bids += bid_size[i, level] * np.exp((bid[i, level] - mid) / mid * 1e4 / decay_bps)
                if ask[i, level] == ask[i, level]:
                    asks += ask_size[i, level] * np.exp((mid - ask[i, level]) / mid * 1e4 / decay_bps)
            if bids + asks > 0.0:
                out[i, WEIGHTED] = (bids - asks) / (bids + asks)
            for k in range(counts.shape[0]):
                bids, asks = 0.0, 0.0
                for level in range(counts[k]):  # a missing level makes the sum NaN, as it should
                    bids += bid_size[i, level]
                    asks += ask_size[i, level]
                if bids + asks > 0.0:
                    out[i, HEAD + k] = (bids - asks) / (bids + asks)
        first = HEAD + counts.shape[0]
        for level in range(levels):
            old_bid, old_bid_size = state[1 + level], state[1 + levels + level]
            old_ask, old_ask_size = state[1 + 2 * levels + level], state[1 + 3 * levels + level]
            new_bid, new_ask = bid[i, level], ask[i, level]
            whole = new_bid == new_bid and new_ask == new_ask and old_bid == old_bid and old_ask == old_ask
            if state[0] > 0.0 and whole:
                flow = 0.0
                if new_bid >= old_bid:
                    flow += bid_size[i, level]
                if new_bid <= old_bid:
                    flow -= old_bid_size
                if new_ask <= old_ask:
                    flow -= ask_size[i, level]
                if new_ask >= old_ask:
                    flow += old_ask_size
                out[i, first + level] = flow
        state[0] = 1.0
        for level in range(levels):
            state[1 + level], state[1 + levels + level] = bid[i, level], bid_size[i, level]
            state[1 + 2 * levels + level], state[1 + 3 * levels + level] = ask[i, level], ask_size[i, level]


@njit(cache=True)
def recoveries(depth, known, times, fall, share, horizon, out):  # type: ignore[no-untyped-def]
    """Messages that took much of a side's depth away, and when half of it was back; the number of them.

    depth (n, 2): bid and ask; known (n,); times (n,) ascending
    fall: share of the depth before the message that it has to take away
    share: of what was lost that has to be back
    horizon: how long a recovery is watched, in the unit of `times`
    out (2 n, EVENT_WIDTH): row, side, depth before and after, row by which `share` was back (-1: it was not), last row watched

    A side that is being watched begins no second event; the watch ends with the recovery, the horizon or a book that is unknown.
    """
    found = 0
    for side in range(2):
        i = 1
        while i < depth.shape[0]:
            lost = depth[i - 1, side] - depth[i, side]
            if not (known[i - 1] and known[i] and depth[i - 1, side] > 0.0 and lost >= fall * depth[i - 1, side]):
                i += 1
                continue
            wanted = depth[i, side] + share * lost
            half, j = -1, i
            while j + 1 < depth.shape[0] and known[j + 1] and times[j + 1] - times[i] <= horizon:
                j += 1
                if depth[j, side] >= wanted:
                    half = j
                    break
            out[found, ROW], out[found, SIDE] = i, side
            out[found, BEFORE], out[found, AFTER] = depth[i - 1, side], depth[i, side]
            out[found, HALF_ROW], out[found, LAST_ROW] = half, j
            found += 1
            i = j + 1 if j > i else i + 1
    return found
