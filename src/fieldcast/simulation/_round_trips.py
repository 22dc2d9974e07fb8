"""Fills paired into round trips, first in first out.

    gross = side * (exit value - entry value), each price * lots * factor      costs = shares of both fills' fees
    MAE, MFE = worst and best of (price / entry price - 1) * side over highs and lows from the entry's bar to the exit's

The first and the last bar count with their open, close and the prices of the fills where a fill lies at the open or the close,
else with their whole range. A split on the way makes an entry one of as many lots as it has become, at the price that leaves its
value; what was paid for a fraction of a lot is in the journal alone, as dividends and interest are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fieldcast.ground.compiler import njit
from fieldcast.simulation import _state as s
from fieldcast.simulation._kernels_wide import mul_div_floor

if TYPE_CHECKING:
    from fieldcast.simulation.result import SimulationResult


@njit(cache=True)
def pair(fills, splits, instruments, factor, opens, highs, lows, trips, moves):  # type: ignore[no-untyped-def]
    """Number of round trips.

    splits (K, 4): instrument, bar at whose open it counts, new lots for old ones; by time
    trips (2 F, 7): entry fill, exit fill, lots at the exit, side, value of the entry before and of this part, exit's lots before
    moves (2 F, 2): worst and best price, as prices at the entry
    """
    count = 0
    queue = np.empty((len(fills), 3), dtype=np.int64)  # fill, lots left as they are now, their value at the entry
    for n in range(instruments):
        head = tail = at_split = 0
        for at in range(len(fills)):
            if fills[at, s.F_INSTRUMENT] != n:
                continue
            while at_split < len(splits) and (splits[at_split, 0] != n or splits[at_split, 1] <= fills[at, s.F_BAR]):
                if splits[at_split, 0] == n:
                    tail = head + divide(queue[head:tail], splits[at_split, 2], splits[at_split, 3])
                at_split += 1
            left, side = fills[at, s.F_LOTS], fills[at, s.F_SIDE]
            while left > 0 and head < tail and fills[queue[head, 0], s.F_SIDE] != side:
                entry = queue[head, 0]
                lots = min(left, queue[head, 1])
                value, _ = mul_div_floor(queue[head, 2], lots, queue[head, 1])
                whole = fills[entry, s.F_LOTS] * fills[entry, s.F_PRICE] * factor[n]
                trips[count, 0], trips[count, 1], trips[count, 2], trips[count, 3] = entry, at, lots, -side
                trips[count, 4], trips[count, 5] = whole - queue[head, 2], value
                trips[count, 6] = fills[at, s.F_LOTS] - left
                count += 1
                left -= lots
                queue[head, 1] -= lots
                queue[head, 2] -= value
                if queue[head, 1] == 0:
                    head += 1
            if left > 0:
                if head == tail:
                    head = tail = 0
                queue[tail, 0], queue[tail, 1] = at, left
                queue[tail, 2] = left * fills[at, s.F_PRICE] * factor[n]
                tail += 1
    for i in range(count):
        entry, leave, side = trips[i, 0], trips[i, 1], trips[i, 3]
        n, first, last = fills[entry, s.F_INSTRUMENT], fills[entry, s.F_BAR], fills[leave, s.F_BAR]
        high = low = np.nan
        at_open = fills[leave, s.F_CONVENTION] == s.AT_OPEN
        ratio, at_split = 1.0, 0
        for t in range(first, last + 1):
            while at_split < len(splits) and splits[at_split, 1] <= t:
                if splits[at_split, 0] == n and splits[at_split, 1] > first:
                    ratio *= splits[at_split, 2] / splits[at_split, 3]
                at_split += 1
            if t == first and fills[entry, s.F_CONVENTION] >= s.AT_CLOSE:
                continue
            top, bottom = highs[n, t] * ratio, lows[n, t] * ratio
            if t == last and at_open:
                top = bottom = opens[n, t] * ratio
            if top == top and not top <= high:
                high = top
            if bottom == bottom and not bottom >= low:
                low = bottom
        moves[i, 0], moves[i, 1] = (low, high) if side > 0 else (high, low)
    return count


@njit(cache=True)
def divide(queue, new, old):  # type: ignore[no-untyped-def]
    """Entries after a split, whole lots in all; how many are left."""
    kept = before = after = 0
    for at in range(len(queue)):
        fill, lots, value = queue[at, 0], queue[at, 1], queue[at, 2]
        before += lots
        total, _ = mul_div_floor(before, new, old)
        now = total - after
        after = total
        if now == 0:
            continue
        if now * old < lots * new:
            value, _ = mul_div_floor(value, now * old, lots * new)
        queue[kept, 0], queue[kept, 1], queue[kept, 2] = fill, now, value
        kept += 1
    return kept


def splits_of(result: SimulationResult) -> s.Integers:
    """(K, 4) of the splits that happened: instrument, first bar after, new, old."""
    from fieldcast.simulation.event_table import EventKind

    rows = result.event_rows[result.event_rows[:, s.EV_KIND] == EventKind.SPLIT]
    return np.column_stack((rows[:, s.EV_INSTRUMENT], rows[:, s.EV_STEP] // 2, rows[:, s.EV_A], rows[:, s.EV_B]))


def round_trips(result: SimulationResult) -> pl.DataFrame:
    """The schema TRADES of `result`."""
    from fieldcast.simulation.result import TRADES, _names, _stamps

    fills, market, units = result.fill_rows, result.market, result.units
    trips, moves = np.empty((2 * len(fills), 7), dtype=np.int64), np.empty((2 * len(fills), 2))
    factor = units.factor
    count = int(
        pair(fills, splits_of(result), len(market.instruments), factor, market.open, market.high, market.low, trips, moves)
    )
    trips, moves = trips[:count], moves[:count]
    order = np.argsort(trips[:, 1], kind="stable")
    trips, moves = trips[order], moves[order]
    entry, leave = fills[trips[:, 0]], fills[trips[:, 1]]
    lots, side, n = trips[:, 2], trips[:, 3], entry[:, s.F_INSTRUMENT]
    gross = side * (leave[:, s.F_PRICE] * lots * factor[n] - trips[:, 5])
    whole = entry[:, s.F_LOTS] * entry[:, s.F_PRICE] * factor[n]
    costs = _share(entry[:, s.F_FEE], trips[:, 5], trips[:, 4], whole) + _share(
        leave[:, s.F_FEE], lots, trips[:, 6], leave[:, s.F_LOTS]
    )
    scale = units.price_scale[n]
    price = trips[:, 5] / (lots * factor[n]) / scale
    known = [result.tags.get(int(number)) for number in entry[:, s.F_ORDER]] if result.tags else [None] * count
    excursion = (moves / (entry[:, s.F_PRICE] / scale)[:, None] - 1.0) * side[:, None]
    exit_move = (leave[:, s.F_PRICE] / scale / price - 1.0) * side
    return pl.DataFrame(
        {
            "trade_id": np.arange(count),
            "instrument": _names([one.id for one in market.instruments], n),
            "direction": _names(["short", "long"], (side > 0).astype(np.int64)),
            "entry_ts": _stamps(entry[:, s.F_TS]),
            "exit_ts": _stamps(leave[:, s.F_TS]),
            "entry_bar": entry[:, s.F_BAR],
            "exit_bar": leave[:, s.F_BAR],
            "lots": lots,
            "quantity": lots * np.array([float(lot) for lot in units.lot])[n],
            "entry_price": price,
            "exit_price": leave[:, s.F_PRICE] / scale,
            "gross": gross / 10.0**units.cash_decimals,
            "costs": costs / 10.0**units.cash_decimals,
            "net": (gross - costs) / 10.0**units.cash_decimals,
            "mae": np.minimum(np.fmin(excursion[:, 0], exit_move), 0.0),
            "mfe": np.maximum(np.fmax(excursion[:, 1], exit_move), 0.0),
            "bars_held": leave[:, s.F_BAR] - entry[:, s.F_BAR],
            "entry_order": entry[:, s.F_ORDER],
            "exit_order": leave[:, s.F_ORDER],
            "tag": pl.Series(known, dtype=pl.String),
        },
        schema=TRADES,
    )


def _share(fee: s.Integers, part: s.Integers, before: s.Integers, whole: s.Integers) -> s.Integers:
    """What of a fee belongs to before..before + part of `whole` (lots, or value); the parts of a fill add up to its fee."""
    wide = fee.astype(object)
    below = np.maximum(whole, 1)        # an event can leave at the price 0
    parts = wide * (before + part) // below - wide * before // below
    rounded: s.Integers = parts.astype(np.int64)
    return rounded
