"""Thirteen Greeks against derivatives in 40 digits, against each other, the pricing equation, and their limits."""

from __future__ import annotations

from dataclasses import astuple, fields
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing import Greeks, black76_greeks, black76_price, bsm_greeks, bsm_price

NAMES = [f.name for f in fields(Greeks)]
# orders of differentiation in spot, time (its sign turned, once), rate, sigma
ORDERS = {
    "price": (0, 0, 0, 0), "delta": (1, 0, 0, 0), "gamma": (2, 0, 0, 0), "vega": (0, 0, 0, 1), "theta": (0, 1, 0, 0),
    "rho": (0, 0, 1, 0), "vanna": (1, 0, 0, 1), "charm": (1, 1, 0, 0), "vomma": (0, 0, 0, 2), "speed": (3, 0, 0, 0),
    "zomma": (2, 0, 0, 1), "color": (2, 1, 0, 0), "veta": (0, 1, 0, 1), "ultima": (0, 0, 0, 3),
}  # fmt: skip


def exact_greek(name: str, option: tuple[float, ...], is_call: bool, is_forward: bool) -> float:
    spot, strike, years, rate, carry, sigma = (mpmath.mpf(float(x)) for x in option)
    sign = 1 if is_call else -1

    def price(s: mpmath.mpf, t: mpmath.mpf, r: mpmath.mpf, v: mpmath.mpf) -> mpmath.mpf:
        q = r if is_forward else carry
        root = v * mpmath.sqrt(t)
        d1 = (mpmath.log(s / strike) + (r - q) * t) / root + root / 2
        return sign * (
            s * mpmath.exp(-q * t) * mpmath.ncdf(sign * d1) - strike * mpmath.exp(-r * t) * mpmath.ncdf(sign * (d1 - root))
        )

    order = ORDERS[name]
    if not any(order):
        return float(price(spot, years, rate, sigma))
    with mpmath.workdps(60):
        return float(mpmath.diff(price, (spot, years, rate, sigma), order)) * (-1 if order[1] else 1)


@pytest.mark.parametrize("is_forward", [False, True])
def test_every_greek_is_its_derivative(is_forward: bool) -> None:
    """1e-9 of its size, or of its natural scale where it passes through 0."""
    random = np.random.default_rng(5)
    for _ in range(12):
        years, sigma = random.uniform(0.02, 3.0), random.uniform(0.08, 0.9)
        rate, carry = random.uniform(-0.03, 0.1, 2)
        option = (100.0 * np.exp(random.uniform(-2.5, 2.5) * sigma * np.sqrt(years)), 100.0, years, rate, carry, sigma)
        is_call = bool(random.random() < 0.5)
        if is_forward:
            ours = black76_greeks(option[0], 100.0, years, np.exp(-rate * years), sigma, is_call)
        else:
            ours = bsm_greeks(*option, is_call)
        for name in NAMES:
            exact = exact_greek(name, option, is_call, is_forward)
            assert float(getattr(ours, name)) == pytest.approx(exact, rel=1e-9, abs=1e-11), (name, option, is_call)


def test_published_greeks() -> None:
    """The dealer-positioning reference vector, and Hull's delta and gamma (example 19.1 ff.)."""
    ours = bsm_greeks(100, 100, 0.25, 0.05, 0.01, 0.2, [True, False])
    assert ours.price == pytest.approx([4.474037, 3.481505], abs=5e-7)
    assert ours.gamma == pytest.approx([0.03934944] * 2, abs=5e-9)
    assert ours.vega == pytest.approx([19.674718] * 2, abs=5e-7)
    assert ours.vanna == pytest.approx([-0.09837359] * 2, abs=5e-9)
    assert ours.charm == pytest.approx([-0.11246611, -0.12244114], abs=5e-9)
    hull = bsm_greeks(49, 50, 20 / 52, 0.05, 0.0, 0.2, True)
    assert (hull.delta, hull.gamma) == (pytest.approx(0.5216, abs=2e-4), pytest.approx(0.0655, abs=5e-5))


def book(n: int, seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    years, sigma = random.uniform(0.02, 2.0, n), random.uniform(0.08, 0.8, n)
    spot = 100.0 * np.exp(random.uniform(-3, 3, n) * sigma * np.sqrt(years))
    rate, carry = random.uniform(-0.03, 0.1, (2, n))
    return spot, np.full(n, 100.0), years, rate, carry, sigma, random.random(n) < 0.5


def test_finite_differences_on_a_thousand_points() -> None:
    """F07: all Greeks agree with finite differences to 1e-5 of their scale on 1,000 points."""
    option = book(1_000, 7)
    ours = bsm_greeks(*option)
    chain = {
        "delta": ("price", 0, 1), "gamma": ("delta", 0, 1), "vega": ("price", 5, 1), "theta": ("price", 2, -1),
        "rho": ("price", 3, 1),
        "vanna": ("delta", 5, 1), "charm": ("delta", 2, -1), "vomma": ("vega", 5, 1), "speed": ("gamma", 0, 1),
        "zomma": ("gamma", 5, 1),
        "color": ("gamma", 2, -1), "veta": ("vega", 2, -1), "ultima": ("vomma", 5, 1),
    }  # fmt: skip
    assert set(chain) == set(NAMES) - {"price"}
    for name, (below, place, sign) in chain.items():
        size = np.abs(option[place]) if place != 3 else np.ones(1_000)
        steps = (1e-4 if place != 3 else 1e-5) * size * np.minimum(1.0, option[5] * np.sqrt(option[2]) if place == 0 else 1.0)
        values = []
        for m in (-2, -1, 1, 2):
            moved = list(option)
            moved[place] = option[place] + m * steps
            values.append(getattr(bsm_greeks(*moved), below))
        slope = sign * (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * steps)
        found = getattr(ours, name)
        scale = np.abs(found) + 1e-3 * np.abs(getattr(ours, below)) / size + 1e-9
        assert np.max(np.abs(slope - found) / scale) < 1e-5, name


def test_the_pricing_equation_holds() -> None:
    spot, _, _, rate, carry, sigma, _ = option = book(20_000, 9)
    g = bsm_greeks(*option)
    left = g.theta + 0.5 * sigma**2 * spot**2 * g.gamma + (rate - carry) * spot * g.delta - rate * g.price
    assert np.max(np.abs(left) / (np.abs(g.theta) + 0.5 * sigma**2 * spot**2 * g.gamma + 1.0)) < 1e-13


def test_puts_and_calls_share_what_parity_leaves_equal() -> None:
    option = book(2_000, 13)[:6]
    call, put = bsm_greeks(*option, True), bsm_greeks(*option, False)
    for name in ("gamma", "vega", "vanna", "vomma", "speed", "zomma", "color", "veta", "ultima"):
        assert getattr(call, name) == pytest.approx(getattr(put, name), rel=1e-13, abs=0.0), name
    assert call.delta - put.delta == pytest.approx(np.exp(-option[4] * option[2]), rel=1e-14)


def test_the_block_kernel_is_the_kernel_of_one_option() -> None:
    """The vector loop beside the plain formulas with the library's exp and log: 20,000 options at once and one by one."""
    from fieldcast.pricing import _kernels_greeks as kernels

    option = book(20_000, 17)
    block = np.array(astuple(bsm_greeks(*option)))
    for i in range(0, 20_000, 61):
        s, k, t, r, q, v, c = (column[i] for column in option)
        one = np.empty(14)
        kernels.greeks_of_one(s, k, t, r, q, np.exp(-q * t), np.exp(-r * t), v, bool(c), False, one)
        assert block[:, i] == pytest.approx(one, rel=1e-11, abs=1e-12)
        assert bsm_price(s, k, t, r, q, v, bool(c)) == pytest.approx(block[0, i], rel=1e-13)


wild = st.tuples(
    st.floats(1e-6, 1e8), st.floats(1e-6, 1e8), st.one_of(st.just(0.0), st.floats(0.0, 50.0)),
    st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.one_of(st.just(0.0), st.floats(0.0, 20.0)),
)  # fmt: skip


@given(wild, st.booleans(), st.booleans())
def test_no_option_has_a_nan(option: tuple[float, ...], is_call: bool, at_the_money: bool) -> None:
    if at_the_money:
        option = (option[1], *option[1:])
    for value in (*astuple(bsm_greeks(*option, is_call)), *astuple(black76_greeks(*option[:3], 0.9, option[5], is_call))):
        assert not np.isnan(value).any()


def test_deep_in_and_out_of_the_money_are_the_limits() -> None:
    g = bsm_greeks([1e-3, 1e7], 100.0, 0.5, 0.03, 0.01, 0.2, True)
    growth, discount = np.exp(-0.005), np.exp(-0.015)
    assert g.price == pytest.approx([0.0, 1e7 * growth - 100 * discount])
    assert g.delta == pytest.approx([0.0, growth])
    assert g.rho == pytest.approx([0.0, 0.5 * 100 * discount])
    assert g.theta == pytest.approx([0.0, 0.01 * 1e7 * growth - 0.03 * 100 * discount])
    assert g.charm == pytest.approx([0.0, 0.01 * growth])
    for name in ("gamma", "vega", "vanna", "vomma", "speed", "zomma", "color", "veta", "ultima"):
        assert getattr(g, name).tolist() == [0.0, 0.0], name


@pytest.mark.parametrize(("rate", "carry"), [(0.05, 0.05), (0.05, 0.01), (0.0, 0.03)])
@pytest.mark.parametrize("is_call", [True, False])
def test_limits_at_the_kink(rate: float, carry: float, is_call: bool) -> None:
    """Where the forward is the strike, the answers at 0 are those that small sigma, or little time, runs into."""
    spot = 100.0
    for years, sigma, near in ((0.7, 0.0, (0.7, 1e-9)), (0.0, 0.3, (1e-14, 0.3))):
        strike = spot * np.exp((rate - carry) * years)
        if np.log(spot / strike) + (rate - carry) * years != 0.0:
            continue  # the forward misses the strike by a rounding: not the kink
        limit = bsm_greeks(spot, strike, years, rate, carry, sigma, is_call)
        close = bsm_greeks(spot, strike, near[0], rate, carry, near[1], is_call)
        for name in NAMES:
            there, here = float(getattr(limit, name)), float(getattr(close, name))
            if np.isinf(there):
                assert np.sign(there) == np.sign(here), (name, years)
                assert abs(here) > 1e3, (name, years)
            else:
                assert here == pytest.approx(there, rel=1e-5, abs=1e-4), (name, years)


def test_an_expired_option_has_its_payoff_and_nothing_else_moves() -> None:
    g = bsm_greeks([90.0, 110.0], 100.0, 0.0, 0.05, 0.0, 0.3, True)
    assert g.price.tolist() == [0.0, 10.0]
    assert g.delta.tolist() == [0.0, 1.0]
    assert (g.gamma == 0.0).all()
    assert (g.vega == 0.0).all()


def test_black76_rate_derivatives_hold_the_forward() -> None:
    years, step = 0.8, 1e-6
    option = SimpleNamespace(f=103.0, k=100.0, d=float(np.exp(-0.04 * years)), v=0.25)
    g = black76_greeks(option.f, option.k, years, option.d, option.v, True)
    up, down = (black76_price(option.f, option.k, years, np.exp(-(0.04 + m * step) * years), option.v, True) for m in (1, -1))
    assert g.rho == pytest.approx((up - down) / (2 * step), rel=1e-7)


def test_bad_values_are_refused_not_priced() -> None:
    many = np.full(50_000, 100.0)
    many[33_333] = np.nan
    with pytest.raises(InvalidInput, match="option 33333"):
        bsm_greeks(many, 100.0, 1.0, 0.0, 0.0, 0.2, True)
    with pytest.raises(InvalidInput, match="strike"):
        black76_greeks(100.0, -1.0, 1.0, 0.9, 0.2, True)
