"""The life of an order: activation, fill, end, and what each does to the orders that hang on it.

A bracket's children wait until their parent fills, then work for as many lots as it has filled; one that fills takes as much
from its siblings (one cancels the other). Children only reduce. An order that ends unfilled ends the children that wait for it.
"""

from __future__ import annotations

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_account import (
    UNFILLED,
    book,
    cut_to_account,
    no_price,
    price_and_fee,
    refusal,
    spare_at,
    uncovers,
    volume_left,
)
from fieldcast.simulation._kernels_fill import share_ceil


@kernel
def filled_lots(row):  # type: ignore[no-untyped-def]
    """Lots that an order itself has filled."""
    return row[s.O_LOTS] - row[s.O_LEFT] - row[s.O_TAKEN]


@kernel
def settle_children(state, order, ts):  # type: ignore[no-untyped-def]
    """After an order has ended: its children are for what it has filled, and end where that is nothing."""
    if state.orders[order, s.O_FLAGS] & s.PARENT == 0:
        return
    filled = filled_lots(state.orders[order])
    for at in range(state.counters[s.N_WORKING]):
        child = state.orders[state.working[at]]
        if child[s.O_PARENT] != order or child[s.O_STATUS] > s.WAITING:
            continue
        child[s.O_LEFT] -= child[s.O_LOTS] - filled
        child[s.O_LOTS] = filled
        if child[s.O_LEFT] == 0:
            child[s.O_STATUS] = s.FILLED if filled_lots(child) > 0 else s.CANCELLED
            child[s.O_REASON] = s.W_NONE if filled_lots(child) > 0 else s.W_PARENT
            child[s.O_UPDATED] = ts


@kernel
def end(state, order, status, reason, ts):  # type: ignore[no-untyped-def]
    """Take an order off the book, and what hangs on it."""
    row = state.orders[order]
    row[s.O_STATUS] = status
    row[s.O_REASON] = reason
    row[s.O_UPDATED] = ts
    settle_children(state, order, ts)


@kernel
def available(state, order):  # type: ignore[no-untyped-def]
    """Lots that an order may fill now: what is left, of a child no more than its parent has filled and its group has
    not taken."""
    row = state.orders[order]
    left = row[s.O_LEFT]
    if row[s.O_PARENT] >= 0:
        left = min(left, filled_lots(state.orders[row[s.O_PARENT]]) - (row[s.O_LOTS] - row[s.O_LEFT]))
    return left


@kernel
def after_fill(state, order, lots, print_units, ts, segment):  # type: ignore[no-untyped-def]
    """The order's own row, its children and its group after a fill of `lots`; segment: where its children begin to work."""
    row = state.orders[order]
    row[s.O_LEFT] -= lots
    row[s.O_UPDATED] = ts
    if row[s.O_LEFT] == 0:
        row[s.O_STATUS] = s.FILLED
        if row[s.O_TAKEN] > 0:
            settle_children(state, order, ts)
    group = row[s.O_GROUP]
    if group < 0 and row[s.O_FLAGS] & s.PARENT == 0:
        return
    for at in range(state.counters[s.N_WORKING]):
        number = state.working[at]
        other = state.orders[number]
        if number == order or other[s.O_STATUS] > s.WAITING:
            continue
        if other[s.O_PARENT] == order and other[s.O_STATUS] == s.WAITING:
            other[s.O_STATUS] = s.WORKING
            other[s.O_UPDATED] = ts
            if other[s.O_ACTIVE] <= ts:  # else (it took another's place, with latency) it waits for its own moment
                other[s.O_ACTIVE], other[s.O_FROM], other[s.O_FROM_PRINT] = ts, segment, print_units
            if other[s.O_KIND] == s.TRAILING_STOP:
                trail(other, print_units, print_units)
        elif group >= 0 and other[s.O_GROUP] == group:
            taken = min(lots, other[s.O_LEFT])
            other[s.O_LEFT] -= taken
            other[s.O_TAKEN] += taken
            if other[s.O_LEFT] == 0:
                end(state, number, s.CANCELLED, s.W_OTHER, ts)


@kernel
def trail(row, high, low):  # type: ignore[no-untyped-def]
    """Move a trailing stop after prices up to `high` and down to `low`; it only ever comes closer."""
    distance = row[s.O_TRAIL]
    if row[s.O_SIDE] < 0:
        stop = high - distance if distance > 0 else high - share_ceil(high, row[s.O_TRAIL_E8])
        if stop > row[s.O_STOP]:
            row[s.O_STOP] = stop
    else:
        stop = low + distance if distance > 0 else low + share_ceil(low, row[s.O_TRAIL_E8])
        if row[s.O_STOP] == 0 or stop < row[s.O_STOP]:
            row[s.O_STOP] = stop


@kernel
def refuse(state, order, reason, ts):  # type: ignore[no-untyped-def]
    """End an order that the rules or the account refuse: rejected, or cancelled where a part has filled before."""
    row = state.orders[order]
    end(state, order, s.REJECTED if filled_lots(row) == 0 else s.CANCELLED, reason, ts)


@kernel
def fill(state, order, t, print_units, cap, volume, ts, source, convention, segment):  # type: ignore[no-untyped-def]
    """Fill as much of an order at this print as volume, rules and account allow; returns the lots.

    A fill whose source does not lie in the bar that is being played, or that comes before the order may act, stops the run.
    """
    row = state.orders[order]
    n, side, flags = row[s.O_INSTRUMENT], row[s.O_SIDE], row[s.O_FLAGS]
    counters = state.counters
    if row[s.O_ACTIVE] > ts or row[s.O_CREATED] > source or not counters[s.C_BAR_OPEN] <= source <= counters[s.C_BAR_END]:
        s.fail(state, s.LOOK_AHEAD, order)
        return UNFILLED
    wanted = available(state, order)
    if wanted <= 0:  # a child that has done all that its parent has filled: it stays for what the parent still fills
        return UNFILLED
    if flags & s.REDUCE_ONLY:
        held = state.position[n, s.P_LOTS]
        wanted = min(wanted, -side * held) if held * side < 0 else 0
        if wanted <= 0:
            end(state, order, s.CANCELLED, s.W_NOTHING_HELD, ts)
            return UNFILLED
    room = volume_left(state, n, volume)
    if room < wanted:
        if row[s.O_TIF] == s.FOK:
            end(state, order, s.CANCELLED, s.W_NOT_AT_ONCE, ts)
            return UNFILLED
        wanted = room
        if wanted == 0:
            return UNFILLED
    why = refusal(state, n, side, wanted)
    cut = False
    quote = price_and_fee(state, n, t, side, wanted, print_units, cap, volume)
    if why == s.W_NONE:
        why = no_price(quote[0])
    if why == s.W_NONE:
        held = state.position[n, s.P_LOTS]
        reduces = held * side < 0 and wanted <= abs(held)
        if not reduces or (flags & s.LIQUIDATION == 0 and uncovers(state, n, side, wanted, print_units)):
            why, missing = spare_at(state, n, side, wanted, print_units, quote[0], quote[1])
            if (why == s.W_CASH or why == s.W_MARGIN) and state.rules[s.R_CUT] != 0 and row[s.O_TIF] != s.FOK:
                least = abs(held) if held * side < 0 and not reduces else 0
                wanted = max(cut_to_account(state, n, t, side, wanted, missing, print_units, cap, volume), least)
                if wanted > 0:
                    why, cut = s.W_NONE, True
                    quote = price_and_fee(state, n, t, side, wanted, print_units, cap, volume)
    if why != s.W_NONE:
        refuse(state, order, why, ts)
        return UNFILLED
    if not book(state, order, t, side, wanted, print_units, quote, ts, source, convention):
        return UNFILLED
    after_fill(state, order, wanted, print_units, ts, segment)
    if cut and row[s.O_STATUS] == s.WORKING:
        end(state, order, s.CANCELLED, s.W_CUT, ts)
    return wanted


@kernel
def sweep_ended(state):  # type: ignore[no-untyped-def]
    """Take what has ended off the list of working orders, keeping the order of arrival."""
    kept = 0
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        if state.orders[order, s.O_STATUS] <= s.WAITING:
            state.working[kept] = order
            kept += 1
    state.counters[s.N_WORKING] = kept


@kernel
def add(state, n, kind, side, lots, ts, active):  # type: ignore[no-untyped-def]
    """A new working order without prices, good till cancelled; returns its number."""
    order = state.counters[s.N_ORDERS]
    row = state.orders[order]
    row[:] = 0
    row[s.O_INSTRUMENT] = n
    row[s.O_KIND] = kind
    row[s.O_SIDE] = side
    row[s.O_LOTS] = lots
    row[s.O_LEFT] = lots
    row[s.O_CREATED] = ts
    row[s.O_ACTIVE] = active
    row[s.O_CANCEL] = s.NEVER
    row[s.O_UPDATED] = ts
    row[s.O_PARENT] = -1
    row[s.O_GROUP] = -1
    row[s.O_REPLACES] = -1
    row[s.O_FROM] = -1
    row[s.O_ACTED] = -1
    state.counters[s.N_ORDERS] = order + 1
    state.working[state.counters[s.N_WORKING]] = order
    state.counters[s.N_WORKING] += 1
    return order
