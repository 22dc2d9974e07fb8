"""Sweeps: exact ties, the targets of the catalogue, and the same figures whoever works."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest

from fieldcast.ground import ConfigError, InvalidInput, StrategyError
from fieldcast.simulation.fast import (
    BACKENDS,
    FIGURES,
    FastSettings,
    ParameterSets,
    Size,
    Tape,
    arrays_of,
    run_fast,
    run_rule,
    spread,
    sweep,
    sweep_targets,
)
from fieldcast.strategy.catalogue import strategy

GRIDS = {
    "buy_and_hold": {},
    "sma_cross": {"fast": [1, 3, 10], "slow": [12, 30], "short": [False, True]},
    "rsi": {"period": [2, 14], "lower": [20.0, 30.0], "upper": [55.0, 70.0]},
    "bollinger": {"period": [10, 20], "width": [0.8, 2.0]},
    "macd": {"fast": [5, 12], "slow": [20, 26], "signal": [5, 9], "short": [False, True]},
    "momentum": {"period": [1, 20], "short": [False, True]},
    "mean_reversion": {"period": [5, 20], "short": [False, True]},
}


@pytest.mark.parametrize("rule", GRIDS)
def test_a_fused_sweep_is_the_catalogues_targets_through_the_fixed_kernel(one, rule: str) -> None:
    tape = Tape.of(one(3, bars=700, sigma=0.004))
    sets = ParameterSets.grid(rule, GRIDS[rule])
    settings = FastSettings(stop=Decimal("0.05"))
    table = sweep(sets, tape, settings, workers=2)
    assert table.height == len(sets)
    for number, found in enumerate(table.select(*FIGURES).iter_rows(named=True)):
        result = run_fast(strategy(rule, **sets.rows[number]).targets(arrays_of(tape)), tape, settings)
        assert result.figures == found
        assert np.array_equal(run_rule(sets, tape, settings, number).fill_rows, result.fill_rows)


def test_ties_of_averages_are_those_of_rational_arithmetic(one) -> None:
    market = one(11, bars=3_000, sigma=0.0002)      # so quiet that averages on the grid of 0.01 are often equal
    close = [Fraction(str(price)) for price in market.close[0]]
    fast, slow = 4, 6
    above, ties = [], 0
    for t in range(market.bars):
        if t < slow - 1:
            above.append(0.0)
            continue
        quick, late = sum(close[t - fast + 1 : t + 1]) / fast, sum(close[t - slow + 1 : t + 1]) / slow
        ties += quick == late
        above.append(1.0 if quick > late else 0.0)
    assert ties > 30
    tape = Tape.of(market)
    settings = FastSettings(size=Size("units", Decimal(10)))
    exact = run_fast(np.array(above), tape, settings).figures
    found = sweep(ParameterSets.grid("sma_cross", {"fast": [fast], "slow": [slow]}), tape, settings)
    assert found["fills"].item() == exact["fills"]
    assert run_rule(ParameterSets.of("sma_cross", [{"fast": fast, "slow": slow}]), tape, settings).figures == exact
    rounded = np.convolve(market.close[0], np.ones(fast) / fast, "full")[: market.bars]
    late = np.convolve(market.close[0], np.ones(slow) / slow, "full")[: market.bars]
    naive = np.where(np.arange(market.bars) >= slow - 1, rounded > late, False).astype(float)
    assert run_fast(naive, tape, settings).figures["fills"] != exact["fills"]      # rounding decides ties there


def test_sums_beyond_2_53_are_compared_as_integers(one) -> None:
    tape = Tape.of(one(4, bars=600, sigma=0.01))
    assert tape.exact_sums(50).size == tape.length + 1
    assert tape.exact_sums(10**10).size == 0      # a product may be beyond 2^53: the kernel is handed the whole numbers
    with pytest.raises(InvalidInput, match="63 bits"):
        tape.exact_sums(10**15)
    sets = ParameterSets.grid("sma_cross", {"fast": [3, 8], "slow": [20, 40], "short": [True]})
    as_floats = sweep(sets, tape, FastSettings())
    object.__setattr__(tape, "exact_sums", lambda longest: np.empty(0))
    assert sweep(sets, tape, FastSettings()).equals(as_floats)


@pytest.mark.parametrize("scale", [1, 2**40, 2**56])
def test_the_largest_sum_is_found_also_where_whole_numbers_wrap_round(one, scale: int) -> None:
    tape = Tape.of(one(4, bars=600, sigma=0.01)).between(0, 600)
    closes = tape.closes * scale
    tape.__dict__["closes"] = closes
    true = max(abs(total) for total in accumulate(int(value) for value in closes))
    wrapped = true >= 2**63
    assert wrapped is (scale == 2**56)
    assert tape._reach == pytest.approx(float(true), rel=1e-12)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_figures_do_not_depend_on_the_number_of_threads(one, workers: int) -> None:
    tapes = [Tape.of(one(seed, bars=500)) for seed in range(2)]
    sets = ParameterSets.grid("sma_cross", {"fast": range(2, 22), "slow": range(22, 42)})
    assert len(sets) == 400
    table = sweep(sets, tapes, FastSettings(), labels=["seed 0", "seed 1"], workers=workers)
    assert table.height == 800
    assert table.equals(sweep(sets, tapes, FastSettings(), labels=["seed 0", "seed 1"], workers=1))


def breakout(arrays: dict[str, np.ndarray], lookback: int) -> np.ndarray:
    """Long while the close is the highest of `lookback` closes: a strategy of one's own in plain numpy."""
    close = arrays["close"]
    highest = np.lib.stride_tricks.sliding_window_view(close, lookback).max(axis=1)
    targets = np.zeros(close.size)
    targets[lookback - 1 :] = close[lookback - 1 :] >= highest
    return targets


breakout.__module__ = "__main__"      # as in a user's script: it travels by value, a test file cannot be imported elsewhere


@pytest.mark.slow
def test_a_strategy_of_ones_own_gives_the_same_in_one_and_in_four_processes(one) -> None:
    tape = Tape.of(one(2, bars=400))
    grid = [{"lookback": n} for n in (5, 10, 20, 40)]
    alone = sweep_targets(breakout, grid, tape, FastSettings(), workers=1)
    assert alone["lookback"].to_list() == [5, 10, 20, 40]
    assert sweep_targets(breakout, grid, tape, FastSettings(), workers=4, backend="threads").equals(alone)
    assert sweep_targets(breakout, grid, tape, FastSettings(), workers=4, backend="processes").equals(alone)


def test_what_a_strategy_raises_names_its_parameters(one) -> None:
    tape = Tape.of(one(0, bars=50))
    with pytest.raises(StrategyError, match="lookback"):
        sweep_targets(breakout, [{"lookback": 500}], tape, FastSettings())
    with pytest.raises(StrategyError, match="read-only"):
        sweep_targets(lambda arrays: arrays["close"].__setitem__(0, 1.0), [{}], tape, FastSettings())


def test_drawn_sets_depend_on_their_seed_alone() -> None:
    ranges = {"fast": range(2, 30), "slow": range(30, 60)}
    first, again, other = (ParameterSets.drawn("sma_cross", ranges, n=50, seed=seed) for seed in (1, 1, 2))
    assert first.rows == again.rows != other.rows
    assert len(first) == 50


def test_a_grid_leaves_out_what_its_order_forbids_and_refuses_what_bounds_forbid() -> None:
    sets = ParameterSets.grid("sma_cross", {"fast": [5, 10, 20], "slow": [10, 20]})
    assert [(row["fast"], row["slow"]) for row in sets.rows] == [(5, 10), (5, 20), (10, 20)]
    with pytest.raises(InvalidInput, match="sma_cross: fast"):
        ParameterSets.grid("sma_cross", {"fast": [0], "slow": [10]})
    with pytest.raises(InvalidInput, match="expected a rule out of"):
        ParameterSets.grid("crystal_ball", {})
    with pytest.raises(InvalidInput, match="at least one parameter set"):
        ParameterSets.grid("sma_cross", {"fast": [20], "slow": [10]})


def test_backends_are_named_and_ray_is_asked_for_where_it_is_missing() -> None:
    assert BACKENDS == ("threads", "processes", "ray")
    assert spread(str, [3, 1, 2], workers=2) == ["3", "1", "2"]
    with pytest.raises(ConfigError, match="backend"):
        spread(str, [1], backend="carrier pigeon")
    with pytest.raises(ConfigError, match="at least one worker"):
        spread(str, [1], workers=0)


@pytest.mark.slow
def test_ray_gives_what_one_thread_gives(one) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    tape = Tape.of(one(1, bars=300))
    sets = ParameterSets.grid("sma_cross", {"fast": range(2, 12), "slow": range(12, 32)})
    assert sweep(sets, tape, FastSettings(), workers=2, backend="ray").equals(sweep(sets, tape, FastSettings(), workers=1))
