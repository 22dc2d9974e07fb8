"""When an order fills inside a bar, and at which print.

    at the open     market orders, market-on-open in the first bar of a session, limits that the open betters, stops that it has
                    gapped; IOC and FOK act here, at their first open, or not at all
    in the bar      stops and limits, under the run's intrabar policy
    at the close    market-on-close in the last bar of a session; orders for the day end

An option whose terms the venue knows has bars that are one quote each, known at the bar's end (`VenueSettings.options`). It has
no open: what would act there acts at the end of the bar, after everything that the bar does to other instruments.

Policies. `worst`: all stops first, then limits; what begins to work inside the bar (a child, a triggered stop-limit)
may lose in it, never
win: its stop is held against the whole bar, its limit waits for the next one. `ohlc`: the path open, high, low,
close where the bar
closes below its open, else open, low, high, close; orders act where the path meets them, nearest first, a stop before a limit at
one price. `finer`: the bars inside the bar, each under `worst`.

An order acts at most once in each bar (or finer bar) after the open. Its fill's stamp is the end of that bar: when
in it nobody can say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._compiled_tables import Table, Tables
from fieldcast.simulation._kernels_fill import OHLC, high_first, limit_print, price_units, stop_print
from fieldcast.simulation._kernels_option_margin import OP_RIGHT
from fieldcast.simulation._kernels_orders import end, fill, refuse, trail

SEGMENT = 1 << 20  # segments of bar t are numbered from t * SEGMENT (its open) on


class Bars(
    Tables,
    ts=Table(np.int64, 1, writeable=False),
    open_ts=Table(np.int64, 1, writeable=False),
    open=Table(np.float64, 2, writeable=False),
    high=Table(np.float64, 2, writeable=False),
    low=Table(np.float64, 2, writeable=False),
    close=Table(np.float64, 2, writeable=False),
    volume=Table(np.float64, 2, writeable=False),
    trusted_open=Table(np.bool_, 2, writeable=False),
    session=Table(np.int64, 1, writeable=False),
):
    """The arrays of a `Market`; see there."""

    ts: NDArray[np.int64]
    open_ts: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    trusted_open: NDArray[np.bool_]
    session: NDArray[np.int64]


@kernel
def prices(state, source, n, k):  # type: ignore[no-untyped-def]
    """(open, high, low, close) of a bar in price units; open 0 where it is no real print; a missing extreme is what is known."""
    scale = state.scale[n, 0]
    close = price_units(source.close[n, k], scale)
    opened = price_units(source.open[n, k], scale) if source.trusted_open[n, k] else 0
    high, low = price_units(source.high[n, k], scale), price_units(source.low[n, k], scale)
    if high == 0:
        high = max(opened, close)
    if low == 0:
        low = min(opened, close) if opened > 0 else close
    return opened, high, low, close


@kernel
def first_of_session(bars, n, t):  # type: ignore[no-untyped-def]
    """True in an instrument's first bar of a session."""
    before = t - 1
    while before >= 0 and bars.session[before] == bars.session[t]:
        if bars.close[n, before] > 0.0:
            return False
        before -= 1
    return True


@kernel
def last_of_session(bars, n, t):  # type: ignore[no-untyped-def]
    """True in an instrument's last bar of a session (a fact of the calendar, read off the stamps of the bars)."""
    after = t + 1
    while after < len(bars.ts) and bars.session[after] == bars.session[t]:
        if bars.close[n, after] > 0.0:
            return False
        after += 1
    return True


@kernel
def crossed(side, level, price):  # type: ignore[no-untyped-def]
    """True where `price` has reached the stop of this side."""
    return price >= level if side > 0 else price <= level


@kernel
def betters(side, limit, price):  # type: ignore[no-untyped-def]
    """True where `price` is no worse than the limit."""
    return price <= limit if side > 0 else price >= limit


@kernel
def withdrawn(state, order, moment):  # type: ignore[no-untyped-def]
    """End an order whose withdrawal has come into force by `moment`."""
    row = state.orders[order]
    if row[s.O_CANCEL] > moment:
        return False
    if row[s.O_FLAGS] & s.REPLACING:
        end(state, order, s.REPLACED, s.W_REPLACED, row[s.O_CANCEL])
    else:
        end(state, order, s.CANCELLED, s.W_CANCELLED, row[s.O_CANCEL])
    return True


@kernel
def is_stop(row):  # type: ignore[no-untyped-def]
    """True for an order that waits for its stop."""
    kind = row[s.O_KIND]
    return row[s.O_TRIGGERED] == 0 and (kind == s.STOP or kind == s.STOP_LIMIT or kind == s.TRAILING_STOP)


@kernel
def is_limit(row):  # type: ignore[no-untyped-def]
    """True for an order that waits at its limit."""
    return row[s.O_KIND] == s.LIMIT or (row[s.O_KIND] == s.STOP_LIMIT and row[s.O_TRIGGERED] != 0)


@kernel
def is_quoted(state, n):  # type: ignore[no-untyped-def]
    """True of an option whose bars are quotes."""
    return len(state.options) > 0 and state.options[n, OP_RIGHT] != 0


@kernel
def at_open(state, bars, t):  # type: ignore[no-untyped-def]
    """Everything that the open of bar t does, in order of arrival."""
    moment, ended, segment = bars.open_ts[t], bars.ts[t], t * SEGMENT
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        row = state.orders[order]
        if row[s.O_STATUS] > s.WAITING or withdrawn(state, order, moment):
            continue
        n, kind, side = row[s.O_INSTRUMENT], row[s.O_KIND], row[s.O_SIDE]
        if row[s.O_STATUS] == s.WAITING or row[s.O_ACTIVE] > moment or row[s.O_FROM] == segment or kind == s.MARKET_ON_CLOSE:
            continue
        if not bars.close[n, t] > 0.0 or is_quoted(state, n):
            continue
        opened = price_units(bars.open[n, t], state.scale[n, 0]) if bars.trusted_open[n, t] else 0
        if opened == 0:
            if state.rules[s.R_UNTRUSTED_REJECTS] != 0 and (kind == s.MARKET or kind == s.MARKET_ON_OPEN):
                refuse(state, order, s.W_UNTRUSTED if bars.open[n, t] > 0.0 else s.W_PRICE, moment)
            continue
        cap, acts = 0, False
        if is_stop(row):
            if crossed(side, row[s.O_STOP], opened):
                row[s.O_TRIGGERED], acts = 1, True
        elif kind == s.MARKET_ON_OPEN:
            acts = first_of_session(bars, n, t)
            if not acts:
                continue
        else:
            acts = True
        if is_limit(row):
            cap = row[s.O_LIMIT]
            acts = betters(side, cap, opened)
        if acts:
            fill(state, order, t, opened, cap, bars.volume[n, t], moment, ended, s.AT_OPEN, segment)
        if row[s.O_TIF] >= s.IOC and row[s.O_STATUS] == s.WORKING:
            end(state, order, s.CANCELLED, s.W_NOT_AT_ONCE, moment)


@kernel
def takes_part(state, row, source, n, k, t, segment):  # type: ignore[no-untyped-def]
    """True for an order that may act in this segment."""
    if row[s.O_STATUS] != s.WORKING or row[s.O_ACTED] == segment or not (is_stop(row) or is_limit(row)):
        return False
    if row[s.O_ACTIVE] > source.open_ts[k] and row[s.O_FROM] // SEGMENT != t:
        return False
    return source.close[n, k] > 0.0


@kernel
def trigger(state, order, t, print_units, volume, ts, segment):  # type: ignore[no-untyped-def]
    """A stop goes off inside a bar: a market order at once, or a limit that fills at once where the print is no worse."""
    row = state.orders[order]
    row[s.O_TRIGGERED], row[s.O_ACTED] = 1, segment
    cap = 0
    if row[s.O_KIND] == s.STOP_LIMIT:
        cap = row[s.O_LIMIT]
        if not betters(row[s.O_SIDE], cap, print_units):
            row[s.O_FROM], row[s.O_FROM_PRINT] = segment, print_units
            return
    fill(state, order, t, print_units, cap, volume, ts, ts, s.IN_BAR, segment)


@kernel
def in_bar_worst(state, source, k, t, segment, only):  # type: ignore[no-untyped-def]
    """One bar (k of `source`, inside bar t) with the adverse order first; only: one instrument, -1 = all."""
    ts = source.ts[k]
    touch = state.rules[s.R_TOUCH] != 0
    for turn in range(3):  # stops; limits; stops that began to work in the second turn
        for at in range(state.counters[s.N_WORKING]):
            order = state.working[at]
            row = state.orders[order]
            n = row[s.O_INSTRUMENT]
            if (only >= 0 and n != only) or not takes_part(state, row, source, n, k, t, segment):
                continue
            if withdrawn(state, order, source.open_ts[k]):
                continue
            born = row[s.O_FROM] == segment
            if is_stop(row) != (turn != 1) or (turn == 1 and born) or (turn == 2 and not born):
                continue
            opened, high, low, _ = prices(state, source, n, k)
            side = row[s.O_SIDE]
            if turn == 1:
                level = limit_print(side, row[s.O_LIMIT], opened, high, low, touch)
                if level > 0:
                    row[s.O_ACTED] = segment
                    fill(state, order, t, level, row[s.O_LIMIT], source.volume[n, k], ts, ts, s.IN_BAR, segment)
            else:
                level = stop_print(side, row[s.O_STOP], row[s.O_FROM_PRINT] if born else opened, high, low)
                if level > 0:
                    trigger(state, order, t, level, source.volume[n, k], ts, segment)
    for at in range(state.counters[s.N_WORKING]):
        row = state.orders[state.working[at]]
        n = row[s.O_INSTRUMENT]
        if row[s.O_KIND] != s.TRAILING_STOP or (only >= 0 and n != only) or not takes_part(state, row, source, n, k, t, segment):
            continue
        opened, high, low, close = prices(state, source, n, k)
        if row[s.O_FROM] == segment:
            trail(row, close, close)
        else:
            trail(row, high, low)


@kernel
def next_on_path(state, source, k, n, t, segment, here, goal):  # type: ignore[no-untyped-def]
    """(order, price) that a straight path of instrument n from `here` to `goal` meets first; order -1 = none."""
    touch = state.rules[s.R_TOUCH] != 0
    best, best_price, best_stop = -1, 0, False
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        row = state.orders[order]
        if row[s.O_INSTRUMENT] != n or not takes_part(state, row, source, n, k, t, segment):
            continue
        side = row[s.O_SIDE]
        stop = is_stop(row)
        level = row[s.O_STOP] if stop else row[s.O_LIMIT]
        if stop:
            meets = crossed(side, level, here) or crossed(side, level, goal)
            price = here if crossed(side, level, here) else level
        else:
            past = here < level if side > 0 else here > level
            reached = goal < level if side > 0 else goal > level
            meets = past or reached or (touch and (here == level or goal == level))
            price = here if past else level
        if not meets:
            continue
        nearer = abs(price - here) < abs(best_price - here)
        if best < 0 or nearer or (price == best_price and stop and not best_stop):
            best, best_price, best_stop = order, price, stop
    return best, best_price


@kernel
def in_bar_path(state, source, k, t, segment, n):  # type: ignore[no-untyped-def]
    """One bar of instrument n along its assumed path."""
    opened, high, low, close = prices(state, source, n, k)
    ts, volume = source.ts[k], source.volume[n, k]
    here = opened
    for leg in range(3):
        if leg == 2:
            goal = close
        elif high_first(opened, close) == (leg == 0):
            goal = high
        else:
            goal = low
        while True:
            order, price = next_on_path(state, source, k, n, t, segment, here, goal)
            if order < 0:
                break
            here = price
            if withdrawn(state, order, source.open_ts[k]):
                continue
            row = state.orders[order]
            if is_stop(row):
                trigger(state, order, t, price, volume, ts, segment)
                if row[s.O_STATUS] == s.WORKING and is_limit(row) and row[s.O_FROM] == segment:
                    row[s.O_ACTED] = -1  # the path goes on: the limit may still be met
            else:
                row[s.O_ACTED] = segment
                fill(state, order, t, price, row[s.O_LIMIT], volume, ts, ts, s.IN_BAR, segment)
        here = goal
        for at in range(state.counters[s.N_WORKING]):
            row = state.orders[state.working[at]]
            if row[s.O_KIND] == s.TRAILING_STOP and row[s.O_INSTRUMENT] == n and takes_part(state, row, source, n, k, t, segment):
                trail(row, goal, goal)


@kernel
def in_bar(state, bars, finer, first, t):  # type: ignore[no-untyped-def]
    """The stops and limits of bar t; first (T + 1,): where each bar's finer ones begin, empty without any."""
    if len(first) > 0 and first[t + 1] > first[t]:
        for k in range(first[t], first[t + 1]):
            if k > first[t]:
                for n in range(len(state.position)):
                    state.position[n, s.P_USED_BEFORE] = state.position[n, s.P_USED]
            in_bar_worst(state, finer, k, t, t * SEGMENT + 1 + k - first[t], -1)
    for at in range(state.counters[s.N_WORKING]):
        row = state.orders[state.working[at]]
        n = row[s.O_INSTRUMENT]
        if row[s.O_STATUS] != s.WORKING or state.position[n, s.P_PLAYED] == t + 1 or not bars.close[n, t] > 0.0:
            continue
        state.position[n, s.P_PLAYED] = t + 1
        if len(first) > 0:
            if has_finer(finer, first, n, t):
                continue
            state.counters[s.C_COARSE] += 1
        if state.rules[s.R_INTRABAR] == OHLC and bars.open[n, t] > 0.0 and bars.trusted_open[n, t]:
            in_bar_path(state, bars, t, t, t * SEGMENT + SEGMENT - 1, n)
        else:
            in_bar_worst(state, bars, t, t, t * SEGMENT + SEGMENT - 1, n)


@kernel
def has_finer(finer, first, n, t):  # type: ignore[no-untyped-def]
    """True where instrument n has a finer bar inside bar t."""
    found = False
    for k in range(first[t], first[t + 1]):
        found = found or finer.close[n, k] > 0.0
    return found


@kernel
def at_quote(state, bars, order, t):  # type: ignore[no-untyped-def]
    """What the quote of bar t does to an order of an option, beside stops and limits: fill it at the middle, or end it."""
    row, moment = state.orders[order], bars.ts[t]
    n, kind = row[s.O_INSTRUMENT], row[s.O_KIND]
    if row[s.O_STATUS] != s.WORKING or row[s.O_ACTIVE] >= moment or kind == s.MARKET_ON_CLOSE or not bars.close[n, t] > 0.0:
        return
    if withdrawn(state, order, moment):
        return
    segment = t * SEGMENT + SEGMENT - 1
    first = kind != s.MARKET_ON_OPEN or first_of_session(bars, n, t)
    if first and row[s.O_ACTED] != segment and not is_stop(row) and not is_limit(row):
        close = price_units(bars.close[n, t], state.scale[n, 0])
        fill(state, order, t, close, 0, bars.volume[n, t], moment, moment, s.AT_CLOSE, segment)
    if row[s.O_TIF] >= s.IOC and row[s.O_STATUS] == s.WORKING:
        end(state, order, s.CANCELLED, s.W_NOT_AT_ONCE, moment)


@kernel
def at_close(state, bars, t):  # type: ignore[no-untyped-def]
    """Market-on-close orders and the end of orders for the day."""
    moment, opened = bars.ts[t], bars.open_ts[t]
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        row = state.orders[order]
        n, kind = row[s.O_INSTRUMENT], row[s.O_KIND]
        if is_quoted(state, n):
            at_quote(state, bars, order, t)
        if row[s.O_STATUS] > s.WAITING or not (kind == s.MARKET_ON_CLOSE or row[s.O_TIF] == s.DAY):
            continue
        if not bars.close[n, t] > 0.0 or not last_of_session(bars, n, t):
            continue
        if kind == s.MARKET_ON_CLOSE and row[s.O_ACTIVE] < moment and row[s.O_STATUS] == s.WORKING:
            if withdrawn(state, order, moment):
                continue
            close = price_units(bars.close[n, t], state.scale[n, 0])
            fill(state, order, t, close, 0, bars.volume[n, t], moment, moment, s.AT_CLOSE, t * SEGMENT + SEGMENT - 1)
        today = row[s.O_ACTIVE] <= opened or row[s.O_FROM] // SEGMENT == t
        if row[s.O_TIF] == s.DAY and row[s.O_STATUS] == s.WORKING and today:
            end(state, order, s.EXPIRED, s.W_DAY, moment)
