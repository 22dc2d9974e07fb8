"""B01, event-driven backtest: next-bar fills, stop and target path, costs, shorts, borrow, multi-asset, options,
double-entry cash.

Done when: "Cash plus positions equals equity to 1e-9 after every event over 1,000 random order streams, including shorts".

Here the difference is 0 minimal units, not 1e-9. The streams of orders are those of
tests/simulation/test_venue_streams.py, which also hold the
compiled venue against a twin in plain Python; those of money through time (dividends, splits, borrow, interest,
funding, futures, options, currencies) are in tests/simulation/test_event_streams.py, against a twin in fractions.
"""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from fieldcast.market import Instrument, Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation.events import events_of
from fieldcast.simulation.financing import BORROW_RATES
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import Bracket, Ticket

pytestmark = [pytest.mark.feature("B01"), pytest.mark.slow]     # the venue's kernels take most of a minute to compile
OPEN_PARTS: tuple[str, ...] = ()

DAY = 86_400_000_000
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
SIMULATION = Path(__file__).parents[1] / "simulation"
STOCKS = (Instrument("XNAS:AAA", Kind.EQUITY), Instrument("XNAS:BBB", Kind.EQUITY))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fieldcast_acceptance_{name}", SIMULATION / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_cash_and_positions_are_equity_after_every_event_of_a_thousand_streams_with_shorts() -> None:
    streams = load("test_venue_streams")
    events, shorts = 0, 0
    for seed in range(50_000, 51_000):
        simulator, _ = streams._play(seed, with_twin=False, bars=24)
        events += streams._conserved(simulator)
        shorts += bool((simulator._run.state.curve[3, : simulator.t + 1] < 0).any())
    assert events > 10_000
    assert shorts > 200


def two_stocks(bars: int = 60) -> Market:
    rng = np.random.default_rng(11)
    close = np.round(80 * np.exp(np.cumsum(rng.normal(0, 0.01, (2, bars)), axis=1)), 2)
    opened = np.concatenate((close[:, :1], close[:, :-1]), axis=1)
    ts = START + np.arange(1, bars + 1) * DAY
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
    return Market(STOCKS, ts, ts - DAY, opened, high, low, close, np.full((2, bars), 1e6), np.ones((2, bars), dtype=np.bool_))


def test_two_instruments_long_and_short_fill_at_the_next_open_with_costs_in_columns() -> None:
    market = two_stocks()
    targets = np.where(np.arange(60) // 7 % 2, 0.4, -0.4) * np.array([[1.0], [-1.0]])
    result = run_targets(targets, market, VenueSettings(costs=CostModel(Decimal(2), Decimal(1), Decimal(1))))
    result.verify()
    fills = result.fill_rows
    assert len(fills) >= 16
    opens = market.open[fills[:, s.F_INSTRUMENT], fills[:, s.F_BAR]]
    np.testing.assert_array_equal(fills[:, s.F_REFERENCE], np.rint(opens * 100))
    costs = result.fills["spread_cost"] + result.fills["slippage_cost"] + result.fills["impact_cost"]
    moved = (result.fills["price"] - result.fills["reference_price"]).abs() * result.fills["quantity"]
    np.testing.assert_allclose(costs, moved, atol=1e-9)
    assert (result.equity["positions_value_minor"] + result.equity["cash_minor"] == result.equity["equity_minor"]).all()


def test_a_stop_and_a_target_in_one_bar_follow_the_stated_path() -> None:
    row = np.array([[100.0, 100.0, 100.0]])
    bars = {"open": row, "high": np.array([[100.0, 100.0, 106.0]]), "low": np.array([[100.0, 100.0, 94.0]])}
    ts = START + np.arange(1, 4) * DAY
    found = {}
    for close, policy in ((99.0, "worst"), (99.0, "ohlc"), (101.0, "ohlc")):
        closes = np.array([[100.0, 100.0, close]])
        market = Market(STOCKS[:1], ts, ts - DAY, **bars, close=closes, volume=row * 10, trusted_open=row > 0)
        simulator = Simulator(market, VenueSettings(intrabar=policy, costs=CostModel(Decimal(0), Decimal(0), Decimal(0))))
        simulator.advance()
        simulator.submit(Bracket(Ticket("XNAS:AAA", Side.BUY, Decimal(10)), target=Decimal(105), stop=Decimal(95)))
        simulator.advance(2)
        found[close, policy] = simulator.result().fills["price"].to_list()
    assert found == {(99.0, "worst"): [100.0, 95.0], (99.0, "ohlc"): [100.0, 105.0], (101.0, "ohlc"): [100.0, 95.0]}


def test_a_short_pays_borrow_in_balance() -> None:
    market = two_stocks()
    known = datetime(2023, 1, 1, tzinfo=UTC)
    lent = pl.DataFrame([(one.id, known, known, 0.05) for one in STOCKS], schema=BORROW_RATES, orient="row")
    targets = np.zeros((2, 60))
    targets[0, 5:40] = -0.5
    events = events_of(market, borrow=lent)
    with_borrow, without = run_targets(targets, market, events=events), run_targets(targets, market)
    paid = with_borrow.journal.filter(pl.col("account") == "borrow")["amount_minor"].sum()
    assert paid > 0
    assert without.equity_minor()[-1] - with_borrow.equity_minor()[-1] == paid
    balances = with_borrow.journal.group_by("event_id", "currency").agg(pl.col("amount_minor").sum())
    assert balances["amount_minor"].unique().to_list() == [0]


@pytest.mark.slow
def test_options_and_all_money_through_time_balance_after_each_event_of_a_thousand_streams() -> None:
    streams = load("test_event_streams")
    streams.test_a_thousand_random_streams_equal_their_twin_and_balance_after_each_event()
