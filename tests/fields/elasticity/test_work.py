"""Hedge flow, resisting work, movement energy: signs, units and identities, against quadrature and re-pricing by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad

from fieldcast.fields.books.ladders import Ladders
from fieldcast.fields.elasticity import hedge_flow, hedged_book, movement_energy, resisting_work, work_along
from fieldcast.fields.elasticity.depth import walk
from fieldcast.fields.elasticity.work import asymmetry
from fieldcast.ground import InvalidInput, Reason
from fieldcast.pricing import bsm_greeks


@dataclass(frozen=True)
class Beta:
    points_per_percent: float
    source: str = "a test"


@pytest.fixture(scope="module")
def book(random_chain_of):
    chain = random_chain_of(1)
    return hedged_book(chain, np.where(chain.is_call, 1.0, -1.0))


@pytest.mark.parametrize("end", [103.0, 96.0])
def test_work_is_minus_the_integral_of_the_flow_up_and_down(book, end: float) -> None:
    exact, _ = quad(lambda price: -float(hedge_flow(book, price, days=0.0).gamma[0]), 100.0, end, epsabs=1e-4, epsrel=1e-11)
    assert resisting_work(book, end).dollars == pytest.approx(exact, rel=1e-8)


def test_long_gamma_resists_both_ways_and_short_gamma_feeds_both_ways(chain_of) -> None:
    chain = chain_of([100.0], [True], 30 / 365, 0.2, 100.0)
    long, short = (hedged_book(chain, [sign]) for sign in (1.0, -1.0))
    for end, bought in ((102.0, -1.0), (98.0, 1.0)):
        assert resisting_work(long, end).dollars > 0.0 > resisting_work(short, end).dollars
        assert np.sign(hedge_flow(long, end, days=0.0).gamma[0]) == bought  # long gamma: sell the rise, buy the fall
        assert np.sign(hedge_flow(short, end, days=0.0).gamma[0]) == -bought


def test_work_of_one_anchor_against_re_anchored_moves_of_one_at_the_money_line(chain_of) -> None:
    """dealer-positioning.md, section 7: 902,429 against 446,208, for S = K = 500, σ = 15 %, 30 days, r = q = 0, +2 %."""
    book = hedged_book(chain_of([500.0], [True], 30 / 365, 0.15, 10_000.0, spot=500.0), [1.0])
    assert resisting_work(book, 510.0).dollars == pytest.approx(902_429, abs=0.5)
    halves = resisting_work(book, 505.0, anchor=500.0).dollars, resisting_work(book, 510.0, anchor=505.0).dollars
    assert sum(halves) == pytest.approx(446_208, abs=0.5)
    same = resisting_work(book, 505.0).dollars, resisting_work(book, 510.0, start=505.0).dollars
    assert sum(same) == pytest.approx(902_429, abs=0.5)


def test_work_along_many_prices_is_the_work_to_each(book) -> None:
    prices = np.linspace(92.0, 109.0, 35)
    each = [resisting_work(book, price).dollars for price in prices]
    np.testing.assert_allclose(work_along(book, prices), each, rtol=1e-9, atol=1e-6)


def test_the_flow_is_what_re_pricing_each_contract_gives(random_chain_of) -> None:
    chain = random_chain_of(2)
    signs = np.where(chain.is_call, 1.0, -1.0)
    weight, price, days, beta = signs * chain.open_interest * chain.multiplier, 96.0, 3.0, -0.8

    def delta(price, change, days):
        left = np.maximum(chain.years - days / 365, 1e-12)
        sigma = np.maximum(chain.sigma + change, 0.005)
        found = bsm_greeks(price, chain.strike, left, chain.rate, chain.rate - chain.carry, sigma, chain.is_call)
        return float((weight * found.delta).sum())

    answer = beta * np.log(price / 100.0)
    flow = hedge_flow(hedged_book(chain, signs), price, beta=Beta(beta), days=days)
    assert flow.gamma[0] == pytest.approx(delta(100.0, 0.0, 0.0) - delta(price, 0.0, 0.0), rel=1e-9)
    assert flow.vanna is not None
    assert flow.vanna[0] == pytest.approx(delta(price, 0.0, 0.0) - delta(price, answer, 0.0), rel=1e-8)
    assert flow.charm[0] == pytest.approx(delta(price, answer, 0.0) - delta(price, answer, days), rel=1e-8)
    assert flow.total[0] == pytest.approx(delta(100.0, 0.0, 0.0) - delta(price, answer, days), rel=1e-9)


def test_the_charm_flow_over_a_moment_is_the_greek_charm(random_chain_of) -> None:
    chain = random_chain_of(8)
    signs = np.where(chain.is_call, -1.0, 1.0)
    greeks = bsm_greeks(100.0, chain.strike, chain.years, chain.rate, chain.rate - chain.carry, chain.sigma, chain.is_call)
    charm = float((signs * chain.open_interest * chain.multiplier * greeks.charm).sum()) / 365
    days = 1e-4
    flow = hedge_flow(hedged_book(chain, signs), 100.0, days=days).charm[0]
    assert flow == pytest.approx(-charm * days, rel=1e-3)


def test_without_a_beta_the_vanna_flow_is_unknown_and_not_zero(book) -> None:
    assert hedge_flow(book, 101.0).vanna is None


def test_the_energy_of_a_move_is_the_work_and_the_walk_through_the_book(book) -> None:
    depth = Ladders(
        np.array([99.9, 99.5, 98.0]), np.array([10.0, 20.0, 40.0]), np.array([100.1, 100.5, 102.0]), np.array([5.0, 10.0, 20.0])
    )
    found = movement_energy(book, 1.0, depth=depth)
    assert (found.book_up, found.book_down) == (pytest.approx(5 * 0.1 + 10 * 0.5), pytest.approx(10 * 0.1 + 20 * 0.5))
    assert found.up == found.dealer_up.dollars + found.book_up  # type: ignore[operator]
    assert found.down == found.dealer_down.dollars + found.book_down  # type: ignore[operator]
    assert found.least == min(found.up, found.down)  # type: ignore[type-var]


def test_a_book_that_ends_before_the_move_leaves_the_energy_unknown_and_the_dealers_known(book) -> None:
    depth = Ladders(np.array([99.9]), np.array([10.0]), np.array([100.1]), np.array([5.0]))
    found = movement_energy(book, 1.0, depth=depth)
    assert (found.up, found.book_reason, found.asymmetry.reason) == (None, Reason.BEYOND_BOOK, Reason.BEYOND_BOOK)
    assert found.dealer_asymmetry.value is not None
    whole = Ladders(depth.bid_price, depth.bid_size, depth.ask_price, depth.ask_size, complete=True)
    assert movement_energy(book, 1.0, depth=whole).up is not None


def test_the_book_of_something_else_is_refused(book) -> None:
    with pytest.raises(InvalidInput, match="another instrument"):
        movement_energy(book, 1.0, depth=Ladders(np.array([10.0]), np.ones(1), np.array([10.1]), np.ones(1)))


@pytest.mark.parametrize("distance", [0.0, -1.0, 100.0, np.nan])
def test_a_move_that_leaves_no_price_is_refused(book, distance: float) -> None:
    with pytest.raises(InvalidInput):
        movement_energy(book, distance)


def test_asymmetry_is_between_minus_one_and_one_and_unknown_where_nothing_is_spent() -> None:
    assert asymmetry(1.0, 3.0).value == 0.5  # down costs more: up is easier
    assert asymmetry(-1.0, 1.0).value == 1.0
    assert asymmetry(2.0, 2.0 + 1e-12, rounding=1e-11).value == 0.0
    assert asymmetry(2.0, 2.0 + 1e-10, rounding=1e-11).value == pytest.approx(2.5e-11, rel=1e-4)
    assert asymmetry(0.0, 0.0).reason is Reason.UNDEFINED


def test_what_counts_as_rounding_is_far_below_any_work_that_matters(book) -> None:
    found = resisting_work(book, 100.1)  # a tenth of a per cent
    assert found.rounding < 1e-7 * abs(found.dollars)


def test_a_small_work_keeps_its_digits_deep_in_the_money(chain_of) -> None:
    """A call five deviations in the money works as the put of its strike, whose value is small enough to be exact."""
    strike, years, sigma = 70.0, 0.1, 0.2
    book = hedged_book(chain_of([strike], [True], years, sigma, 1.0, multiplier=1.0), [1.0])
    put = bsm_greeks(np.array([100.0, 99.0]), strike, years, 0.0, 0.0, sigma, False)
    exact = put.price[1] - put.price[0] + put.delta[0]
    assert 0.0 < exact < 1e-7
    assert resisting_work(book, 99.0).dollars == pytest.approx(exact, rel=1e-8)


def test_strikes_on_one_side_make_the_other_side_easier(chain_of) -> None:
    chain = chain_of([97.0], [False], 1 / 365, 0.2, 100.0)
    above = movement_energy(hedged_book(chain, [1.0]), 3.0)
    assert above.asymmetry.value is not None
    assert above.asymmetry.value > 0.5  # dealers are long gamma below: falling is resisted, rising is not


@pytest.mark.parametrize("complete", [True, False])
def test_the_level_at_the_edge_of_the_move_counts_in_every_ladder_of_cents(complete: bool) -> None:
    """Twenty one-cent levels a side and a move of twenty cents: all twenty count, whatever the mid is in binary fractions."""
    cents = np.arange(1, 21)
    for mid in np.arange(1_000, 100_000, 49):
        book = Ladders((mid - cents) / 100.0, np.ones(20), (mid + cents) / 100.0, np.ones(20), complete=complete)
        for direction in (1, -1):
            seen = walk(book, direction, 0.2, mid / 100.0)
            assert seen.reason is None
            assert seen.cost == pytest.approx(0.01 * cents.sum())
