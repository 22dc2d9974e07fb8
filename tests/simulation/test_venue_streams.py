"""The compiled venue on random streams of orders: against its twin in plain Python, and its account to the minimal unit.

The streams hold every kind of order, time in force, brackets, groups, replacements, withdrawals, latency, partial
fills, cuts, refusals, margin calls and the pattern-day-trader rule, on bars with gaps and holes.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fieldcast.simulation import _state as s
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading.order_kinds import Ticket


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fieldcast_test_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


streams, venue_twin = _load("streams"), _load("venue_twin")
ALIVE = ("working", "waiting")


def _act(rng: np.random.Generator, simulator: Simulator, twin: object | None) -> None:
    """One random message to the venue and, if there is one, to its twin."""
    market, kind = simulator.market, rng.random()
    if kind < 0.55:
        ticket = streams.random_ticket(rng, market, simulator.t)
        simulator.submit(ticket)
        if twin:
            twin.submit(ticket)
    elif kind < 0.75:
        bracket = streams.random_bracket(rng, market, simulator.t)
        simulator.submit(bracket)
        if twin:
            twin.submit(bracket)
    elif kind < 0.85:
        first = streams.random_ticket(rng, market, simulator.t)
        tickets = [first]
        while len(tickets) < 2:
            other = streams.random_ticket(rng, market, simulator.t)
            if other.instrument == first.instrument:
                tickets.append(other)
        simulator.one_cancels_other(tickets)
        if twin:
            twin.one_cancels_other(tickets)
    else:
        working = [number for number in simulator.working() if number < len(simulator._tickets) and simulator._tickets[number]]
        if not working:
            return
        number = working[int(rng.integers(len(working)))]
        if kind < 0.93:
            simulator.cancel(number)
            if twin:
                twin.cancel(twin.orders[number])
            return
        rows = simulator._run.state.orders
        if rows[number, s.O_CANCEL] != s.NEVER or any(rows[other, s.O_PARENT] == number for other in working):
            return      # it is about to end, or its bracket hangs on it: refused
        old = simulator.order(number).ticket
        changes = {name: getattr(old, name) + Decimal("0.4") for name in ("limit", "stop") if getattr(old, name) is not None}
        left = simulator.order(number).left
        simulator.replace(number, **changes)
        if twin:
            twin.replace(twin.orders[number], Ticket(
                old.instrument, old.side, left, old.kind, trail=old.trail, trail_share=old.trail_share,
                time_in_force=old.time_in_force, reduce_only=old.reduce_only,
                limit=changes.get("limit", old.limit), stop=changes.get("stop", old.stop),
            ))  # fmt: skip


def _play(seed: int, *, with_twin: bool, bars: int = 40) -> tuple[Simulator, object | None]:
    rng = np.random.default_rng(seed)
    market, settings = streams.random_market(rng, bars, int(rng.integers(1, 4))), streams.random_settings(rng)
    simulator = Simulator(market, settings)
    twin = venue_twin.twin_of(market, settings, simulator._run.units) if with_twin else None
    for _ in range(bars):
        simulator.advance()
        if twin:
            twin.advance()
        for _ in range(int(rng.poisson(0.9))):
            _act(rng, simulator, twin)
        if twin:
            _same(simulator, twin, seed)
    return simulator, twin


def _same(simulator: Simulator, twin: object, seed: int) -> None:
    """Cash, positions, equity, and every order and fill so far."""
    run, where = simulator._run, f"seed {seed}, bar {simulator.t}"
    money, state = run.units.money, run.state
    rows = state.orders[: state.counters[s.N_ORDERS]]
    assert len(rows) == len(twin.orders), where
    for number, (row, order) in enumerate(zip(rows, twin.orders, strict=True)):
        reason = s.REASONS[row[s.O_REASON]]
        found = (
            ("working", "waiting", "filled", "cancelled", "rejected", "expired", "replaced")[row[s.O_STATUS]],
            None if reason is None else str(reason),
            int(row[s.O_LOTS] - row[s.O_LEFT] - row[s.O_TAKEN]),
        )
        assert found == (order.status, order.reason, order.filled), f"{where}, order {number} {order.ticket}"
    fills = state.fills[: state.counters[s.N_FILLS]]
    assert len(fills) == len(twin.fills), where
    for row, fill in zip(fills[-8:], twin.fills[-8:], strict=True):
        n = int(row[s.F_INSTRUMENT])
        found = (
            int(row[s.F_ORDER]), n, int(row[s.F_TS]), int(row[s.F_SOURCE]), int(row[s.F_SIDE]), int(row[s.F_LOTS]),
            run.units.price(n, row[s.F_PRICE]), run.units.price(n, row[s.F_REFERENCE]), money(row[s.F_FEE]),
            money(row[s.F_REALISED]), s.CONVENTIONS[row[s.F_CONVENTION]],
        )  # fmt: skip
        wanted = (
            fill.order, fill.n, fill.ts, fill.source, fill.side, fill.lots, fill.price, fill.reference, fill.fee, fill.realised,
            fill.convention,
        )  # fmt: skip
        assert found == wanted, where
    assert money(int(state.cash[0])) == twin.cash, where
    assert [int(lots) for lots in state.position[:, s.P_LOTS]] == [one.lots for one in twin.held], where
    assert money(int(state.curve[0, simulator.t] + state.curve[1, simulator.t])) == twin.equity[-1], where


def _conserved(simulator: Simulator) -> int:
    """After each event: cash + positions = starting cash + realised + unrealised - fees, exactly; the number of events."""
    state, units = simulator._run.state, simulator._run.units
    journal = state.journal[: state.counters[s.N_JOURNAL]]
    fills = state.fills[: state.counters[s.N_FILLS]]
    by_event = {int(row[s.F_EVENT]): row for row in fills}
    count = len(simulator.market.instruments)
    lots, basis, mark = [0] * count, [0] * count, [0] * count
    cash = realised = fees = start = 0
    ledger = {"cash": 0, "position": [0] * count, "realised": 0, "fees": 0}
    at = 0
    while at < len(journal):
        event = int(journal[at, s.J_EVENT])
        balance = 0
        while at < len(journal) and journal[at, s.J_EVENT] == event:
            row, amount = journal[at], int(journal[at, s.J_AMOUNT])
            balance += amount
            account = int(row[s.J_ACCOUNT])
            if account == s.A_CASH:
                ledger["cash"] += amount
            elif account == s.A_POSITION:
                ledger["position"][row[s.J_INSTRUMENT]] += amount
            elif account == s.A_REALISED:
                ledger["realised"] -= amount
            elif account == s.A_FEES:
                ledger["fees"] += amount
            else:
                start -= amount
                cash -= amount
            at += 1
        assert balance == 0
        if event in by_event:
            fill = [int(one) for one in by_event[event]]
            n, side, size = fill[s.F_INSTRUMENT], fill[s.F_SIDE], fill[s.F_LOTS]
            worth = fill[s.F_PRICE] * int(units.factor[n])
            closing = min(size, abs(lots[n])) if side * lots[n] < 0 else 0
            leaving = basis[n] * closing // abs(lots[n]) if closing else 0
            realised += -side * closing * worth - leaving
            basis[n] += side * (size - closing) * worth - leaving
            lots[n] += side * size
            cash -= side * size * worth + fill[s.F_FEE]
            fees += fill[s.F_FEE]
            mark[n] = worth
            assert fill[s.F_SPREAD] + fill[s.F_SLIPPAGE] + fill[s.F_IMPACT] == side * size * (
                worth - fill[s.F_REFERENCE] * int(units.factor[n])
            )
        assert (ledger["cash"], ledger["position"], ledger["realised"], ledger["fees"]) == (cash, basis, realised, fees)
        value = sum(one * price for one, price in zip(lots, mark, strict=True))
        unrealised = value - sum(ledger["position"])
        assert cash + value == start + realised + unrealised - fees
    assert cash == int(state.cash[0])
    assert basis == [int(one) for one in state.position[:, s.P_BASIS]]
    marks = state.position[:, s.P_MARK] * units.factor
    assert int(state.cash[0]) + sum(int(a) * int(b) for a, b in zip(state.position[:, s.P_LOTS], marks, strict=True)) == int(
        state.curve[0, simulator.t] + state.curve[1, simulator.t]
    )
    return len(by_event)


def test_cash_and_positions_equal_equity_after_each_event_of_random_streams() -> None:
    assert sum(_conserved(_play(seed, with_twin=False, bars=24)[0]) for seed in range(2000, 2060)) > 400


@pytest.mark.slow
def test_cash_and_positions_equal_equity_after_each_event_of_a_thousand_random_streams() -> None:
    events, shorts, reasons, kinds = 0, 0, Counter(), Counter()
    for seed in range(1000):
        simulator, _ = _play(seed, with_twin=False, bars=24)
        events += _conserved(simulator)
        state = simulator._run.state
        rows = state.orders[: state.counters[s.N_ORDERS]]
        reasons.update(str(s.REASONS[reason]) for reason in rows[:, s.O_REASON])
        filled = state.fills[: state.counters[s.N_FILLS], s.F_ORDER]
        kinds.update(int(kind) for kind in rows[filled, s.O_KIND])
        shorts += int((state.curve[3, : simulator.t + 1] < 0).sum())
        if seed % 50 == 0:
            simulator.result().verify()
    assert events > 10_000
    assert shorts > 1_000
    assert set(kinds) == set(range(7)), "every kind of order has filled"
    for reason in (
        "insufficient_cash", "insufficient_margin", "no_shorts", "next_open_refused", "price_missing", "quantity_zero",
        "quantity_negative", "quantity_too_large", "below_lot", "pattern_day_trader", "margin_call", "day_over", "not_at_once",
        "other_filled", "parent_ended", "nothing_to_reduce", "replaced", "cancelled", "cut_to_cash", "volume_not_reported",
    ):  # fmt: skip
        assert reasons[reason] > 0, reason


def test_the_compiled_venue_is_its_twin_on_random_streams() -> None:
    fills = 0
    for seed in range(10_000, 10_025):
        _, twin = _play(seed, with_twin=True)
        fills += len(twin.fills)
    assert fills > 100


@pytest.mark.slow
def test_the_compiled_venue_is_its_twin_on_a_thousand_random_streams() -> None:
    for seed in range(20_000, 21_000):
        _play(seed, with_twin=True)
