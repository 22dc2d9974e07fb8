"""The composer: cones, odds and reliability from what was known, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress, norm

from fieldcast.evaluation import Fold, WalkForward
from fieldcast.ground import InvalidInput
from fieldcast.models import LogHar
from fieldcast.projection.composer import FIRST_VOLATILITY_FIT, HorizonPath, compose, odds_drift, walk_volatility

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


def _compose(
    variance: np.ndarray,
    daily: np.ndarray,
    odds: np.ndarray,
    horizon: int = 1,
    drift: str = "cone",
    regressors: np.ndarray | None = None,
) -> HorizonPath:
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
        sigma=walk_volatility(variance, daily, horizon=horizon, refit=21, regressors=regressors),
        sign_odds=odds[:n],
        input_missing=np.zeros(n, dtype=np.bool_),
        data_coverage=np.ones(n),
        flat_share=1 / 3,
        drift=drift,  # type: ignore[arg-type]
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


# drift from the odds --------------------------------------------------------------------------------------------------


def _told(share: float, rows: int = 4000, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Fold]]:
    """Normal scores whose mean is `share` of what the odds say; odds, returns, sigma and folds of 100 rows."""
    random = np.random.default_rng(seed)
    said = random.normal(0.1, 0.4, rows)
    sigma = np.exp(random.normal(-4.5, 0.3, rows))
    returns = sigma * (share * said + random.standard_normal(rows))
    folds = [
        Fold(number, np.arange(first - 100), np.arange(first, first + 100)) for number, first in enumerate(range(500, rows, 100))
    ]
    return norm.cdf(said), returns, sigma, folds


@pytest.mark.parametrize(("share", "slope"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0), (3.0, 1.0), (-1.0, 0.0)])
def test_the_drift_is_what_the_odds_say_times_what_they_have_been_worth(share: float, slope: float) -> None:
    odds, returns, sigma, folds = _told(share)
    drift = odds_drift(folds, odds, returns, sigma, horizon=1)
    last = folds[-1].test
    full = norm.ppf(odds[last]) * sigma[last]       # a normal return with these odds of being above 0 has this mean
    np.testing.assert_allclose(drift[last] / full, np.full(100, slope), atol=0.08)
    assert drift[last][0] / full[0] == pytest.approx(drift[last][-1] / full[-1])        # one slope a block
    assert (drift[:500] == 0.0).all()               # no block, no drift


def test_the_slope_of_a_block_is_the_least_squares_slope_over_outcomes_known_before_it() -> None:
    odds, returns, sigma, folds = _told(0.6)
    for horizon in (1, 5):
        drift = odds_drift(folds[:3], odds, returns, sigma, horizon=horizon)
        first = folds[2].test[0]
        before = np.arange(first - horizon + 1)     # the outcome of row s is known at row s + horizon <= first
        oracle = linregress(norm.ppf(odds[before]), returns[before] / sigma[before]).slope
        assert drift[first] == pytest.approx(oracle * norm.ppf(odds[first]) * sigma[first], rel=1e-9)
        changed = returns.copy()
        changed[first - horizon + 1 :] = 0.9
        np.testing.assert_array_equal(odds_drift(folds[:3], odds, changed, sigma, horizon=horizon), drift)


def test_a_row_without_odds_has_no_drift_and_the_cone_stays_where_it_was() -> None:
    variance, daily, odds = _market()
    odds[900] = np.nan
    moved, still = _compose(variance, daily, odds, drift="odds"), _compose(variance, daily, odds)
    assert moved.drift_bps[900] == 0.0
    assert (still.drift_bps == 0.0).all()
    assert np.isfinite(moved.quantiles_bps[900]).all()
    assert (np.diff(moved.quantiles_bps[600:], axis=1) > 0).all()


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_cone_that_follows_good_odds_keeps_its_coverage_and_agrees_with_them(horizon: int) -> None:
    variance, daily, odds = _market()
    random = np.random.default_rng(9)
    said = random.normal(0.0, 0.5, ROWS)
    sigma = np.sqrt(variance)
    daily[1:] += (said * sigma)[:-1]                 # the odds of row t speak of the return to row t + 1
    odds[WARM:] = norm.cdf(said[WARM:] / np.sqrt(horizon))
    moved, still = (_compose(variance, daily, odds, horizon, drift) for drift in ("odds", "cone"))
    late = slice(700, ROWS - horizon)
    assert moved.coverage[-1] == pytest.approx([0.5, 0.75, 0.9], abs=0.05)
    assert moved.agree[late].mean() > still.agree[late].mean() + 0.2
    ahead = np.convolve(daily, np.ones(horizon))[horizon - 1 :][1:]
    assert np.corrcoef(moved.mean_bps[late], ahead[late])[0, 1] > 0.1 > np.corrcoef(still.mean_bps[late], ahead[late])[0, 1]


# regressors of sigma --------------------------------------------------------------------------------------------------


def test_regressors_that_tell_nothing_leave_sigma_alone_for_long_and_those_that_tell_much_take_over() -> None:
    variance, daily, _ = _market()
    random = np.random.default_rng(1)
    plain = walk_volatility(variance, daily, horizon=1, refit=21)
    noise = walk_volatility(variance, daily, horizon=1, refit=21, regressors=random.normal(size=(ROWS, 20)))
    assert np.mean(noise[FIRST_VOLATILITY_FIT:] == plain[FIRST_VOLATILITY_FIT:]) > 0.9
    jump = 2.0 * (random.random(ROWS) < 0.3)         # tomorrow is e times as wild, and today's column says so
    scale = np.concatenate([[1.0], np.exp(0.5 * jump[:-1])])
    variance, daily = variance * scale**2, daily * scale
    plain = walk_volatility(variance, daily, horizon=1, refit=21)
    told = walk_volatility(variance, daily, horizon=1, refit=21, regressors=jump[:, None])
    wide = LogHar().path(variance, daily, first=FIRST_VOLATILITY_FIT, horizon=1, refit=21, extra=jump)
    year = FIRST_VOLATILITY_FIT + 253                # 252 outcomes of both, known by then; then the next refit
    np.testing.assert_array_equal(told[FIRST_VOLATILITY_FIT : year - 1], plain[FIRST_VOLATILITY_FIT : year - 1])
    np.testing.assert_array_equal(told[year + 21 :], wide.sigma[year + 21 :])


def test_where_a_regressor_is_not_known_the_plain_sigma_stands() -> None:
    variance, daily, _ = _market()
    jump = 2.0 * (np.random.default_rng(2).random(ROWS) < 0.3)
    scale = np.concatenate([[1.0], np.exp(0.5 * jump[:-1])])
    variance, daily = variance * scale**2, daily * scale
    holed = jump.copy()
    holed[:300], holed[1000:1010] = np.nan, np.nan
    told = walk_volatility(variance, daily, horizon=1, refit=21, regressors=holed[:, None])
    plain = walk_volatility(variance, daily, horizon=1, refit=21)
    np.testing.assert_array_equal(told[1000:1010], plain[1000:1010])
    assert (told[1010:] != plain[1010:]).all()
    never = walk_volatility(variance, daily, horizon=1, refit=21, regressors=np.full((ROWS, 1), np.nan))
    np.testing.assert_array_equal(never, plain)
    with pytest.raises(InvalidInput, match="more than 274 rows"):
        walk_volatility(variance[:274], daily[:274], horizon=1, refit=21, regressors=holed[:274, None])


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("known", [slice(0, None, 40), slice(3, 4), slice(ROWS - 252, None)], ids=["each_40th", "one", "late"])
def test_too_few_rows_with_a_regressor_leave_the_plain_sigma(known: slice, horizon: int) -> None:
    variance, daily, _ = _market()
    sparse = np.full((ROWS, 1), np.nan)
    sparse[known] = np.random.default_rng(2).normal(size=sparse[known].shape)
    told = walk_volatility(variance, daily, horizon=horizon, refit=21, regressors=sparse)
    np.testing.assert_array_equal(told, walk_volatility(variance, daily, horizon=horizon, refit=21))


def test_a_sparse_regressor_joins_after_a_year_of_its_own_rows() -> None:
    """Known in every second row; 252 of them from row 22 on have ended at row 525, and 252 outcomes of both are known at 1028."""
    variance, daily, _ = _market()
    jump = 2.0 * (np.random.default_rng(2).random(ROWS) < 0.3)
    scale = np.concatenate([[1.0], np.exp(0.5 * jump[:-1])])
    variance, daily = variance * scale**2, daily * scale
    jump[1::2] = np.nan
    told = walk_volatility(variance, daily, horizon=1, refit=21, regressors=jump[:, None])
    plain = walk_volatility(variance, daily, horizon=1, refit=21)
    np.testing.assert_array_equal(told[:1028], plain[:1028])
    assert (told[1050::2] != plain[1050::2]).all()
    np.testing.assert_array_equal(told[1051::2], plain[1051::2])


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("cut", [733, 1111])
def test_drift_and_regressors_do_not_depend_on_later_rows(horizon: int, cut: int) -> None:
    variance, daily, odds = _market()
    jump = 2.0 * (np.random.default_rng(2).random((ROWS, 1)) < 0.3)
    whole = _compose(variance, daily, odds, horizon, "odds", jump)
    part = _compose(variance[:cut], daily[:cut], odds[:cut], horizon, "odds", jump[:cut])
    for name in ("odds", "quantiles_bps", "mean_bps", "sigma", "drift_bps", "flat_band_bps"):
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(part, name), err_msg=name)
