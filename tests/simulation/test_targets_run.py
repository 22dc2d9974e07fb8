"""Runs of whole tables of targets and of event strategies: the same fills, nothing from the future, nothing for free."""

from __future__ import annotations

import importlib.util
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fieldcast.ground import IntegrityError, InvalidInput, StrategyError
from fieldcast.market import Instrument, Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation.events_run import Now, run_events
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel
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
AAA = Instrument("XNAS:AAA", Kind.EQUITY)
MINUTE = 60_000_000
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))


def walk(bars: int, seed: int = 0, scale: float = 0.004) -> Market:
    """One instrument whose close is a random walk on a grid of cents."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, scale, bars))), 2)
    opened = np.concatenate((close[:1], close[:-1]))
    ts = np.arange(1, bars + 1) * MINUTE
    return Market.of_arrays(AAA, ts, opened, np.maximum(opened, close), np.minimum(opened, close), close)


def momentum(close: np.ndarray, window: int = 10) -> np.ndarray:
    """1 where the close stands above that of `window` bars before, else 0: a memory of `window` bars."""
    target = np.zeros(len(close))
    target[window:] = close[window:] > close[:-window]
    return target


@pytest.mark.parametrize("seed", range(12))
def test_targets_fill_as_the_twin_fills_the_orders_that_they_stand_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market, settings = streams.random_market(rng, 60, 3), streams.random_settings(rng)
    targets = rng.choice([-0.4, -0.2, 0.0, 0.2, 0.35], (3, 60))
    targets[:, 1:] = np.where(rng.random((3, 59)) < 0.7, np.nan, targets[:, 1:])
    for t in range(1, 60):
        targets[:, t] = np.where(np.isnan(targets[:, t]), targets[:, t - 1], targets[:, t])
    result = run_targets(targets, market, settings)
    twin = venue_twin.twin_of(market, settings, result.units)
    last = np.zeros(3)
    for t in range(60):
        twin.advance()
        wanted = []
        equity = twin.equity[-1]
        for n, instrument in enumerate(market.instruments):
            if not market.close[n, t] > 0 or targets[n, t] == last[n]:
                continue
            last[n] = targets[n, t]
            share = abs(Decimal(repr(float(last[n]))))
            lots = int(share * equity / (venue_twin.decimal_price(market.close[n, t]) * instrument.lot * instrument.multiplier))
            lots = 0 if equity <= 0 else lots if last[n] > 0 else -lots
            pending = sum(
                one.sign * one.left for one in twin.orders if one.status == "working" and one.ticket.instrument == instrument.id
            )
            expected = twin.held[n].lots + pending
            if lots != expected:
                wanted.append((expected * (lots - expected) >= 0, n, lots - expected))
        for _, n, difference in sorted(wanted):
            instrument = market.instruments[n]
            side = venue_twin.Side.BUY if difference > 0 else venue_twin.Side.SELL
            twin.submit(Ticket(instrument.id, side, instrument.lot * abs(difference)))
    found = [tuple(int(one) for one in row[[s.F_ORDER, s.F_INSTRUMENT, s.F_SIDE, s.F_LOTS, s.F_BAR]]) for row in result.fill_rows]
    bars = {int(ts): t for t, ts in enumerate(market.ts)}
    assert found == [(one.order, one.n, one.side, one.lots, bars[one.source]) for one in twin.fills]
    assert [result.units.money(int(one)) for one in result.equity_minor()] == twin.equity
    assert len(found) > 5
    result.verify()


def test_an_event_strategy_fills_as_the_targets_that_it_follows() -> None:
    market = walk(400)
    targets = 50 * momentum(market.close[0])

    class Follow:
        def on_bar(self, now: Now) -> None:
            past = now.history(n=11)
            wanted = 50 * (len(past) == 11 and past[-1] > past[0])
            missing = wanted - now.position()
            if missing > 0:
                now.buy(missing)
            elif missing < 0:
                now.sell(-missing)

    settings = VenueSettings(size="units")
    by_target, by_event = run_targets(targets, market, settings), run_events(Follow(), market, settings)
    assert len(by_target.fill_rows) > 20
    np.testing.assert_array_equal(by_target.fill_rows, by_event.fill_rows)
    np.testing.assert_array_equal(by_target.curve, by_event.curve)


def test_the_history_of_a_strategy_ends_at_its_bar_and_cannot_be_written_into_the_market() -> None:
    market = walk(30)
    seen: list[int] = []

    class Look:
        def on_bar(self, now: Now) -> None:
            whole = now.history()
            seen.append(len(whole))
            assert whole[-1] == now.close() == market.close[0, now.t]
            assert whole.base is None, "a copy: the array behind it would reach into the future"

    run_events(Look(), market)
    assert seen == list(range(1, 31))
    with pytest.raises(ValueError, match="read-only"):
        market.close[0, 3] = 1.0


def test_moving_the_start_leaves_later_fills_of_a_strategy_with_finite_memory_as_they_were() -> None:
    market = walk(600, seed=3)
    settings = VenueSettings(size="units", costs=CostModel())
    whole = run_targets(20 * momentum(market.close[0]), market, settings).fills
    for start in (57, 200, 411):
        part = market.between(start, 600)
        fills = run_targets(20 * momentum(part.close[0]), part, settings).fills
        first = fills["ts"][2]  # by then both have the same position
        later = [
            one.filter(one["ts"] >= first).select("ts", "source_bar_ts", "side", "lots", "price_units", "fee_minor")
            for one in (whole, fills)
        ]
        if later[0]["side"][0] != later[1]["side"][0]:
            raise AssertionError(f"expected the same side after {first}")
        assert later[0].equals(later[1])
        assert len(later[0]) > 10


@pytest.mark.slow
def test_martingale_prices_give_no_expected_profit_before_costs() -> None:
    profits = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        steps = rng.choice([-0.05, 0.05], 400)
        close = np.round(100 + np.cumsum(steps), 2)
        opened = np.concatenate(([100.0], close[:-1]))
        ts = np.arange(1, 401) * MINUTE
        market = Market.of_arrays(AAA, ts, opened, np.maximum(opened, close), np.minimum(opened, close), close)
        settings = VenueSettings(size="units", costs=FREE, cash={"USD": Decimal(100_000)})
        result = run_targets(200 * (2 * momentum(close) - 1), market, settings)
        profits.append(result.equity_curve()[-1] - 100_000)
    error = np.std(profits, ddof=1) / np.sqrt(len(profits))
    assert abs(np.mean(profits)) < 3 * error
    assert error < 50


def test_same_close_earns_on_a_signal_of_the_same_bar_what_next_open_does_not_and_is_marked() -> None:
    market = walk(300, seed=5)
    rising = (np.diff(market.close[0], append=np.nan) > 0) * 100.0  # knows the next close: only to show the mark travels
    rising[-1] = 0
    honest = run_targets(momentum(market.close[0]) * 100, market, VenueSettings(size="units", costs=FREE))
    peeking = run_targets(rising, market, VenueSettings(size="units", costs=FREE, fill="same_close"))
    assert set(peeking.fills["fill_convention"]) == {"same_close"}
    assert set(honest.fills["fill_convention"]) == {"next_open"}
    assert peeking.fill_convention == "same_close"
    assert peeking.settings["fill"] == "same_close"
    peeking.verify()


def test_a_fill_planted_from_the_future_is_found_in_a_finished_result() -> None:
    from dataclasses import replace

    result = run_targets(momentum(walk(100).close[0]), walk(100))
    result.verify()
    planted = result.fill_rows.copy()
    planted[3, s.F_SOURCE] += 5 * MINUTE
    with pytest.raises(IntegrityError, match="fill 3 of order"):
        replace(result, fill_rows=planted).verify()
    cheaper = result.fill_rows.copy()
    cheaper[2, s.F_REFERENCE] = 1
    with pytest.raises(IntegrityError, match="fill 2 of order"):
        replace(result, fill_rows=cheaper).verify()
    lost = result.journal_rows.copy()
    lost[-1, s.J_AMOUNT] += 1
    with pytest.raises(IntegrityError, match="sum to zero"):
        replace(result, journal_rows=lost).verify()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
def test_a_target_that_is_no_number_stops_the_run_and_names_its_bar(bad: float) -> None:
    targets = np.zeros(50)
    targets[17] = bad
    with pytest.raises(StrategyError, match="XNAS:AAA at bar 17") as caught:
        run_targets(targets, walk(50))
    assert caught.value.bar == 17


@pytest.mark.parametrize("count", [1, 3])
def test_targets_between_the_bars_of_a_rebalance_are_not_looked_at(count: int) -> None:
    """One rule for one instrument and for several: a target counts, and has to be a number, in a flagged bar alone."""
    flags = np.zeros(60, dtype=np.bool_)
    flags[[3, 20, 21, 45]] = True
    targets = np.full((count, 60), 0.2)
    targets[:, 20:40] = 0.1
    market = streams.random_market(np.random.default_rng(5), 60, count)
    whole = run_targets(targets, market, rebalance=flags)
    targets[:, ~flags] = np.nan
    gaps = run_targets(targets, market, rebalance=flags)
    assert len(whole.fill_rows) >= 3 * count
    np.testing.assert_array_equal(whole.fill_rows, gaps.fill_rows)
    np.testing.assert_array_equal(whole.curve, gaps.curve)
    bad = int(np.flatnonzero(flags & (market.close[-1] > 0))[-1])
    targets[-1, bad] = np.nan
    with pytest.raises(StrategyError, match=f"at bar {bad} "):
        run_targets(targets, market, rebalance=flags)


def test_an_enormous_target_is_refused_on_record() -> None:
    targets = np.zeros(50)
    targets[10:] = 1e9
    result = run_targets(targets, walk(50), VenueSettings(cash={"USD": Decimal(10) ** 12}))
    assert result.rejections["reasons"].to_list() == ["quantity_too_large"]
    assert not len(result.fills)


def test_a_strategy_that_raises_or_looks_ahead_is_named_with_its_bar_and_gives_no_result() -> None:
    class Breaks:
        def on_bar(self, now: Now) -> None:
            if now.t == 7:
                raise ZeroDivisionError("division by zero")

    class Peeks:
        def indicators(self, bars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"mean": np.full(len(bars["close"]), bars["close"].mean())}

        def on_bar(self, now: Now) -> None: ...

    class Nothing:
        def on_bar(self, now: Now) -> None:
            now.buy(float("nan"))

    with pytest.raises(StrategyError, match=r"ZeroDivisionError at bar 7 \(1970-01-01 00:08 UTC\)"):
        run_events(Breaks(), walk(20))
    with pytest.raises(StrategyError, match="mean to know only the past"):
        run_events(Peeks(), walk(200))
    with pytest.raises(StrategyError, match="finite quantity"):
        run_events(Nothing(), walk(20))


def test_rebalancing_on_a_schedule_trades_in_those_bars_alone() -> None:
    market = walk(120)
    weekly = np.zeros(120, dtype=np.bool_)
    weekly[::20] = True
    result = run_targets(np.full(120, 0.5), market, VenueSettings(), rebalance=weekly)
    assert set(result.fills["bar"].to_list()) <= set(range(1, 120, 20))
    assert len(result.fills) > 3
    always = run_targets(np.full(120, 0.5), market, VenueSettings(), rebalance="every_bar")
    assert len(always.fills) > 20
    once = run_targets(np.full(120, 0.5), market, VenueSettings())
    assert len(once.fills) == 1
    with pytest.raises(InvalidInput, match="rebalance"):
        run_targets(np.full(120, 0.5), market, rebalance="now and then")


def test_round_trips_add_up_to_the_change_of_equity() -> None:
    market = walk(500, seed=9)
    targets = momentum(market.close[0])
    targets[-3:] = 0
    result = run_targets(targets, market, VenueSettings(shortfall="cut"))
    trades = result.trades
    assert len(trades) > 20
    assert trades["net"].sum() == pytest.approx(result.equity_curve()[-1] - result.start_equity, abs=1e-6)
    assert trades["costs"].sum() == pytest.approx(result.fills["fee"].sum(), abs=1e-9)
    assert (trades["mae"] <= 0).all()
    assert (trades["mfe"] >= 0).all()
    assert (trades["mae"] <= trades["exit_price"] / trades["entry_price"] - 1 + 1e-12).all()


def test_the_journal_holds_every_minimal_unit_and_the_same_run_has_the_same_hash() -> None:
    market = walk(300, seed=1)
    first, second = (run_targets(momentum(market.close[0]), market, VenueSettings()) for _ in range(2))
    assert first.result_hash == second.result_hash
    assert first.journal["amount_minor"].sum() == 0
    other = run_targets(momentum(market.close[0]), market, VenueSettings(margin=Margin(Decimal("0.5"), Decimal("0.25"))))
    assert other.settings_hash != first.settings_hash


def test_every_table_of_a_run_without_orders_is_there_and_empty() -> None:
    result = run_targets(np.zeros(20), walk(20), VenueSettings())
    for table in (result.orders, result.fills, result.trades, result.positions, result.rejections):
        assert table.height == 0
    assert result.equity.height == 20
    assert result.journal.height == 2
    assert (result.equity_curve() == 100_000).all()
    result.verify()


def test_tables_that_grow_hold_what_a_run_with_room_enough_holds() -> None:
    from fieldcast.simulation import _account

    market = walk(4000, seed=2)
    targets = np.where(np.arange(4000) % 2 == 0, 50.0, 0.0)
    roomy = run_targets(targets, market, VenueSettings(size="units"))
    run = _account.Run(market, VenueSettings(size="units"), rows=1)
    assert len(run.state.fills) < 10 < len(roomy.fill_rows)

    class Alternate:
        def on_bar(self, now: Now) -> None:
            (now.sell if now.t % 2 else now.buy)(50)

    grown = run_events(Alternate(), market, VenueSettings(size="units"))
    np.testing.assert_array_equal(grown.fill_rows, roomy.fill_rows)
    np.testing.assert_array_equal(grown.journal_rows, roomy.journal_rows)


def test_bars_that_cannot_be_are_refused_with_their_place() -> None:
    ts = np.arange(1, 4) * MINUTE
    good = np.array([100.0, 101.0, 102.0])
    for name, value, message in (
        ("high", np.array([100.0, 99.0, 102.0]), "the high to be the highest"),
        ("low", np.array([100.0, 101.0, 0.0]), "prices above zero"),
        ("volume", np.array([1.0, -1.0, 1.0]), "volume of at least 0"),
        ("close", np.array([100.0, np.nan, 102.0]), "a close wherever"),
    ):
        fields = {"open": good, "high": good, "low": good, "close": good, "volume": good} | {name: value}
        with pytest.raises(InvalidInput, match=message):
            Market.of_arrays(AAA, ts, **fields)
    with pytest.raises(InvalidInput, match="ascending stamps"):
        Market.of_arrays(AAA, ts[::-1], good, good, good, good, open_ts=ts[::-1] - 1)


def test_units_carry_every_price_exactly_or_name_the_instrument_that_does_not_fit() -> None:
    from fieldcast.simulation.units import Units

    ts = np.arange(1, 4) * MINUTE
    prices = np.array([1.2345, 1.25, 1.0])
    units = Units.of(Market.of_arrays(AAA, ts, prices, prices, prices, prices))
    assert (units.price_decimals[0], units.cash_decimals, units.tick[0], units.factor[0]) == (4, 4, 100, 1)
    coin = Instrument("XXXX:COIN", Kind.CRYPTO, lot=Decimal("0.00000001"), tick=Decimal("0.01"))
    units = Units.of(Market.of_arrays(coin, ts, 6e4 * prices, 6e4 * prices, 6e4 * prices, 6e4 * prices))
    assert (units.price_decimals[0], units.cash_decimals, units.factor[0]) == (2, 10, 1)
    wild = Instrument("XXXX:WILD", Kind.CRYPTO, lot=Decimal("0.000000000001"), tick=Decimal("0.00000001"))
    with pytest.raises(InvalidInput, match="XXXX:WILD"):
        Units.of(Market.of_arrays(wild, ts, prices, prices, prices, prices))
