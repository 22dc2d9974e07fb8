"""One account over many instruments on one clock: targets in, fills and equity out, in the venue's whole numbers and order.

    for each bar:  orders at the open, in order of arrival -> marks at the close -> equity -> orders for the targets
                   (reductions first, then increases, each by row)

An order whose instrument has no bar waits for the next one that has; one whose open is no print waits or is rejected (T_WAITS).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fieldcast.simulation._kernels_fill import lots_for_weight, part_of, share_ceil, shift_e8
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
H_LOTS, H_MARK, H_WORKING, H_TRADE, H_TARGET, H_NEXT = range(6)  # columns of a holding; H_TARGET as last acted on
HOLDING_COLUMNS = 6
Q_ROW, Q_DELTA, Q_BAR = range(3)  # columns of a working order
UNKNOWN = -(2**62)


@njit(cache=True, nogil=True, error_model="numpy")
def account_carries(side, amount, printed, price, fee, cash, worth, needed, holding, terms):  # type: ignore[no-untyped-def]
    """The venue's rule for one fill; worth and needed: value and initial margin of all holdings as they are marked now."""
    factor = terms[T_FACTOR]
    change = -side * amount * price * factor - fee
    if terms[T_BORROWS] == 0 and change < 0 and cash + change < 0:
        return False
    old = holding[H_LOTS] * holding[H_MARK] * factor
    new = (holding[H_LOTS] + side * amount) * printed * factor
    needed += share_ceil(abs(new), terms[T_INITIAL]) - share_ceil(abs(old), terms[T_INITIAL])
    return cash + change + worth - old + new >= needed


@njit(cache=True, nogil=True, error_model="numpy")
def lots_granted(side, amount, printed, cash, worth, needed, holding, quote, terms):  # type: ignore[no-untyped-def]
    """How many of `amount` lots the rules and the account let through at this print; 0 = the order is rejected."""
    held = holding[H_LOTS]
    after = held + side * amount
    if abs(after) > terms[T_MOST_LOTS] and abs(after) > abs(held):
        return 0
    if after < 0 and side < 0 and terms[T_SHORTS] == 0:
        return 0
    price, fee = price_and_fee(side, amount, printed, 0, quote, terms)
    against = held * side < 0
    if price == 0 or (against and amount <= abs(held)):
        return amount if price > 0 else 0
    if account_carries(side, amount, printed, price, fee, cash, worth, needed, holding, terms):
        return amount
    if terms[T_CUT] == 0:
        return 0
    enough, too_many = 0, amount
    while too_many - enough > 1:
        middle = enough + (too_many - enough) // 2
        price, fee = price_and_fee(side, middle, printed, 0, quote, terms)
        if price > 0 and account_carries(side, middle, printed, price, fee, cash, worth, needed, holding, terms):
            enough = middle
        else:
            too_many = middle
    return max(enough, abs(held)) if against else enough


@njit(cache=True, nogil=True, error_model="numpy")
def play_portfolio(  # type: ignore[no-untyped-def]
    opened, close, volume, costs, lots_of_unit, terms, targets, schedule, whole, real, curve, fills, holdings, queue
):  # fmt: skip
    """Play every bar; returns the number of fills.

    opened, close : (T, N) int64 price units; close 0 = no bar, opened 0 = no print that may be traded
    volume : (T, N) float64, or (0, 0) where no impact is charged; costs (3, 1) bps; lots_of_unit (N,) float64
    terms : (N, TERMS) int64; targets : (T, N) float64, finite wherever there is a bar
    schedule : (T,) bars at which to rebalance, or (0,): an instrument whenever its target changes
    whole, real : as of `_kernels_account.play`; curve : (T,) int64 equity at each close
    fills : (cap, PORTFOLIO_FILL_COLUMNS), cap >= orders; holdings : (N, HOLDING_COLUMNS); queue : (cap of N + N, 3) int64 scratch
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
    holdings[:] = 0
    acted = np.zeros(rows)
    waiting, done = 0, 0
    before = float(cash)
    for t in range(bars):
        if waiting > 0:
            needed = 0
            for n in range(rows):
                if holdings[n, H_LOTS] != 0:
                    needed += share_ceil(abs(holdings[n, H_LOTS]) * holdings[n, H_MARK] * terms[n, T_FACTOR], terms[n, T_INITIAL])
            kept = 0
            for at in range(waiting):
                n, delta, decided = queue[at, Q_ROW], queue[at, Q_DELTA], queue[at, Q_BAR]
                if close[t, n] == 0 or (opened[t, n] == 0 and waits):
                    queue[kept, Q_ROW], queue[kept, Q_DELTA], queue[kept, Q_BAR] = n, delta, decided
                    kept += 1
                    continue
                holding, own = holdings[n], terms[n]
                holding[H_WORKING] -= delta
                printed, side = opened[t, n], 1 if delta > 0 else -1
                known = np.nan if constant else volume[t, n]
                quote = (costs[0, 0], costs[1, 0], costs[2, 0], known, lots_of_unit[n], fixed_shift)
                amount = 0
                if printed > 0:
                    amount = lots_granted(side, abs(delta), printed, cash, worth, needed, holding, quote, own)
                whole[W_REJECTED] += 1 if amount == 0 else 0
                whole[W_CUT] += 1 if 0 < amount < abs(delta) else 0
                if amount == 0:
                    continue
                price, fee = price_and_fee(side, amount, printed, 0, quote, own)
                factor, held = own[T_FACTOR], holding[H_LOTS]
                gross = amount * price * factor
                flow = -side * gross - fee
                after = held + side * amount
                old, new = held * holding[H_MARK] * factor, after * printed * factor
                worth += new - old
                needed += share_ceil(abs(new), own[T_INITIAL]) - share_ceil(abs(old), own[T_INITIAL])
                cash += flow
                if held != 0 and (after == 0 or (after > 0) != (held > 0)):
                    leaving = -side * abs(held) * price * factor - part_of(fee, abs(held), amount)
                    whole[W_TRADES] += 1
                    whole[W_WINS] += 1 if holding[H_TRADE] + leaving > 0 else 0
                    holding[H_TRADE] = flow - leaving
                else:
                    holding[H_TRADE] = flow if held == 0 else holding[H_TRADE] + flow
                holding[H_LOTS], holding[H_MARK] = after, printed
                whole[W_FEES] += fee
                whole[W_SHIFT_COST] += abs(price - printed) * amount * factor
                real[R_TRADED] += float(gross)
                row = fills[done]
                row[P_BAR], row[P_ROW], row[P_SIDE], row[P_LOTS] = t, n, side, amount
                row[P_PRICE], row[P_PRINT], row[P_FEE], row[P_DECIDED] = price, printed, fee, decided
                done += 1
            waiting = kept
        worth = 0
        margin = 0
        held_any = False
        for n in range(rows):
            if close[t, n] > 0:
                holdings[n, H_MARK] = close[t, n]
            lots = holdings[n, H_LOTS]
            if lots != 0:
                value = lots * holdings[n, H_MARK] * terms[n, T_FACTOR]
                worth += value
                margin += share_ceil(abs(value), terms[n, T_MAINTENANCE])
                held_any = True
        equity = cash + worth
        curve[t] = equity
        whole[W_BARS_HELD] += 1 if held_any else 0
        if margin > equity and whole[W_MARGIN_BAR] < 0:
            whole[W_MARGIN_BAR] = t
        _add_return(float(equity), before, real)
        before = float(equity)
        fixed = schedule.shape[0] > 0
        if fixed and not schedule[t]:
            continue
        for n in range(rows):
            holdings[n, H_NEXT] = 0
            if close[t, n] == 0:
                continue
            target = targets[t, n]
            if not fixed and target == acted[n]:
                continue
            acted[n] = target
            own = terms[n]
            if own[T_SIZING] == WEIGHT:
                code = int(np.rint(target * (own[T_UNIT] / 1e8) * 1e8))
                wanted = lots_for_weight(code, equity, close[t, n], own[T_FACTOR])
            else:
                wanted = int(target) * own[T_UNIT]
            holdings[n, H_NEXT] = wanted - holdings[n, H_LOTS] - holdings[n, H_WORKING]
        for turn in range(2):
            for n in range(rows):
                delta = holdings[n, H_NEXT]
                if delta == 0:
                    continue
                reduces = (holdings[n, H_LOTS] + holdings[n, H_WORKING]) * delta < 0
                if reduces != (turn == 0):
                    continue
                queue[waiting, Q_ROW], queue[waiting, Q_DELTA], queue[waiting, Q_BAR] = n, delta, t
                waiting += 1
        for n in range(rows):
            holdings[n, H_WORKING] += holdings[n, H_NEXT]
            holdings[n, H_NEXT] = 0
    whole[W_EQUITY], whole[W_CASH], whole[W_FILLS] = cash + worth, cash, done
    return done


@njit(cache=True, nogil=True, error_model="numpy")
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
