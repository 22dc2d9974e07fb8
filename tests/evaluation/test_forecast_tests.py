"""Diebold-Mariano and Giacomini-White against formulas written out, statsmodels, and their size on a true null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, t
from statsmodels.regression.linear_model import OLS

from fieldcast.evaluation import diebold_mariano, giacomini_white
from fieldcast.ground import InvalidInput, MissingData


def _losses(seed: int, n: int = 200, horizon: int = 1, edge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Losses whose difference is a moving average of `horizon` shocks: autocovariances of h-step errors."""
    shocks = np.random.default_rng(seed).normal(size=n + horizon - 1)
    difference = np.convolve(shocks, np.ones(horizon), "valid") + edge
    base = np.random.default_rng(seed + 1).random(n)
    return base + difference, base


@pytest.mark.parametrize("horizon", [1, 3, 5])
def test_the_statistic_written_out(horizon: int) -> None:
    a, b = _losses(1, horizon=horizon, edge=0.1)
    d = a - b
    n, mean = len(d), d.mean()
    variance = np.mean((d - mean) ** 2)
    for k in range(1, horizon):
        variance += 2 * sum((d[i] - mean) * (d[i - k] - mean) for i in range(k, n)) / n
    raw = mean / (variance / n) ** 0.5
    statistic = raw * ((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n) ** 0.5
    found = diebold_mariano(a, b, horizon=horizon)
    assert found.statistic == pytest.approx(statistic, rel=1e-10)
    assert found.p_value == pytest.approx(2 * t.sf(abs(statistic), n - 1), rel=1e-8)
    assert diebold_mariano(a, b, horizon=horizon, alternative="greater").p_value == pytest.approx(t.sf(statistic, n - 1))
    assert diebold_mariano(b, a, horizon=horizon).statistic == pytest.approx(-statistic)


def test_at_one_step_it_is_a_t_test() -> None:
    from scipy.stats import ttest_1samp

    a, b = _losses(2, edge=0.2)
    assert diebold_mariano(a, b).statistic == pytest.approx(ttest_1samp(a - b, 0.0).statistic, rel=1e-10)


def test_a_variance_that_is_not_positive_is_replaced_and_not_rooted() -> None:
    d = np.tile([1.0, -1.0], 50) + 0.01 * np.arange(100) / 100
    found = diebold_mariano(d, np.zeros(100), horizon=2)  # c0 + 2 c1 is below zero
    centred = d - d.mean()
    bartlett = centred @ centred / 100 + centred[1:] @ centred[:-1] / 100
    assert bartlett > 0 > centred @ centred + 2 * centred[1:] @ centred[:-1]
    factor = ((100 + 1 - 4 + 2 / 100) / 100) ** 0.5
    assert found.statistic == pytest.approx(d.mean() / (bartlett / 100) ** 0.5 * factor, rel=1e-9)


def test_the_smallest_p_values_are_not_rounded_to_zero() -> None:
    a, b = _losses(7, edge=2.0)
    up, down = diebold_mariano(a, b), diebold_mariano(b, a)
    assert up.p_value == pytest.approx(2 * t.sf(up.statistic, 199), rel=1e-8)
    assert 0.0 < up.p_value == down.p_value < 1e-16
    assert diebold_mariano(a, b, alternative="greater").p_value == pytest.approx(up.p_value / 2)


def test_giacomini_white_is_n_times_r_squared_at_one_step() -> None:
    a, b = _losses(3, edge=0.1)
    d = a - b
    z = np.column_stack((np.ones(d.size - 1), d[:-1])) * d[1:, None]
    ones = np.ones(d.size - 1)
    r_squared = 1.0 - OLS(ones, z).fit().ssr / ones.size
    found = giacomini_white(a, b)
    assert found.statistic == pytest.approx(ones.size * r_squared, rel=1e-9)
    assert found.p_value == pytest.approx(chi2.sf(found.statistic, 2), rel=1e-9)


def test_giacomini_white_sees_what_diebold_mariano_cannot() -> None:
    rng = np.random.default_rng(4)
    regime = rng.choice([-1.0, 1.0], 500)  # known beforehand: a is better in one half of the time, b in the other
    a, b = rng.normal(size=500) + 0.4 * regime, rng.normal(size=500)
    assert diebold_mariano(a, b).p_value > 0.05
    assert giacomini_white(a, b, instruments=np.column_stack((np.ones(500), regime))).p_value < 0.001


@pytest.mark.parametrize("horizon", [1, 4])
def test_both_reject_a_true_null_about_as_often_as_they_say(horizon: int) -> None:
    pairs = [_losses(1000 + 2 * seed, n=300, horizon=horizon) for seed in range(1000)]
    dm = np.mean([diebold_mariano(a, b, horizon=horizon).p_value <= 0.05 for a, b in pairs])
    gw = np.mean([giacomini_white(a, b, horizon=horizon).p_value <= 0.05 for a, b in pairs])
    assert 0.03 <= dm <= 0.08
    assert 0.02 <= gw <= 0.08


def test_a_panel_is_one_series_of_dates() -> None:
    a, b = _losses(5)
    dates = np.datetime64("2020-01-01") + np.arange(200)
    once = diebold_mariano(a, b)
    panel = diebold_mariano(np.tile(a, 7), np.tile(b, 7), dates=np.tile(dates, 7))
    assert panel.statistic == pytest.approx(once.statistic, rel=1e-9)
    assert (panel.n, panel.dates) == (1400, 200)


def test_what_cannot_be_tested_is_refused() -> None:
    a, b = _losses(6)
    with pytest.raises(MissingData, match="30 dates"):
        diebold_mariano(a[:20], b[:20])
    with pytest.raises(MissingData, match="never does"):
        diebold_mariano(a, a)
    with pytest.raises(MissingData, match="never does"):
        giacomini_white(a + 1.0, a)
    with pytest.raises(InvalidInput, match="horizon"):
        diebold_mariano(a, b, horizon=0)
    with pytest.raises(InvalidInput, match="alternative"):
        diebold_mariano(a, b, alternative="other")
    with pytest.raises(MissingData, match="of their own"):
        giacomini_white(a, b, instruments=np.ones((200, 2)))
