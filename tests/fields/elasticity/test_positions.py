"""The physics core against the pricing kernels, one contract at a time, and the series against the sum it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fieldcast.fields.dealer.units import SMALLEST_SIGMA
from fieldcast.fields.elasticity import PricingModel, hedged_book
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.pricing import bsm_greeks

NAIVE = (1.0, -1.0)


def naive(chain):
    return np.where(chain.is_call, *NAIVE)


def brute(chain, signs, price, shift=0.0, days=0.0):
    """Value, delta and gamma of the whole book by `pricing`, without forms, blocks or series; expired contracts are gone."""
    left = chain.years - days / 365
    kept = left > 0
    greeks = bsm_greeks(
        price, chain.strike[kept], left[kept], chain.rate[kept], (chain.rate - chain.carry)[kept],
        chain.sigma[kept] * (1 + shift), chain.is_call[kept],
    )  # fmt: skip
    weight = (signs * chain.open_interest * chain.multiplier)[kept]
    return [(weight * getattr(greeks, name)).sum() for name in ("price", "delta", "gamma")]


@pytest.mark.parametrize("days", [0.0, 2.0, 40.0])
@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.5])
def test_delta_gamma_and_value_equal_the_sum_over_contracts(random_chain_of, shift: float, days: float) -> None:
    chain = random_chain_of(3)
    signs = naive(chain)
    prices = np.array([70.0, 95.0, 100.0, 101.0, 140.0])
    found = hedged_book(chain, signs).at(prices, shift, days)
    oracle = np.array([brute(chain, signs, price, shift, days) for price in prices]).T
    # parity leaves a straight line out of value and delta, the same at every price
    np.testing.assert_allclose(np.diff(found.delta[0, 0]), np.diff(oracle[1]), rtol=1e-9, atol=1e-7)
    work = oracle[0] - oracle[0][2] - oracle[1][2] * (prices - 100.0)
    ours = found.value[0, 0] - found.value[0, 0, 2] - found.delta[0, 0, 2] * (prices - 100.0)
    np.testing.assert_allclose(ours, work, rtol=1e-9, atol=1e-5)
    np.testing.assert_allclose(found.gamma[0, 0], oracle[2], rtol=1e-11)


def test_the_parity_lines_complete_the_delta(random_chain_of) -> None:
    chain = random_chain_of(4)
    book = hedged_book(chain, naive(chain))
    whole = book.at(103.0).delta[0, 0, 0] + book.parity_delta()
    assert whole == pytest.approx(brute(chain, naive(chain), 103.0)[1], rel=1e-11)


@pytest.mark.parametrize(("reach", "least"), [(0.1, 1.0), (0.02, 0.001), (0.6, 30.0)])
def test_the_series_equals_the_sum_it_stands_for(random_chain_of, reach: float, least: float) -> None:
    chain = random_chain_of(5, expiries=9)
    chain.years[:] *= least  # near and far expiries, so that every level of the series and the direct sum occur
    book = hedged_book(chain, naive(chain))
    grid = 100.0 * np.exp(np.linspace(-reach, reach, 41))
    shifts, days = [-0.5, 0.0, 0.6], [0.0, 0.1, 3.0]
    direct, quick = book.at(grid, shifts, days), book.on_grid(grid, shifts, days)
    for name in ("value", "delta", "gamma"):
        exact = getattr(direct, name)
        largest = np.abs(exact).max(axis=-1, keepdims=True) + 1e-300
        assert np.max(np.abs(getattr(quick, name) - exact) / largest) < 2e-12, name


def test_contracts_of_one_strike_expiry_and_volatility_are_one_line(random_chain_of) -> None:
    chain = random_chain_of(6)
    assert len(hedged_book(chain, np.ones(len(chain)))) == len(chain) // 2
    two = hedged_book(chain, naive(chain))
    chain.sigma[::2] *= 1.0 + 1e-9
    apart = hedged_book(chain, naive(chain))
    assert len(apart) == len(chain)
    np.testing.assert_allclose(apart.at([90.0, 110.0]).gamma, two.at([90.0, 110.0]).gamma, rtol=1e-7)


def test_the_bachelier_twin_is_bacheliers_formula(chain_of) -> None:
    chain = chain_of([95.0, 100.0, 107.0], [False, True, True], 0.3, [0.2, 0.25, 0.3], [10.0, 20.0, 30.0])
    book = hedged_book(chain, [1.0, -1.0, 1.0], model=PricingModel.BACHELIER)
    price = 103.0
    deviation = chain.sigma * 100.0 * np.sqrt(0.3)
    d = (price - chain.strike) / deviation
    weight = np.array([1.0, -1.0, 1.0]) * chain.open_interest * 100.0
    found = book.at(price)
    assert found.gamma[0, 0, 0] == pytest.approx((weight * norm.pdf(d) / deviation).sum(), rel=1e-12)
    delta = (weight * np.where(chain.is_call, norm.cdf(d), norm.cdf(d) - 1.0)).sum()
    assert found.delta[0, 0, 0] + book.parity_delta() == pytest.approx(delta, rel=1e-12)


def test_a_contract_is_gone_at_its_last_moment_unless_it_is_kept(chain_of) -> None:
    chain = chain_of([100.0], [True], 5 / 365, 0.2, 10.0)
    book = hedged_book(chain, [1.0])
    assert book.at(102.0, 0.0, 5.0).delta[0, 0, 0] == 0.0
    kept = book.at([98.0, 102.0], 0.0, 5.0, keep_expired=True).delta[0, 0] + book.parity_delta(5.0)
    np.testing.assert_allclose(kept, [0.0, 1000.0], atol=1e-9)  # a call's delta is 0 or 1 at expiry


def test_volatility_shifted_by_an_amount_stops_above_zero(chain_of) -> None:
    book = hedged_book(chain_of([100.0], [True], 0.1, 0.2), [1.0])
    assert book.with_volatility(0.05).lines[4, 0] == pytest.approx(0.25)
    assert book.with_volatility(-1.0).lines[4, 0] == SMALLEST_SIGMA


def test_a_policy_is_asked_and_its_name_kept_and_the_unknown_counted(chain_of) -> None:
    class Some:
        name = "those who answered"

        def positions(self, chain):
            return np.array([np.nan, 5.0])

    book = hedged_book(chain_of([95.0, 105.0], [False, True], 0.1, 0.2), Some())
    assert (len(book), book.policy, book.unknown) == (1, "those who answered", 1)
    assert book.lines[6, 0] == 500.0


@pytest.mark.parametrize(
    ("signs", "error"),
    [([1.0], InvalidInput), ([2.0, 1.0], InvalidInput), ([0.0, 0.0], MissingData), ([np.nan, np.nan], MissingData)],
)
def test_positions_that_say_nothing_are_refused(chain_of, signs, error) -> None:
    with pytest.raises(error):
        hedged_book(chain_of([95.0, 105.0], [False, True], 0.1, 0.2), signs)


@pytest.mark.parametrize(("name", "value"), [("sigma", 0.0), ("years", 0.0), ("strike", np.nan), ("rate", np.inf)])
def test_a_contract_that_cannot_be_priced_is_refused(chain_of, name: str, value: float) -> None:
    chain = chain_of([95.0, 105.0], [False, True], 0.1, 0.2)
    getattr(chain, name)[1] = value
    with pytest.raises(InvalidInput, match=name):
        hedged_book(chain, [1.0, 1.0])


@pytest.mark.parametrize("arguments", [(0.0,), (np.nan,), (1e9,), (100.0, -1.0), (100.0, 0.0, -1.0)])
def test_hypotheses_out_of_range_are_refused(chain_of, arguments) -> None:
    with pytest.raises(InvalidInput):
        hedged_book(chain_of([95.0], [False], 0.1, 0.2), [1.0]).at(*arguments)
