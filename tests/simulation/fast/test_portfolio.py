"""A portfolio in one account, against the venue on the same targets."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fieldcast.ground import ConfigError, InvalidInput, StrategyError
from fieldcast.simulation.fast import FastSettings, run_portfolio
from fieldcast.simulation.settings import Margin, Shortfall, UntrustedOpen, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

COLUMNS = ("bar", "instrument", "side", "lots", "price_units", "fee_minor", "ts")


@pytest.mark.parametrize("seed", range(12))
def test_a_portfolio_equals_the_venue_to_the_minimal_unit(many, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, bars = 1 + seed % 6, 200
    market = many(seed, count, bars)
    weights = np.repeat(rng.choice([-0.5, 0.0, 0.2, 0.5, 1.0], size=(count, bars // 4)), 4, axis=1)
    weights /= count ** rng.choice([0.5, 1.0])
    schedule = None if seed % 2 else np.arange(bars) % 5 == 0
    venue = VenueSettings(
        shortfall=(Shortfall.REJECT, Shortfall.CUT)[seed % 3 % 2],
        untrusted_open=(UntrustedOpen.WAIT, UntrustedOpen.REJECT)[seed % 5 % 2],
        costs=CostModel(impact_bps=Decimal(30 if seed % 4 == 0 else 0)),
        margin=Margin(Decimal("0.5")) if seed % 3 == 0 else Margin(),
    )
    fast = run_portfolio(weights, market, FastSettings(venue=venue), rebalance=schedule)
    slow = run_targets(weights, market, venue, rebalance="on_change" if schedule is None else schedule)
    assert np.array_equal(fast.equity_minor, slow.equity_minor())
    assert fast.fills.select(COLUMNS).equals(slow.fills.select(COLUMNS))
    assert fast.fills.height > 5


def test_a_table_of_targets_is_checked_before_anything_trades(many) -> None:
    market = many(3, 2, 60, gaps=False)
    table = np.full((2, 60), 0.4)
    table[1, 33] = np.nan
    with pytest.raises(StrategyError, match=r"XNAS:W1 at bar 33"):
        run_portfolio(table, market, FastSettings())
    with pytest.raises(InvalidInput, match="shape"):
        run_portfolio(table[:1], market, FastSettings())
    with pytest.raises(ConfigError, match="without exits"):
        run_portfolio(np.zeros((2, 60)), market, FastSettings(stop=Decimal("0.1")))


def test_figures_of_a_portfolio_are_those_of_its_equity(many) -> None:
    market = many(4, 3, 150, gaps=False)
    result = run_portfolio(np.full((3, 150), 0.3), market, FastSettings(), rebalance=np.arange(150) % 5 == 0)
    path = np.concatenate(([100_000.0], result.equity_curve()))
    r = path[1:] / path[:-1] - 1.0
    assert result.figures["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1) * np.sqrt(252.0), rel=1e-10)
    assert result.figures["max_drawdown"] == pytest.approx((1.0 - path / np.maximum.accumulate(path)).max(), rel=1e-12)
    assert result.figures["fees"] == pytest.approx(result.fills["fee"].sum())
