"""Odds from a volatility: simulation, the limit without drift, and the strong anchor without a look ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data import read_bundled
from fieldcast.ground import InvalidInput
from fieldcast.models import (
    barrier_odds,
    daily_variance,
    exceedance_odds,
    implied_sigma,
    running_drift,
    sign_odds,
    strong_anchor,
)


def test_barrier_and_sign_odds_are_those_of_simulated_paths() -> None:
    rng = np.random.default_rng(1)
    steps, paths, sigma, drift, theta = 1000, 20_000, 0.02, 0.004, 0.015
    spread = sigma / np.sqrt(steps)
    path, high = np.zeros(paths), np.zeros(paths)
    for _ in range(steps):
        path += drift / steps + spread * rng.standard_normal(paths)
        high = np.maximum(high, path)
    # a path watched 1,000 times misses some highs: the barrier moves by .5826 steps (Broadie, Glasserman and Kou 1997)
    shifted = np.expm1(np.log1p(theta) + 0.5826 * spread)
    error = 4 * np.sqrt(0.25 / paths)
    assert np.mean(high >= np.log1p(theta)) == pytest.approx(barrier_odds([sigma], shifted, drift)[0], abs=error)
    assert np.mean(path > 0) == pytest.approx(sign_odds([sigma], drift)[0], abs=error)


@given(st.floats(1e-4, 0.5), st.floats(1e-3, 0.4))
def test_without_drift_it_is_twice_the_tail(sigma: float, theta: float) -> None:
    assert barrier_odds([sigma], theta)[0] == pytest.approx(exceedance_odds([sigma], theta)[0], rel=1e-9, abs=1e-12)
    assert sign_odds([sigma], 0.0)[0] == 0.5


def test_implied_volatility_is_scaled_by_the_root_of_time() -> None:
    np.testing.assert_allclose(implied_sigma([16.0, np.nan], 4), [0.16 * np.sqrt(4 / 252), np.nan])
    with pytest.raises(InvalidInput, match="percent"):
        implied_sigma([0.16, 0.2], 1)
    with pytest.raises(InvalidInput, match="above 0"):
        implied_sigma([0.0], 1)


def test_the_drift_is_a_running_mean_of_known_returns() -> None:
    np.testing.assert_allclose(running_drift([np.nan, 0.01, np.nan, 0.03], 2), [np.nan, 0.02, 0.02, 0.04])


def test_the_strong_anchor_does_not_look_ahead() -> None:
    bars = read_bundled("sp500")[1]
    vix = read_bundled("vix")[1].select("ts", implied="close")
    bars = bars.with_columns(day=bars["ts"].dt.date()).join(
        vix.with_columns(day=vix["ts"].dt.date()).drop("ts"), on="day", how="left", maintain_order="left"
    )
    variance = daily_variance(bars)["variance"].to_numpy()
    ret = np.r_[np.nan, np.diff(np.log(bars["close"].to_numpy()))]
    implied = bars["implied"].to_numpy()
    whole = strong_anchor(variance, ret, implied, first=3000)
    assert np.isnan(whole.event[: whole.first]).all()
    assert whole.first > np.flatnonzero(np.isfinite(implied))[0] + 126
    for cut in (4300, 4701):
        past = strong_anchor(variance[:cut], ret[:cut], implied[:cut], first=3000)
        for name in ("sigma", "drift", "event", "sign"):
            np.testing.assert_array_equal(getattr(past, name), getattr(whole, name)[:cut])
    known = np.isfinite(whole.event)
    assert known[whole.first :].mean() > 0.99


def test_an_implied_volatility_that_is_hardly_known_gives_no_anchor() -> None:
    n = 400
    rng = np.random.default_rng(1)
    implied = np.where(np.arange(n) > 350, 20.0, np.nan)
    found = strong_anchor(np.full(n, 1e-4), 0.01 * rng.normal(size=n), implied, first=100)
    assert found.first == n
    assert np.isnan(found.event).all()
    with pytest.raises(InvalidInput, match="each of 400 rows"):
        strong_anchor(np.full(n, 1e-4), np.zeros(n), implied[:50], first=100)
