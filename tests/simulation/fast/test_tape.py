"""A tape makes what a run asks for, and what it makes does not depend on which run asked first."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.fast import FastSettings, ParameterSets, Tape, arrays_of, engine, run_fast, run_rule
from fieldcast.simulation.fast._kernels_signals import PART
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import UntrustedOpen, VenueSettings
from fieldcast.simulation.units import Units
from fieldcast.strategy.catalogue import strategy

MADE = ("open", "high", "low", "close", "closes", "sums")
CROSS = ParameterSets.of("sma_cross", [{"fast": 5, "slow": 20}])


def units_of(market: Market, row: int, name: str) -> np.ndarray:
    """Prices in price units, one by one; 0 where there is none."""
    scale = 10 ** int(Units.of(market).price_decimals[row])
    return np.array(
        [0 if price != price else round(Decimal(str(price)) * scale) for price in getattr(market, name)[row].tolist()]
    )


def test_a_run_without_exits_makes_neither_extremes_nor_opens_nor_the_sums_that_sweeps_share(one) -> None:
    tape = Tape.of(one(5, bars=300))
    found = run_rule(CROSS, tape, FastSettings())
    assert found.figures["fills"] > 3
    assert [name for name in MADE if name in tape.__dict__] == ["close"]
    run_rule(CROSS, tape, FastSettings(stop=Decimal("0.05")))
    assert {"open", "high", "low"} <= set(tape.__dict__)


@pytest.mark.parametrize("row", range(4))
def test_prices_are_those_of_the_market_in_whole_units_with_gaps_left_out(many, row: int) -> None:
    market = many(8, bars=300)
    tape = Tape.of(market, row)
    there = np.flatnonzero(np.isfinite(market.close[row]))
    assert 0 < there.size < market.bars
    np.testing.assert_array_equal(tape.bars, there)
    np.testing.assert_array_equal(tape.close, units_of(market, row, "close")[there])
    opened = np.where(market.trusted_open[row], units_of(market, row, "open"), 0)[there]
    np.testing.assert_array_equal(tape.open, opened)
    np.testing.assert_array_equal(tape.high, units_of(market, row, "high")[there])
    np.testing.assert_array_equal(tape.low, units_of(market, row, "low")[there])


def test_a_missing_extreme_is_what_is_known_of_the_bar() -> None:
    flat = np.array([100.0, 101.0, 102.0, 103.0])
    opened, high, low = flat + 0.5, flat + 1.0, flat - 1.0
    high[1] = low[2] = np.nan
    opened[3] = high[3] = low[3] = np.nan
    market = Market.of_arrays(Instrument("XNAS:A", Kind.EQUITY), np.arange(1, 5) * 60_000_000, opened, high, low, flat)
    tape = Tape.of(market)
    assert tape.high.tolist() == [10_100, 10_150, 10_300, 10_300]
    assert tape.low.tolist() == [9_900, 10_000, 10_200, 10_300]
    assert tape.open.tolist() == [10_050, 10_150, 10_250, 0]


@pytest.mark.parametrize("row", range(4))
def test_opens_of_decisions_are_the_same_read_singly_or_all_at_once(many, row: int) -> None:
    market = many(9, bars=300)
    singly, whole = Tape.of(market, row).between(0, 250), Tape.of(market, row).between(0, 250)
    assert whole.open.size == 250
    rng = np.random.default_rng(row)
    for at in (np.arange(250), np.sort(rng.choice(250, 40, replace=False)), np.array([249]), np.empty(0, dtype=np.int64)):
        np.testing.assert_array_equal(singly.opens_after(at), whole.opens_after(at))
        expected = [int(whole.open[bar + 1]) if bar < 249 else 0 for bar in at.tolist()]
        assert singly.opens_after(at).tolist() == expected
    assert "open" not in singly.__dict__


def test_a_part_of_a_tape_is_the_tape_of_that_part(many) -> None:
    market = many(10, bars=300)
    whole = Tape.of(market, 1)
    before = whole.between(40, 240).between(10, 150)
    assert before.__dict__.keys().isdisjoint(MADE)
    for name in ("bars", "open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(before, name), getattr(whole, name)[50:190])
    after = whole.between(40, 240).between(10, 150)
    assert {"open", "high", "low", "close"} <= after.__dict__.keys()  # what has been made is not made again
    assert after.length == 140
    for name in ("bars", "open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize("settings", [FastSettings(), FastSettings(stop=Decimal("0.03"), target=Decimal("0.05"))])
def test_one_run_is_the_same_first_later_and_where_no_float_can_carry_its_sums(
    one, settings: FastSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape.of(one(6, bars=2_000, sigma=0.004))
    sets = ParameterSets.of("sma_cross", [{"fast": 7, "slow": 30, "short": True}])
    first, later = run_rule(sets, tape.between(0, 2_000), settings), run_rule(sets, tape, settings)
    other = tape.between(0, 2_000)
    with monkeypatch.context() as patch:  # a product beyond 2^53: the whole numbers decide
        patch.setattr(engine, "_crossings", lambda *_: -1)
        exact = run_rule(sets, other, settings)
    assert {"closes", "sums"} <= set(other.__dict__)
    assert "sums" not in tape.__dict__
    targets = run_fast(strategy("sma_cross", fast=7, slow=30, short=True).targets(arrays_of(tape)), tape, settings)
    for found in (first, later, exact):
        np.testing.assert_array_equal(found.fill_rows, targets.fill_rows)
        np.testing.assert_array_equal(found.equity_minor, targets.equity_minor)
        assert found.figures == targets.figures
    assert targets.figures["fills"] > 50


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("bars", [2, 300, PART - 1, PART, PART + 1, 3 * PART + 77])
def test_the_cross_by_parts_is_the_cross_of_the_whole(one, bars: int, short: bool) -> None:
    """Windows shorter and longer than the history; a change at the seam of two parts is one change."""
    tape = Tape.of(one(11, bars=bars, sigma=0.004))
    for fast, slow in ((1, 2), (7, 30), (50, 299), (3, 2_000), (1_999, 2_000)):
        sets = ParameterSets.of("sma_cross", [{"fast": fast, "slow": slow, "short": short}])
        at, codes = np.empty(bars, dtype=np.int64), np.empty(bars, dtype=np.int64)
        fresh = Tape(tape.market, 0, tape.units, 0, bars)
        count = engine._crossings(sets, fresh, 0, at, codes)
        targets = strategy("sma_cross", fast=fast, slow=slow, short=short).targets(arrays_of(tape))
        expected = np.flatnonzero(np.diff(targets, prepend=0.0))
        np.testing.assert_array_equal(at[:count], expected)
        np.testing.assert_array_equal(codes[:count], targets[expected])
        np.testing.assert_array_equal(fresh.close, tape.close)


def test_sums_that_no_float_can_carry_are_left_to_whole_numbers(one) -> None:
    market = one(12, bars=3 * PART)
    tape = Tape.of(market)
    at, codes = np.empty(tape.length, dtype=np.int64), np.empty(tape.length, dtype=np.int64)
    sets = ParameterSets.of("sma_cross", [{"fast": 5, "slow": 30}])
    assert engine._crossings(sets, tape, 0, at, codes) > 0
    large = Tape(market, 0, tape.units, 0, tape.length)
    large.__dict__["close"] = tape.close.copy()
    large.close[2 * PART :] += 2**40
    assert engine._crossings(sets, large, 0, at, codes) == -1


def test_an_open_that_is_no_print_is_seen_where_no_open_was_made(one) -> None:
    market = one(7, bars=200)
    trusted = np.ones((1, 200), dtype=np.bool_)
    trusted[0, 100] = False
    doubted = Market(
        instruments=market.instruments, ts=market.ts, open_ts=market.open_ts, open=market.open, high=market.high, low=market.low,
        close=market.close, volume=market.volume, trusted_open=trusted,
    )  # fmt: skip
    targets = np.zeros(200)
    targets[99:] = 1.0
    settings = FastSettings(venue=VenueSettings(untrusted_open=UntrustedOpen.REJECT))
    assert run_fast(targets, doubted, settings).figures["rejected"] == 1
    assert run_fast(targets, market, settings).figures["rejected"] in (0, 1)
    np.testing.assert_array_equal(Tape.of(doubted)._opens_missing, [99])


def test_bars_without_known_volume_are_named_alike_however_that_is_said(one) -> None:
    market = one(7, bars=200)
    rows = [getattr(market, name)[0] for name in ("open", "high", "low", "close")]
    said = Market.of_arrays(market.instruments[0], market.ts, *rows, np.full(200, np.nan))
    left = Market.of_arrays(market.instruments[0], market.ts, *rows)
    assert said.data_hash == left.data_hash
    assert not left.volume.flags.writeable
    assert left.volume.flags.c_contiguous
