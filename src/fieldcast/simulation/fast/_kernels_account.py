"""One position through time: from the bars at which the target changes to cash, fills and figures, in the venue's whole numbers.

A decision at the close of bar t is turned into lots with the equity and the close of t, trades at the open of t + 1 under the
venue's rules (`_kernels_account` one floor up: same order of checks, same rounding), and may be ended by an exit inside a bar
before the next decision. Everything between two fills is one stretch (`_kernels_marks`).
"""

from __future__ import annotations

import numpy as np

from fieldcast.simulation._kernels_fill import (
    E8,
    FEE_SHARE,
    NOTHING,
    STOPPED,
    TARGET,
    fees,
    fill_price,
    lots_for_weight,
    part_of,
    share_ceil,
    share_floor,
    shift_e8,
)
from fieldcast.simulation.fast._compiled import kernel
from fieldcast.simulation.fast._kernels_exits import first_exit, level, trailed
from fieldcast.simulation.fast._kernels_marks import flat, margin_call, mark
from fieldcast.simulation.fast._layout import (
    BY_LIMIT,
    BY_STOP,
    BY_TARGET,
    LOTS,
    PER_FILL,
    R_LEAST,
    R_PEAK,
    R_TRADED,
    T_BORROWS,
    T_CASH,
    T_CUT,
    T_FACTOR,
    T_FEES,
    T_INITIAL,
    T_MAINTENANCE,
    T_MOST_LOTS,
    T_RISK,
    T_SHORTS,
    T_SIZING,
    T_STOP,
    T_TARGET,
    T_TICK,
    T_TRAIL,
    T_UNIT,
    VOLATILITY,
    W_BARS_HELD,
    W_CASH,
    W_CUT,
    W_EQUITY,
    W_FEES,
    W_FILLS,
    W_LOTS,
    W_MARGIN_BAR,
    W_REJECTED,
    W_SHIFT_COST,
    W_STOPPED,
    W_TARGETS,
    W_TRADES,
    W_UNPRICED,
    W_WINS,
    WEIGHT,
    X_BAR,
    X_CASH,
    X_DECIDED,
    X_FEE,
    X_KIND,
    X_LOTS,
    X_POSITION,
    X_PRICE,
    X_PRINT,
    X_SIDE,
)
from fieldcast.trading.costs._kernels import total_shift_bps


@kernel
def wanted_lots(code, equity, price, share, terms):  # type: ignore[no-untyped-def]
    """Signed lots that a target asks for at a close.

    code : the target as a whole number: e8 of equity, or lots; of the rules that size by themselves its sign counts
    share : e8 of equity that the volatility target allows at this bar (VOLATILITY only)
    """
    sizing, factor = terms[T_SIZING], terms[T_FACTOR]
    if code == 0:
        return 0
    if sizing == WEIGHT:
        return lots_for_weight(code, equity, price, factor)
    if sizing == LOTS:
        return code
    if sizing == VOLATILITY:
        return lots_for_weight(share if code > 0 else -share, equity, price, factor)
    if equity <= 0:
        return 0
    distance = max(share_ceil(price, terms[T_STOP]), 1)
    most = lots_for_weight(terms[T_UNIT], equity, price, factor)
    lots = min(share_floor(equity, terms[T_RISK]) // (distance * factor), most)
    return lots if code > 0 else -lots


@kernel
def price_and_fee(side, amount, printed, cap, quote, terms):  # type: ignore[no-untyped-def]
    """(price, fee) of a fill at this print; price 0 where nobody can give one.

    cap : the limit that the price is never worse than, 0 = none; at the limit itself nothing is shifted
    quote : half spread, slippage, impact (bps), volume of the bar, lots of a unit, and the shift in e8 where it is the same
        for every fill, else PER_FILL
    """
    if cap > 0 and printed == cap:
        price = printed
    else:
        half_spread, slippage, impact, volume, lots_of_unit, shift = quote
        if shift == PER_FILL:
            shift = shift_e8(total_shift_bps(half_spread, slippage, impact, amount / lots_of_unit, volume))
        if shift < 0:
            return 0, 0
        price = fill_price(side, printed, shift, terms[T_TICK])
        if cap > 0:
            price = min(price, cap) if side > 0 else max(price, cap)
    gross = amount * price * terms[T_FACTOR]
    return price, fees(gross, amount, side, cap > 0 and printed == cap, terms[T_FEES:])


@kernel
def affordable(side, amount, printed, price, fee, cash, lots, terms):  # type: ignore[no-untyped-def]
    """Whether the account may carry this fill: the venue's rule, with the position marked at the print."""
    change = -side * amount * price * terms[T_FACTOR] - fee
    if terms[T_BORROWS] == 0 and change < 0 and cash + change < 0:
        return False
    notional = (lots + side * amount) * printed * terms[T_FACTOR]
    return cash + change + notional >= share_ceil(abs(notional), terms[T_INITIAL])


@kernel
def _granted(side, amount, printed, cash, lots, quote, terms):  # type: ignore[no-untyped-def]
    """How many of `amount` lots the rules and the account let through at this print; 0 = the order is rejected."""
    after = lots + side * amount
    if abs(after) > terms[T_MOST_LOTS] and abs(after) > abs(lots):
        return 0
    if after < 0 and side < 0 and terms[T_SHORTS] == 0:
        return 0
    price, fee = price_and_fee(side, amount, printed, 0, quote, terms)
    against = lots * side < 0
    if against and amount <= abs(lots):
        return amount if price > 0 else 0      # one that makes the position smaller always passes
    if price > 0 and affordable(side, amount, printed, price, fee, cash, lots, terms):
        return amount
    if price == 0 or terms[T_CUT] == 0:
        return 0
    enough, too_many = 0, amount
    guess = int(float(cash) / (float(price) * float(terms[T_FACTOR]) * (1.0 + terms[T_FEES + FEE_SHARE] / E8))) - lots * side
    for near in range(max(guess - 1, 1), min(guess + 2, amount)):      # what bisection would find, in most cases at once
        price, fee = price_and_fee(side, near, printed, 0, quote, terms)
        if price > 0 and affordable(side, near, printed, price, fee, cash, lots, terms):
            enough = near
        else:
            too_many = near
            break
    while too_many - enough > 1:
        middle = enough + (too_many - enough) // 2
        price, fee = price_and_fee(side, middle, printed, 0, quote, terms)
        if price > 0 and affordable(side, middle, printed, price, fee, cash, lots, terms):
            enough = middle
        else:
            too_many = middle
    return max(enough, abs(lots)) if against else enough


@kernel
def play(  # type: ignore[no-untyped-def]
    opened, high, low, close, volume, costs, shares, lots_of_unit, terms, begin, bars, at, codes, prints, count,
    whole, real, fills, entry,
):  # fmt: skip
    """One account, one instrument, `count` decisions; returns the number of fills.

    opened, high, low, close : (T,) int64 price units; opened 0 = no print that may be traded
    volume : (T,) in units, or (0,) where no impact is charged
    costs : (3, 1) or (3, T) bps: half spread, slippage, impact at quantity = volume
    shares : (T,) int64 e8 for VOLATILITY, else (0,); lots_of_unit : lots in one unit of the instrument, as a float
    terms : (TERMS,) int64
    begin, bars : the account lives from bar `begin` to bar `bars` - 1; numbers of bars are those of the arrays throughout
    at, codes, prints : decisions: bar at whose close the target changes, ascending; the target; the open of the bar after, read
        beforehand because a million bars do not stay in the cache, and one by one each would be waited for
    whole (WHOLES,) int64, real (REALS,) float64 : results, overwritten
    fills : (cap, FILL_COLUMNS) int64, kept as far as there is room; entry (3,) int64 scratch
    """
    factor, tick, start_cash = terms[T_FACTOR], terms[T_TICK], terms[T_CASH]
    exits = terms[T_STOP] + terms[T_TARGET] + terms[T_TRAIL] > 0
    constant = costs.shape[1] == 1 and costs[2, 0] == 0.0
    fixed_shift = shift_e8(costs[0, 0] + costs[1, 0]) if constant else PER_FILL
    quote = (costs[0, 0], costs[1, 0], costs[2, 0], np.nan, lots_of_unit, fixed_shift)
    whole[:] = 0
    whole[W_MARGIN_BAR] = -1
    real[:] = 0.0
    real[R_PEAK] = real[R_LEAST] = float(start_cash)
    cash = start_cash
    lots = 0
    before = float(cash)
    first = begin        # first bar that is not marked yet
    trade = 0            # cash that the open position has cost or brought so far
    entered = -1
    step = 0
    done = 0
    while first < bars:
        until = bars if step == count else min(at[step] + 1, bars)
        if lots != 0 and first < until:
            side = 1 if lots > 0 else -1
            bar, which, found = until, NOTHING, 0
            if exits:
                bar, which, found = first_exit(opened, high, low, close, first, until, entered, side, terms, entry)
            if bar > first:
                slope = float(lots) * float(factor)
                mark(close, first, bar, float(cash), slope, before, real)
                before = float(cash) + slope * float(close[bar - 1])
                whole[W_BARS_HELD] += bar - first
                if (lots < 0 or terms[T_BORROWS] != 0) and whole[W_MARGIN_BAR] < 0:
                    called = margin_call(close, first, bar, float(cash), slope, terms[T_MAINTENANCE])
                    whole[W_MARGIN_BAR] = called
                first = bar
            if which != NOTHING:
                amount = abs(lots)
                cap = entry[1] if which == TARGET else 0
                if not constant:
                    quote = _quote(costs, volume, bar, lots_of_unit)
                price, fee = price_and_fee(-side, amount, found, cap, quote, terms)
                if price == 0:      # nobody can give a price for an exit: the costs do not fit this market
                    whole[W_UNPRICED] += 1
                    price, fee = price_and_fee(-side, amount, found, found, quote, terms)
                whole[W_STOPPED] += 1 if which == STOPPED else 0
                whole[W_TARGETS] += 1 if which == TARGET else 0
                gross = amount * price * factor
                cash += side * gross - fee
                trade += side * gross - fee
                whole[W_FEES] += fee
                whole[W_SHIFT_COST] += abs(price - found) * amount * factor
                real[R_TRADED] += float(gross)
                whole[W_TRADES] += 1
                whole[W_WINS] += 1 if trade > 0 else 0
                lots = 0
                if done < fills.shape[0]:
                    by = BY_STOP if which == STOPPED else BY_LIMIT
                    _keep(fills[done], bar, -side, amount, price, found, fee, by, cash, 0, bar)
                done += 1
        if lots == 0 and first < until:
            flat(until - first, float(cash), before, real)
            before = float(cash)
            first = until
        if until == bars:
            break
        t = at[step]
        equity = cash + lots * close[t] * factor
        wanted = wanted_lots(codes[step], equity, close[t], shares[t] if shares.shape[0] > 0 else 0, terms)
        step += 1
        delta = wanted - lots
        if delta == 0:
            continue
        bar = t + 1
        printed = prints[step - 1]
        side = 1 if delta > 0 else -1
        amount = 0
        if not constant:
            quote = _quote(costs, volume, bar, lots_of_unit)
        if printed > 0:
            amount = _granted(side, abs(delta), printed, cash, lots, quote, terms)
        whole[W_REJECTED] += 1 if amount == 0 else 0
        whole[W_CUT] += 1 if 0 < amount < abs(delta) else 0
        if amount == 0:
            continue
        price, fee = price_and_fee(side, amount, printed, 0, quote, terms)
        gross = amount * price * factor
        flow = -side * gross - fee
        cash += flow
        after = lots + side * amount
        whole[W_FEES] += fee
        whole[W_SHIFT_COST] += abs(price - printed) * amount * factor
        real[R_TRADED] += float(gross)
        if lots != 0 and (after == 0 or (after > 0) != (lots > 0)):
            closed = abs(lots)
            own_fee = part_of(fee, closed, amount)
            trade += -side * closed * price * factor - own_fee
            whole[W_TRADES] += 1
            whole[W_WINS] += 1 if trade > 0 else 0
            trade = flow - (-side * closed * price * factor - own_fee)
        else:
            trade = flow if lots == 0 else trade + flow
        if exits and after != 0 and (lots == 0 or (after > 0) != (lots > 0)):
            held = 1 if after > 0 else -1
            entered = bar
            entry[0] = level(close[t], terms[T_STOP], -held, tick) if terms[T_STOP] > 0 else 0
            entry[1] = level(close[t], terms[T_TARGET], held, tick) if terms[T_TARGET] > 0 else 0
            entry[2] = printed
            if terms[T_TRAIL] > 0:
                entry[0] = trailed(printed, terms[T_TRAIL], held, entry[0])
        lots = after
        if done < fills.shape[0]:
            _keep(fills[done], bar, side, amount, price, printed, fee, BY_TARGET, cash, lots, t)
        done += 1
    whole[W_EQUITY] = cash + lots * close[bars - 1] * factor
    whole[W_CASH] = cash
    whole[W_LOTS] = lots
    whole[W_FILLS] = done
    return done


@kernel
def next_opens(opened, at, count, prints):  # type: ignore[no-untyped-def]
    """The open of the bar after each of `count` decisions; 0 where there is no such bar."""
    last = opened.shape[0] - 1
    for k in range(count):
        prints[k] = opened[at[k] + 1] if at[k] < last else 0


@kernel
def _quote(costs, volume, bar, lots_of_unit):  # type: ignore[no-untyped-def]
    """What `price_and_fee` needs of a bar."""
    column = bar if costs.shape[1] > 1 else 0
    known = volume[bar] if volume.shape[0] > 0 else np.nan
    return costs[0, column], costs[1, column], costs[2, column], known, lots_of_unit, PER_FILL


@kernel
def _keep(row, bar, side, lots, price, printed, fee, kind, cash, position, decided):  # type: ignore[no-untyped-def]
    row[X_BAR], row[X_SIDE], row[X_LOTS], row[X_PRICE], row[X_PRINT] = bar, side, lots, price, printed
    row[X_FEE], row[X_KIND], row[X_CASH], row[X_POSITION], row[X_DECIDED] = fee, kind, cash, position, decided
