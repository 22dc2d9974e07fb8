"""The expected move by its named conventions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import CONVENTIONS, expected_move


@pytest.mark.parametrize(
    ("convention", "wanted"),
    [("one_sigma", 1.0), ("central_50", norm.ppf(0.75)), ("central_75", norm.ppf(0.875)), ("central_90", norm.ppf(0.95)),
     ("mean_absolute", np.sqrt(2 / np.pi))],
)  # fmt: skip
def test_each_convention_is_its_multiple_of_sigma(convention: str, wanted: float) -> None:
    cone = expected_move([50.0, 100.0, np.nan], [0.01, 0.02, 0.02], horizon=1, convention=convention)  # type: ignore[arg-type]
    np.testing.assert_allclose(cone.half_width_bps, 1e4 * wanted * np.array([0.01, 0.02, 0.02]))
    np.testing.assert_allclose(np.log(cone.high / cone.low)[:2], 2 * wanted * np.array([0.01, 0.02]))
    assert np.isnan(cone.low[2])
    assert cone.convention == convention
    assert convention in CONVENTIONS


def test_the_shares_are_those_of_a_normal() -> None:
    z = 0.013 * np.random.default_rng(1).standard_normal(200_000)
    shares = {"one_sigma": 0.6827, "central_50": 0.5, "central_75": 0.75, "central_90": 0.9}
    for convention, share in shares.items():
        half = expected_move(1.0, 0.013, horizon=1, convention=convention).half_width_bps  # type: ignore[arg-type]
        assert np.mean(1e4 * np.abs(z) <= half) == pytest.approx(share, abs=0.005)
    mean = expected_move(1.0, 0.013, horizon=1, convention="mean_absolute").half_width_bps
    assert np.mean(1e4 * np.abs(z)) == pytest.approx(float(mean), rel=0.01)


def test_the_mean_absolute_move_is_an_at_the_money_straddle() -> None:
    sigma, price = 0.05, 100.0
    straddle = 2 * price * (2 * norm.cdf(0.5 * sigma) - 1)      # Black-Scholes call + put at the money, no carry: 2 (2N(s/2) - 1)
    move = expected_move(price, sigma, horizon=21, convention="mean_absolute")
    assert price * float(move.half_width_bps) / 1e4 == pytest.approx(straddle, rel=1e-3)


def test_no_convention_is_assumed() -> None:
    with pytest.raises(TypeError):
        expected_move(100.0, 0.01, horizon=1)  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="convention out of"):
        expected_move(100.0, 0.01, horizon=1, convention="two_sigma")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="one shape"):
        expected_move([100.0, 101.0], 0.01, horizon=1, convention="one_sigma")
    with pytest.raises(InvalidInput, match="positive finite"):
        expected_move(100.0, 0.0, horizon=1, convention="one_sigma")
