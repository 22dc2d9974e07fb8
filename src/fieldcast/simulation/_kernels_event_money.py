"""What the events of an account share: amounts rounded against it, payments, and positions that change without an order."""

from __future__ import annotations

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_fill import E8, fits
from fieldcast.simulation._kernels_orders import end, sweep_ended
from fieldcast.simulation._kernels_wide import add, mul, mul_div_floor, mul_div_nearest

NONE = -(2**63)
UNKNOWN = NONE + 1
E12 = 10**12


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


@kernel
def price_or_mark(state, n, price_e8):  # type: ignore[no-untyped-def]
    """The stated price in price units of the instrument, or its last one."""
    return state.position[n, s.P_MARK] if price_e8 == NONE else units_of(state, n, price_e8)
