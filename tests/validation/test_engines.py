"""The rule that keeps an engine: each clause by itself, and the interval of the coverage against a plain recomputation."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import stationary_bootstrap
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.validation.engines import Clause, Side, coverage_gain, judge_engine

N = 1000
DATES = np.datetime64("2015-01-01") + np.arange(N)


def side(rng: np.random.Generator, returns: np.ndarray, skill: float, width: float) -> Side:
    odds = 1 / (1 + np.exp(-skill * np.sign(returns) - rng.standard_normal(N)))
    return Side(odds, np.full(N, -width), np.full(N, width))


def test_a_cone_that_covers_better_keeps_an_engine_that_is_no_sharper() -> None:
    rng = np.random.default_rng(0)
    returns = rng.standard_normal(N)
    good = side(rng, returns, 0.0, 1.15)  # 75 % of a standard normal lie inside
    poor = Side(good.odds, good.low * 0.6, good.high * 0.6)
    found = judge_engine("e", ("c",), with_it=good, without=poor, returns=returns, dates=DATES)
    assert found.clauses == (Clause.COVERING,)
    assert found.log_loss.estimate == 0.0
    assert found.coverage is not None
    assert found.coverage_with == pytest.approx(np.mean(np.abs(returns) <= 1.15))
    other = judge_engine("e", ("c",), with_it=poor, without=good, returns=returns, dates=DATES)
    assert not other.kept


def test_a_better_cone_does_not_help_where_the_log_loss_is_worse() -> None:
    rng = np.random.default_rng(1)
    returns = rng.standard_normal(N)
    good, worse = side(rng, returns, 0.0, 1.15), side(rng, returns, 1.0, 0.6)
    found = judge_engine("e", ("c",), with_it=good, without=worse, returns=returns, dates=DATES)
    assert found.coverage is not None
    assert found.coverage.low > 0
    assert found.log_loss.estimate < 0
    assert not found.kept


def test_a_gain_below_the_point_is_not_enough_however_sure() -> None:
    rng = np.random.default_rng(2)
    returns = rng.standard_normal(N)
    base = 1 / (1 + np.exp(-np.sign(returns) - rng.standard_normal(N)))
    cone = np.full(N, np.nan)
    slightly = np.clip(base + 0.01 * np.sign(returns), 0.001, 0.999)
    with_it, without = Side(slightly, cone, cone), Side(base, cone, cone)
    found = judge_engine("e", ("c",), with_it=with_it, without=without, returns=returns, dates=DATES)
    assert 0 < found.auc.low < found.auc.estimate <= 0.02
    assert found.coverage is None
    assert not found.kept


def test_the_interval_of_the_coverage_is_that_of_a_plain_loop_over_the_draws() -> None:
    rng = np.random.default_rng(3)
    inside, reference = rng.random(N) < 0.74, rng.random(N) < 0.6
    found = coverage_gain(inside, reference, dates=DATES, draws=200, seed=5)
    counts = stationary_bootstrap(N, block=21, draws=200, seed=5)
    drawn = [abs(np.average(reference, weights=w) - 0.75) - abs(np.average(inside, weights=w) - 0.75) for w in counts]
    assert found.standard_error == pytest.approx(np.std(drawn, ddof=1) * (N / (N - 21)) ** 0.5, rel=1e-9)
    assert found.estimate == pytest.approx(abs(reference.mean() - 0.75) - abs(inside.mean() - 0.75))


def test_what_cannot_be_judged_is_refused() -> None:
    rng = np.random.default_rng(4)
    returns = rng.standard_normal(N)
    one = side(rng, returns, 0.0, 1.0)
    with pytest.raises(InvalidInput, match="one length"):
        judge_engine("e", ("c",), with_it=one, without=one, returns=returns[:-1], dates=DATES)
    with pytest.raises(InvalidInput, match="blocks"):
        judge_engine("e", ("c",), with_it=one, without=one, returns=returns, dates=DATES, block=5)
    silent = Side(np.full(N, np.nan), one.low, one.high)
    with pytest.raises(MissingData, match="both sides"):
        judge_engine("e", ("c",), with_it=one, without=silent, returns=returns, dates=DATES)
