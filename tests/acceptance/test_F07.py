"""F07, option analytics.

Done when: "S=K=100, T=.25, r=.05, q=.01, s=.2 gives call 4.474037, put 3.481505, and all Greeks agree with finite differences to
1e-5 on 1,000 points".

The first-order differences are those of a price written here with another library's normal distribution; each Greek of higher
order is the central difference of the one below it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from fieldcast.ground import Reason
from fieldcast.pricing import (
    american_price,
    black76_greeks,
    black76_price,
    bsm_greeks,
    bsm_price,
    implied_volatility,
)
from fieldcast.pricing.arbitrage import check_surface
from fieldcast.pricing.forwards import implied_forwards
from fieldcast.pricing.quotes import ChainQuotes, judge
from fieldcast.pricing.smiles import calibrate
from fieldcast.pricing.term import iv_rank, skew, term_structure

pytestmark = pytest.mark.feature("F07")
OPEN_PARTS: tuple[str, ...] = ()

AS_OF = 1_772_463_600_000_000  # 2026-03-02 15:00 UTC, microseconds
DAY = 86_400_000_000
RATE, YIELD = 0.04, 0.01


def price(s, k, t, r, q, v, call):
    """Black, Scholes and Merton's formula with another library's normal distribution."""
    root = v * np.sqrt(t)
    d1 = (np.log(s / k) + (r - q) * t) / root + root / 2
    sign = np.where(call, 1.0, -1.0)
    return sign * (s * np.exp(-q * t) * norm.cdf(sign * d1) - k * np.exp(-r * t) * norm.cdf(sign * (d1 - root)))


def test_the_stated_prices() -> None:
    assert float(bsm_price(100, 100, 0.25, 0.05, 0.01, 0.2, True)) == pytest.approx(4.474037, abs=5e-7)
    assert float(bsm_price(100, 100, 0.25, 0.05, 0.01, 0.2, False)) == pytest.approx(3.481505, abs=5e-7)


def test_all_greeks_agree_with_finite_differences_on_a_thousand_points() -> None:
    random = np.random.default_rng(20_260_302)
    n = 1_000
    t, v = random.uniform(0.05, 2.0, n), random.uniform(0.1, 0.8, n)
    s = 100.0 * np.exp(random.uniform(-2.0, 2.0, n) * v * np.sqrt(t))
    r, q = random.uniform(0.0, 0.08, (2, n))
    option = [s, np.full(n, 100.0), t, r, q, v, random.random(n) < 0.5]
    ours = bsm_greeks(*option)
    np.testing.assert_allclose(ours.price, price(*option), rtol=1e-9, atol=1e-9)
    steps = {0: 2e-4 * s * v * np.sqrt(t), 2: 2e-4 * t, 3: np.full(n, 1e-4), 5: 2e-4 * v}
    chain = {
        "delta": ("price", 0, 1), "vega": ("price", 5, 1), "theta": ("price", 2, -1), "rho": ("price", 3, 1),
        "gamma": ("delta", 0, 1), "vanna": ("delta", 5, 1), "charm": ("delta", 2, -1), "vomma": ("vega", 5, 1),
        "veta": ("vega", 2, -1), "speed": ("gamma", 0, 1), "zomma": ("gamma", 5, 1), "color": ("gamma", 2, -1),
        "ultima": ("vomma", 5, 1),
    }  # fmt: skip
    for name, (below, place, sign) in chain.items():
        values = []
        for shift in (-2, -1, 1, 2):
            moved = list(option)
            moved[place] = option[place] + shift * steps[place]
            values.append(price(*moved) if below == "price" else getattr(bsm_greeks(*moved), below))
        slope = sign * (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * steps[place])
        found = getattr(ours, name)
        scale = np.abs(found) + 1e-3 * np.abs(getattr(ours, below)) / np.maximum(np.abs(option[place]), 0.01) + 1e-6
        assert np.max(np.abs(slope - found) / scale) < 1e-5, name


def test_black_76_is_the_same_formula_on_the_forward_and_the_solver_inverts_it() -> None:
    random = np.random.default_rng(7)
    n = 1_000
    t, v, k = random.uniform(0.02, 2.0, n), random.uniform(0.05, 1.0, n), random.uniform(60.0, 160.0, n)
    call = random.random(n) < 0.5
    forward, discount = 100.0 * np.exp((RATE - YIELD) * t), np.exp(-RATE * t)
    value = black76_price(forward, k, t, discount, v, call)
    np.testing.assert_allclose(value, bsm_price(100.0, k, t, RATE, YIELD, v, call), rtol=1e-12, atol=1e-13)
    found, status = implied_volatility(value, forward, k, t, discount, call)
    resolved = black76_greeks(forward, k, t, discount, v, call).vega > 1e-4     # where a double still holds a time value
    assert resolved.mean() > 0.9
    assert np.isfinite(found[status == 0]).all()
    assert (found[status == 0] > 0).all()
    np.testing.assert_allclose(found[resolved], v[resolved], rtol=1e-9)


def test_an_american_put_is_worth_more_than_a_european_one_and_agrees_with_quantlib() -> None:
    import QuantLib as ql  # noqa: N813

    today = ql.Date(2, 3, 2026)
    ql.Settings.instance().evaluationDate = today
    day_count = ql.Actual365Fixed()
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(100.0)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.02, day_count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.06, day_count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), 0.25, day_count)),
    )
    engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
    for strike in (80.0, 100.0, 125.0):
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.AmericanExercise(today, today + 365))
        option.setPricingEngine(engine)
        ours = float(american_price(100.0, strike, 1.0, 0.06, 0.02, 0.25, False))
        assert ours == pytest.approx(option.NPV(), abs=2e-6)
        assert ours > float(bsm_price(100.0, strike, 1.0, 0.06, 0.02, 0.25, False))


def chain(days: tuple[int, ...] = (30, 90, 180), half: float = 0.005) -> ChainQuotes:
    """Quotes around a smile that slopes down, calls and puts at 41 strikes an expiry."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("strike", "bid", "ask", "is_call", "expiry", "series")}
    for place, day in enumerate(days):
        t = day / 365
        forward, discount = 100.0 * np.exp((RATE - YIELD) * t), np.exp(-RATE * t)
        k = np.linspace(-2.5, 2.0, 41) * 0.2 * np.sqrt(t)
        strike = np.round(forward * np.exp(k), 2)
        x = np.log(strike / forward)
        volatility = np.sqrt(0.04 * (1 + 0.5 * (-0.6 * x / 0.2 + np.sqrt((x / 0.2) ** 2 + 1) - 1)))
        for call in (True, False):
            mid = black76_price(forward, strike, t, discount, volatility, call)
            columns = (strike, np.maximum(mid - half, 0.0), mid + half, np.full(41, call), np.full(41, AS_OF + day * DAY),
                       np.full(41, place))  # fmt: skip
            for name, column in zip(parts, columns, strict=True):
                parts[name].append(column)
    data = {name: np.concatenate(columns) for name, columns in parts.items()}
    n = len(data["strike"])
    return ChainQuotes(
        as_of=AS_OF, spot=100.0, american=np.full(n, False), quote_time=np.full(n, AS_OF), vendor_iv=np.full(n, np.nan),
        roots=("XYZ",) * len(days), **data,
    )  # fmt: skip


def test_forward_and_discount_follow_from_put_call_parity() -> None:
    found = implied_forwards(chain())
    for forward, day in zip(found.known, (30, 90, 180), strict=True):
        t = day / 365
        assert forward.forward == pytest.approx(100.0 * np.exp((RATE - YIELD) * t), rel=2e-5)
        assert forward.discount == pytest.approx(np.exp(-RATE * t), rel=5e-4)


def test_the_smile_is_free_of_arbitrage_and_its_skew_and_slope_are_those_that_were_put_in() -> None:
    surface = calibrate(chain()).surface
    checked = check_surface(surface)
    assert checked.is_free
    at_money = term_structure(surface)
    np.testing.assert_allclose(at_money.volatility, 0.2, atol=1e-3)
    assert abs(at_money.slope) < 5e-3
    for smile in surface.smiles:
        assert skew(smile).risk_reversal < -0.005


def test_a_stale_quote_is_left_out_and_counted() -> None:
    quotes = chain()
    old = quotes.quote_time.copy()
    old[:5] -= 2 * DAY
    assert judge(replace(quotes, quote_time=old)).counts == {Reason.STALE: 5}


def test_the_rank_of_a_volatility_is_its_place_in_the_past_year() -> None:
    history = np.linspace(0.1, 0.3, 300)
    rank = iv_rank(history)
    assert rank[-1] == 1.0
    assert iv_rank(history[::-1])[-1] == 0.0
    np.testing.assert_array_equal(iv_rank(history[:280]), rank[:280])     # nothing later moves it
