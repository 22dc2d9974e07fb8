"""Three-way odds and the cone's distribution function."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from fieldcast.ground import InvalidInput
from fieldcast.projection import (
    QUANTILE_LEVELS,
    compose_odds,
    cone_cdf,
    cone_mean,
    cone_odds,
    normal_quantiles,
    odds_and_cone_agree,
)

cones = st.lists(st.floats(-500, 500), min_size=7, max_size=7, unique=True).map(
    lambda values: np.sort(np.array(values)) + np.arange(7) * 0.01
)


@given(cones)
def test_the_distribution_function_passes_through_every_quantile(q: np.ndarray) -> None:
    for level, value in zip(QUANTILE_LEVELS, q, strict=True):
        assert cone_cdf(q[None], np.array([value]))[0] == pytest.approx(level, abs=1e-9)


@given(cones)
def test_it_rises_without_a_jump_from_zero_to_one(q: np.ndarray) -> None:
    width = q[-1] - q[0]
    x = np.linspace(q[0] - 3 * width, q[-1] + 3 * width, 4001)
    f = cone_cdf(np.repeat(q[None], len(x), axis=0), x)
    assert (np.diff(f) >= -1e-12).all()
    assert ((f >= 0) & (f <= 1)).all()
    for edge, level in ((q[0], 0.05), (q[-1], 0.95)):
        sides = cone_cdf(np.repeat(q[None], 2, axis=0), edge + np.array([-1e-9, 1e-9]) * max(1.0, abs(edge)))
        assert sides == pytest.approx([level, level], abs=1e-5)


def test_tails_fall_as_stated_with_the_neighbours_density() -> None:
    q = normal_quantiles(np.array([0.01]))
    step = 1e-4
    for edge, inward in ((q[0, 0], 1), (q[0, -1], -1)):
        outside = cone_cdf(q, np.array([edge]))[0] - cone_cdf(q, np.array([edge - inward * step]))[0]
        inside = cone_cdf(q, np.array([edge + inward * step]))[0] - cone_cdf(q, np.array([edge]))[0]
        assert outside == pytest.approx(inside, rel=1e-3)
    beyond = q[0, 0] - (q[0, 1] - q[0, 0])
    assert cone_cdf(q, np.array([beyond]))[0] == pytest.approx(0.05 * np.exp(-1.5))


@given(cones)
def test_the_mean_is_the_integral_of_the_quantile_function(q: np.ndarray) -> None:
    left, right = 1.5 / (q[1] - q[0]), 1.5 / (q[6] - q[5])

    def quantile(p: float) -> float:
        if p < 0.05:
            return float(q[0] + np.log(p / 0.05) / left)
        if p > 0.95:
            return float(q[6] - np.log((1 - p) / 0.05) / right)
        return float(np.interp(p, QUANTILE_LEVELS, q))

    pieces = [0.0, *QUANTILE_LEVELS, 1.0]
    total = sum(quad(quantile, a, b)[0] for a, b in pairwise(pieces))
    assert cone_mean(q[None])[0] == pytest.approx(total, abs=1e-5 * (1 + abs(total) + q[-1] - q[0]))


def test_a_normal_cone_gives_nearly_normal_odds() -> None:
    sigma = np.full(5, 0.012)
    drift = np.array([-0.004, -0.001, 0.0, 0.001, 0.004])
    band = 50.0
    odds = cone_odds(normal_quantiles(sigma, drift), band)
    assert odds[:, 0] == pytest.approx(norm.sf(0.005, drift, sigma), abs=0.02)
    assert odds[:, 2] == pytest.approx(norm.cdf(-0.005, drift, sigma), abs=0.02)
    assert odds[2, 0] == pytest.approx(odds[2, 2])


@given(cones, st.floats(0, 1), st.floats(0, 800))
def test_composed_odds_sum_to_one_and_keep_the_sign_odds(q: np.ndarray, p: float, band: float) -> None:
    up, flat, down = compose_odds(np.array([p]), q[None], band)[0]
    assert up + flat + down == pytest.approx(1.0, abs=1e-12)
    assert min(up, flat, down) >= 0
    assert flat == pytest.approx(cone_odds(q[None], band)[0, 1])
    assert up * (1 - p) == pytest.approx(down * p, abs=1e-12)


def test_no_band_leaves_the_sign_odds_and_a_wide_one_leaves_nothing() -> None:
    q = normal_quantiles(np.array([0.01, 0.01]))
    odds = compose_odds(np.array([0.6, 0.6]), q, np.array([0.0, 1e5]))
    assert odds[0] == pytest.approx([0.6, 0.0, 0.4])
    assert odds[1] == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)


def test_unknown_stays_unknown_in_its_own_row() -> None:
    q = normal_quantiles(np.array([0.01, np.nan, 0.01]))
    odds = compose_odds(np.array([0.6, 0.6, np.nan]), q, 30.0)
    assert np.isfinite(odds[0]).all()
    assert np.isnan(odds[1:]).all()
    assert odds_and_cone_agree(odds, q, 30.0).tolist() == [False, False, False]


def test_agreement_is_by_five_points_on_both_sides() -> None:
    q = normal_quantiles(np.full(4, 0.01))
    implied = cone_odds(q, 30.0)[0]
    shift = np.array([0.0, 0.049, 0.051, -0.051])
    odds = np.column_stack([implied[0] + shift, np.full(4, implied[1]), implied[2] - shift])
    assert odds_and_cone_agree(odds, q, 30.0).tolist() == [True, True, False, False]
    assert odds_and_cone_agree(odds, q, 30.0, tolerance=0.06).all()
    one_side = np.column_stack([implied[0] + shift, implied[1] - shift, np.full(4, implied[2])])
    assert odds_and_cone_agree(one_side, q, 30.0).tolist() == [True, True, False, False]


def test_senseless_input_is_refused() -> None:
    q = normal_quantiles(np.array([0.01]))
    with pytest.raises(InvalidInput, match="strictly ascending"):
        cone_cdf(q[:, ::-1], 0.0)
    with pytest.raises(InvalidInput, match="flat band"):
        cone_odds(q, -1.0)
    with pytest.raises(InvalidInput, match="sign odds"):
        compose_odds(np.array([1.2]), q, 1.0)
    with pytest.raises(InvalidInput, match="1 values"):
        cone_cdf(q, np.zeros(3))
    with pytest.raises(InvalidInput, match="levels"):
        cone_cdf(q[:, :5], 0.0)
