"""B02: Vectorised engine for sweeps, in parity with B01.

Done when: "Trades and equity agree to 1e-9 on 100 random strategies within the supported subset"
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.fast import FIGURES, FastSettings, ParameterSets, Size, Tape, arrays_of, run_fast, sweep
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, Shortfall, TargetUnit, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.strategy.catalogue import strategy
from fieldcast.trading import CostModel

pytestmark = [pytest.mark.feature("B02"), pytest.mark.slow]     # the venue's kernels take most of a minute to compile
OPEN_PARTS: tuple[str, ...] = ()
STRATEGIES, BARS = 100, 400
COLUMNS = ("bar", "side", "lots", "price_units", "fee_minor", "ts", "source_bar_ts")
TRADES = ("direction", "entry_bar", "exit_bar", "lots", "entry_price", "exit_price", "gross", "costs", "net")


def market(rng: np.random.Generator) -> Market:
    sigma, decimals = float(rng.choice([0.002, 0.02])), int(rng.choice([2, 4]))
    close = np.round(np.exp(np.cumsum(rng.normal(0.0, sigma, BARS))) * float(rng.choice([3.0, 100.0, 4_000.0])), decimals)
    opened = np.round(np.concatenate((close[:1], close[:-1])) * (1.0 + rng.normal(0.0, sigma / 3, BARS)), decimals)
    reach = np.round(close * sigma * rng.random(BARS), decimals)
    high, low = np.maximum(opened, close) + reach, np.minimum(opened, close) - np.minimum(reach, close / 2)
    crypto = rng.random() < 0.3
    instrument = Instrument(
        "XNAS:RANDOM", Kind.CRYPTO if crypto else Kind.EQUITY, tick=Decimal(1).scaleb(-decimals),
        lot=Decimal("0.001") if crypto else Decimal(1), simulated=True,
    )  # fmt: skip
    volume = rng.integers(1_000, 100_000, BARS).astype(np.float64)
    ts = np.arange(1, BARS + 1) * 3_600_000_000
    return Market.of_arrays(instrument, ts, opened, np.round(high, decimals), np.round(low, decimals), close, volume)


def venue(rng: np.random.Generator, **further) -> VenueSettings:
    return VenueSettings(
        costs=CostModel(
            half_spread_bps=Decimal(str(round(5 * rng.random(), 2))), slippage_bps=Decimal(str(round(2 * rng.random(), 2))),
            impact_bps=Decimal(str(rng.choice(["0", "20"]))), commission_bps=Decimal(str(round(3 * rng.random(), 2))),
            minimum_commission=Decimal(str(rng.choice(["0", "1", "2.5"]))),
        ),
        shortfall=rng.choice(list(Shortfall)), shorts=bool(rng.random() < 0.8), exact_fees=bool(rng.random() < 0.3),
        margin=Margin(Decimal("0.5")) if rng.random() < 0.3 else Margin(), **further,
    )  # fmt: skip


@pytest.mark.parametrize("block", range(4))
def test_trades_and_equity_of_100_random_strategies_equal_those_of_the_venue(block: int) -> None:
    traded = rejected = 0
    for seed in range(block * STRATEGIES // 4, (block + 1) * STRATEGIES // 4):
        rng = np.random.default_rng(seed)
        bars, units = market(rng), bool(rng.random() < 0.25)
        settings = venue(rng, size=TargetUnit.UNITS if units else TargetUnit.WEIGHT)
        stay = int(rng.integers(1, 15))
        levels = rng.choice([-1.0, -0.5, 0.0, 0.3, 0.9, 1.0], BARS // stay + 1)
        targets = np.repeat(levels, stay)[:BARS]
        quantity = Decimal(7)
        if units:
            targets = np.sign(targets)
        schedule = None if rng.random() < 0.6 else rng.random(BARS) < 0.2
        size = Size("units", quantity) if units else Size()
        fast = run_fast(targets, bars, FastSettings(venue=settings, size=size), rebalance=schedule)
        wanted = targets * float(quantity) if units else targets
        slow = run_targets(wanted, bars, settings, rebalance="on_change" if schedule is None else schedule)
        assert np.array_equal(fast.equity_minor, slow.equity_minor()), seed      # not to 1e-9: exactly
        assert fast.fills.select(COLUMNS).equals(slow.fills.select(COLUMNS)), seed
        assert fast.trades.select(TRADES).equals(slow.trades.select(TRADES)), seed
        assert fast.figures["rejected"] == slow.rejections.height, seed
        traded += fast.trades.height
        rejected += slow.rejections.height
    assert traded > 500
    assert rejected > 50


def test_a_sweep_gives_the_figures_of_the_venues_own_runs() -> None:
    rng = np.random.default_rng(42)
    bars = market(rng)
    settings = VenueSettings(shortfall=Shortfall.CUT)
    tape = Tape.of(bars)
    for rule, grid in {
        "sma_cross": {"fast": [3, 10], "slow": [20, 50], "short": [False, True]},
        "rsi": {"period": [5, 14], "lower": [30.0], "upper": [60.0]},
        "bollinger": {"period": [15], "width": [1.0, 2.0]},
        "macd": {"fast": [6], "slow": [20], "signal": [9]},
        "momentum": {"period": [10], "short": [True]},
        "mean_reversion": {"period": [10], "short": [True]},
        "buy_and_hold": {},
    }.items():
        sets = ParameterSets.grid(rule, grid)
        table = sweep(sets, tape, FastSettings(venue=settings))
        for row, found in zip(sets.rows, table.select(*FIGURES).iter_rows(named=True), strict=True):
            slow = run_targets(strategy(rule, **row).targets(arrays_of(tape)), bars, settings)
            r, path = slow.returns(), np.concatenate(([slow.start_equity], slow.equity_curve()))
            assert found["total_return"] == pytest.approx(path[-1] / path[0] - 1.0, abs=1e-9)
            assert found["max_drawdown"] == pytest.approx((1.0 - path / np.maximum.accumulate(path)).max(), abs=1e-9)
            assert found["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1) * np.sqrt(252.0), abs=1e-9)
            assert (found["trades"], found["fills"]) == (slow.trades.height, slow.fills.height)
