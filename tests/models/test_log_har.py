"""Log-HAR volatility: scale, skill, and no future."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import add_reason
from fieldcast.models import LogHar, daily_variance, qlike


def variance_of(bars: pl.DataFrame) -> np.ndarray:
    return daily_variance(bars)["variance"].to_numpy()


def test_estimators_follow_their_formulas_and_what_a_row_allows(steady: Any) -> None:
    bars = steady.bars.head(6).with_columns(add_reason("open_synthetic", pl.int_range(pl.len()) == 2))
    flat = pl.int_range(pl.len()) >= 4
    bars = bars.with_columns(pl.when(~flat).then(pl.col(c)).alias(c) for c in ("open", "high", "low"))
    found = daily_variance(bars)
    gk, parkinson, close = "garman_klass", "parkinson", "close_to_close"
    assert found["estimator"].to_list() == [gk, gk, parkinson, gk, close, close]
    o, h, low, c = (bars[name].to_list() for name in ("open", "high", "low", "close"))
    expected = 0.5 * np.log(h[1] / low[1]) ** 2 - (2 * np.log(2) - 1) * np.log(c[1] / o[1]) ** 2
    assert found["variance"][1] == pytest.approx(expected, rel=1e-12)
    assert found["variance"][2] == pytest.approx(np.log(h[2] / low[2]) ** 2 / (4 * np.log(2)), rel=1e-12)
    assert found["variance"][5] == pytest.approx(np.log(c[5] / c[4]) ** 2, rel=1e-12)


def test_a_first_row_with_a_close_only_is_unknown_and_a_still_day_has_the_floor(steady: Any) -> None:
    empty = [pl.lit(None, dtype=pl.Float64).alias(c) for c in ("open", "high", "low")]
    bars = steady.bars.head(3).with_columns(*empty, close=pl.lit(100.0))
    found = daily_variance(bars)
    assert found["variance"].to_list() == [None, 1e-8, 1e-8]
    assert found["estimator"].to_list() == [None, "close_to_close", "close_to_close"]


def test_estimators_are_near_the_true_variance(steady: Any) -> None:
    gk = variance_of(steady.bars).mean()
    parkinson = variance_of(steady.bars.with_columns(open=pl.lit(None, dtype=pl.Float64))).mean()
    truth = float(np.mean(steady.sigma**2))
    assert 0.75 < gk / truth < 1.0        # a range over 78 moments falls short of the continuous one
    assert 0.75 < parkinson / truth < 1.0


@pytest.mark.parametrize("horizon", [1, 5])
def test_scaled_returns_have_unit_variance_out_of_sample(wandering: Any, horizon: int) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    path = LogHar().path(v, r, first=800, horizon=horizon)
    close = np.log(wandering.bars["close"].to_numpy())
    z = (close[800 + horizon :] - close[800:-horizon]) / path.sigma[800:-horizon]
    assert 0.93 < z.std() < 1.07


def test_sigma_follows_the_true_volatility(wandering: Any) -> None:
    sigma = LogHar().path(variance_of(wandering.bars), wandering.ret, first=800).sigma
    truth = wandering.sigma[801:]
    assert np.corrcoef(np.log(sigma[800:-1]), np.log(truth))[0, 1] > 0.8
    constant = np.full(len(truth), np.nanvar(wandering.ret[:800]))
    assert qlike(truth**2, sigma[800:-1] ** 2) < 0.4 * qlike(truth**2, constant)


def test_coefficients_are_least_squares_on_finished_horizons(wandering: Any) -> None:
    v, r = variance_of(wandering.bars)[:500], wandering.ret[:500]
    model = LogHar().fit(v, r, horizon=5)
    L = np.log(v)
    rows = range(21, 500 - 5)
    X = np.array([[1.0, L[t], L[t - 4 : t + 1].mean(), L[t - 21 : t + 1].mean()] for t in rows])
    y = np.array([np.log(v[t + 1 : t + 6].mean()) for t in rows])
    b = np.linalg.solve(X.T @ X, X.T @ y)
    k = np.mean([r[t + 1 : t + 6].sum() ** 2 for t in rows] / np.exp(X @ b))
    assert model.rows == len(X)
    assert model.weights == pytest.approx(b, abs=1e-9)
    assert model.scale == pytest.approx(k, rel=1e-9)
    sigma = model.predict(v)
    assert np.isnan(sigma[:21]).all()
    assert sigma[21] == pytest.approx(np.sqrt(k * np.exp(X[0] @ b)), rel=1e-12)


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("cut", [801, 1000, 1779])
def test_the_path_knows_nothing_of_later_rows(wandering: Any, horizon: int, cut: int) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    whole = LogHar().path(v, r, first=800, horizon=horizon).sigma[:cut]
    truncated = LogHar().path(v[:cut], r[:cut], first=800, horizon=horizon).sigma
    assert np.array_equal(whole, truncated, equal_nan=True)


def test_each_stretch_uses_the_fit_of_its_first_row(wandering: Any) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    path = LogHar().path(v, r, first=600, horizon=5, refit=21)
    assert path.refits[:3] == (600, 621, 642)
    by_hand = LogHar().fit(v[:622], r[:622], horizon=5).predict(v)
    assert path.sigma[621:642] == pytest.approx(by_hand[621:642], rel=1e-12)


def test_a_window_forgets(wandering: Any) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    narrow = LogHar().path(v, r, first=1500, window=500)
    assert narrow.parameters[0]["rows"] == 500
    start_changed = v.copy()
    start_changed[:900] *= 5.0
    again = LogHar().path(start_changed, r, first=1500, window=500)
    assert np.array_equal(narrow.sigma[1500:], again.sigma[1500:])


def test_an_extra_regressor_that_knows_more_helps(wandering: Any) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    tomorrow = np.log(np.r_[wandering.sigma[1:], wandering.sigma[-1]])
    plain = LogHar().path(v, r, first=800).sigma[800:-1]
    told = LogHar().path(v, r, first=800, extra=tomorrow).sigma[800:-1]
    truth = wandering.sigma[801:] ** 2
    assert qlike(truth, told**2) < 0.3 * qlike(truth, plain**2)
    model = LogHar().fit(v, r, extra=tomorrow)
    with pytest.raises(InvalidInput, match="extra columns"):
        model.predict(v)


def test_unknown_rows_give_unknown_forecasts_and_are_not_learned_from(wandering: Any) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    holed = v.copy()
    holed[1000] = np.nan
    sigma = LogHar().path(holed, r, first=800).sigma
    assert np.isnan(sigma[1000:1022]).all()
    assert np.isfinite(sigma[1022:]).all()


def test_parameters_come_back(wandering: Any) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    model = LogHar().fit(v, r, horizon=5)
    again = LogHar.from_parameters(model.parameters())
    assert again.hash == model.hash
    assert np.array_equal(again.predict(v), model.predict(v), equal_nan=True)


def test_what_cannot_be_fitted_is_refused(wandering: Any) -> None:
    v, r = variance_of(wandering.bars), wandering.ret
    with pytest.raises(InvalidInput, match="at least 60"):
        LogHar().fit(v[:70], r[:70])
    with pytest.raises(InvalidInput, match="above zero"):
        LogHar().fit(np.zeros(200), r[:200])
    with pytest.raises(InvalidInput, match="returns that move"):
        LogHar().fit(v[:200], np.zeros(200))
    with pytest.raises(InvalidInput, match="returns"):
        LogHar().fit(v[:200], r[:199])
    with pytest.raises(InvalidInput, match="call fit first"):
        LogHar().predict(v)
    with pytest.raises(InvalidInput, match="first"):
        LogHar().path(v, r, first=0)


def test_qlike_is_zero_for_the_truth_and_refuses_zeros() -> None:
    assert qlike([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert qlike([1.0], [2.0]) == pytest.approx(0.5 - np.log(0.5) - 1.0)
    with pytest.raises(InvalidInput, match="positive"):
        qlike([0.0], [1.0])
    with pytest.raises(InvalidInput, match="non-empty"):
        qlike([], [])
