"""What happens to futures and options by themselves: settlement, expiry, exercise, assignment, rolls; see `derivatives`."""

from __future__ import annotations

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_account import move, price_and_fee
from fieldcast.simulation._kernels_event_money import (
    NONE,
    UNKNOWN,
    e8_of,
    end_orders,
    leave,
    price_or_mark,
    record,
    settle,
    units_of,
    value_of,
)
from fieldcast.simulation._kernels_fill import fits, part_of
from fieldcast.simulation._kernels_wide import mul

EXPIRE_FUTURE = 4  # of `event_table.EventKind`
PENNY = 1_000_000  # OCC exercises what is in the money by at least 0.01


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
    if lots != 0 and stated == UNKNOWN:
        s.fail(state, s.NO_SETTLEMENT, row)
        return
    if lots != 0:
        spot = e8_of(state, under, state.position[under, s.P_MARK]) if stated == NONE else stated
        strike, right = state.events[row, s.EV_B], state.events[row, s.EV_C]
        gain = max(right * (spot - strike), 0)
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
    """ASSIGN: an American option whose holder gains more by exercising it tonight than its time value is worth.

    EV_A is what is gained: of a call the dividend, of a put the interest on the strike. A short one is assigned; a long one is
    exercised where EV_D says that its holder does so.
    """
    lots = state.position[n, s.P_LOTS]
    if lots == 0 or (lots > 0 and state.events[row, s.EV_D] != 1):
        return
    strike, right = state.events[row, s.EV_B], state.events[row, s.EV_C]
    spot = e8_of(state, under, state.position[under, s.P_MARK])
    inside = right * (spot - strike)
    if inside < PENNY or state.events[row, s.EV_A] <= e8_of(state, n, state.position[n, s.P_MARK]) - inside:
        return
    kind = s.K_EXERCISE if lots > 0 else s.K_ASSIGNMENT
    deliver(state, s.next_event(state), row, t, kind, n, under, strike, right, spot)
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
