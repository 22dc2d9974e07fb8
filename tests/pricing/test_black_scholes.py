"""European prices: the published vectors, 50-digit arithmetic, parity, and the edges."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing import black76_price, bsm_price

mpmath.mp.dps = 60


def exact_price(spot: float, strike: float, years: float, rate: float, carry: float, sigma: float, is_call: bool) -> mpmath.mpf:
    s, k, t, r, q, v = (mpmath.mpf(float(x)) for x in (spot, strike, years, rate, carry, sigma))
    root = v * mpmath.sqrt(t)
    d1 = (mpmath.log(s / k) + (r - q) * t) / root + root / 2
    sign = 1 if is_call else -1
    return sign * (s * mpmath.exp(-q * t) * mpmath.ncdf(sign * d1) - k * mpmath.exp(-r * t) * mpmath.ncdf(sign * (d1 - root)))


def test_published_prices() -> None:
    """Dealer-positioning reference vector, and J. C. Hull, "Options, Futures, and Other Derivatives", example 15.6."""
    assert bsm_price(100, 100, 0.25, 0.05, 0.01, 0.2, [True, False]) == pytest.approx([4.474037, 3.481505], abs=5e-7)
    assert bsm_price(42, 40, 0.5, 0.1, 0.0, 0.2, [True, False]) == pytest.approx([4.7594, 0.8086], abs=5e-5)


def test_prices_agree_with_fifty_digits_to_the_input_s_own_rounding() -> None:
    """1e-12 relative down to 1e-60, widened only where half a unit in the last place of an input moves the price by more."""
    random = np.random.default_rng(11)
    worst = 0.0
    for _ in range(1_500):
        total = 10.0 ** random.uniform(-4.0, 0.8)
        years = 10.0 ** random.uniform(-4.0, 1.3)
        rate, carry = random.uniform(-0.05, 0.12, 2)
        strike = 10.0 ** random.uniform(-2.0, 4.0)
        depth = random.uniform(-12.0, 12.0)
        spot = strike * np.exp(depth * total - (rate - carry) * years)
        sigma = total / np.sqrt(years)
        is_call = bool(random.random() < 0.5)
        exact = exact_price(spot, strike, years, rate, carry, sigma, is_call)
        ours = float(bsm_price(spot, strike, years, rate, carry, sigma, is_call))
        out_of_the_money = (depth < 0.0) == is_call
        # d log V / d log input is about d^2 + |d| / s out of the money
        condition = (depth**2 + abs(depth) / total + 1.0 / total) if out_of_the_money else 1.0 / max(total, abs(depth) * total)
        allowed = max(1e-12, 2e-15 * condition)
        error = abs(float(mpmath.mpf(ours) / exact - 1))
        worst = max(worst, error / allowed)
    assert worst < 1.0


def test_black76_is_black_scholes_on_the_forward() -> None:
    random = np.random.default_rng(3)
    spot, strike = random.uniform(50, 150, (2, 500))
    years, rate, carry, sigma = random.uniform([[0.01], [-0.02], [-0.02], [0.05]], [[3.0], [0.1], [0.1], [0.9]], (4, 500))
    is_call = random.random(500) < 0.5
    forward, discount = spot * np.exp((rate - carry) * years), np.exp(-rate * years)
    ours = black76_price(forward, strike, years, discount, sigma, is_call)
    assert ours == pytest.approx(bsm_price(spot, strike, years, rate, carry, sigma, is_call), rel=1e-11, abs=1e-13)


options = st.tuples(
    st.floats(1e-3, 1e5),
    st.floats(1e-3, 1e5),
    st.floats(0.0, 30.0),
    st.floats(-0.2, 0.5),
    st.floats(-0.2, 0.5),
    st.floats(0.0, 5.0),
)


@given(options)
def test_put_call_parity_and_bounds(option: tuple[float, ...]) -> None:
    spot, strike, years, rate, carry, _ = option
    call, put = bsm_price(*option, [True, False])
    a, b = spot * np.exp(-carry * years), strike * np.exp(-rate * years)
    assert call - put == pytest.approx(a - b, abs=4e-15 * (a + b))
    assert max(0.0, a - b) <= call * (1 + 1e-14) + 1e-14 * a
    assert call <= a * (1 + 1e-14)
    assert 0.0 <= put <= b * (1 + 1e-14)


def test_no_time_or_no_volatility_gives_the_discounted_payoff() -> None:
    spots = np.array([90.0, 100.0, 110.0])
    assert bsm_price(spots, 100, 0.0, 0.05, 0.02, 0.3, True).tolist() == [0.0, 0.0, 10.0]
    assert bsm_price(spots, 100, 0.0, 0.05, 0.02, 0.3, False).tolist() == [10.0, 0.0, 0.0]
    forward = spots * np.exp(-0.02) - 100 * np.exp(-0.05)
    assert bsm_price(spots, 100, 1.0, 0.05, 0.02, 0.0, True) == pytest.approx(np.maximum(forward, 0.0))
    assert black76_price(110.0, 100.0, 0.0, 0.97, 0.2, True) == pytest.approx(9.7)


def test_shapes_broadcast_and_scalars_stay_scalars() -> None:
    assert bsm_price(100.0, 100.0, 1.0, 0.0, 0.0, 0.2, True).shape == ()
    grid = bsm_price(np.linspace(80, 120, 5)[:, None], np.linspace(90, 110, 3), 1.0, 0.01, 0.0, 0.2, [True, False, True])
    assert grid.shape == (5, 3)
    assert grid[2, 1] == bsm_price(100, 100, 1.0, 0.01, 0.0, 0.2, False)
    assert bsm_price(np.empty(0), 100.0, 1.0, 0.0, 0.0, 0.2, True).shape == (0,)


def test_threads_change_nothing() -> None:
    spot = np.linspace(50, 150, 60_001)
    whole = bsm_price(spot, 100, 1.0, 0.03, 0.01, 0.2, True)
    assert (whole[::7_001] == bsm_price(spot[::7_001], 100, 1.0, 0.03, 0.01, 0.2, True)).all()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, np.nan, "spot"), (0, 0.0, "above 0"), (1, -5.0, "strike"), (1, np.inf, "strike"), (2, -0.1, "years"),
        (3, np.nan, "rate"),
        (4, -np.inf, "dividend_yield"), (5, -0.2, "sigma"), (5, np.nan, "sigma"), (3, 5e4, "per cent"), (0, "100", "numbers"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_by_name(place: int, value: object, words: str) -> None:
    arguments: list[object] = [np.array([100.0, 101.0]), 100.0, 1.0, 0.0, 0.0, 0.2]
    arguments[place] = value
    with pytest.raises(InvalidInput, match=words):
        bsm_price(*arguments, True)  # type: ignore[arg-type]


def test_the_kind_of_an_option_must_be_boolean_and_shapes_must_fit() -> None:
    with pytest.raises(InvalidInput, match="is_call"):
        bsm_price(100, 100, 1.0, 0.0, 0.0, 0.2, "C")
    with pytest.raises(InvalidInput, match="is_call"):
        bsm_price(100, 100, 1.0, 0.0, 0.0, 0.2, 1)
    with pytest.raises(InvalidInput, match="broadcast"):
        bsm_price(np.ones(3), np.ones(4), 1.0, 0.0, 0.0, 0.2, True)
    with pytest.raises(InvalidInput, match="discount"):
        black76_price(100, 100, 1.0, 0.0, 0.2, True)
