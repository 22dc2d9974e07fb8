"""The composer: cones, odds and reliability from what was known, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import WalkForward
from fieldcast.projection.composer import HorizonPath, compose, walk_volatility

ROWS, WARM = 1200, 500


def _market(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Daily variance (noisy), log returns close(t-1) → close(t), and sign odds."""
    random = np.random.default_rng(seed)
    log_sigma = np.zeros(ROWS)
    for t in range(1, ROWS):
        log_sigma[t] = 0.97 * log_sigma[t - 1] + 0.1 * random.normal()
    sigma = 0.01 * np.exp(log_sigma)
    daily = sigma * random.normal(size=ROWS)
    variance = sigma**2 * random.chisquare(8, ROWS) / 8
    odds = np.full(ROWS, np.nan)
    odds[WARM:] = 0.5 + 0.05 * np.tanh(random.normal(size=ROWS - WARM))
    return variance, daily, odds


def _compose(variance: np.ndarray, daily: np.ndarray, odds: np.ndarray, horizon: int = 1) -> HorizonPath:
    n = len(daily)
    ahead = np.full(n, np.nan)
    cumulative = np.cumsum(daily)
    ahead[: n - horizon] = cumulative[horizon:] - cumulative[: n - horizon]
    decision = np.datetime64("2010-01-04T21:30", "us") + np.arange(n) * np.timedelta64(86_400_000_000, "us")
    end = np.full(n, np.datetime64("NaT", "us"))
    end[: n - horizon] = decision[horizon:] - np.timedelta64(30, "m")
    return compose(
        horizon=horizon,
        folds=WalkForward(initial=WARM, test=21, step=21).split(decision, end, 0),
        returns=ahead,
        sigma=walk_volatility(variance, daily, horizon=horizon, refit=21),
        sign_odds=odds[:n],
        input_missing=np.zeros(n, dtype=np.bool_),
        data_coverage=np.ones(n),
        flat_share=1 / 3,
    )


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("cut", [733, 900, 1111])
def test_projections_up_to_a_row_do_not_depend_on_later_rows(horizon: int, cut: int) -> None:
    variance, daily, odds = _market()
    whole = _compose(variance, daily, odds, horizon)
    part = _compose(variance[:cut], daily[:cut], odds[:cut], horizon)
    for name in ("odds", "quantiles_bps", "flat_band_bps", "mean_bps", "sigma", "coverage", "scored", "agree"):
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(part, name), err_msg=name)
    np.testing.assert_array_equal(whole.reliability.value[:cut], part.reliability.value)


def test_about_a_third_of_outcomes_is_flat() -> None:
    variance, daily, odds = _market()
    path = _compose(variance, daily, odds)
    known = path.known.copy()
    known[-1] = False
    flat = np.abs(1e4 * daily[1:][known[:-1]]) <= path.flat_band_bps[:-1][known[:-1]]
    assert 0.27 < flat.mean() < 0.40
    np.testing.assert_allclose(path.odds[known].sum(axis=1), 1.0, atol=1e-12)


def test_the_sign_odds_come_through_unchanged() -> None:
    path = _compose(*_market())
    known = path.known
    implied = path.odds[known, 0] / (path.odds[known, 0] + path.odds[known, 2])
    np.testing.assert_allclose(implied, path.sign_odds[known], atol=1e-12)


def test_reliability_grows_with_the_sample_and_never_leaves_zero_to_one() -> None:
    path = _compose(*_market())
    value = path.reliability.value[path.known]
    assert (value >= 0).all()
    assert (value <= 1).all()
    assert path.reliability.sample[-1] > path.reliability.sample[WARM + 100] > 0


def test_measured_coverage_counts_only_outcomes_that_have_ended() -> None:
    variance, daily, odds = _market()
    path = _compose(variance, daily, odds, horizon=5)
    assert path.scored[WARM + 4] == 0
    assert path.scored[WARM + 5] == 1
    at = WARM + 300
    low, high = path.cone.band(0.90)
    rows = np.arange(WARM, at - 5 + 1)
    ahead = np.array([daily[s + 1 : s + 6].sum() for s in rows])
    inside = (1e4 * ahead >= low[rows]) & (1e4 * ahead <= high[rows])
    assert path.coverage[at, 2] == pytest.approx(inside.mean(), abs=1e-12)
