"""The state of a simulated account as arrays, and the one way to move money: `post`.

Every kernel takes the `State` and changes its arrays in place. Tables that grow (orders, fills, journal) are two-dimensional
int64 arrays with a counter; a kernel that finds too little room stops between two bars, Python doubles the table and calls
it again (`grow`), so growth is linear over all.

Amounts are minimal units, prices price units, quantities lots, times microseconds UTC, shares e8 (see `_kernels_fill`).

Money through time: rows of `events` (EV_* columns, ascending by EV_STEP) are handed to
`_kernels_events.apply_event(state, row, t)`
by the loop over the bars: rows with EV_STEP <= 2 t before anything trades at the open of bar t, those with EV_STEP
<= 2 t + 1 after the
bar has traded and P_MARK is its close, before the account's totals are struck. (`events.event_rows` sets EV_STEP: an
event at or before open_ts[t], and a dividend or split anywhere before ts[t], counts at the open; EV_TS is its own moment.)
`apply_event` moves money with `post` only (the postings
of one event sum to zero in each currency), changes `position[n, P_LOTS]` and `P_BASIS` as it needs (P_BASIS is the
balance of the account
POSITION of the instrument), and ends with `remark(state, n)` for each instrument that it touched. It makes at most
EVENT_POSTINGS postings and EVENT_FILLS fills.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import Reason
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._compiled_tables import Table, Tables
from fieldcast.simulation._kernels_fill import E8, fits
from fieldcast.simulation._kernels_option_margin import OP_GROUP, OP_MARGIN, OPTION_COLUMNS, group_margin
from fieldcast.simulation._kernels_wide import mul_div_floor

Integers = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max

# -- counters ----------------------------------------------------------------------------------------------------------
N_ORDERS, N_FILLS, N_JOURNAL, N_EVENTS, N_WORKING, N_BAR, N_CURSOR = range(7)
# N_BAR: the last bar done; N_CURSOR: next event row
(C_ERROR, C_ERROR_AT, C_DAYTRADE_1, C_DAYTRADE_2, C_DAYTRADE_3, C_LIQUIDATIONS, C_COARSE, C_GROUPS, C_SESSION, C_BAR_OPEN,
 C_BAR_END) = range(7, 18)  # fmt: skip
COUNTERS = 18  # C_SESSION counts the trading days begun; C_DAYTRADE_*: its number at the last three day trades, newest first;
# C_COARSE: bars that had no finer ones inside although the policy asked for them; C_GROUPS: next number of a group;
# C_BAR_OPEN, C_BAR_END: the span of the bar that is being played, outside of which no fill may have its source
# errors of a kernel (C_ERROR), with what they concern in C_ERROR_AT
NO_ERROR, OVERFLOW, LOOK_AHEAD, UNKNOWN_EVENT, UNBALANCED, NO_SETTLEMENT = range(6)

# -- totals in the base currency, as marked ------------------------------------------------------------------------------
CURVE_MONEY = 2  # rows of a curve without exposures: cash and value alone
S_CASH, S_VALUE, S_GROSS, S_NET, S_INITIAL, S_MAINTENANCE, S_SESSION_EQUITY = range(7)
TOTALS = 7

# -- instruments (constants of a run) and positions ----------------------------------------------------------------------
(I_CURRENCY, I_TICK, I_FACTOR, I_STYLE, I_MOST_LOTS, I_INITIAL, I_MAINTENANCE, I_PRICE_SCALE, I_INITIAL_LOT, I_MAINTENANCE_LOT,
 I_FEES) = range(11)  # fmt: skip
# I_INITIAL, I_MAINTENANCE: e8 of the value; I_INITIAL_LOT, I_MAINTENANCE_LOT: minimal units a lot, on top; from I_FEES on: the
# FEE_* columns of `_kernels_fill`

INSTRUMENT_COLUMNS = 10 + 11
PAID, MARGINED = 0, 1  # I_STYLE: paid in full when traded; or only the change in value is paid (futures, perpetuals)
(P_LOTS, P_BASIS, P_MARK, P_VALUE, P_NOTIONAL, P_REALISED, P_FEES, P_OPENED_SESSION, P_USED, P_PENDING, P_PLAYED,
 P_INITIAL, P_MAINTENANCE, P_USED_BEFORE, P_MOST) = range(15)  # fmt: skip
POSITION_COLUMNS = 15
# P_VALUE is what the position adds to equity: lots * mark * factor if PAID, that minus P_BASIS if MARGINED (whose basis is a
# memorandum outside the ledger); P_NOTIONAL is lots * mark * factor; P_REALISED, P_FEES run from the start;
# P_USED: lots of the bar's volume that are taken already; P_USED_BEFORE: those taken before the finer bar being played;
# P_MOST: lots that the bar may give in all, NEVER where it reports no volume; P_PENDING: signed lots of working orders, as last
# counted; P_PLAYED: 1 + the last bar whose inside was played for this instrument; P_INITIAL, P_MAINTENANCE: margin in base
# units, as counted

# -- orders --------------------------------------------------------------------------------------------------------------
(O_INSTRUMENT, O_KIND, O_SIDE, O_LOTS, O_LEFT, O_LIMIT, O_STOP, O_TRAIL, O_TRAIL_E8, O_TIF, O_CREATED, O_ACTIVE, O_CANCEL,
 O_STATUS, O_REASON, O_UPDATED, O_PARENT, O_GROUP, O_REPLACES, O_SESSION, O_TRIGGERED, O_FLAGS, O_FROM,
 O_FROM_PRINT, O_TAKEN, O_ACTED) = range(26)  # fmt: skip
ORDER_COLUMNS = 26
# O_LEFT = O_LOTS - filled - O_TAKEN (by others of its group); O_FROM, O_FROM_PRINT: the segment and the print at which a child
# began to work; O_ACTED: the last segment in which it acted
MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING_STOP, MARKET_ON_OPEN, MARKET_ON_CLOSE = range(7)  # O_KIND
GTC, DAY, IOC, FOK = range(4)  # O_TIF
WORKING, WAITING, FILLED, CANCELLED, REJECTED, EXPIRED, REPLACED = range(7)  # O_STATUS; WAITING: a child before its parent's fill
REDUCE_ONLY, LIQUIDATION, REPLACING, PARENT = 1, 2, 4, 8  # O_FLAGS; REPLACING: at O_CANCEL it makes room for another; PARENT:
# orders hang on it

# -- fills ---------------------------------------------------------------------------------------------------------------
(F_ORDER, F_INSTRUMENT, F_TS, F_SOURCE, F_BAR, F_SIDE, F_LOTS, F_PRICE, F_REFERENCE, F_FEE, F_SPREAD, F_SLIPPAGE, F_IMPACT,
 F_REALISED, F_CONVENTION, F_EVENT) = range(16)  # fmt: skip
FILL_COLUMNS = 16
AT_OPEN, IN_BAR, AT_CLOSE, AT_SAME_CLOSE, AT_EVENT = range(5)  # F_CONVENTION; AT_EVENT: expiry, exercise, delisting (order -1)
CONVENTIONS = ("next_open", "intrabar", "on_close", "same_close", "event")

# -- journal -------------------------------------------------------------------------------------------------------------
J_EVENT, J_TS, J_KIND, J_ACCOUNT, J_INSTRUMENT, J_CURRENCY, J_AMOUNT = range(7)
JOURNAL_COLUMNS = 7
(A_CASH, A_POSITION, A_CAPITAL, A_REALISED, A_FEES, A_DIVIDENDS, A_INTEREST, A_BORROW, A_FUNDING, A_SETTLEMENT, A_CONVERSION,
 A_TAX, A_CORPORATE) = range(13)  # fmt: skip
ACCOUNTS = ("cash", "position", "capital", "realised", "fees", "dividends", "interest", "borrow", "funding", "settlement",
            "conversion", "tax", "corporate")  # fmt: skip
# debit positive: cash and position at cost are assets; a gain is a negative amount in its account
(K_DEPOSIT, K_FILL, K_LIQUIDATION, K_DIVIDEND, K_SPLIT, K_BORROW, K_INTEREST, K_FUNDING, K_SETTLEMENT, K_ROLL, K_EXPIRY,
 K_EXERCISE, K_ASSIGNMENT, K_CONVERSION, K_DELISTING, K_TRANSFER) = range(16)  # fmt: skip
KINDS = ("deposit", "fill", "liquidation", "dividend", "split", "borrow", "interest", "funding", "settlement", "roll", "expiry",
         "exercise", "assignment", "conversion", "delisting", "transfer")  # fmt: skip

# -- events of money through time ----------------------------------------------------------------------------------------
EV_TS, EV_KIND, EV_INSTRUMENT, EV_CURRENCY, EV_A, EV_B, EV_C, EV_D, EV_E, EV_OTHER, EV_STEP = range(11)
# see event_table; -1 = none
EVENT_COLUMNS = 11
EVENT_POSTINGS, EVENT_FILLS = 32, 2

# -- rules ---------------------------------------------------------------------------------------------------------------
(R_SAME_CLOSE, R_INTRABAR, R_TOUCH, R_CUT, R_LATENCY, R_SHORTS, R_PDT, R_PDT_EQUITY, R_UNTRUSTED_REJECTS, R_BORROWS_CASH,
 R_VOLUME_SHARE) = range(11)  # fmt: skip
RULES = 11

# -- reasons (O_REASON): the position in this tuple; 0 = none --------------------------------------------------------------
REASONS: tuple[Reason | None, ...] = (
    None, Reason.CANCELLED, Reason.INSUFFICIENT_CASH, Reason.NO_SHORTS, Reason.NEXT_OPEN_REFUSED, Reason.PRICE_MISSING,
    Reason.QUANTITY_ZERO, Reason.QUANTITY_NEGATIVE, Reason.QUANTITY_TOO_LARGE, Reason.BELOW_LOT, Reason.PATTERN_DAY_TRADER,
    Reason.MARGIN_CALL, Reason.INSUFFICIENT_MARGIN, Reason.DAY_OVER, Reason.NOT_AT_ONCE, Reason.OTHER_FILLED, Reason.PARENT_ENDED,
    Reason.NOTHING_TO_REDUCE, Reason.VOLUME_NOT_REPORTED, Reason.REPLACED, Reason.NOT_TRADABLE,
    Reason.EXPIRED, Reason.CUT_TO_CASH,
    Reason.PRICE_NOT_FINITE, Reason.ROLLED,
)  # fmt: skip
(W_NONE, W_CANCELLED, W_CASH, W_NO_SHORTS, W_UNTRUSTED, W_PRICE, W_ZERO, W_NEGATIVE, W_TOO_LARGE, W_BELOW_LOT, W_PDT,
 W_MARGIN_CALL,
 W_MARGIN, W_DAY, W_NOT_AT_ONCE, W_OTHER, W_PARENT, W_NOTHING_HELD, W_VOLUME, W_REPLACED, W_NOT_TRADABLE, W_EXPIRED, W_CUT,
 W_NO_PRICE, W_ROLLED) = range(25)  # fmt: skip


class State(
    Tables,
    counters=Table(np.int64, 1),
    totals=Table(np.int64, 1),
    cash=Table(np.int64, 1),
    instrument=Table(np.int64, 2, INSTRUMENT_COLUMNS),
    position=Table(np.int64, 2, POSITION_COLUMNS),
    orders=Table(np.int64, 2, ORDER_COLUMNS),
    working=Table(np.int64, 1),
    fills=Table(np.int64, 2, FILL_COLUMNS),
    journal=Table(np.int64, 2, JOURNAL_COLUMNS),
    events=Table(np.int64, 2, EVENT_COLUMNS),
    curve=Table(np.int64, 2),
    fx=Table(np.int64, 2, 2),
    rules=Table(np.int64, 1),
    scale=Table(np.float64, 2, 2),
    costs=Table(np.float64, 3),
    options=Table(np.int64, 2, OPTION_COLUMNS),
):
    """One account, N instruments, C currencies (the base is 0), T bars.

    counters (COUNTERS,), totals (TOTALS,), cash (C,), instrument (N, INSTRUMENT_COLUMNS), position (N, POSITION_COLUMNS),
    orders (cap, ORDER_COLUMNS), working (cap,) rows of orders that may still act, in order of arrival,
    fills (cap, FILL_COLUMNS), journal (cap, JOURNAL_COLUMNS), events (E, EVENT_COLUMNS), curve (4, T): cash, value of positions,
    gross, net in base units at each close, or (2, T): cash and value; fx (C, 2) the base for one of the currency, as numerator
    and denominator: events of kind RATE set it as rates become known; rules (RULES,);
    scale (N, 2) float64: 10^p and lots for one unit; costs (3, N, W) float64 bps: half spread, slippage, impact;
    options (N, OPTION_COLUMNS), or (0, OPTION_COLUMNS) in a run without: see `_kernels_option_margin`
    """

    counters: Integers
    totals: Integers
    cash: Integers
    instrument: Integers
    position: Integers
    orders: Integers
    working: Integers
    fills: Integers
    journal: Integers
    events: Integers
    curve: Integers
    fx: Integers
    rules: Integers
    scale: NDArray[np.float64]
    costs: NDArray[np.float64]
    options: Integers


def grow(table: Integers, least: int) -> Integers:
    """A table of at least twice the rows, and at least `least`, with the same content."""
    wider = np.empty((max(2 * len(table), least), *table.shape[1:]), dtype=table.dtype)
    wider[: len(table)] = table
    return wider


@kernel
def next_event(state):  # type: ignore[no-untyped-def]
    """The number of a new event of the journal."""
    event = state.counters[N_EVENTS]
    state.counters[N_EVENTS] = event + 1
    return event


@kernel
def post(state, event, ts, kind, account, instrument, currency, amount):  # type: ignore[no-untyped-def]
    """One posting (debit positive); a posting to A_CASH changes the cash of its currency. Nothing is written for amount 0."""
    if amount == 0:
        return
    row = state.counters[N_JOURNAL]
    journal = state.journal
    journal[row, J_EVENT] = event
    journal[row, J_TS] = ts
    journal[row, J_KIND] = kind
    journal[row, J_ACCOUNT] = account
    journal[row, J_INSTRUMENT] = instrument
    journal[row, J_CURRENCY] = currency
    journal[row, J_AMOUNT] = amount
    state.counters[N_JOURNAL] = row + 1
    if account == A_CASH:
        state.cash[currency] += amount


@kernel
def fail(state, error, at):  # type: ignore[no-untyped-def]
    """Keep the first error; the loop stops at the end of the bar and Python raises."""
    if state.counters[C_ERROR] == NO_ERROR:
        state.counters[C_ERROR] = error
        state.counters[C_ERROR_AT] = at


@kernel
def to_base(state, amount, currency):  # type: ignore[no-untyped-def]
    """An amount of a currency in the base currency at the rate of now, down."""
    if currency == 0 or amount == 0:
        return amount
    converted, ok = mul_div_floor(amount, state.fx[currency, 0], state.fx[currency, 1])
    if not ok:
        fail(state, OVERFLOW, currency)
    return converted


@kernel
def margin_share(amount, part_e8):  # type: ignore[no-untyped-def]
    """ceil(amount * part / 10^8) for amount >= 0: what has to be there is never rounded down."""
    whole = amount // E8
    return whole * part_e8 + ((amount - whole * E8) * part_e8 + E8 - 1) // E8


@kernel
def margin_needed(state, n, notional_base, lots, share, per_lot):  # type: ignore[no-untyped-def]
    """Base units of margin for `lots` worth `notional_base`: a share of the value and an amount a lot, each up."""
    needed = margin_share(abs(notional_base), share)
    if per_lot != 0:
        if not fits(abs(lots), per_lot, 1):
            fail(state, OVERFLOW, n)
            return needed
        needed -= to_base(state, -abs(lots) * per_lot, state.instrument[n, I_CURRENCY])
    return needed


@kernel
def group_of(state, n):  # type: ignore[no-untyped-def]
    """The row of the underlying whose options instrument n is margined with; -1 = none."""
    return state.options[n, OP_GROUP] if len(state.options) > 0 else -1


@kernel
def asked_with(state, group, n, lots, mark):  # type: ignore[no-untyped-def]
    """(asked for the short options of a group, its margin in base units up, steps of naked calls) with `lots` of n at `mark`."""
    held, marks = state.position[:, P_LOTS], state.position[:, P_MARK]
    secured = state.rules[R_SHORTS] == 0
    asked, value, naked, ok = group_margin(state.options, held, marks, group, n, lots, mark, secured)
    if not ok:
        fail(state, OVERFLOW, group)
    return asked, -to_base(state, -(asked + value), state.instrument[group, I_CURRENCY]), naked


@kernel
def regroup(state, group):  # type: ignore[no-untyped-def]
    """The margin of a group of options again."""
    _, margin, _ = asked_with(state, group, -1, 0, 0)
    change = margin - state.options[group, OP_MARGIN]
    state.options[group, OP_MARGIN] = margin
    state.totals[S_INITIAL] += change
    state.totals[S_MAINTENANCE] += change


@kernel
def remark(state, n):  # type: ignore[no-untyped-def]
    """Value instrument n again at its P_MARK and correct the totals; call it after P_LOTS, P_BASIS or P_MARK has changed."""
    revalue(state, n)
    group = group_of(state, n)
    if group >= 0:
        regroup(state, group)


@kernel
def revalue(state, n):  # type: ignore[no-untyped-def]
    """`remark` without the margin of the group."""
    position, totals = state.position[n], state.totals
    lots, mark, factor = position[P_LOTS], position[P_MARK], state.instrument[n, I_FACTOR]
    currency = state.instrument[n, I_CURRENCY]
    if not fits(lots, mark, factor):
        fail(state, OVERFLOW, n)
        return
    notional = lots * mark * factor
    value = notional if state.instrument[n, I_STYLE] == PAID else notional - position[P_BASIS]
    old_base = to_base(state, position[P_NOTIONAL], currency)
    new_base = to_base(state, notional, currency)
    totals[S_VALUE] += to_base(state, value, currency) - to_base(state, position[P_VALUE], currency)
    totals[S_NET] += new_base - old_base
    totals[S_GROSS] += abs(new_base) - abs(old_base)
    row = state.instrument[n]
    initial = margin_needed(state, n, new_base, lots, row[I_INITIAL], row[I_INITIAL_LOT])
    maintenance = margin_needed(state, n, new_base, lots, row[I_MAINTENANCE], row[I_MAINTENANCE_LOT])
    totals[S_INITIAL] += initial - position[P_INITIAL]
    totals[S_MAINTENANCE] += maintenance - position[P_MAINTENANCE]
    position[P_INITIAL], position[P_MAINTENANCE] = initial, maintenance
    position[P_VALUE], position[P_NOTIONAL] = value, notional


@kernel
def cash_in_base(state):  # type: ignore[no-untyped-def]
    """All cash in the base currency."""
    total = state.cash[0]
    for currency in range(1, len(state.cash)):
        total += to_base(state, state.cash[currency], currency)
    return total


@kernel
def mark_all(state):  # type: ignore[no-untyped-def]
    """The totals from nothing, at the marks and the exchange rates of now; call it after a rate has changed."""
    totals = state.totals
    totals[S_VALUE] = totals[S_NET] = totals[S_GROSS] = totals[S_INITIAL] = totals[S_MAINTENANCE] = 0
    for n in range(len(state.position)):
        if state.position[n, P_LOTS] != 0 or state.position[n, P_NOTIONAL] != 0 or state.position[n, P_VALUE] != 0:
            state.position[n, P_VALUE] = state.position[n, P_NOTIONAL] = 0
            state.position[n, P_INITIAL] = state.position[n, P_MAINTENANCE] = 0
            revalue(state, n)
    for group in range(len(state.options)):
        if state.options[group, OP_GROUP] == group:
            state.options[group, OP_MARGIN] = 0
            regroup(state, group)
    totals[S_CASH] = cash_in_base(state)
