"""Targets that whole numbers cannot carry are refused by name, not traded as something else."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fieldcast.ground import StrategyError
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.fast.engine import run_fast
from fieldcast.simulation.fast.portfolio import run_portfolio
from fieldcast.simulation.fast.settings import FastSettings, Size
from fieldcast.simulation.market import Market

ROW = np.full(5, 100.0)
MARKET = Market.of_arrays(Instrument("XNAS:AAA", Kind.EQUITY), np.arange(1, 6) * 86_400_000_000, ROW, ROW, ROW, ROW)


def fast(target: float, settings: FastSettings):
    return run_fast(np.array([0.0, target, target, 0.0, 0.0]), MARKET, settings)


def portfolio(target: float, settings: FastSettings):
    return run_portfolio(np.array([[0.0, target, target, 0.0, 0.0]]), MARKET, settings)


@pytest.mark.parametrize("run", [fast, portfolio])
def test_a_weight_that_does_not_fit_is_refused_with_its_bar(run) -> None:
    with pytest.raises(StrategyError, match=r"at most 1e\+09.* at bar 1 "):
        run(1e12, FastSettings())


@pytest.mark.parametrize("run", [fast, portfolio])
def test_a_fixed_size_is_held_as_often_as_the_target_says(run) -> None:
    settings = FastSettings(size=Size("units", Decimal(10)))
    assert run(2.0, settings).fills.select("bar", "side", "lots").rows() == [(2, "BUY", 20), (4, "SELL", 20)]
    with pytest.raises(StrategyError, match="whole multiple"):
        run(0.5, settings)
