"""Sharpe inference: the published vector, its parts, effective trials."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.evaluation import (
    SharpeMoments,
    deflated_sharpe,
    effective_trials,
    expected_best_sharpe,
    min_track_record,
    probabilistic_sharpe,
    sharpe_moments,
    trial_correlations,
)
from fieldcast.ground import InvalidInput, MissingData

# Bailey and Lopez de Prado (2014): Sharpe 2.5 a year over 1,250 days, skew -3, kurtosis 10, variance 1/2 a year
PUBLISHED = SharpeMoments(sharpe=2.5 / 250**0.5, n=1250, skew=-3.0, kurtosis=10.0)
VARIANCE = 0.5 / 250


def test_published_vector() -> None:
    assert expected_best_sharpe(VARIANCE, 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PUBLISHED, VARIANCE, 100) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PUBLISHED, VARIANCE, 46) == pytest.approx(0.9505, abs=5e-5)
    normal = SharpeMoments(PUBLISHED.sharpe, 1250, 0.0, 3.0)
    assert deflated_sharpe(normal, VARIANCE, 88) == pytest.approx(0.9505, abs=5e-5)


def test_excess_kurtosis_in_place_of_raw_kurtosis_is_refused_where_it_can_be_seen() -> None:
    # the slip of two well-known libraries: 10 - 3 = 7 with skew -3 is no kurtosis that can exist
    with pytest.raises(InvalidInput, match="raw kurtosis"):
        deflated_sharpe(SharpeMoments(PUBLISHED.sharpe, 1250, -3.0, 7.0), VARIANCE, 100)


# validation-science section 3: the approximation of E[max] of N normals
@pytest.mark.parametrize(("n", "expected"), [(2, 0.5198), (10, 1.5746), (100, 2.5306), (1_000_000, 4.8679)])
def test_expected_best_of_n_normals(n: int, expected: float) -> None:
    assert expected_best_sharpe(1.0, n) == pytest.approx(expected, abs=5e-5)


@given(st.floats(1.0, 1e4), st.floats(1.0, 1e4), st.floats(0.0, 2.0))
def test_more_trials_never_deflate_less(a: float, b: float, variance: float) -> None:
    low, high = sorted((a, b))
    assert 0.0 <= expected_best_sharpe(variance, low) <= expected_best_sharpe(variance, high) + 1e-12
    assert deflated_sharpe(PUBLISHED, variance, low) >= deflated_sharpe(PUBLISHED, variance, high) - 1e-12


def test_a_single_trial_is_not_deflated() -> None:
    assert expected_best_sharpe(0.3, 1) == 0.0
    assert deflated_sharpe(PUBLISHED, 0.3, 1) == probabilistic_sharpe(PUBLISHED)
    with pytest.raises(InvalidInput):
        expected_best_sharpe(0.3, 0.5)


@given(st.floats(0.01, 0.5), st.floats(-2, 2), st.floats(0.0, 8.0), st.floats(0.6, 0.99))
def test_probabilistic_sharpe_reaches_its_confidence_at_the_minimum_track_record(
    sharpe: float, skew: float, extra: float, confidence: float
) -> None:
    moments = SharpeMoments(sharpe, 100, skew, skew**2 + 1.5 + extra)
    length = min_track_record(moments, confidence=confidence)
    factor = math.sqrt(1 - skew * sharpe + (moments.kurtosis - 1) / 4 * sharpe**2)
    z = sharpe * math.sqrt(length - 1) / factor
    assert scipy.stats.norm.cdf(z) == pytest.approx(confidence, abs=1e-9)


def test_a_sharpe_ratio_not_above_its_benchmark_never_has_record_enough() -> None:
    assert min_track_record(SharpeMoments(0.05, 100, 0.0, 3.0), benchmark=0.05) == math.inf


def test_moments_equal_scipy() -> None:
    returns = np.random.default_rng(0).standard_t(5, 1000) * 0.01 + 0.0005
    found = sharpe_moments(returns)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.skew == pytest.approx(scipy.stats.skew(returns))
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(returns, fisher=False))
    assert found.annual() == pytest.approx(found.sharpe * 252**0.5)
    for constant in ([0.01, 0.01, 0.01], [0.02]):
        with pytest.raises(MissingData, match="vary"):
            sharpe_moments(constant)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_effective_trials_equal_the_eigenvalue_ratio_and_lie_between_one_and_n(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    correlation = np.atleast_2d(np.corrcoef(rng.normal(size=(n, 50)) + 0.7 * rng.normal(size=50)))
    eigenvalues = np.linalg.eigvalsh(correlation)
    found = effective_trials(correlation)
    assert found == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    assert 1.0 <= found <= n


def test_effective_trials_of_the_extremes() -> None:
    assert effective_trials(np.eye(7)) == 7.0
    assert effective_trials(np.ones((7, 7))) == 1.0
    assert effective_trials(np.kron(np.eye(2), np.ones((3, 3)))) == pytest.approx(2.0)
    for wrong in (np.ones((2, 3)), np.array([[1.0, 0.5], [0.2, 1.0]]), np.array([[2.0]])):
        with pytest.raises(InvalidInput):
            effective_trials(wrong)


def test_correlations_use_the_dates_that_two_series_share() -> None:
    rng = np.random.default_rng(1)
    dates = np.datetime64("2020-01-01") + np.arange(200) * np.timedelta64(1, "D")
    values = rng.normal(size=200)
    found = trial_correlations(
        [(dates, values), (dates[50:], -2.0 * values[50:]), (dates[:10], values[:10]), (dates, np.zeros(200))]
    )
    assert found[0, 1] == pytest.approx(-1.0)
    assert found[0, 2] == 0.0      # ten shared dates are too few to tell
    assert found[0, 3] == 0.0      # a series that does not move
    np.testing.assert_array_equal(found, found.T)
