"""One account over many instruments on one clock: targets in, fills and equity out, in the venue's whole numbers and order.

    for each bar:  orders at the open, in order of arrival -> marks at the close -> equity -> orders for the targets
                   (reductions first, then increases, each by row)

An order whose instrument has no bar waits for the next one that has; one whose open is no print waits or is rejected (T_WAITS).
"""

from __future__ import annotations

import numpy as np

from fieldcast.simulation._kernels_fill import E8, lots_for_weight, part_of, share_ceil, shift_e8
from fieldcast.simulation.fast._compiled import kernel
from fieldcast.simulation.fast._kernels_account import price_and_fee
from fieldcast.simulation.fast._layout import (
    PER_FILL,
    R_DOWN,
    R_DRAWDOWN,
    R_EQUITY,
    R_LEAST,
    R_PEAK,
    R_SQUARES,
    R_SUM,
    R_TRADED,
    T_BORROWS,
    T_CASH,
    T_CUT,
    T_FACTOR,
    T_INITIAL,
    T_MAINTENANCE,
    T_MOST_LOTS,
    T_SHORTS,
    T_SIZING,
    T_UNIT,
    T_WAITS,
    W_BARS_HELD,
    W_CASH,
    W_CUT,
    W_EQUITY,
    W_FEES,
    W_FILLS,
    W_MARGIN_BAR,
    W_REJECTED,
    W_SHIFT_COST,
    W_TRADES,
    W_WINS,
    WEIGHT,
)

P_BAR, P_ROW, P_SIDE, P_LOTS, P_PRICE, P_PRINT, P_FEE, P_DECIDED = range(8)  # columns of a fill
PORTFOLIO_FILL_COLUMNS = 8
# rows of the state, one column an instrument; S_WEIGHT = lots * factor
S_LOTS, S_WEIGHT, S_MARK, S_WORKING, S_TRADE, S_FACTOR, S_INITIAL, S_MAINTENANCE = range(8)
STATE_ROWS = 8
Q_ROW, Q_DELTA, Q_BAR = range(3)  # columns of a working order


@kernel
def account_carries(side, amount, printed, price, fee, cash, worth, needed, held, old, terms):  # type: ignore[no-untyped-def]
    """The venue's rule for one fill; worth and needed: value and initial margin of all holdings as they are marked now.

    held, old : lots of this instrument before the fill, and what they are worth as they are marked
    """
    factor = terms[T_FACTOR]
    change = -side * amount * price * factor - fee
    if terms[T_BORROWS] == 0 and change < 0 and cash + change < 0:
        return False
    new = (held + side * amount) * printed * factor
    needed += margin_of(new, terms[T_INITIAL]) - margin_of(old, terms[T_INITIAL])
    return cash + change + worth - old + new >= needed


@kernel
def margin_of(value, share):  # type: ignore[no-untyped-def]
    """`share` e8 of the value of a holding, rounded up."""
    return abs(value) if share == E8 else share_ceil(abs(value), share)


@kernel
def granted(side, amount, printed, cash, worth, needed, held, old, quote, terms):  # type: ignore[no-untyped-def]
    """(lots, price, fee) that the rules and the account let through at this print; 0 lots = the order is rejected."""
    after = held + side * amount
    if abs(after) > terms[T_MOST_LOTS] and abs(after) > abs(held):
        return 0, 0, 0
    if after < 0 and side < 0 and terms[T_SHORTS] == 0:
        return 0, 0, 0
    price, fee = price_and_fee(side, amount, printed, 0, quote, terms)
    against = held * side < 0
    if price == 0 or (against and amount <= abs(held)):
        return amount if price > 0 else 0, price, fee
    if account_carries(side, amount, printed, price, fee, cash, worth, needed, held, old, terms):
        return amount, price, fee
    if terms[T_CUT] == 0:
        return 0, 0, 0
    enough, too_many = 0, amount
    while too_many - enough > 1:
        middle = enough + (too_many - enough) // 2
        price, fee = price_and_fee(side, middle, printed, 0, quote, terms)
        if price > 0 and account_carries(side, middle, printed, price, fee, cash, worth, needed, held, old, terms):
            enough = middle
        else:
            too_many = middle
    amount = max(enough, abs(held)) if against else enough
    if amount == 0:
        return 0, 0, 0
    price, fee = price_and_fee(side, amount, printed, 0, quote, terms)
    return amount, price, fee


@kernel
def mark_all(close, weight, mark):  # type: ignore[no-untyped-def]
    """(worth, value long and short) of all holdings at the closes of a bar; a mark stays where there is no bar."""
    worth = 0
    gross = 0
    for n in range(close.shape[0]):
        here = close[n] if close[n] > 0 else mark[n]
        mark[n] = here
        value = weight[n] * here
        worth += value
        gross += abs(value)
    return worth, gross


@kernel
def margin_needed(weight, mark, share):  # type: ignore[no-untyped-def]
    """Margin of all holdings as they are marked, of the shares (N,) e8."""
    needed = 0
    for n in range(weight.shape[0]):
        if weight[n] != 0:
            needed += margin_of(weight[n] * mark[n], share[n])
    return needed


@kernel
def play_portfolio(  # type: ignore[no-untyped-def]
    opened, close, volume, costs, lots_of_unit, terms, targets, schedule, whole, real, curve, fills, state, acted, queue, later
):  # fmt: skip
    """Play every bar; returns the number of fills.

    opened, close : (T, N) int64 price units; close 0 = no bar, opened 0 = no print that may be traded
    volume : (T, N) float64, or (0, 0) where no impact is charged; costs (3, 1) bps; lots_of_unit (N,) float64
    terms : (N, TERMS) int64; targets : (T, N) float64, finite wherever there is a bar
    schedule : (T,) bars at which to rebalance, or (0,): an instrument whenever its target changes
    whole, real : as of `_kernels_account.play`; curve : (T,) int64 equity at each close
    fills : (cap, PORTFOLIO_FILL_COLUMNS), cap >= orders; scratch: state (STATE_ROWS, N) int64, acted (N,) float64 targets as
        last acted on, queue (cap of N + N, 3) int64 and later (N, 3) int64
    """
    bars, rows = close.shape
    constant = costs[2, 0] == 0.0
    fixed_shift = shift_e8(costs[0, 0] + costs[1, 0]) if constant else PER_FILL
    start_cash, waits = terms[0, T_CASH], terms[0, T_WAITS] != 0
    cash, worth = start_cash, 0
    whole[:] = 0
    whole[W_MARGIN_BAR] = -1
    real[:] = 0.0
    real[R_PEAK] = real[R_LEAST] = float(start_cash)
    state[:] = 0
    acted[:] = 0.0
    held, weight, mark, working, trade = state[S_LOTS], state[S_WEIGHT], state[S_MARK], state[S_WORKING], state[S_TRADE]
    factors, initial, maintenance = state[S_FACTOR], state[S_INITIAL], state[S_MAINTENANCE]
    largest = 0
    for n in range(rows):
        factors[n], initial[n], maintenance[n] = terms[n, T_FACTOR], terms[n, T_INITIAL], terms[n, T_MAINTENANCE]
        largest = max(largest, maintenance[n])
    fixed = schedule.shape[0] > 0
    waiting, done, positions = 0, 0, 0
    before = float(cash)
    for t in range(bars):
        prints, here = opened[t], close[t]
        if waiting > 0:
            needed = margin_needed(weight, mark, initial)
            kept = 0
            for at in range(waiting):
                n, delta, decided = queue[at, Q_ROW], queue[at, Q_DELTA], queue[at, Q_BAR]
                printed = prints[n]
                if here[n] == 0 or (printed == 0 and waits):
                    queue[kept, Q_ROW], queue[kept, Q_DELTA], queue[kept, Q_BAR] = n, delta, decided
                    kept += 1
                    continue
                working[n] -= delta
                side, factor, lots, own = 1 if delta > 0 else -1, factors[n], held[n], terms[n]
                old = weight[n] * mark[n]
                known = np.nan if constant else volume[t, n]
                quote = (costs[0, 0], costs[1, 0], costs[2, 0], known, lots_of_unit[n], fixed_shift)
                amount, price, fee = 0, 0, 0
                if printed > 0:
                    amount, price, fee = granted(side, abs(delta), printed, cash, worth, needed, lots, old, quote, own)
                if amount == 0:
                    whole[W_REJECTED] += 1
                    continue
                whole[W_CUT] += 1 if amount < abs(delta) else 0
                gross = amount * price * factor
                flow = -side * gross - fee
                after = lots + side * amount
                new = after * printed * factor
                worth += new - old
                needed += margin_of(new, initial[n]) - margin_of(old, initial[n])
                cash += flow
                if lots != 0 and (after == 0 or (after > 0) != (lots > 0)):
                    leaving = -side * abs(lots) * price * factor - part_of(fee, abs(lots), amount)
                    whole[W_TRADES] += 1
                    whole[W_WINS] += 1 if trade[n] + leaving > 0 else 0
                    trade[n] = flow - leaving
                else:
                    trade[n] = flow if lots == 0 else trade[n] + flow
                positions += (1 if after != 0 else 0) - (1 if lots != 0 else 0)
                held[n], weight[n], mark[n] = after, after * factor, printed
                whole[W_FEES] += fee
                whole[W_SHIFT_COST] += abs(price - printed) * amount * factor
                real[R_TRADED] += float(gross)
                row = fills[done]
                row[P_BAR], row[P_ROW], row[P_SIDE], row[P_LOTS] = t, n, side, amount
                row[P_PRICE], row[P_PRINT], row[P_FEE], row[P_DECIDED] = price, printed, fee, decided
                done += 1
            waiting = kept
        worth, exposed = mark_all(here, weight, mark)
        equity = cash + worth
        curve[t] = equity
        whole[W_BARS_HELD] += 1 if positions > 0 else 0
        # no margin is above this: each is rounded up by less than a unit, and floats are off by far less than the 1e-9
        most = float(exposed) * (float(largest) / E8) * (1.0 + 1e-9) + rows
        if whole[W_MARGIN_BAR] < 0 and most > float(equity) and margin_needed(weight, mark, maintenance) > equity:
            whole[W_MARGIN_BAR] = t
        _add_return(float(equity), before, real)
        before = float(equity)
        if not fixed or schedule[t]:
            waiting += _decide(t, here, targets[t], fixed, equity, terms, held, working, acted, queue[waiting:], later)
    whole[W_EQUITY], whole[W_CASH], whole[W_FILLS] = cash + worth, cash, done
    return done


@kernel
def _decide(t, here, targets, fixed, equity, terms, held, working, acted, queue, later):  # type: ignore[no-untyped-def]
    """How many orders the targets of bar t ask for; reductions first, then increases, each by row, into `queue`."""
    first, second = 0, 0
    for n in range(here.shape[0]):
        price = here[n]
        if price == 0:
            continue
        target = targets[n]
        if not fixed and target == acted[n]:
            continue
        acted[n] = target
        unit, factor = terms[n, T_UNIT], terms[n, T_FACTOR]
        if terms[n, T_SIZING] == WEIGHT:
            code = int(np.rint(target * (unit / 1e8) * 1e8))
            wanted = lots_for_weight(code, equity, price, factor)
        else:
            wanted = int(target) * unit
        standing = held[n] + working[n]
        delta = wanted - standing
        if delta == 0:
            continue
        working[n] += delta
        if (standing > 0) == (delta > 0) or standing == 0:
            later[second, Q_ROW], later[second, Q_DELTA], later[second, Q_BAR] = n, delta, t
            second += 1
        else:
            queue[first, Q_ROW], queue[first, Q_DELTA], queue[first, Q_BAR] = n, delta, t
            first += 1
    for k in range(second):
        queue[first + k, Q_ROW], queue[first + k, Q_DELTA], queue[first + k, Q_BAR] = later[k, Q_ROW], later[k, Q_DELTA], t
    return first + second


@kernel
def _add_return(now, before, real):  # type: ignore[no-untyped-def]
    change = (now - before) / before
    real[R_SUM] += change
    real[R_SQUARES] += change * change
    if change < 0.0:
        real[R_DOWN] += change * change
    real[R_EQUITY] += now
    real[R_LEAST] = min(real[R_LEAST], now)
    if now > real[R_PEAK]:
        real[R_PEAK] = now
    elif real[R_PEAK] - now > real[R_DRAWDOWN] * real[R_PEAK]:
        real[R_DRAWDOWN] = (real[R_PEAK] - now) / real[R_PEAK]
