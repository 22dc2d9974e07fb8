"""B07: Walk-forward optimisation and parallel runs (joblib, ray).

Done when: "Parameters are refitted per window, and results are identical at 1 and 4 workers"
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fieldcast.evaluation import MemoryTrialLog
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.fast import (
    FastSettings,
    ParameterSets,
    Tape,
    WalkForwardOptimisation,
    Windows,
    optimise_walk_forward,
)
from fieldcast.simulation.market import Market

pytestmark = [pytest.mark.feature("B07"), pytest.mark.slow]     # the venue's kernels take most of a minute to compile
OPEN_PARTS: tuple[str, ...] = ()
DAY_US = 86_400_000_000


def tape() -> Tape:
    rng = np.random.default_rng(3)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, 1_200))), 2)
    opened = np.round(np.concatenate((close[:1], close[:-1])) * (1.0 + rng.normal(0.0, 0.003, close.size)), 2)
    high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
    ts = np.arange(1, close.size + 1) * DAY_US
    return Tape.of(Market.of_arrays(Instrument("XNAS:WALK", Kind.EQUITY, simulated=True), ts, opened, high, low, close))


def reversal(arrays, lookback: int) -> np.ndarray:
    """Long after a fall over `lookback` bars: a strategy of one's own, in plain numpy."""
    close = arrays["close"]
    targets = np.zeros(close.size)
    targets[lookback:] = close[lookback:] < close[:-lookback]
    return targets


reversal.__module__ = "__main__"      # as in a user's script: it travels by value, a test file cannot be imported elsewhere
SETS = {
    "catalogue": ParameterSets.grid("sma_cross", {"fast": [2, 5, 10, 20], "slow": [30, 60, 100], "short": [False, True]}),
    "own": (partial(reversal), [{"lookback": n} for n in (1, 2, 5, 10, 20)]),
}


def walk(which: str, **how) -> WalkForwardOptimisation:
    return optimise_walk_forward(
        SETS[which], tape(), FastSettings(), Windows(train=300, test=100), log=MemoryTrialLog(), family="b07", **how
    )


def same(left: WalkForwardOptimisation, right: WalkForwardOptimisation) -> bool:
    return (
        left.windows.equals(right.windows)
        and left.sets.equals(right.sets)
        and np.array_equal(left.targets, right.targets)
        and np.array_equal(left.result.equity_minor, right.result.equity_minor)
        and left.result.fills.equals(right.result.fills)
        and left.trial_id == right.trial_id
        and [(t.id, t.estimate) for t in left.log.trials("b07")] == [(t.id, t.estimate) for t in right.log.trials("b07")]
    )


@pytest.mark.parametrize("which", SETS)
def test_parameters_are_refitted_in_each_window(which: str) -> None:
    windows = walk(which, workers=1).windows
    assert windows.height == 9
    assert windows["chosen"].null_count() == 0
    assert windows["chosen"].n_unique() > 1
    assert (windows["train_end"] <= windows["test_start"]).all()


@pytest.mark.parametrize("which", SETS)
def test_one_and_four_threads_give_identical_results(which: str) -> None:
    assert same(walk(which, workers=1), walk(which, workers=4, backend="threads"))


@pytest.mark.slow
@pytest.mark.parametrize("which", SETS)
def test_one_and_four_processes_give_identical_results(which: str) -> None:
    assert same(walk(which, workers=1), walk(which, workers=4, backend="processes"))


@pytest.mark.slow
@pytest.mark.parametrize("which", SETS)
def test_one_and_four_workers_of_ray_give_identical_results(which: str) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    assert same(walk(which, workers=1), walk(which, workers=4, backend="ray"))
