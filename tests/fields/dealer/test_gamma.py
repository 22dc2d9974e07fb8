"""The gamma profile is the sum of re-priced gammas, and its flips are all of its roots: none, one or several."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from fieldcast.fields.dealer import ALL_SHORT, dealer_sign, default_spots, gamma_exposure, gamma_field
from fieldcast.ground import InvalidInput


def gamma_by_hand(spot, strike, years, rate, carry, sigma):
    """Black, Scholes and Merton's gamma from a library's normal density."""
    s = sigma * np.sqrt(years)
    d1 = (np.log(spot / strike) + carry * years) / s + s / 2
    return np.exp((carry - rate) * years) * norm.pdf(d1) / (spot * s)


def two_legs(make_priced, **changes):
    """Call 525 and put 515 of the reference vector: 30 days, r = q = 0, S = 520."""
    return make_priced([525.0, 515.0], [0.15, 0.18], 30.0, [True, False], [10_000.0, 15_000.0], spot=520.0, **changes)


def test_the_formula_gives_the_published_vector():
    # S = 520, call gamma .0080 × 10,000, put gamma .0075 × 15,000: +21.632 M, −30.420 M, net −8.788 M per 1 %
    both = gamma_exposure([0.0080, 0.0075], np.array([10_000.0, -15_000.0]) * 100, 520.0)
    np.testing.assert_allclose(both / 1e6, [21.632, -30.420], atol=5e-7)
    assert both.sum() / 1e6 == pytest.approx(-8.788, abs=5e-7)


def test_both_roots_of_the_two_legged_book_are_found(make_priced):
    found = gamma_field(dealer_sign(two_legs(make_priced)))
    np.testing.assert_allclose(found.flips, [541.40, 555.60], atol=0.005)
    assert found.rising == (True, False)
    assert found.nearest_flip(520.0) == found.flips[0]


def test_with_interest_the_roots_move_where_the_reference_says(make_priced):
    found = gamma_field(dealer_sign(two_legs(make_priced, rate=0.05, carry=0.05)))
    np.testing.assert_allclose(found.flips, [539.18, 553.32], atol=0.005)


def test_roots_between_two_grid_points_are_found(make_priced):
    book = dealer_sign(two_legs(make_priced))
    coarse = gamma_field(book, np.array([480.0, 520.0, 548.0, 600.0]))
    np.testing.assert_allclose(coarse.flips, gamma_field(book).flips, rtol=1e-9)
    jumped = gamma_field(book, np.array([500.0, 535.0, 565.0, 600.0]))  # negative at all four: the hump lies between
    assert (jumped.gex < 0).all()
    np.testing.assert_allclose(jumped.flips, gamma_field(book).flips, rtol=1e-9)


def test_the_roots_are_those_of_another_root_finder(make_priced):
    chain = make_priced(
        [90.0, 95.0, 100.0, 105.0, 110.0], [0.3, 0.25, 0.2, 0.18, 0.17], 20.0, [False, False, True, True, True],
        [900.0, 500.0, 300.0, 700.0, 200.0],
    )  # fmt: skip

    def net(x):
        gamma = gamma_by_hand(x, chain.strike, chain.years, chain.rate, chain.carry, chain.sigma)
        return float((np.where(chain.is_call, 1, -1) * chain.open_interest * 100 * gamma).sum() * x**2 * 0.01)

    grid = np.linspace(80.0, 120.0, 4_001)
    values = np.array([net(x) for x in grid])
    place = np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:]))
    expected = [brentq(net, grid[i], grid[i + 1], xtol=1e-12) for i in place]
    assert len(expected) == 1
    np.testing.assert_allclose(gamma_field(dealer_sign(chain)).flips, expected, rtol=1e-9)


@pytest.mark.parametrize("places", [2, 3, 6, 41, 101, 201, 333, 1_000, None])
def test_a_root_that_no_line_reaches_does_not_depend_on_the_grid(make_priced, places):
    """Call 95 and put 105, ten minutes left: both are further than twelve deviations from 99.87, where they balance.

    By hand, with one s: |d1| alike, ln(x/95) + s²/2 = −ln(x/105) − s²/2, so x = √(95 · 105) e^(−s²/2) = 99.8749.
    """
    chain = make_priced([95.0, 105.0], 0.2, 10 / 1440, [True, False])
    spots = None if places is None else np.linspace(95.0, 105.0, places)
    found = gamma_field(dealer_sign(chain), spots)
    s = 0.2 * np.sqrt(10 / 1440 / 365)
    assert found.flips == pytest.approx([np.sqrt(95.0 * 105.0) * np.exp(-0.5 * s**2)], rel=1e-9)
    assert found.flips[0] == pytest.approx(99.8749, abs=5e-5)
    assert found.rising == (False,)


def test_a_root_in_a_dead_zone_is_that_of_another_arithmetic(make_priced):
    """Unequal volatilities and sizes, in decimal arithmetic of sixty digits."""
    from decimal import Decimal, localcontext

    chain = make_priced([95.0, 105.0], [0.15, 0.35], 15 / 1440, [False, True], [300.0, 7_000.0])
    (root,) = gamma_field(dealer_sign(chain)).flips
    with localcontext(prec=60):

        def net(x):
            total = Decimal(0)
            for strike, sigma, units in zip(chain.strike, chain.sigma, (-300, 7_000), strict=True):
                s = Decimal(float(sigma)) * Decimal(float(chain.years[0])).sqrt()
                d1 = (Decimal(x) / Decimal(float(strike))).ln() / s + s / 2
                total += units * (-d1 * d1 / 2).exp() / s
            return total

        assert net(root * (1 - 1e-9)) < 0 < net(root * (1 + 1e-9))


def test_a_book_on_one_side_has_no_flip(make_priced):
    assert gamma_field(dealer_sign(two_legs(make_priced), ALL_SHORT)).flips == ()
    calls = gamma_field(dealer_sign(make_priced([95.0, 100.0, 105.0])))
    assert calls.flips == ()
    assert calls.nearest_flip(100.0) is None
    far = gamma_field(dealer_sign(make_priced([10.0, 1000.0], 0.1, 1.0, [True, False])))  # no line reaches any spot
    assert far.flips == ()


def test_the_profile_is_the_sum_of_gammas_priced_one_by_one(make_priced):
    random = np.random.default_rng(5)
    n = 300
    chain = make_priced(
        random.uniform(60, 150, n).round(0), random.uniform(0.1, 0.8, n), random.choice([0.5, 5, 40, 400], n),
        random.random(n) < 0.5, random.integers(0, 5_000, n), rate=0.04, carry=0.03,
        multiplier=random.choice([10.0, 100.0], n),
    )  # fmt: skip
    spots = np.linspace(70.0, 140.0, 57)
    found = gamma_field(dealer_sign(chain), spots)
    weight = np.where(chain.is_call, 1, -1) * chain.open_interest * chain.multiplier
    at = spots[:, None]
    gamma = gamma_by_hand(at, chain.strike, chain.years, chain.rate, chain.carry, chain.sigma)
    np.testing.assert_allclose(found.gex, (weight * gamma * at**2 * 0.01).sum(axis=1), rtol=1e-9, atol=1e-6)
    s = chain.sigma * np.sqrt(chain.years)
    d2 = (np.log(at / chain.strike) + chain.carry * chain.years) / s - s / 2
    growth = np.exp((chain.carry - chain.rate) * chain.years)
    vanna = -growth * norm.pdf(d2 + s) * d2 / chain.sigma
    np.testing.assert_allclose(found.vex, (weight * vanna * at * 0.01).sum(axis=1), rtol=1e-9, atol=1e-6)


def test_the_profile_at_the_spot_is_the_net_exposure(make_priced):
    found = gamma_field(dealer_sign(two_legs(make_priced)))
    middle = found.spots.size // 2
    assert found.spots[middle] == 520.0
    assert found.gex[middle] == pytest.approx(found.net, rel=1e-12)
    assert found.net == pytest.approx(found.calls + found.puts, rel=1e-12)
    assert found.gross >= abs(found.net)


@pytest.mark.parametrize(("days", "expected"), [(30.0, 0.0178), (1.0, 0.0977), (1 / 6.5, 0.249), (1 / 24, 0.4787)])
def test_gamma_at_the_money_counts_minutes(make_priced, days, expected):
    # S = 520, σ = 15 %: 30 d .0178, 1 d .0977, 1 h .249; the reference's hour is one of 6.5 a day. By the calendar it is .4787
    chain = make_priced(520.0, 0.15, days, open_interest=1.0, spot=520.0, multiplier=1.0)
    found = gamma_field(dealer_sign(chain)).net / (520.0**2 * 0.01)
    assert found == pytest.approx(gamma_by_hand(520.0, 520.0, days / 365, 0.0, 0.0, 0.15), rel=1e-12)
    assert found == pytest.approx(expected, rel=3e-3)


def test_the_default_grid_is_finest_at_the_spot_which_is_its_middle():
    spots = default_spots(520.0)
    assert (spots.size, spots[100]) == (201, 520.0)
    np.testing.assert_allclose(spots[[0, -1]], [416.0, 624.0])
    assert np.diff(spots)[100] < 0.0003 * 520 * 1.2
    assert np.argmin(np.diff(spots)) in (99, 100)


@pytest.mark.parametrize("spots", [[100.0], [100.0, 90.0], [0.0, 1.0], [1.0, np.nan]])
def test_spots_that_make_no_axis_are_refused(make_priced, spots):
    with pytest.raises(InvalidInput, match="ascending spots"):
        gamma_field(dealer_sign(make_priced(100.0)), spots)
