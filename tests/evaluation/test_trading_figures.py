"""What trades were worth: invariants and edges; the 50-trade fixture is in tests/acceptance/test_V03.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.evaluation import Latency, market_hours, prediction_latency, tiers, trading_figures, trading_table, wilson
from fieldcast.ground import InvalidInput, MissingData

_PROFITS = st.lists(st.floats(-90, 90).map(lambda x: round(x, 2)), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(_PROFITS)
def test_figures_hang_together(profit: list[float]) -> None:
    found = trading_figures(profit, start=10_000.0)
    assert found.final_equity == pytest.approx(10_000 + sum(profit))
    assert found.wins + found.losses + sum(p == 0 for p in profit) == found.n
    assert found.win_rate_low <= found.win_rate <= found.win_rate_high
    assert 0.0 <= found.mean_drawdown <= found.worst_drawdown < 1.0
    assert (found.worst_drawdown == 0.0) == (min(profit) >= 0.0)
    assert math.isnan(found.profit_factor) == (found.losses == 0)
    assert math.isnan(found.mean_win) == (found.wins == 0)
    bigger = trading_figures(3.0 * np.array(profit), start=30_000.0)
    assert bigger.sharpe == pytest.approx(found.sharpe, rel=1e-6, nan_ok=True)
    assert bigger.worst_drawdown == pytest.approx(found.worst_drawdown)


@settings(max_examples=50, deadline=None)
@given(_PROFITS, st.integers(0, 1000))
def test_groups_add_up(profit: list[float], seed: int) -> None:
    groups = np.random.default_rng(seed).choice(["high", "medium", "other"], len(profit))
    table = trading_table(profit, groups, order=("high", "medium", "low"))
    assert table["group"].to_list()[:3] == ["high", "medium", "low"]
    assert table["n"].sum() == len(profit)
    assert table["wins"].sum() == sum(p > 0 for p in profit)
    assert table["total_profit"].sum() == pytest.approx(sum(profit), abs=1e-6)
    low = table.row(2, named=True)
    assert (low["n"], low["win_rate"], low["total_profit"], low["profit_factor"]) == (0, None, None, None)


def test_what_does_not_exist_is_nan() -> None:
    one = trading_figures([5.0], start=100.0)
    assert math.isnan(one.sharpe)
    assert math.isnan(one.profit_factor)
    assert math.isnan(one.mean_loss)
    assert math.isnan(trading_figures([0.0, 0.0], start=100.0).sharpe)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(MissingData, match="equity above 0"):
        trading_figures([50.0, -150.0, 500.0], start=100.0)
    with pytest.raises(InvalidInput, match="starting equity"):
        trading_figures([1.0], start=0.0)
    with pytest.raises(InvalidInput, match="trades a year"):
        trading_figures([1.0, 2.0], start=10.0).annual(0)
    with pytest.raises(InvalidInput, match="medium <= high"):
        tiers([0.6], high=0.6, medium=0.7)
    with pytest.raises(InvalidInput, match="entry time"):
        market_hours(np.array(["NaT"], dtype="datetime64[us]"))
    with pytest.raises(InvalidInput, match="hits"):
        wilson(5, 4)
    with pytest.raises(InvalidInput, match="0 ms"):
        Latency.of([1.0, -2.0])
    with pytest.raises(InvalidInput, match="warm-up"):
        prediction_latency(abs, [1])
