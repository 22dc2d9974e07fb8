"""What an event does to an account, exactly: `apply_event(state, row, t)` for one row of the table of events.

Amounts are minimal units. A payment that does not come out even is rounded against the account: floor of what is received,
ceiling of what is paid. Every posting has its counterpart in the same event and currency, so that the ledger sums to zero after
each one; what an event means stands in `event_table`, its rules in `corporate`, `financing`, `derivatives` and `currencies`.
"""

from __future__ import annotations

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_derivative_events import assign_early, expire_option, roll, settle_future
from fieldcast.simulation._kernels_event_money import (
    E12,
    NONE,
    accrued,
    e8_of,
    end_orders,
    leave,
    pay,
    record,
    settle,
    units_of,
    value_of,
)
from fieldcast.simulation._kernels_fill import E8
from fieldcast.simulation._kernels_orders import end, filled_lots, sweep_ended
from fieldcast.simulation._kernels_wide import mul, mul_div_floor, mul_div_nearest

(RATE, SETTLE, FUNDING, ASSIGN, EXPIRE_FUTURE, EXPIRE_OPTION, ROLL, BORROW, INTEREST, CONVERT, DIVIDEND, SPLIT, DELIST,
 TERMS) = range(14)  # fmt: skip


# -- one kind each; those of futures and options stand in `_kernels_derivative_events` -----------------------------------


@kernel
def pay_funding(state, row, n):  # type: ignore[no-untyped-def]
    """FUNDING: cash -= quantity * mark * rate."""
    lots = state.position[n, s.P_LOTS]
    if lots == 0:
        return
    stated = state.events[row, s.EV_B]
    mark = e8_of(state, n, state.position[n, s.P_MARK]) if stated == NONE else stated
    notional = value_of(state, n, lots, mark)
    amount, ok = mul_div_floor(notional, -state.events[row, s.EV_A], E12)
    if not ok:
        s.fail(state, s.OVERFLOW, n)
        return
    pay(state, s.next_event(state), row, s.K_FUNDING, n, state.instrument[n, s.I_CURRENCY], amount, s.A_FUNDING)


@kernel
def charge_borrow(state, row, n):  # type: ignore[no-untyped-def]
    """BORROW: the value of the shares lent, up, at the rate for the nights, up."""
    lots = state.position[n, s.P_LOTS]
    if lots >= 0:
        return
    share, step = state.events[row, s.EV_D], state.events[row, s.EV_E]
    floor, ok = mul_div_floor(-e8_of(state, n, state.position[n, s.P_MARK]), share, E8)
    if not ok:
        s.fail(state, s.OVERFLOW, n)
        return
    price = -floor
    if step > 0:
        price = -(floor // step) * step
    value = value_of(state, n, lots, price)     # below zero: the floor is the larger amount
    fee = accrued(state, n, value, state.events[row, s.EV_A], state.events[row, s.EV_B], state.events[row, s.EV_C])
    pay(state, s.next_event(state), row, s.K_BORROW, n, state.instrument[n, s.I_CURRENCY], fee, s.A_BORROW)


@kernel
def pay_interest(state, row, currency):  # type: ignore[no-untyped-def]
    """INTEREST on a balance: cash less what shorts are worth (EV_OTHER 0), or cash alone (-1)."""
    balance = state.cash[currency]
    if state.events[row, s.EV_OTHER] == 0:
        for n in range(len(state.position)):
            position, instrument = state.position[n], state.instrument[n]
            if position[s.P_LOTS] < 0 and instrument[s.I_CURRENCY] == currency and instrument[s.I_STYLE] == s.PAID:
                balance += position[s.P_LOTS] * position[s.P_MARK] * instrument[s.I_FACTOR]
    if balance < 0:
        rate = state.events[row, s.EV_A]
    else:
        rate = state.events[row, s.EV_B]
        balance = max(balance - state.events[row, s.EV_E], 0)
    amount = accrued(state, -1, balance, rate, state.events[row, s.EV_C], state.events[row, s.EV_D])
    pay(state, s.next_event(state), row, s.K_INTEREST, -1, currency, amount, s.A_INTEREST)


@kernel
def convert(state, row, sold, bought):  # type: ignore[no-untyped-def]
    """CONVERT: at most what is held of the currency sold."""
    wanted, held = state.events[row, s.EV_A], max(state.cash[sold], 0)
    amount = held if wanted == NONE else min(wanted, held)
    if amount == 0:
        return
    received, ok = mul_div_floor(amount, state.events[row, s.EV_B], state.events[row, s.EV_C])
    part, fine = mul_div_floor(-received, state.events[row, s.EV_D], E8)
    if not (ok and fine):
        s.fail(state, s.OVERFLOW, sold)
        return
    fee = min(max(-part, state.events[row, s.EV_E]), received)
    event, ts = s.next_event(state), state.events[row, s.EV_TS]
    pay(state, event, row, s.K_CONVERSION, -1, sold, -amount, s.A_CONVERSION)
    pay(state, event, row, s.K_CONVERSION, -1, bought, received, s.A_CONVERSION)
    s.post(state, event, ts, s.K_CONVERSION, s.A_CASH, -1, bought, -fee)
    s.post(state, event, ts, s.K_CONVERSION, s.A_FEES, -1, bought, fee)


@kernel
def pay_dividend(state, row, n):  # type: ignore[no-untyped-def]
    """DIVIDEND: what a long receives and a short pays, down; of a long's, the tax that is withheld, up."""
    lots, currency = state.position[n, s.P_LOTS], state.events[row, s.EV_CURRENCY]
    if lots == 0:
        return
    event, amount = s.next_event(state), value_of(state, n, lots, state.events[row, s.EV_A])
    pay(state, event, row, s.K_DIVIDEND, n, currency, amount, s.A_DIVIDENDS)
    if lots > 0 and state.events[row, s.EV_B] > 0:
        withheld, ok = mul_div_floor(-amount, state.events[row, s.EV_B], E12)
        if not ok:
            s.fail(state, s.OVERFLOW, n)
            return
        pay(state, event, row, s.K_DIVIDEND, n, currency, withheld, s.A_TAX)


@kernel
def change_terms(state, row, n):  # type: ignore[no-untyped-def]
    """TERMS: another fee or margin of an instrument from here on; a is its column, b the value (see `events.event_rows`)."""
    state.instrument[n, state.events[row, s.EV_A]] = state.events[row, s.EV_B]
    s.remark(state, n)


@kernel
def split(state, row, t, n):  # type: ignore[no-untyped-def]
    """SPLIT: the position in whole lots, cash in lieu of the rest, the mark and the working orders."""
    new, old = state.events[row, s.EV_A], state.events[row, s.EV_B]
    position = state.position[n]
    lots, mark, basis = position[s.P_LOTS], position[s.P_MARK], position[s.P_BASIS]
    if lots != 0:
        size, ok = mul(abs(lots), new)
        if not ok:
            s.fail(state, s.OVERFLOW, n)
            return
        whole, rest = size // old, size % old      # lots after the split, and parts of a lot (rest / old) that are paid out
        side = 1 if lots > 0 else -1
        event, ts, currency = s.next_event(state), state.events[row, s.EV_TS], state.instrument[n, s.I_CURRENCY]
        if rest > 0:
            # rest / old new lots are rest / new old ones, at the last price before the split
            worth, ok = mul(side * rest, state.instrument[n, s.I_FACTOR])
            proceeds, fine = mul_div_floor(worth, mark, new)
            leaving, well = mul_div_floor(basis, rest, size)
            if not (ok and fine and well):
                s.fail(state, s.OVERFLOW, n)
                return
            if state.instrument[n, s.I_STYLE] == s.PAID:
                s.post(state, event, ts, s.K_SPLIT, s.A_CASH, n, currency, proceeds)
                s.post(state, event, ts, s.K_SPLIT, s.A_POSITION, n, currency, -leaving)
                s.post(state, event, ts, s.K_SPLIT, s.A_REALISED, n, currency, leaving - proceeds)
            else:
                pay(state, event, row, s.K_SPLIT, n, currency, proceeds - leaving, s.A_REALISED)
            position[s.P_BASIS] = basis - leaving
            position[s.P_REALISED] += proceeds - leaving
        position[s.P_LOTS] = side * whole
    units, ok = mul_div_nearest(mark, old, new)
    if not ok:
        s.fail(state, s.OVERFLOW, n)
        return
    position[s.P_MARK] = units
    s.remark(state, n)
    split_orders(state, row, n, new, old)


@kernel
def split_orders(state, row, n, new, old):  # type: ignore[no-untyped-def]
    """Working orders after a split: quantities down to whole lots, prices to the tick away from the market.

    What an order, or the parent of one, has filled before counts in lots after the split from here on.
    """
    tick, ts = state.instrument[n, s.I_TICK], state.events[row, s.EV_TS]
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        fields = state.orders[order]
        if fields[s.O_INSTRUMENT] != n or fields[s.O_STATUS] > s.WAITING:
            continue
        scale_lots(state, fields, n, new, old)
        parent = fields[s.O_PARENT]
        if parent >= 0 and state.orders[parent, s.O_STATUS] > s.WAITING and first_child(state, parent) == order:
            scale_lots(state, state.orders[parent], n, new, old)
        up = fields[s.O_SIDE] < 0
        fields[s.O_LIMIT] = scaled_price(state, n, fields[s.O_LIMIT], new, old, tick, up)
        fields[s.O_STOP] = scaled_price(state, n, fields[s.O_STOP], new, old, tick, not up)
        fields[s.O_TRAIL] = scaled_price(state, n, fields[s.O_TRAIL], new, old, tick, True)
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        fields = state.orders[order]
        if fields[s.O_INSTRUMENT] == n and fields[s.O_STATUS] <= s.WAITING and fields[s.O_LEFT] == 0:
            end(state, order, s.CANCELLED, s.W_BELOW_LOT, ts)
    sweep_ended(state)


@kernel
def scale_lots(state, fields, n, new, old):  # type: ignore[no-untyped-def]
    """An order's lots, down: what is left, what its group has taken, what it has filled."""
    left, ok = mul_div_floor(fields[s.O_LEFT], new, old)
    taken, fine = mul_div_floor(fields[s.O_TAKEN], new, old)
    filled, well = mul_div_floor(filled_lots(fields), new, old)
    if not (ok and fine and well):
        s.fail(state, s.OVERFLOW, n)
        return
    fields[s.O_LEFT] = left
    fields[s.O_TAKEN] = taken
    fields[s.O_LOTS] = left + taken + filled


@kernel
def first_child(state, parent):  # type: ignore[no-untyped-def]
    """The first order on the list of working ones that hangs on `parent`."""
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        if state.orders[order, s.O_PARENT] == parent and state.orders[order, s.O_STATUS] <= s.WAITING:
            return order
    return -1


@kernel
def scaled_price(state, n, price, new, old, tick, up):  # type: ignore[no-untyped-def]
    """price * old / new on the tick, at least one tick; 0 (none) stays."""
    if price <= 0:
        return price
    steps, ok = mul_div_floor(-price if up else price, old, new * tick)
    if not ok:
        s.fail(state, s.OVERFLOW, n)
        return price
    return max(-steps if up else steps, 1) * tick


@kernel
def delist(state, row, t, n):  # type: ignore[no-untyped-def]
    """DELIST: paid out at the stated price."""
    lots = state.position[n, s.P_LOTS]
    if lots != 0:
        event, price = s.next_event(state), state.events[row, s.EV_A]
        if state.instrument[n, s.I_STYLE] == s.PAID:
            leave(state, event, row, t, s.K_DELISTING, n, value_of(state, n, lots, price), units_of(state, n, price))
        else:
            variation = settle(state, event, row, s.K_DELISTING, n, units_of(state, n, price))
            state.position[n, s.P_LOTS] = 0
            state.position[n, s.P_BASIS] = 0
            units = units_of(state, n, price)
            record(state, row, t, n, -1 if lots > 0 else 1, abs(lots), units, units, 0, 0, 0, 0, variation, event, s.AT_EVENT)
        s.remark(state, n)
    end_orders(state, n, state.events[row, s.EV_TS], s.CANCELLED, s.W_NOT_TRADABLE)


# -- the one entrance --------------------------------------------------------------------------------------------------


@kernel
def apply_event(state, row, t):  # type: ignore[no-untyped-def]
    """Let one row of `state.events` happen at bar t."""
    event = state.events[row]
    kind, n, other, currency = event[s.EV_KIND], event[s.EV_INSTRUMENT], event[s.EV_OTHER], event[s.EV_CURRENCY]
    if kind == RATE:
        state.fx[currency, 0], state.fx[currency, 1] = event[s.EV_A], event[s.EV_B]
        s.mark_all(state)
    elif kind in (SETTLE, EXPIRE_FUTURE):
        settle_future(state, row, t, n)
    elif kind == FUNDING:
        pay_funding(state, row, n)
    elif kind == ASSIGN:
        assign_early(state, row, t, n, other)
    elif kind == EXPIRE_OPTION:
        expire_option(state, row, t, n, other)
    elif kind == ROLL:
        roll(state, row, t, n, other)
    elif kind == BORROW:
        charge_borrow(state, row, n)
    elif kind == INTEREST:
        pay_interest(state, row, currency)
    elif kind == CONVERT:
        convert(state, row, currency, other)
    elif kind == DIVIDEND:
        pay_dividend(state, row, n)
    elif kind == SPLIT:
        split(state, row, t, n)
    elif kind == DELIST:
        delist(state, row, t, n)
    elif kind == TERMS:
        change_terms(state, row, n)
    else:
        s.fail(state, s.UNKNOWN_EVENT, row)
    state.totals[s.S_CASH] = s.cash_in_base(state)
