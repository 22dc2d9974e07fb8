"""What a fill does to the account: checks, booking at average cost, postings.

    position paid in full   cash -side * value; the part of the basis that leaves with closed lots is realised
                            against its proceeds
    margined position       no cash for the value; a closed part pays its gain since its basis (futures, perpetual contracts)

An order that makes a position larger (or turns it) needs, after its fill and with its instrument marked at the print,

    equity >= sum of (initial margin share * |value| + initial margin a unit * |quantity|),
    and cash >= 0 in its currency where none may be borrowed

With shares of 100 % that is the cash account: a purchase has to be paid for, and a short position covered by as much equity.
One that makes it smaller always passes, unless it takes the cover from a short option. Options whose terms the venue knows need
the margin of their group (`_kernels_option_margin`); an account that may not sell short may sell covered calls and puts that cash
secures.
"""

from __future__ import annotations

import math

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_fill import FEE_COLUMNS, fees, fill_price, fits, most_lots, part_of, shift_e8
from fieldcast.simulation._kernels_option_margin import OP_MARGIN, OP_RIGHT
from fieldcast.trading.costs._kernels import total_shift_bps

PATTERN_SESSIONS = 5
SHORT_SEARCH, SECANTS = 64, 6  # below so many lots a bisection is as quick; probes before it takes over
UNFILLED, REFUSED, DONE = 0, -1, 1


@kernel
def shift_of(state, n, t, lots, volume):  # type: ignore[no-untyped-def]
    """(total, half spread, impact) in e8 for an order of `lots` in a bar of `volume`; total -1 where no price can be given."""
    at = t if state.costs.shape[2] > 1 else 0
    half_spread, slippage, impact = state.costs[0, n, at], state.costs[1, n, at], state.costs[2, n, at]
    quantity = lots / state.scale[n, 1]
    total = shift_e8(total_shift_bps(half_spread, slippage, impact, quantity, volume))
    if total <= 0:
        return total, 0, 0
    half = shift_e8(half_spread)
    without = shift_e8(half_spread + slippage)
    return total, half, total - without


@kernel
def price_and_fee(state, n, t, side, lots, print_units, cap, volume):  # type: ignore[no-untyped-def]
    """(price, fee, shift, half spread, impact) of a fill; price 0 where there is none, -1 where amounts do not fit.

    cap : the limit that the price is never worse than, 0 = none; at a limit itself (print_units == cap) nothing is shifted
    """
    row = state.instrument[n]
    if cap > 0 and print_units == cap:
        shift, half, impact, price = 0, 0, 0, cap
    else:
        shift, half, impact = shift_of(state, n, t, lots, volume)
        if shift < 0:
            return 0, 0, 0, 0, 0
        price = fill_price(side, print_units, shift, row[s.I_TICK])
        if cap > 0:
            price = min(price, cap) if side > 0 else max(price, cap)
    if not fits(price, lots, row[s.I_FACTOR]):
        return -1, 0, 0, 0, 0
    value = price * lots * row[s.I_FACTOR]
    maker = cap > 0 and print_units == cap
    fee = fees(value, lots, side, maker, row[s.I_FEES : s.I_FEES + FEE_COLUMNS])
    return price, fee, shift, half, impact


@kernel
def move(state, n, side, lots, price, fee):  # type: ignore[no-untyped-def]
    """Move position and cash; (realised, change of cash, change of the basis on the ledger). The caller posts and remarks."""
    position, factor = state.position[n], state.instrument[n, s.I_FACTOR]
    held, basis = position[s.P_LOTS], position[s.P_BASIS]
    closing = min(abs(held), lots) if held * side < 0 else 0
    leaving = part_of(basis, closing, abs(held)) if closing > 0 else 0
    proceeds = -side * closing * price * factor
    opened = side * (lots - closing) * price * factor
    realised = proceeds - leaving if closing > 0 else 0
    position[s.P_LOTS] = held + side * lots
    position[s.P_BASIS] = basis - leaving + opened
    position[s.P_REALISED] += realised
    position[s.P_FEES] += fee
    if state.instrument[n, s.I_STYLE] == s.PAID:
        return realised, proceeds - opened, opened - leaving
    return realised, realised, 0


@kernel
def no_price(price):  # type: ignore[no-untyped-def]
    """Why `price_and_fee` has no price; W_NONE where it has one."""
    return s.W_NONE if price > 0 else (s.W_TOO_LARGE if price < 0 else s.W_VOLUME)


@kernel
def spare_at(state, n, side, lots, print_units, price, fee):  # type: ignore[no-untyped-def]
    """(why not, base units to spare) of a fill of `lots` at this price; nothing is changed.

    W_NONE where it keeps the account within its rules. The amount is what is left above the margin, or the cash where that is
    less and none may be borrowed: it is below zero where the account refuses.
    """
    position, totals, currency = state.position[n], state.totals, state.instrument[n, s.I_CURRENCY]
    factor, held, basis = state.instrument[n, s.I_FACTOR], position[s.P_LOTS], position[s.P_BASIS]
    after = held + side * lots
    closing = min(abs(held), lots) if held * side < 0 else 0
    leaving = part_of(basis, closing, abs(held)) if closing > 0 else 0
    proceeds = -side * closing * price * factor
    opened = side * (lots - closing) * price * factor
    notional = after * print_units * factor
    if state.instrument[n, s.I_STYLE] == s.PAID:
        cash, value = proceeds - opened - fee, notional
    else:
        cash, value = proceeds - leaving - fee, notional - (basis - leaving + opened)
    row, new = state.instrument[n], s.to_base(state, notional, currency)
    needed = totals[s.S_INITIAL] - position[s.P_INITIAL]
    needed += s.margin_needed(state, n, new, after, row[s.I_INITIAL], row[s.I_INITIAL_LOT])
    group = s.group_of(state, n)
    if group >= 0:
        if n != group and state.position[group, s.P_MARK] == 0:
            return s.W_PRICE, 0
        _, margin, naked_calls = s.asked_with(state, group, n, after, print_units)
        if naked_calls > 0 and state.rules[s.R_SHORTS] == 0:
            return s.W_NO_SHORTS, 0
        needed += margin - state.options[group, OP_MARGIN]
    worth = totals[s.S_VALUE] - s.to_base(state, position[s.P_VALUE], currency) + s.to_base(state, value, currency)
    own = s.cash_in_base(state) - s.to_base(state, state.cash[currency], currency)
    own += s.to_base(state, state.cash[currency] + cash, currency)
    left = own + worth - needed
    if state.rules[s.R_BORROWS_CASH] == 0 and cash < 0:
        if state.cash[currency] + cash < 0:
            return s.W_CASH, min(left, state.cash[currency] + cash)
        left = min(left, state.cash[currency] + cash)
    if left < 0:
        return (s.W_MARGIN if state.rules[s.R_BORROWS_CASH] != 0 else s.W_CASH), left
    return s.W_NONE, left


@kernel
def spare(state, n, t, side, lots, print_units, cap, volume):  # type: ignore[no-untyped-def]
    """`spare_at` the price that the venue gives for these lots; 0 to spare where it has none."""
    price, fee, _, _, _ = price_and_fee(state, n, t, side, lots, print_units, cap, volume)
    if price <= 0:
        return no_price(price), 0
    return spare_at(state, n, side, lots, print_units, price, fee)


@kernel
def affordable(state, n, t, side, lots, print_units, cap, volume):  # type: ignore[no-untyped-def]
    """W_NONE where a fill of `lots` keeps the account within its rules, else why not; nothing is changed."""
    why, _ = spare(state, n, t, side, lots, print_units, cap, volume)
    return why


@kernel
def only_falls(state, n, t, side, lots, print_units, cap, volume):  # type: ignore[no-untyped-def]
    """True where it is certain that what is to spare only falls as the lots of this increase rise to `lots`.

    So it is in the base currency for a purchase that closes nothing: value, fee, shift and margin only rise. For a sale
    where moreover its price is the same for all lots (no impact), and the cash pays the fee by itself.
    """
    if state.instrument[n, s.I_CURRENCY] != 0 or state.position[n, s.P_LOTS] * side < 0 or s.group_of(state, n) >= 0:
        return False
    if side > 0:
        return True
    at = t if state.costs.shape[2] > 1 else 0
    _, fee, _, _, _ = price_and_fee(state, n, t, side, lots, print_units, cap, volume)
    return state.costs[2, n, at] == 0.0 and state.cash[0] >= fee


@kernel
def cut_by_bisection(state, n, t, side, enough, too_many, print_units, cap, volume):  # type: ignore[no-untyped-def]
    """The most lots from `enough` to below `too_many` that the account can carry (costs only rise with lots)."""
    while too_many - enough > 1:
        middle = enough + (too_many - enough) // 2
        if affordable(state, n, t, side, middle, print_units, cap, volume) == s.W_NONE:
            enough = middle
        else:
            too_many = middle
    return enough


@kernel
def cut_to_account(state, n, t, side, lots, missing, print_units, cap, volume):  # type: ignore[no-untyped-def]
    """The most lots below `lots`, which the account refuses as `missing` (below zero) says, that it can carry.

    What is to spare is nearly a straight line in lots, so a secant lands within a lot or two of where it becomes negative; the
    lots found pass and one more does not, as in a bisection. Where the line may bend upwards it is a bisection from the start.
    """
    enough, too_many = 0, lots
    if lots > SHORT_SEARCH and only_falls(state, n, t, side, lots, print_units, cap, volume):
        _, left = spare_at(state, n, side, 0, print_units, print_units, 0)
        a_lot = (float(left) - float(missing)) / float(lots)
        at, amount = lots, missing
        for _ in range(SECANTS):
            if too_many - enough <= 1 or not a_lot > 0.0:
                break
            away = math.floor(min(max(float(amount) / a_lot, -float(at)), float(lots)))
            at = min(max(at + int(away), enough + 1), too_many - 1)
            why, amount = spare(state, n, t, side, at, print_units, cap, volume)
            if why == s.W_NONE:
                enough = at
            else:
                too_many = at
    return cut_by_bisection(state, n, t, side, enough, too_many, print_units, cap, volume)


@kernel
def uncovers(state, n, side, lots, print_units):  # type: ignore[no-untyped-def]
    """True where a fill makes the short options of its group ask for more."""
    group = s.group_of(state, n)
    if group < 0:
        return False
    held = state.position[n, s.P_LOTS]
    before, _, _ = s.asked_with(state, group, n, held, print_units)
    after, _, _ = s.asked_with(state, group, n, held + side * lots, print_units)
    return after > before


@kernel
def refusal(state, n, side, lots):  # type: ignore[no-untyped-def]
    """Why the rules refuse this fill whatever the account holds; W_NONE where they do not."""
    held = state.position[n, s.P_LOTS]
    after = held + side * lots
    if abs(after) > state.instrument[n, s.I_MOST_LOTS] and abs(after) > abs(held):
        return s.W_TOO_LARGE
    is_option = len(state.options) > 0 and state.options[n, OP_RIGHT] != 0  # what covers it is looked at with its margin
    if after < 0 and side < 0 and state.rules[s.R_SHORTS] == 0 and not is_option:
        return s.W_NO_SHORTS
    if state.rules[s.R_PDT] != 0 and (abs(after) > abs(held) or after * held < 0):
        third = state.counters[s.C_DAYTRADE_3]
        recent = third > 0 and state.counters[s.C_SESSION] - third < PATTERN_SESSIONS
        if recent and state.totals[s.S_SESSION_EQUITY] < state.rules[s.R_PDT_EQUITY]:
            return s.W_PDT
    return s.W_NONE


@kernel
def volume_left(state, n, volume):  # type: ignore[no-untyped-def]
    """Lots that may still trade at a print of a bar, or finer bar, of `volume`; NEVER where participation is not limited.

    A finer bar gives its share, and all together no more than the share of the bar that they lie in.
    """
    share, position = state.rules[s.R_VOLUME_SHARE], state.position[n]
    if share == 0:
        return s.NEVER
    used = position[s.P_USED]
    here = most_lots(volume, share / 1e8, state.scale[n, 1]) - (used - position[s.P_USED_BEFORE])
    return max(0, min(here, position[s.P_MOST] - used))


@kernel
def begin_volume(state, volumes, t):  # type: ignore[no-untyped-def]
    """Nothing of the volume of bar t is taken; volumes (N, T)."""
    share = state.rules[s.R_VOLUME_SHARE]
    if share == 0:
        return
    for n in range(len(state.position)):
        position, volume = state.position[n], volumes[n, t]
        position[s.P_USED] = position[s.P_USED_BEFORE] = 0
        position[s.P_MOST] = most_lots(volume, share / 1e8, state.scale[n, 1]) if volume > 0.0 else s.NEVER


@kernel
def book(state, order, t, side, lots, print_units, quote, ts, source, convention):  # type: ignore[no-untyped-def]
    """Write a fill that has passed every check: account, journal, fill table. Returns False where its amounts do not fit.

    quote : what `price_and_fee` says of these lots
    """
    row = state.orders[order]
    n = row[s.O_INSTRUMENT]
    instrument, position, counters = state.instrument[n], state.position[n], state.counters
    price, fee, shift, half, impact = quote
    if price <= 0:
        s.fail(state, s.OVERFLOW, n)
        return False
    held = position[s.P_LOTS]
    realised, cash, basis = move(state, n, side, lots, price, fee)
    event, currency = s.next_event(state), instrument[s.I_CURRENCY]
    kind = s.K_LIQUIDATION if row[s.O_FLAGS] & s.LIQUIDATION else s.K_FILL
    s.post(state, event, ts, kind, s.A_CASH, n, currency, cash - fee)
    s.post(state, event, ts, kind, s.A_POSITION, n, currency, basis)
    s.post(state, event, ts, kind, s.A_REALISED, n, currency, -realised)
    s.post(state, event, ts, kind, s.A_FEES, n, currency, fee)
    position[s.P_MARK] = print_units
    s.remark(state, n)
    state.totals[s.S_CASH] = s.cash_in_base(state)

    distance = (price - print_units) * side * lots * instrument[s.I_FACTOR]  # >= 0: no fill is better than its print
    at = counters[s.N_FILLS]
    fill = state.fills[at]
    fill[s.F_ORDER] = order
    fill[s.F_INSTRUMENT] = n
    fill[s.F_TS] = ts
    fill[s.F_SOURCE] = source
    fill[s.F_BAR] = t
    fill[s.F_SIDE] = side
    fill[s.F_LOTS] = lots
    fill[s.F_PRICE] = price
    fill[s.F_REFERENCE] = print_units
    fill[s.F_FEE] = fee
    fill[s.F_SPREAD] = part_of(distance, half, shift) if shift > 0 and half > 0 else 0
    fill[s.F_IMPACT] = part_of(distance, impact, shift) if shift > 0 and impact > 0 else 0
    fill[s.F_SLIPPAGE] = distance - fill[s.F_SPREAD] - fill[s.F_IMPACT]  # the rounding to the tick is in here
    fill[s.F_REALISED] = realised
    fill[s.F_CONVENTION] = convention
    fill[s.F_EVENT] = event
    counters[s.N_FILLS] = at + 1

    position[s.P_USED] += lots
    first = row[s.O_LOTS] - row[s.O_LEFT] == row[s.O_TAKEN]
    if first and held * side < 0 and position[s.P_OPENED_SESSION] == counters[s.C_SESSION]:
        counters[s.C_DAYTRADE_3] = counters[s.C_DAYTRADE_2]
        counters[s.C_DAYTRADE_2] = counters[s.C_DAYTRADE_1]
        counters[s.C_DAYTRADE_1] = counters[s.C_SESSION]
    if held * side >= 0 or lots > abs(held):
        position[s.P_OPENED_SESSION] = counters[s.C_SESSION]
    return True
