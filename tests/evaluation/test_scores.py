"""Proper scores: golden vectors, identities and independent oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, mean_pinball_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from fieldcast.evaluation import (
    QUANTILE_LEVELS,
    brier,
    brier_decomposition,
    brier_rows,
    central_band,
    crps_normal,
    crps_quantiles,
    interval_score,
    log_loss,
    log_loss_decomposition,
    log_loss_rows,
    mean_interval_score,
    pinball,
    skill,
)
from fieldcast.ground import InvalidInput

PAIRS = st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(0, 1)), min_size=1, max_size=80)


@given(PAIRS)
def test_scores_equal_scikit_learn_and_their_own_rows(pairs: list[tuple[float, int]]) -> None:
    p, y = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    assert brier(p, y) == pytest.approx(brier_score_loss(y, p, labels=[0, 1]))
    assert log_loss(p, y) == pytest.approx(sklearn_log_loss(y, p, labels=[0, 1]))
    assert brier_rows(p, y).mean() == brier(p, y)
    assert log_loss_rows(p, y).mean() == log_loss(p, y)


@given(PAIRS)
def test_both_splits_add_up(pairs: list[tuple[float, int]]) -> None:
    p, y = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    for split in (brier_decomposition(p, y), brier_decomposition(np.round(p, 1), y), log_loss_decomposition(p, y)):
        assert split.score == pytest.approx(split.reliability - split.resolution + split.uncertainty, abs=1e-9)
        assert split.reliability >= -1e-9
        assert split.resolution >= -1e-9


def test_many_valued_forecasts_are_split_by_isotonic_recalibration() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(400)
    y = (rng.random(400) < p**2).astype(float)
    split = brier_decomposition(p, y)
    recalibrated = IsotonicRegression(y_min=0, y_max=1).fit_transform(p, y)
    assert split.method == "isotonic"
    assert split.reliability == pytest.approx(brier(p, y) - brier(recalibrated, y), abs=1e-12)
    assert split.uncertainty == pytest.approx(y.mean() * (1 - y.mean()))


def test_a_certain_forecast_that_is_wrong_costs_much_and_stays_finite() -> None:
    assert log_loss([0.0], [1]) == pytest.approx(-np.log(1e-12))
    assert log_loss([0.0], [0]) == 0.0


def test_skill_is_the_share_of_the_reference_loss_that_is_saved() -> None:
    assert skill(0.17, 0.25) == pytest.approx(0.32)      # the Brier skill of validation-science section 5
    assert skill(0.25, 0.25) == 0.0
    with pytest.raises(InvalidInput):
        skill(0.1, 0.0)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.875])
def test_pinball_equals_scikit_learn(level: float) -> None:
    rng = np.random.default_rng(2)
    q, y = rng.normal(size=(2, 50))
    assert pinball(q, y, level).mean() == pytest.approx(mean_pinball_loss(y, q, alpha=level))


@pytest.mark.parametrize(("mean", "sigma", "y"), [(0.0, 1.0, 0.3), (-2.0, 0.5, 1.0), (3.0, 4.0, -1.0)])
def test_normal_crps_equals_the_integral_of_its_definition(mean: float, sigma: float, y: float) -> None:
    below, _ = quad(lambda x: norm.cdf(x, mean, sigma) ** 2, -60, y)
    above, _ = quad(lambda x: norm.sf(x, mean, sigma) ** 2, y, 60)
    assert crps_normal(mean, sigma, y)[0] == pytest.approx(below + above, abs=1e-7)


def test_normal_crps_under_truth_averages_one_over_root_pi() -> None:
    y = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert crps_normal(0.0, 1.0, y).mean() == pytest.approx(0.5641896, abs=2e-4)


@pytest.mark.parametrize("y", [0.0, 1.0, 2.0])
def test_quantile_crps_approaches_the_closed_form_as_quantiles_become_many(y: float) -> None:
    levels = (np.arange(2000) + 0.5) / 2000
    found = crps_quantiles(norm.ppf(levels)[None, :], [y], levels)[0]
    assert found == pytest.approx(crps_normal(0.0, 1.0, y)[0], abs=2e-4)


def test_quantile_crps_at_equal_steps_is_twice_the_mean_pinball_loss() -> None:
    levels = np.array([0.125, 0.375, 0.625, 0.875])
    q = np.array([[-1.0, -0.3, 0.2, 1.5]])
    losses = [pinball(q[:, i], [0.7], level)[0] for i, level in enumerate(levels)]
    assert crps_quantiles(q, [0.7], levels)[0] == pytest.approx(2 * np.mean(losses))


@given(st.floats(-3, 3), st.floats(0, 3), st.floats(-6, 6), st.sampled_from([0.5, 0.75, 0.9]))
def test_interval_score_is_the_scaled_sum_of_its_two_pinball_losses(
    low: float, width: float, y: float, level: float
) -> None:
    high = low + width
    alpha = 1.0 - level
    edges = pinball([low], [y], alpha / 2)[0] + pinball([high], [y], 1 - alpha / 2)[0]
    assert interval_score([low], [high], [y], level)[0] == pytest.approx(edges * 2 / alpha, abs=1e-9)


def test_mean_interval_score_averages_the_three_bands_of_a_packet() -> None:
    q = np.array([[-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0]])
    # y = 3: outside the 50 % band by 2 and the 75 % band by 1, inside the 90 % band
    expected = ((2 + 2 / 0.5 * 2) + (4 + 2 / 0.25 * 1) + 8) / 3
    assert mean_interval_score(q, [3.0])[0] == pytest.approx(expected)
    low, high = central_band(q, 0.75)
    assert (low[0], high[0]) == (-2.0, 2.0)
    assert len(QUANTILE_LEVELS) == 7


def test_impossible_forecasts_are_refused() -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        brier([1.2], [1])
    with pytest.raises(InvalidInput, match="NaN"):
        log_loss([np.nan], [1])
    with pytest.raises(InvalidInput, match="sigma"):
        crps_normal(0.0, 0.0, 1.0)
    with pytest.raises(InvalidInput, match="cross"):
        crps_quantiles([[1.0, 0.0]], [0.5], [0.25, 0.75])
    with pytest.raises(InvalidInput, match="crossed"):
        interval_score([1.0], [0.0], [0.5], 0.9)
    with pytest.raises(InvalidInput, match="level"):
        central_band(np.zeros((1, 7)), 0.8)
