"""Implied volatility: round trips at the precision that prices hold, 50-digit and QuantLib oracles, and every status."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing import ImpliedStatus, black76_greeks, black76_price, bsm_price, implied_volatility
from fieldcast.pricing._kernels import log_ratio, normalised_black

EPSILON = 2.220446049250313e-16


def resolvable(forward: object, strike: object, total: np.ndarray, is_call: object) -> np.ndarray:
    """What half a unit in the last place of the price, and of the volatility itself, comes to in volatility."""
    g = black76_greeks(forward, strike, 1.0, 1.0, total, is_call)  # type: ignore[arg-type]
    with np.errstate(divide="ignore"):
        return EPSILON * (g.price / g.vega + total)


def test_round_trip_over_a_huge_grid() -> None:
    """Total volatility 1e-6 to 10, up to 30 deviations out of the money: within sixteen roundings of what the price holds."""
    total = np.geomspace(1e-6, 10.0, 401)[:, None]
    depth = np.concatenate([np.linspace(-30.0, 30.0, 121), [1e-12, -1e-12, 1e-6, -1e-6]])
    x = depth * total
    fits = np.abs(x) < 600.0
    total, x = np.broadcast_to(total, x.shape)[fits], x[fits]
    forward, strike = np.exp(0.5 * x), np.exp(-0.5 * x)
    is_call = x < 0.0
    price = np.array(
        [
            np.sqrt(f) * np.sqrt(k) * normalised_black(-abs(log_ratio(f, k)), s)
            for f, k, s in zip(forward, strike, total, strict=True)
        ]
    )
    public = black76_price(forward, strike, 1.0, 1.0, total, is_call)
    known = price > 1e-290
    assert np.max(np.abs(public / price - 1.0)[known]) < 3e-13  # of which 30 deviations make two thirds: d^2 roundings
    sigma, status = implied_volatility(price[known], forward[known], strike[known], 1.0, 1.0, is_call[known])
    assert known.mean() > 0.95
    assert (status == ImpliedStatus.ok).all()
    allowed = resolvable(forward[known], strike[known], total[known], is_call[known])
    assert np.max(np.abs(sigma - total[known]) / allowed) < 16.0


def test_prices_in_fifty_digits_come_back_as_their_volatility() -> None:
    """The price is not ours: rounded from 50 digits, so a common error of price and inverse would show."""
    random = np.random.default_rng(2)
    with mpmath.workdps(50):
        for _ in range(400):
            total = 10.0 ** random.uniform(-5.0, 0.9)
            strike = float(np.exp(random.uniform(-9.0, 9.0) * total))
            x, s = -mpmath.log(mpmath.mpf(strike)), mpmath.mpf(float(total))
            sign = 1 if strike >= 1.0 else -1
            price = sign * (mpmath.ncdf(sign * (x / s + s / 2)) - mpmath.mpf(strike) * mpmath.ncdf(sign * (x / s - s / 2)))
            sigma, status = implied_volatility(float(price), 1.0, strike, 1.0, 1.0, sign > 0)
            assert status == ImpliedStatus.ok
            d = float(x / s)
            # a rounding of log(F/K), of relative size EPSILON, moves sigma by as much again
            allowed = float(resolvable(1.0, strike, np.array(total), sign > 0)) + EPSILON * (total + abs(d) * total)
            assert abs(float(sigma) - total) <= 8.0 * allowed, (total, strike)


def test_the_oracle_agrees() -> None:
    """QuantLib's own solver for Black's formula."""
    random = np.random.default_rng(8)
    for _ in range(300):
        sigma, years = random.uniform(0.05, 1.0), random.uniform(0.05, 3.0)
        strike = 100.0 * np.exp(random.uniform(-2.0, 2.0) * sigma * np.sqrt(years))
        kind, is_call = (QuantLib.Option.Call, True) if strike > 100.0 else (QuantLib.Option.Put, False)
        price = QuantLib.blackFormula(kind, strike, 100.0, sigma * np.sqrt(years), 0.97)
        theirs = QuantLib.blackFormulaImpliedStdDev(kind, strike, 100.0, price, 0.97, 0.0, 0.2, 1e-14, 1000) / np.sqrt(years)
        ours, status = implied_volatility(price, 100.0, strike, years, 0.97, is_call)
        assert status == ImpliedStatus.ok
        assert ours == pytest.approx(sigma, rel=1e-12)
        assert ours == pytest.approx(theirs, rel=1e-8)
        assert black76_price(100.0, strike, years, 0.97, sigma, is_call) == pytest.approx(price, rel=1e-12)


def test_published_vector() -> None:
    """Dealer-positioning reference: call 4.474037 and put 3.481505 are 20 % volatility."""
    forward, discount = 100.0 * np.exp(0.04 * 0.25), np.exp(-0.05 * 0.25)
    sigma, _ = implied_volatility([4.474037, 3.481505], forward, 100.0, 0.25, discount, [True, False])
    assert sigma == pytest.approx([0.2, 0.2], abs=5e-8)


@given(st.floats(-8.0, 8.0), st.floats(-6.0, 1.0), st.floats(0.001, 20.0), st.floats(0.1, 1.5), st.booleans())
def test_round_trip_of_either_kind(depth: float, power: float, years: float, discount: float, is_call: bool) -> None:
    """In the money too: what remains of the time value beside the intrinsic value sets the precision, or there is a status."""
    total = 10.0**power
    sigma = total / np.sqrt(years)
    forward, strike = 100.0, 100.0 * float(np.exp(np.clip(depth * total, -300.0, 300.0)))
    price = black76_price(forward, strike, years, discount, sigma, is_call)
    back, status = implied_volatility(price, forward, strike, years, discount, is_call)
    g = black76_greeks(forward, strike, years, discount, sigma, is_call)
    if status == ImpliedStatus.ok:
        resolution = EPSILON * (g.price / g.vega + sigma)
        time_value = g.price - max(0.0, discount * (forward - strike) * (1 if is_call else -1))
        gap = discount * (forward if is_call else strike) - g.price
        if min(time_value, gap) > 1e4 * EPSILON * g.price:  # else the price holds no four digits
            assert abs(back - sigma) < 20.0 * resolution
    elif status == ImpliedStatus.at_intrinsic:
        assert g.price - max(0.0, discount * (forward - strike) * (1 if is_call else -1)) <= 8.0 * EPSILON * g.price
    else:
        assert status == ImpliedStatus.above_maximum
        assert g.price >= discount * (forward if is_call else strike) * (1.0 - 4.0 * EPSILON)


def test_every_status_and_nan_exactly_where_there_is_no_answer() -> None:
    cases = [
        (5.0, 100.0, 100.0, 0.5, 1.0, True, ImpliedStatus.ok),
        (9.0, 110.0, 100.0, 0.5, 1.0, True, ImpliedStatus.below_intrinsic),
        (-1e-9, 90.0, 100.0, 0.5, 1.0, True, ImpliedStatus.below_intrinsic),
        (100.0, 100.0, 90.0, 0.5, 1.0, True, ImpliedStatus.above_maximum),
        (np.inf, 100.0, 90.0, 0.5, 1.0, True, ImpliedStatus.above_maximum),
        (81.0, 100.0, 90.0, 0.5, 0.9, False, ImpliedStatus.above_maximum),
        (10.0, 110.0, 100.0, 0.5, 1.0, True, ImpliedStatus.at_intrinsic),
        (0.0, 90.0, 100.0, 0.5, 1.0, True, ImpliedStatus.at_intrinsic),
        (5.0, 100.0, 100.0, 0.0, 1.0, True, ImpliedStatus.expired),
        (np.nan, 100.0, 100.0, 0.5, 1.0, True, ImpliedStatus.not_a_number),
        (5.0, np.nan, 100.0, 0.5, 1.0, True, ImpliedStatus.not_a_number),
        (1e-300, 90.0, 100.0, 0.5, 1.0, True, ImpliedStatus.ok),
        (5e-324, 90.0, 100.0, 0.5, 1.0, True, ImpliedStatus.ok),
        (99.999999, 100.0, 90.0, 0.5, 1.0, True, ImpliedStatus.ok),
    ]
    *columns, expected = (np.array(c) for c in zip(*cases, strict=True))
    sigma, status = implied_volatility(*columns)
    assert status.tolist() == expected.tolist()
    assert (np.isnan(sigma) == (status != ImpliedStatus.ok)).all()
    assert (sigma[status == ImpliedStatus.ok] > 0.0).all()


def test_ordinary_options_leave_no_nan_and_no_zero() -> None:
    """The set on which published solvers lose hundreds: every price with time value left has its volatility."""
    random = np.random.default_rng(0)
    n = 200_000
    spot, years = 100.0 * np.exp(random.normal(0.0, 0.2, n)), random.uniform(0.01, 2.0, n)
    truth, is_call = random.uniform(0.1, 0.6, n), random.random(n) < 0.5
    price = bsm_price(spot, 100.0, years, 0.03, 0.01, truth, is_call)
    forward, discount = spot * np.exp(0.02 * years), np.exp(-0.03 * years)
    sigma, status = implied_volatility(price, forward, 100.0, years, discount, is_call)
    ok = status == ImpliedStatus.ok
    intrinsic = discount * np.maximum(0.0, np.where(is_call, forward - 100.0, 100.0 - forward))
    assert (price - intrinsic <= 16.0 * EPSILON * price)[~ok].all()
    assert (sigma[ok] > 0.0).all()
    held = price - intrinsic > 1e6 * EPSILON * np.maximum(price, 100.0)
    assert ok[held].all()
    assert np.max(np.abs(sigma - truth)[held]) < 1e-4


@pytest.mark.parametrize(
    ("place", "value", "words"), [(1, 0.0, "forward"), (2, -1.0, "strike"), (3, -0.1, "years"), (4, 0.0, "discount")]
)
def test_what_is_no_option_is_refused(place: int, value: float, words: str) -> None:
    arguments = [5.0, 100.0, 100.0, 0.5, 1.0]
    arguments[place] = value
    with pytest.raises(InvalidInput, match=words):
        implied_volatility(*arguments, True)
