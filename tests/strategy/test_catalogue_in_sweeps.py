"""The fused kernels of the sweeps hold exactly the targets of the catalogue: its figures are those of the targets played."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcast.market import default_instrument
from fieldcast.simulation.fast import FIGURES, RULES, FastSettings, ParameterSets, Tape, arrays_of, run_fast, sweep
from fieldcast.simulation.market import Market
from fieldcast.strategy import strategy

pytestmark = pytest.mark.slow
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "buy_and_hold": {},
    "sma_cross": {"fast": (1, 2, 5), "slow": (3, 8, 20), "short": (False, True)},
    "rsi": {"period": (2, 7), "lower": (25.0, 30.0), "upper": (50.0, 70.0)},
    "bollinger": {"period": (4, 20), "width": (1.0, 2.0)},
    "macd": {"fast": (2, 5), "slow": (6, 12), "signal": (1, 4), "short": (False, True)},
    "momentum": {"period": (1, 6, 20), "short": (False, True)},
    "mean_reversion": {"period": (2, 9), "short": (False, True)},
}


def tape(seed: int, step: float) -> Tape:
    """A walk on a coarse grid, on which averages are often equal."""
    random = np.random.default_rng(seed)
    close = np.round(100 + step * np.cumsum(random.integers(-1, 2, 700)), 2)
    opened = np.round(np.concatenate([close[:1], close[:-1]]) + step * random.integers(-1, 2, 700), 2)
    ts = np.arange(1, 701, dtype=np.int64) * 86_400_000_000
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Tape.of(Market.of_arrays(default_instrument("XNAS:GRID", "equity"), ts, opened, high, low, close))


def test_every_rule_is_looked_at() -> None:
    assert set(GRIDS) == set(RULES)


@pytest.mark.parametrize("name", list(GRIDS))
@pytest.mark.parametrize(("seed", "step"), [(1, 0.01), (2, 0.25), (3, 1.0)])
def test_a_sweep_plays_the_targets_of_the_catalogue(name: str, seed: int, step: float) -> None:
    one = tape(seed, step)
    settings = FastSettings()
    sets = ParameterSets.grid(name, GRIDS[name])
    table = sweep(sets, one, settings, workers=1)
    assert table.height == len(sets)
    traded = 0
    for row, found in zip(sets.rows, table.select(list(FIGURES)).iter_rows(named=True), strict=True):
        targets = strategy(name, **row).targets(arrays_of(one))
        assert found == run_fast(targets, one, settings).figures, row
        traded += found["fills"]
    assert traded
