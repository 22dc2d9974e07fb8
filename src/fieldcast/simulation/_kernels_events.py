"""What an event does to an account, exactly: `apply_event(state, row, t)` for one row of the table of events.

Amounts are minimal units. A payment that does not come out even is rounded against the account: floor of what is received,
ceiling of what is paid. Every posting has its counterpart in the same event and currency, so that the ledger sums to zero after
each one; what an event means stands in `event_table`, its rules in `corporate`, `financing`, `derivatives` and `currencies`.
"""

from __future__ import annotations

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_account import move, price_and_fee
from fieldcast.simulation._kernels_fill import E8, fits, part_of
from fieldcast.simulation._kernels_orders import end, filled_lots, sweep_ended
from fieldcast.simulation._kernels_wide import add, mul, mul_div_floor, mul_div_nearest

(RATE, SETTLE, FUNDING, ASSIGN, EXPIRE_FUTURE, EXPIRE_OPTION, ROLL, BORROW, INTEREST, CONVERT, DIVIDEND, SPLIT, DELIST,
 TERMS) = range(14)  # fmt: skip
NONE = -(2**63)
E12 = 10**12
PENNY = 1_000_000  # OCC exercises what is in the money by at least 0.01


# -- amounts ---------------------------------------------------------------------------------------------------------


@kernel
def units_of(state, n, price_e8):  # type: ignore[no-untyped-def]
    """A price in steps of 1e-8 as price units of instrument n, half to even."""
    units, ok = mul_div_nearest(price_e8, state.instrument[n, s.I_PRICE_SCALE], E8)
    if not ok:
        s.fail(state, s.OVERFLOW, n)
    return units


@kernel
def e8_of(state, n, units):  # type: ignore[no-untyped-def]
    """Price units of instrument n in steps of 1e-8, exact."""
    price, ok = mul(units, E8 // state.instrument[n, s.I_PRICE_SCALE])
    if not ok:
        s.fail(state, s.OVERFLOW, n)
    return price


@kernel
def value_of(state, n, lots, price_e8):  # type: ignore[no-untyped-def]
    """floor(lots * price * lot * multiplier) in minimal units, of a price or an amount a unit in steps of 1e-8."""
    worth, ok = mul(lots, state.instrument[n, s.I_FACTOR])
    value, fine = mul_div_floor(worth, price_e8, E8 // state.instrument[n, s.I_PRICE_SCALE])
    if not (ok and fine):
        s.fail(state, s.OVERFLOW, n)
    return value


@kernel
def accrued(state, n, amount, rate_e12, days, days_a_year):  # type: ignore[no-untyped-def]
    """floor(amount * rate * days / days a year)."""
    numerator, ok = mul(rate_e12, days)
    interest, fine = mul_div_floor(amount, numerator, days_a_year * E12)
    if not (ok and fine):
        s.fail(state, s.OVERFLOW, n)
    return interest


@kernel
def pay(state, event, row, kind, n, currency, amount, counterpart):  # type: ignore[no-untyped-def]
    """Move an amount into cash (out of it, where negative) against an account."""
    _, ok = add(state.cash[currency], amount)
    if not ok:
        s.fail(state, s.OVERFLOW, currency)
        return
    ts = state.events[row, s.EV_TS]
    s.post(state, event, ts, kind, s.A_CASH, n, currency, amount)
    s.post(state, event, ts, kind, counterpart, n, currency, -amount)


# -- positions that change without an order ----------------------------------------------------------------------------


@kernel
def record(state, row, t, n, side, lots, price, reference, fee, spread, slippage, impact, realised, event, convention):  # type: ignore[no-untyped-def]
    """A row of the fill table for an event, order -1."""
    at = state.counters[s.N_FILLS]
    fill = state.fills[at]
    fill[s.F_ORDER] = -1
    fill[s.F_INSTRUMENT] = n
    fill[s.F_TS] = state.events[row, s.EV_TS]
    fill[s.F_SOURCE] = state.events[row, s.EV_TS]
    fill[s.F_BAR] = t
    fill[s.F_SIDE] = side
    fill[s.F_LOTS] = lots
    fill[s.F_PRICE] = price
    fill[s.F_REFERENCE] = reference
    fill[s.F_FEE] = fee
    fill[s.F_SPREAD] = spread
    fill[s.F_SLIPPAGE] = slippage
    fill[s.F_IMPACT] = impact
    fill[s.F_REALISED] = realised
    fill[s.F_CONVENTION] = convention
    fill[s.F_EVENT] = event
    state.counters[s.N_FILLS] = at + 1


@kernel
def end_orders(state, n, ts, status, reason):  # type: ignore[no-untyped-def]
    """End every working order of an instrument."""
    for at in range(state.counters[s.N_WORKING]):
        order = state.working[at]
        if state.orders[order, s.O_INSTRUMENT] == n and state.orders[order, s.O_STATUS] <= s.WAITING:
            end(state, order, status, reason, ts)
    sweep_ended(state)


@kernel
def leave(state, event, row, t, kind, n, proceeds, price):  # type: ignore[no-untyped-def]
    """The whole position goes for `proceeds` (of a position paid in full; below zero where it costs to be rid of it)."""
    position, currency = state.position[n], state.instrument[n, s.I_CURRENCY]
    lots, basis = position[s.P_LOTS], position[s.P_BASIS]
    ts = state.events[row, s.EV_TS]
    realised, ok = add(proceeds, -basis)
    _, fine = add(state.cash[currency], proceeds)
    if not (ok and fine):
        s.fail(state, s.OVERFLOW, n)
        return
    s.post(state, event, ts, kind, s.A_CASH, n, currency, proceeds)
    s.post(state, event, ts, kind, s.A_POSITION, n, currency, -basis)
    s.post(state, event, ts, kind, s.A_REALISED, n, currency, -realised)
    position[s.P_LOTS] = 0
    position[s.P_BASIS] = 0
    position[s.P_REALISED] += realised
    record(state, row, t, n, -1 if lots > 0 else 1, abs(lots), price, price, 0, 0, 0, 0, realised, event, s.AT_EVENT)


@kernel
def settle(state, event, row, kind, n, price):  # type: ignore[no-untyped-def]
    """Pay a margined position its change in value since it was last settled, at a price in price units; the amount."""
    position = state.position[n]
    if not fits(position[s.P_LOTS], price, state.instrument[n, s.I_FACTOR]):
        s.fail(state, s.OVERFLOW, n)
        return 0
    value = position[s.P_LOTS] * price * state.instrument[n, s.I_FACTOR]
    variation = value - position[s.P_BASIS]
    pay(state, event, row, kind, n, state.instrument[n, s.I_CURRENCY], variation, s.A_SETTLEMENT)
    position[s.P_BASIS] = value
    position[s.P_REALISED] += variation
    return variation


# -- one kind each -----------------------------------------------------------------------------------------------------


@kernel
def price_or_mark(state, n, price_e8):  # type: ignore[no-untyped-def]
    """The stated price in price units of the instrument, or its last one."""
    return state.position[n, s.P_MARK] if price_e8 == NONE else units_of(state, n, price_e8)


@kernel
def settle_future(state, row, t, n):  # type: ignore[no-untyped-def]
    """SETTLE and EXPIRE_FUTURE."""
    expires = state.events[row, s.EV_KIND] == EXPIRE_FUTURE
    if state.instrument[n, s.I_STYLE] != s.MARGINED:
        s.fail(state, s.UNKNOWN_EVENT, row)
        return
    position = state.position[n]
    lots = position[s.P_LOTS]
    if lots != 0:
        event = s.next_event(state)
        price = price_or_mark(state, n, state.events[row, s.EV_A])
        variation = settle(state, event, row, s.K_EXPIRY if expires else s.K_SETTLEMENT, n, price)
        if expires:
            position[s.P_LOTS] = 0
            position[s.P_BASIS] = 0
            record(state, row, t, n, -1 if lots > 0 else 1, abs(lots), price, price, 0, 0, 0, 0, variation, event, s.AT_EVENT)
        s.remark(state, n)
    if expires:
        end_orders(state, n, state.events[row, s.EV_TS], s.EXPIRED, s.W_EXPIRED)


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


@kernel
def deliver(state, event, row, t, kind, n, under, strike, right, spot):  # type: ignore[no-untyped-def]
    """The option goes, and the underlying comes or goes at the strike; the option leaves at its value against `spot` (e8)."""
    lots = state.position[n, s.P_LOTS]
    change, ok = mul(right * lots, state.events[row, s.EV_E])
    units = units_of(state, under, spot)
    if not ok or not fits(change, units, state.instrument[under, s.I_FACTOR]):
        s.fail(state, s.OVERFLOW, under)
        return
    side = 1 if change > 0 else -1
    currency, ts = state.instrument[under, s.I_CURRENCY], state.events[row, s.EV_TS]
    paid = value_of(state, under, -change, strike)      # what the strike moves
    realised, cash, basis = move(state, under, side, abs(change), units, 0)
    s.post(state, event, ts, kind, s.A_CASH, under, currency, cash)
    s.post(state, event, ts, kind, s.A_POSITION, under, currency, basis)
    s.post(state, event, ts, kind, s.A_REALISED, under, currency, -realised)
    record(state, row, t, under, side, abs(change), units, units, 0, 0, 0, 0, realised, event, s.AT_EVENT)
    value = change * units * state.instrument[under, s.I_FACTOR]
    intrinsic = units_of(state, n, max(right * (spot - strike), 0))
    leave(state, event, row, t, kind, n, paid + value, intrinsic)
    s.remark(state, under)


@kernel
def expire_option(state, row, t, n, under):  # type: ignore[no-untyped-def]
    """EXPIRE_OPTION: cash, or the underlying where it is in the money by a hundredth."""
    lots, ts = state.position[n, s.P_LOTS], state.events[row, s.EV_TS]
    stated = state.events[row, s.EV_A]
    spot = e8_of(state, under, state.position[under, s.P_MARK]) if stated == NONE else stated
    strike, right = state.events[row, s.EV_B], state.events[row, s.EV_C]
    gain = max(right * (spot - strike), 0)
    if lots != 0:
        event = s.next_event(state)
        if state.events[row, s.EV_D] == 1 and gain >= PENNY:
            deliver(state, event, row, t, s.K_EXERCISE if lots > 0 else s.K_ASSIGNMENT, n, under, strike, right, spot)
        else:
            due = 0 if state.events[row, s.EV_D] == 1 else gain
            leave(state, event, row, t, s.K_EXPIRY, n, value_of(state, n, lots, due), units_of(state, n, due))
        s.remark(state, n)
    end_orders(state, n, ts, s.EXPIRED, s.W_EXPIRED)


@kernel
def assign_early(state, row, t, n, under):  # type: ignore[no-untyped-def]
    """ASSIGN: a short call whose holder gains more by the dividend than by what is left of its time value."""
    if state.position[n, s.P_LOTS] >= 0:
        return
    strike, right = state.events[row, s.EV_B], state.events[row, s.EV_C]
    spot = e8_of(state, under, state.position[under, s.P_MARK])
    inside = right * (spot - strike)
    if inside < PENNY or state.events[row, s.EV_A] <= e8_of(state, n, state.position[n, s.P_MARK]) - inside:
        return
    deliver(state, s.next_event(state), row, t, s.K_ASSIGNMENT, n, under, strike, right, spot)
    s.remark(state, n)


@kernel
def roll(state, row, t, old, new):  # type: ignore[no-untyped-def]
    """ROLL: both legs at their closes with their own costs; orders of the old contract end."""
    lots, ts = state.position[old, s.P_LOTS], state.events[row, s.EV_TS]
    if lots != 0:
        event = s.next_event(state)
        side = -1 if lots > 0 else 1
        leg(state, event, row, t, old, side, abs(lots), state.events[row, s.EV_A], state.events[row, s.EV_C])
        leg(state, event, row, t, new, -side, abs(lots), state.events[row, s.EV_B], state.events[row, s.EV_D])
    end_orders(state, old, ts, s.CANCELLED, s.W_ROLLED)


@kernel
def leg(state, event, row, t, n, side, lots, close, volume):  # type: ignore[no-untyped-def]
    """One leg of a roll."""
    print_units = units_of(state, n, close)
    known = float(volume) if volume >= 0 else float("nan")
    price, fee, shift, half, impact = price_and_fee(state, n, t, side, lots, print_units, 0, known)
    if price <= 0:
        s.fail(state, s.OVERFLOW, n)
        return
    realised, cash, basis = move(state, n, side, lots, price, fee)
    currency, ts = state.instrument[n, s.I_CURRENCY], state.events[row, s.EV_TS]
    s.post(state, event, ts, s.K_ROLL, s.A_CASH, n, currency, cash - fee)
    s.post(state, event, ts, s.K_ROLL, s.A_POSITION, n, currency, basis)
    s.post(state, event, ts, s.K_ROLL, s.A_REALISED, n, currency, -realised)
    s.post(state, event, ts, s.K_ROLL, s.A_FEES, n, currency, fee)
    distance = (price - print_units) * side * lots * state.instrument[n, s.I_FACTOR]
    spread = part_of(distance, half, shift) if shift > 0 and half > 0 else 0
    pressure = part_of(distance, impact, shift) if shift > 0 and impact > 0 else 0
    record(
        state, row, t, n, side, lots, price, print_units, fee, spread, distance - spread - pressure, pressure, realised, event,
        s.AT_CLOSE,
    )
    state.position[n, s.P_MARK] = print_units
    s.remark(state, n)


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
