"""A backtest as the economic gate takes it: what the account made from open to open, and what trading cost at each.

Let t be the first bar of session s, E(t) the equity at its close, and everything valued at the open of t:

    V(s)      the account just before it trades at that open
              = E(t) - what happened after the open within t + what trading at that open cost
    cost(s)   spread, slippage, impact and commissions of every fill of the session, / V(s)
    gross(s)  (V(s+1) - V(s)) / V(s) + cost(s), so that 1 + gross - cost chains to the account's own growth

A run in several currencies is judged in its base: a balance, and a position in another currency, counts at the rate that the run
had booked by that open, or that close, and what a fill cost at that of its moment.

A position of an instrument without an open in bar t stands at its last close. A split changes the lots, and a price from before
it counts times old / new. The benchmark is one instrument held from open to open, with the splits of the run's events, and with
their dividends put back into it at the open of the ex-date. The decision behind a session's row was made at the end of the bar
before t; where t begins at that very moment (markets that never close), its first print comes after it, and is stamped one
microsecond later.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.market import Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation._round_trips import splits_of
from fieldcast.simulation.event_table import PRICE_PLACES, EventKind
from fieldcast.simulation.market import Market
from fieldcast.simulation.report.base_currency import BaseRates, fill_rates
from fieldcast.simulation.report.splits import shares_through
from fieldcast.simulation.result import SimulationResult
from fieldcast.validation.economic import NextOpenReturns

Array = NDArray[np.float64]
# a settlement is none: it turns into cash what the way of the price has earned already
_INCOME = ("dividends", "interest", "borrow", "funding", "tax", "conversion", "corporate")


def next_open_returns(
    result: SimulationResult,
    market: Market,
    benchmark: str,
    *,
    name: str = "",
    first: date | None = None,
    last: date | None = None,
) -> NextOpenReturns:
    """Returns of a backtest from open to open, for `validation.economic.gate_economic`.

    Parameters
    ----------
    market : what the run was played on; its hash is compared
    benchmark : id of the instrument of `market` that stands for the market
    name : of what was traded; by default the instruments' ids
    first, last : sessions (trading days) of the out-of-sample span, both included; None: from the first session that a decision
        came before, to the last one that another follows

    Raises
    ------
    InvalidInput : the run filled at the close that it decided on, or the market is not the run's
    IntegrityError : a fill is not later than the decision behind it
    MissingData : the run has several currencies and an instrument of which only the change in value is paid, the account is
        spent, or fewer than two sessions are left
    """
    _refuse_same_close(result)
    if market.data_hash != result.data_hash:
        raise InvalidInput(f"expected the market of the run ({result.data_hash[:12]}), found another ({market.data_hash[:12]})")
    unit = 10.0**result.units.cash_decimals
    assert market.session is not None
    starts = np.concatenate(([0], np.flatnonzero(np.diff(market.session)) + 1))
    value, cost = _at_opens(result, unit)
    row = market.row(benchmark)
    level = _total_level(result, row) * BaseRates.of(result).at(np.full(market.bars, result.units.currency[row]), market.open_ts)
    starts = starts[starts > 0]  # nothing was decided before the first bar
    if starts.size < 2:
        raise MissingData(f"expected at least two sessions after the first bar, found {starts.size}")
    begin, end = starts[:-1], starts[1:]
    days = np.array(market.session[begin], dtype="datetime64[D]")
    spent = ~(value[begin] > 0.0)
    if spent.any():
        raise MissingData(f"expected an account above 0 at every open, found {value[begin][spent][0]:g} on {days[spent][0]}")
    if not np.isfinite(level[begin]).all() or not np.isfinite(level[end]).all():
        raise MissingData(f"expected a price of {benchmark} by the first session, found none: begin the span later with `first`")
    paid = np.add.reduceat(cost, starts)[:-1] / value[begin]
    decided = market.ts[begin - 1]
    rows = np.ones(days.size, dtype=np.bool_)
    rows &= days >= np.datetime64(first, "D") if first is not None else True
    rows &= days <= np.datetime64(last, "D") if last is not None else True
    if rows.sum() < 2:
        raise MissingData(f"expected at least two sessions from {first} to {last}, found {int(rows.sum())}")
    return NextOpenReturns(
        name=name or ", ".join(one.id for one in market.instruments),
        sessions=days[rows],
        decided_at=_moments(decided[rows]),
        filled_at=_moments(np.maximum(market.open_ts[begin], decided + 1)[rows]),
        gross=(value[end] / value[begin] - 1.0 + paid)[rows],
        cost=paid[rows],
        benchmark=(level[end] / level[begin] - 1.0)[rows],
        simulated=result.simulated,
        fill="next_open",
    )


def _refuse_same_close(result: SimulationResult) -> None:
    """Neither by its declaration nor by a single fill may the run have traded at the price that it decided on."""
    same = int((result.fills["fill_convention"] == "same_close").sum())
    if result.fill_convention != "next_open" or same:
        found = result.fill_convention if result.fill_convention != "next_open" else f"{same} fills at the same close"
        raise InvalidInput(
            f"expected fills at the next open, found {found!r}: a price that a decision was made on cannot be traded at"
        )
    rows = result.fill_rows
    orders = rows[:, s.F_ORDER]
    own = rows[orders >= 0]  # an event that moves a position (a split, a roll) has no order behind it
    made = np.searchsorted(result.market.ts, result.order_rows[own[:, s.F_ORDER], s.O_CREATED], side="left")
    early = own[:, s.F_BAR] <= made
    if early.any():
        where = int(np.argmax(early))
        raise IntegrityError(
            f"expected each fill in a bar after its decision, found a fill of order {own[where, s.F_ORDER]} in bar "
            f"{own[where, s.F_BAR]}, decided in bar {made[where]}"
        )


def _at_opens(result: SimulationResult, unit: float) -> tuple[Array, Array]:
    """(T,) the account just before it trades at the open of each bar, and what the fills of each bar cost."""
    market, fills = result.market, result.fill_rows
    bars = market.bars
    bar, n = fills[:, s.F_BAR], fills[:, s.F_INSTRUMENT]
    parts = (fills[:, s.F_FEE] + fills[:, s.F_SPREAD] + fills[:, s.F_SLIPPAGE] + fills[:, s.F_IMPACT]) * fill_rates(result)
    cost = np.bincount(bar, weights=parts, minlength=bars)
    at_open = fills[:, s.F_CONVENTION] == s.AT_OPEN
    open_cost = np.bincount(bar[at_open], weights=parts[at_open], minlength=bars)
    # what happened within the bar after its open: the way from open to close, later fills, and events
    later = _later(result, n, at_open) if len(result.units.currencies) == 1 else _later_in_base(result, n, at_open)
    value: Array = (result.equity_minor() - later + open_cost) / unit
    return value, cost / unit


def _later(result: SimulationResult, n: NDArray[np.int64], at_open: NDArray[np.bool_]) -> Array:
    """(T,) minimal units earned within each bar after its open, in a run of one currency."""
    market, fills = result.market, result.fill_rows
    bar, later = fills[:, s.F_BAR], np.zeros(market.bars)
    for row in range(len(market.instruments)):
        shares = shares_through(result, row)
        opened, closed = _open_and_close(market, row, shares)
        mine = n == row
        factor = float(result.units.factor[row]) * float(result.units.price_scale[row])
        lots = _lots_after_open(result, row, mine & at_open)
        later += lots * (closed - opened) * factor
        rest = mine & ~at_open
        move = closed[bar[rest]] - fills[rest, s.F_PRICE] / result.units.price_scale[row]
        later += np.bincount(
            bar[rest],
            weights=fills[rest, s.F_SIDE] * fills[rest, s.F_LOTS] * move * factor - fills[rest, s.F_FEE],
            minlength=market.bars,
        )
    later += _events_within(result)
    return later


def _later_in_base(result: SimulationResult, n: NDArray[np.int64], at_open: NDArray[np.bool_]) -> Array:
    """(T,) minimal units of the base earned within each bar after its open: with o and c the rates at open and close,

        cash of a currency       (c - o) * cash at the close + o * what was posted after the open
        a position               c * lots at the close * close - o * lots after the open * open

    Raises
    ------
    MissingData : an instrument of which only the change in value is paid: its basis at each open is not on record
    """
    market, fills = result.market, result.fill_rows
    settled = result.settings["margined"]
    changes = [one.id for one in market.instruments if (one.kind is Kind.FUTURE if settled is None else one.id in settled)]
    if changes:
        raise MissingData(
            f"expected instruments that are paid in full in a run of several currencies, found {changes[0]}, of which only the "
            "change in value is paid; judge it in a run of its own currency"
        )
    rates, currencies = BaseRates.of(result), range(len(result.units.currencies))
    every = [np.full(market.bars, c, dtype=np.int64) for c in currencies]
    opens, closes = ([rates.at(one, moments) for one in every] for moments in (market.open_ts, market.ts))
    later = np.zeros(market.bars)
    journal = result.journal_rows
    paid = journal[journal[:, s.J_ACCOUNT] == s.A_CASH]
    bar, after = _when_posted(result, paid)
    for c in currencies:
        own = paid[:, s.J_CURRENCY] == c
        posted = [np.bincount(bar[rows], weights=paid[rows, s.J_AMOUNT], minlength=market.bars) for rows in (own, own & after)]
        later += (closes[c] - opens[c]) * np.cumsum(posted[0]) + opens[c] * posted[1]
    for row, c in enumerate(result.units.currency.tolist()):
        opened, closed = _open_and_close(market, row, shares_through(result, row))
        mine = n == row
        held = _lots_after_open(result, row, mine & at_open)
        rest = mine & ~at_open
        moved = fills[rest, s.F_SIDE] * fills[rest, s.F_LOTS]
        last = held + np.bincount(fills[rest, s.F_BAR], weights=moved, minlength=market.bars)
        factor = float(result.units.factor[row]) * float(result.units.price_scale[row])
        later += (closes[c] * last * closed - opens[c] * held * opened) * factor
    return later


def _when_posted(result: SimulationResult, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(J,) bar of each row of the journal, and whether it came after the open of that bar: what a fill paid with its fill, what
    nothing was traded for as `events.event_rows` lays its event, a dividend or split before the open of the bar it falls in.

    Time alone does not tell: where a bar begins at the moment at which the one before ended, both have a posting's stamp.
    """
    market, fills = result.market, result.fill_rows
    at_open = np.isin(rows[:, s.J_KIND], (s.K_DIVIDEND, s.K_SPLIT))
    places = [np.searchsorted(market.ts, rows[:, s.J_TS], side=side) for side in ("right", "left")]
    bar = np.minimum(np.where(at_open, *places), market.bars - 1)
    after = ~at_open & (rows[:, s.J_TS] > market.open_ts[bar])
    order = np.argsort(fills[:, s.F_EVENT], kind="stable")
    known = fills[order]
    place = np.searchsorted(known[:, s.F_EVENT], rows[:, s.J_EVENT])
    traded = place < len(known)
    traded[traded] = known[place[traded], s.F_EVENT] == rows[traded, s.J_EVENT]
    own = known[place[traded]]
    bar[traded], after[traded] = own[:, s.F_BAR], own[:, s.F_CONVENTION] != s.AT_OPEN
    return bar, after


def _lots_after_open(result: SimulationResult, row: int, at_open: NDArray[np.bool_]) -> Array:
    """(T,) lots held after the fills at each open: fills and splits up to it, in their order.

    Raises
    ------
    MissingData : an event that is neither a fill nor a split has changed the lots
    """
    fills = result.fill_rows
    signed = fills[:, s.F_SIDE] * fills[:, s.F_LOTS]
    mine = fills[:, s.F_INSTRUMENT] == row
    bars = result.market.bars
    first, later = mine & at_open, mine & ~at_open
    opens = np.bincount(fills[first, s.F_BAR], weights=signed[first], minlength=bars)
    rest = np.bincount(fills[later, s.F_BAR], weights=signed[later], minlength=bars)
    splits = [one for one in splits_of(result).tolist() if one[0] == row]
    held, begin, lots = np.empty(bars), 0, 0
    for _, bar, new, old in [*splits, [row, bars, 1, 1]]:  # a split counts before anything trades at the open of its bar
        after = lots + np.cumsum(opens[begin:bar]) + np.cumsum(rest[begin:bar])
        held[begin:bar] = after - rest[begin:bar]
        lots = int(after[-1]) if bar > begin else lots
        lots = (abs(lots) * new // old) * (1 if lots > 0 else -1)
        begin = bar
    if lots != int(result.position_rows[row, s.P_LOTS]):
        raise MissingData(
            f"expected the lots of {result.market.instruments[row].id} to follow from its fills and splits, found {lots} and "
            f"{int(result.position_rows[row, s.P_LOTS])}: another event changed them"
        )
    return held


def _open_and_close(market: Market, row: int, shares: Array) -> tuple[Array, Array]:
    """(T,) open and close of each bar; the last close where there is no bar or no open, 0 before the first."""
    close = _held(market, row, shares, opens=False)
    before = np.concatenate(([np.nan], (close * shares)[:-1])) / shares
    opened = np.where(np.isfinite(market.open[row]), market.open[row], np.where(np.isfinite(before), before, close))
    known = np.isfinite(close)
    return np.where(known, opened, 0.0), np.where(known, close, 0.0)


def _held(market: Market, row: int, shares: Array, *, opens: bool = True) -> Array:
    """(T,) the open of each bar, or the last close before it where there is none; with `opens` false the last known close.

    shares : (T,) of `shares_through`; an earlier close counts in the shares of the bar that it stands for
    """
    close = market.close[row]
    place = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(close.size), -1))
    last: Array = np.where(place >= 0, (close * shares)[np.maximum(place, 0)], np.nan)
    if not opens:
        return last / shares
    return np.where(np.isfinite(market.open[row]), market.open[row], np.concatenate(([np.nan], last[:-1])) / shares)


def _total_level(result: SimulationResult, row: int) -> Array:
    """(T,) what one share of the first bar is worth at each open, with its splits, and its dividends put back into it."""
    shares = shares_through(result, row)
    own: Array = _held(result.market, row, shares) * shares
    level = own.copy()
    rows = result.event_rows
    paid = rows[(rows[:, s.EV_KIND] == EventKind.DIVIDEND) & (rows[:, s.EV_INSTRUMENT] == row)]
    for step, amount in paid[:, [s.EV_STEP, s.EV_A]].tolist():  # on the shares before a split of the same moment
        bar = step // 2
        if bar > 0 and own[bar] > 0.0:
            level[bar:] *= 1.0 + amount / 10.0**PRICE_PLACES * float(shares[bar - 1]) / own[bar]
    return level


def _events_within(result: SimulationResult) -> Array:
    """(T,) minimal units earned by events after the open of each bar; a dividend counts at the open of its ex-date's bar."""
    market = result.market
    earned = pl.col("account").is_in(_INCOME) & (pl.col("kind") != "dividend")
    rows = result.journal.filter(earned).select(pl.col("ts").dt.epoch("us"), "amount_minor")
    ts, amount = rows["ts"].to_numpy(), -rows["amount_minor"].to_numpy()
    bar = np.minimum(np.searchsorted(market.ts, ts, side="left"), market.bars - 1)
    inside = ts > market.open_ts[bar]
    return np.bincount(bar[inside], weights=amount[inside].astype(np.float64), minlength=market.bars).astype(np.float64)


def _moments(stamps: NDArray[np.int64]) -> NDArray[Any]:
    return stamps.astype("datetime64[us]")
