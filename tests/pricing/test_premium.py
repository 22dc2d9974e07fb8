"""Early-exercise premiums over strikes: the bound holds, the cubic is scipy's, and what is skipped is worth nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing import american_price, bsm_price
from fieldcast.pricing._kernels_premium import monotone_cubic, most_premium
from fieldcast.pricing.american import premium_over_strikes

values = st.floats(-1.0, 1.0).map(lambda x: round(x, 3))


@settings(deadline=None, max_examples=200)
@given(
    st.floats(0.3, 3.0), st.floats(0.005, 3.0), st.floats(0.001, 0.12), st.floats(0.0, 0.12), st.floats(0.05, 1.0)
)  # fmt: skip
def test_no_premium_exceeds_its_bound(spot: float, years: float, rate: float, carry: float, sigma: float) -> None:
    option = spot, 1.0, years, rate, carry, sigma, False
    premium = float(american_price(*option)) - float(bsm_price(*option))
    assert premium <= most_premium(spot, years, rate, carry, sigma) + 2e-8  # american_price is within 1e-8


def test_the_bound_is_small_where_a_call_without_much_dividend_is_never_exercised() -> None:
    # a call of an index fund: 1.1 % dividends against 4 %, at the money, half a year; as a put the rates change places
    assert most_premium(1.0, 0.5, 0.011, 0.04, 0.15) < 1e-12
    assert most_premium(1.0, 0.5, 0.04, 0.011, 0.15) > 1e-3


@settings(deadline=None, max_examples=100)
@given(st.lists(values, min_size=2, max_size=14))
def test_the_cubic_is_that_of_scipy(y: list[float]) -> None:
    x = np.cumsum(np.linspace(1.0, 3.0, len(y)))
    at = np.linspace(x[0], x[-1], 53)
    out = np.empty(at.size)
    monotone_cubic(x, np.array(y), at, out)
    np.testing.assert_allclose(out, PchipInterpolator(x, y)(at), atol=1e-12)


@pytest.mark.parametrize("is_call", [True, False])
def test_few_strikes_get_their_own_premium(is_call: bool) -> None:
    strike = np.array([120.0, 80.0, 100.0, 60.0, 150.0, 100.0])
    sigma = np.array([0.2, 0.3, 0.25, 0.4, 0.2, 0.35])
    option = 100.0, strike, 0.7, 0.05, 0.04, sigma, is_call
    expected = np.asarray(american_price(*option)) - np.asarray(bsm_price(*option))
    assert expected.max() > 0.05
    np.testing.assert_allclose(premium_over_strikes(*option, 14), expected, atol=3e-4)


def test_many_strikes_out_of_order_and_twice_are_read_off_the_same_curve() -> None:
    random = np.random.default_rng(5)
    strike = np.linspace(70, 140, 60)
    sigma = 0.25 - 0.001 * (strike - 100)
    ordered = premium_over_strikes(100.0, strike, 0.5, 0.05, 0.02, sigma, False, 14)
    place = random.permutation(60)
    mixed = premium_over_strikes(100.0, strike[place].copy(), 0.5, 0.05, 0.02, sigma[place].copy(), False, 14)
    np.testing.assert_array_equal(mixed, ordered[place])
    twice = premium_over_strikes(100.0, np.full(20, 110.0), 0.5, 0.05, 0.02, np.full(20, 0.3), False, 14)
    option = 100.0, 110.0, 0.5, 0.05, 0.02, 0.3, False
    np.testing.assert_allclose(twice, float(american_price(*option)) - float(bsm_price(*option)), atol=3e-4)


@pytest.mark.parametrize(("place", "value"), [(0, float("nan")), (2, -1.0), (5, float("nan"))])
def test_what_cannot_be_priced_is_refused_in_words(place: int, value: float) -> None:
    option = [100.0, np.array([90.0, 110.0]), 0.5, 0.05, 0.02, np.array([0.2, 0.2])]
    option[place] = np.array([0.2, value]) if place == 5 else value
    with pytest.raises(InvalidInput):
        premium_over_strikes(*option, False, 14)
