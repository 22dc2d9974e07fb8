"""American options: QuantLib's high-precision engine, symmetry, bounds, Greeks by their own differences."""

from __future__ import annotations

from dataclasses import astuple, fields

import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing import (
    Greeks,
    ImpliedStatus,
    american_greeks,
    american_implied_volatility,
    american_price,
    bsm_greeks,
    bsm_price,
)
from fieldcast.pricing.american import QUICK, Collocation


def oracle(spot: float, strike: float, days: int, rate: float, carry: float, sigma: float, is_call: bool) -> float:
    """QuantLib's spectral collocation, Chebyshev nodes and tanh-sinh integrals at the highest of its three settings."""
    today = QuantLib.Date(20, 11, 2026)
    QuantLib.Settings.instance().evaluationDate = today
    count = QuantLib.Actual365Fixed()
    process = QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(QuantLib.SimpleQuote(spot)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, carry, count)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, rate, count)),
        QuantLib.BlackVolTermStructureHandle(QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), sigma, count)),
    )
    payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if is_call else QuantLib.Option.Put, strike)
    option = QuantLib.VanillaOption(payoff, QuantLib.AmericanExercise(today, today + days))
    option.setPricingEngine(QuantLib.QdFpAmericanEngine(process, QuantLib.QdFpAmericanEngine.highPrecisionScheme()))
    return float(option.NPV())


def book(n: int, seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    days = random.integers(3, 1_000, n)
    sigma = random.uniform(0.08, 0.8, n)
    spot = 100.0 * np.exp(random.uniform(-1.5, 1.5, n) * sigma * np.sqrt(days / 365))
    rate, carry = random.uniform(0.0, 0.12, (2, n))
    return spot, np.full(n, 100.0), days / 365, rate, carry, sigma, random.random(n) < 0.5


def test_prices_agree_with_the_oracle() -> None:
    """Median 1e-9 and worst 2e-7 of the strike: the oracle's ten nodes are the coarser of the two where they differ."""
    option = book(24, 21)
    ours = american_price(*option)
    theirs = np.array([oracle(s, k, round(t * 365), r, q, v, bool(c)) for s, k, t, r, q, v, c in zip(*option, strict=True)])
    apart = np.abs(ours - theirs) / option[1]
    assert np.median(apart) < 1e-9
    assert np.max(apart) < 2e-7


def test_more_nodes_change_nothing_that_matters() -> None:
    """The collocation against itself with 44 nodes in place of 20: within 1e-8 of the strike."""
    option = book(60, 22)
    usual, finer = american_price(*option), american_price(*option, how=Collocation(44, 88, 241, 3.6))
    assert np.max(np.abs(usual - finer)) < 1e-8 * 100.0
    assert np.median(np.abs(usual - finer)) < 1e-10 * 100.0


def test_quick_prices_are_those_of_the_fine_rule_within_what_they_say() -> None:
    """Worst of 2,000 measured 2e-6 of the larger of spot and strike, far in the money; the median of all 2e-8."""
    option = book(600, 23)
    apart = np.abs(american_price(*option, how=QUICK) - american_price(*option)) / np.maximum(option[0], option[1])
    assert np.max(apart) < 5e-6
    assert np.percentile(apart, 99) < 2e-6
    assert np.median(apart) < 1e-7


def test_published_price() -> None:
    """S = K = 100, one year, 5 %, 20 %: 6.0903706, the value that finite-difference and lattice tables agree on."""
    assert american_price(100, 100, 1.0, 0.05, 0.0, 0.2, False) == pytest.approx(6.090371, abs=2e-6)


markets = st.tuples(
    st.floats(50.0, 200.0),
    st.floats(50.0, 200.0),
    st.floats(0.01, 3.0),
    st.floats(0.0, 0.15),
    st.floats(0.0, 0.15),
    st.floats(0.05, 1.0),
)


@settings(deadline=None, max_examples=60)
@given(markets)
def test_symmetry_and_bounds(option: tuple[float, ...]) -> None:
    spot, strike, years, rate, carry, sigma = option
    call, put = american_price(*option, [True, False])
    mirrored = american_price(strike, spot, years, carry, rate, sigma, [False, True])
    tolerance = 1e-8 * (spot + strike)
    assert call == pytest.approx(mirrored[0], abs=tolerance)
    assert put == pytest.approx(mirrored[1], abs=tolerance)
    european = bsm_price(*option, [True, False])
    assert call >= max(european[0], spot - strike) - tolerance
    assert put >= max(european[1], strike - spot) - tolerance
    assert call <= spot
    assert put <= strike
    more_time, more_volatility = american_price(spot, strike, [years * 1.1, years], rate, carry, [sigma, sigma * 1.1], False)
    assert more_time >= put - tolerance
    assert more_volatility >= put - tolerance


def test_a_call_without_dividends_is_european() -> None:
    spots = np.linspace(50, 200, 31)
    assert american_price(spots, 100.0, 1.0, 0.04, 0.0, 0.3, True) == pytest.approx(
        bsm_price(spots, 100.0, 1.0, 0.04, 0.0, 0.3, True)
    )
    assert american_price(spots, 100.0, 1.0, -0.01, 0.0, 0.3, False) == pytest.approx(
        bsm_price(spots, 100.0, 1.0, -0.01, 0.0, 0.3, False)
    )


def test_a_negative_dividend_yield_is_priced_and_two_boundaries_are_refused() -> None:
    ours = float(american_price(95.0, 100.0, 1.0, 0.03, -0.02, 0.25, False))
    assert ours == pytest.approx(oracle(95.0, 100.0, 365, 0.03, -0.02, 0.25, False), abs=1e-5)
    with pytest.raises(InvalidInput, match="two in option 1"):
        american_price([95.0, 95.0], 100.0, 1.0, [0.03, -0.01], -0.02, 0.25, False)
    with pytest.raises(InvalidInput, match="two in option 0"):
        american_implied_volatility(5.0, 95.0, 100.0, 1.0, -0.02, -0.01, True)


def test_strong_drift_and_extremes_settle() -> None:
    """Little volatility beside the rate, long and short lives: where plain fixed-point iterations diverge."""
    cases = np.array([
        (100, 100, 0.5, 0.12, 0.0, 0.05), (100, 100, 30.0, 0.10, 0.0, 0.05), (100, 100, 1.0, 0.0, -0.05, 0.3),
        (100, 100, 1.0, 1e-6, 0.05, 0.3), (100, 100, 1 / 365, 0.05, 0.05, 0.01), (100, 100, 10.0, 0.08, 0.12, 1.5),
        (100, 100, 1 / 525_600, 0.05, 0.02, 0.3), (100, 100, 2.0, 0.05, 0.0500001, 0.2),
    ]).T  # fmt: skip
    price = american_price(*cases, False)
    assert np.isfinite(price).all()
    assert (price >= bsm_price(*cases, False) - 1e-9).all()
    assert (price <= 100.0).all()


def test_without_time_or_volatility_exercise_is_a_matter_of_dates() -> None:
    assert american_price([90.0, 110.0], 100.0, 0.0, 0.05, 0.0, 0.3, False).tolist() == [10.0, 0.0]
    assert american_price(90.0, 100.0, 1.0, 0.05, 0.0, 0.0, False) == pytest.approx(10.0)
    waits = max(100 * np.exp(-0.01 * t) - 100 * np.exp(-0.10 * t) for t in np.linspace(0, 1, 100_001))
    assert american_price(100.0, 100.0, 1.0, 0.01, 0.10, 0.0, False) == pytest.approx(waits, rel=1e-9)


def test_greeks_are_derivatives_of_the_price() -> None:
    spot, strike, years, rate, carry, sigma = 97.0, 100.0, 0.7, 0.05, 0.02, 0.25

    def price(m: float = 0.0, t: float = 0.0, r: float = 0.0, v: float = 0.0, is_call: bool = False) -> float:
        return float(american_price(spot + m, strike, years + t, rate + r, carry, sigma + v, is_call))

    for is_call in (False, True):
        g = american_greeks(spot, strike, years, rate, carry, sigma, is_call)

        def slope(h: float, is_call: bool = is_call, **along: float) -> float:
            up, down = ({k: m * h * v for k, v in along.items()} for m in (1.0, -1.0))
            return (price(**up, is_call=is_call) - price(**down, is_call=is_call)) / (2.0 * h)

        assert g.delta == pytest.approx(slope(1e-2, m=1.0), rel=1e-5)
        assert g.vega == pytest.approx(slope(1e-4, v=1.0), rel=1e-6)
        assert g.rho == pytest.approx(slope(1e-4, r=1.0), rel=1e-6)
        assert g.theta == pytest.approx(-slope(1e-4, t=1.0), rel=1e-6)
        gamma = (price(0.05, is_call=is_call) - 2 * price(is_call=is_call) + price(-0.05, is_call=is_call)) / 0.05**2
        assert g.gamma == pytest.approx(gamma, rel=1e-4)
        later, sooner = (american_greeks(spot, strike, years + h, rate, carry, sigma, is_call) for h in (1e-4, -1e-4))
        for name, of in (("charm", "delta"), ("color", "gamma"), ("veta", "vega")):
            assert getattr(g, name) == pytest.approx(-(getattr(later, of) - getattr(sooner, of)) / 2e-4, rel=1e-4), name


def test_greeks_of_an_option_that_is_never_exercised_are_the_european_ones() -> None:
    option = (np.array([90.0, 100.0, 110.0]), 100.0, 0.7, 0.03, 0.0, 0.25, True)
    ours, theirs = american_greeks(*option), bsm_greeks(*option)
    for field in fields(Greeks):
        name = field.name
        tolerance = 3e-4 if name == "ultima" else 1e-6
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=tolerance, abs=tolerance * 1e-2), name


def test_where_it_is_to_be_exercised_only_delta_is_left() -> None:
    g = american_greeks(60.0, 100.0, 1.0, 0.05, 0.0, 0.2, False)
    assert float(g.price) == 40.0
    assert float(g.delta) == -1.0
    assert all(float(v) == 0.0 for v in astuple(g)[2:])


def test_implied_volatility_of_american_prices_comes_back() -> None:
    option = book(60, 25)
    price = american_price(*option)
    sigma, status = american_implied_volatility(price, *option[:5], option[6])
    vega = american_greeks(*option).vega
    ok = status == ImpliedStatus.ok
    assert ok[vega > 1e-3].all()
    assert (np.abs(sigma - option[5])[ok] * vega[ok] < 1e-9).all()
    intrinsic = np.maximum(0.0, np.where(option[6], option[0] - 100.0, 100.0 - option[0]))
    assert price[~ok] == pytest.approx(intrinsic[~ok])


def test_every_status_of_american_implied_volatility() -> None:
    prices = [9.0, 10.0, 100.0, np.nan, 12.0]
    sigma, status = american_implied_volatility(prices, 90.0, 100.0, 0.5, 0.05, 0.0, False)
    S = ImpliedStatus
    assert status.tolist() == [S.below_intrinsic, S.at_intrinsic, S.above_maximum, S.not_a_number, S.ok]
    assert (np.isnan(sigma) == (status != S.ok)).all()
    assert american_price(90.0, 100.0, 0.5, 0.05, 0.0, sigma[4], False) == pytest.approx(12.0, rel=1e-12)
    assert american_implied_volatility(12.0, 90.0, 100.0, 0.0, 0.05, 0.0, False)[1] == S.expired
