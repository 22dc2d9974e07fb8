"""F15, energy invariants in physical units (dollars of hedge flow per 1 %).

Done when: "1,000 property cases: a position mirrored in a Bachelier twin has asymmetry exactly 0 and an at-the-money book under
BSM (T ≥ 7 d, ±1 %) at most 0.02, work with one hedged anchor S0 is additive over sub-moves, doubling open interest doubles flow,
the sign flips with dealer sign".

Each of the five is held on 1,000 cases of its own. At the money means at the forward or at the spot, with two limits on the carry
that the row does not state: at most 8 % a year, and at most three times the variance a year. Where carry outweighs variance by
more, a strike at the spot is not at the money.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcast.fields.elasticity import (
    HedgedBook,
    PricingModel,
    directional_elasticity,
    hedge_flow,
    hedged_book,
    movement_energy,
    resisting_work,
)
from fieldcast.fields.priced_chain import PricedChain

pytestmark = pytest.mark.feature("F15")
OPEN_PARTS: tuple[str, ...] = ()

CASES = settings(max_examples=1_000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


Line = tuple[float, bool, float, float, float]


def chain_of(lines: list[Line], spot: float, rate: float = 0.0, carry: float = 0.0) -> PricedChain:
    """Contracts (strike, is it a call, years, sigma, open interest)."""
    n = len(lines)
    strike, is_call, years, sigma, interest = (np.array(column) for column in zip(*lines, strict=True))
    columns: dict[str, Any] = {"strike": strike, "is_call": is_call, "years": years, "sigma": sigma, "open_interest": interest}
    return PricedChain(
        underlying="XNYS:TEST", as_of=NOW, ts=NOW, spot=spot, contract_id=np.array(["C"] * n), american=np.zeros(n, np.bool_),
        expiry=np.zeros(n, np.int64), expiry_ts=np.zeros(1, np.int64), rate=np.full(n, rate), carry=np.full(n, carry),
        multiplier=np.full(n, 100.0), volume=np.full(n, np.nan), day_count="ACT/365", dropped={}, simulated=True, **columns,
    )  # fmt: skip


moves = st.floats(0.8, 1.25)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def books(draw: st.DrawFn) -> tuple[PricedChain, np.ndarray]:
    """Any book: 1 to 8 contracts from a day to two years, 5 to 150 % of volatility, each held on either side."""
    random = np.random.default_rng(draw(seeds))
    n, spot = draw(st.integers(1, 8)), draw(st.sampled_from([1.0, 37.13, 5_000.0]))
    columns = (spot * random.uniform(0.6, 1.6, n), random.random(n) < 0.5, np.exp(random.uniform(np.log(1 / 365), np.log(2), n)),
               np.exp(random.uniform(np.log(0.05), np.log(1.5), n)), np.exp(random.uniform(0.0, 11.0, n)))  # fmt: skip
    chain = chain_of(list(zip(*columns, strict=True)), spot, random.uniform(-0.02, 0.08), random.uniform(-0.05, 0.08))
    return chain, random.choice([-1.0, 1.0], n)


def size_of(book: HedgedBook, price: float) -> float:
    """Dollars: what rounding is measured against."""
    return float(book.at([book.spot, price]).size.max()) + abs(float(book.at(book.spot).delta[0, 0, 0])) * book.spot


@CASES
@given(seeds, st.floats(1.0, 1e4), st.integers(1, 6), st.floats(0.002, 0.1))
def test_a_position_mirrored_in_a_bachelier_twin_has_asymmetry_exactly_zero(seed: int, spot: float, n: int, move: float) -> None:
    random = np.random.default_rng(seed)
    lines, signs = [], []
    for side in random.choice([-1.0, 1.0], n):
        t, sigma, interest = random.uniform(1 / 365, 2.0), random.uniform(0.05, 1.5), np.exp(random.uniform(0.0, 11.0))
        away, is_call = min(0.9, random.uniform(0.0, 3.0) * sigma * np.sqrt(t) + move), bool(random.random() < 0.5)
        lines += [(spot * (1.0 + away), is_call, t, sigma, interest), (spot * (1.0 - away), not is_call, t, sigma, interest)]
        signs += [side, side]
    found = movement_energy(hedged_book(chain_of(lines, spot), signs, model=PricingModel.BACHELIER), move * spot)
    assert found.asymmetry.value == 0.0
    assert abs(found.dealer_up.dollars) > found.dealer_up.rounding  # there is work that could have leant to one side


def test_the_twin_is_no_empty_claim_a_position_that_is_not_mirrored_has_an_asymmetry() -> None:
    lines = [(95.0, False, 0.1, 0.2, 100.0), (104.0, True, 0.1, 0.2, 100.0)]
    found = movement_energy(hedged_book(chain_of(lines, 100.0), [1.0, 1.0], model=PricingModel.BACHELIER), 1.0)
    assert found.asymmetry.value is not None
    assert abs(found.asymmetry.value) > 1e-3


@CASES
@given(seeds, st.floats(1.0, 1e4), st.floats(7 / 365, 2.0), st.floats(0.05, 1.5), st.floats(-1.0, 1.0), st.booleans())
def test_an_at_the_money_book_has_asymmetry_at_most_two_hundredths(
    seed: int, spot: float, t: float, sigma: float, lean: float, at_forward: bool
) -> None:
    """One strike at the spot or at the forward, seven days to two years, volatility 5 to 150 %, a move of 1 %.

    The bound holds within two limits: |carry| ≤ 8 % a year and |carry| ≤ 3 σ² a year, whichever is less;
    `test_beyond_the_limits_of_the_carry…` shows that the second is needed.
    """
    random = np.random.default_rng(seed)
    is_call, interest = bool(random.random() < 0.5), np.exp(random.uniform(0.0, 11.0))
    side, rate = random.choice([-1.0, 1.0]), random.uniform(-0.02, 0.08)
    carry = lean * min(0.08, 3.0 * sigma**2)
    strike = spot * np.exp(carry * t) if at_forward else spot
    book = hedged_book(chain_of([(strike, is_call, t, sigma, interest)], spot, rate, carry), [side])
    found = movement_energy(book, 0.01 * spot).asymmetry.value
    assert found is not None
    assert abs(found) <= 0.02


def test_beyond_the_limits_of_the_carry_a_strike_at_the_spot_leans_by_more() -> None:
    """Volatility 5 %, two years, a carry of 8 %: 32 times the variance, and the strike is 2.3 deviations from the forward."""
    book = hedged_book(chain_of([(100.0, True, 2.0, 0.05, 100.0)], 100.0, 0.08, 0.08), [1.0])
    found = movement_energy(book, 1.0).asymmetry.value
    assert found is not None
    assert abs(found) > 0.02


@CASES
@given(books(), moves, moves, moves)
def test_work_with_one_hedged_anchor_is_additive_over_sub_moves(drawn, anchor: float, middle: float, end: float) -> None:
    chain, signs = drawn
    book = hedged_book(chain, signs)
    hedged, b, c = (x * chain.spot for x in (anchor, middle, end))
    whole = resisting_work(book, c, anchor=hedged)
    parts = resisting_work(book, b, anchor=hedged), resisting_work(book, c, start=b, anchor=hedged)
    rounding = whole.rounding + sum(part.rounding for part in parts)
    assert abs(whole.dollars - sum(part.dollars for part in parts)) <= rounding
    assert rounding <= 1e-12 * (size_of(book, c) + size_of(book, b) + size_of(book, hedged))


def test_re_anchored_moves_are_not_additive() -> None:
    """902,429 against 446,208 dollars, of one at-the-money line: S = K = 500, σ = 15 %, 30 days, r = q = 0, +2 % in two steps."""
    book = hedged_book(chain_of([(500.0, True, 30 / 365, 0.15, 10_000.0)], 500.0), [1.0])
    assert resisting_work(book, 510.0).dollars == pytest.approx(902_429, abs=0.5)
    steps = resisting_work(book, 505.0).dollars + resisting_work(book, 510.0, anchor=505.0).dollars
    assert steps == pytest.approx(446_208, abs=0.5)


@CASES
@given(books(), moves)
def test_doubling_open_interest_doubles_flow_and_work_and_elasticity(drawn, end: float) -> None:
    chain, signs = drawn
    price, step = end * chain.spot, 0.01 * chain.spot
    once = hedged_book(chain, signs)
    chain.open_interest[:] *= 2.0
    twice = hedged_book(chain, signs)
    assert hedge_flow(twice, price).total[0] == 2.0 * hedge_flow(once, price).total[0]  # a power of two loses no digit
    assert resisting_work(twice, price).dollars == 2.0 * resisting_work(once, price).dollars
    one, two = directional_elasticity(once, step), directional_elasticity(twice, step)
    assert two.dollars_per_percent(two.local) == 2.0 * one.dollars_per_percent(one.local)
    assert movement_energy(twice, step).asymmetry == movement_energy(once, step).asymmetry


@CASES
@given(books(), moves)
def test_the_sign_flips_with_dealer_sign(drawn, end: float) -> None:
    chain, signs = drawn
    price, step = end * chain.spot, 0.01 * chain.spot
    long, short = hedged_book(chain, signs), hedged_book(chain, -signs)
    assert hedge_flow(short, price).total[0] == -hedge_flow(long, price).total[0]
    assert resisting_work(short, price).dollars == -resisting_work(long, price).dollars
    one, other = movement_energy(long, step), movement_energy(short, step)
    assert directional_elasticity(short, step).local == -directional_elasticity(long, step).local
    if one.asymmetry.value is not None:
        assert other.asymmetry.value == -one.asymmetry.value


def test_the_unit_is_dollars_of_hedge_flow_for_one_per_cent() -> None:
    """dealer-positioning.md, section 3: S = 520, gamma .0080, open interest 10,000: 21.632 M dollars for 1 %."""
    book = hedged_book(chain_of([(520.0, True, 0.1, 0.2, 10_000.0)], 520.0), [1.0])
    found = directional_elasticity(book, 1e-4 * 520.0)
    gamma = found.local / (10_000.0 * 100.0)
    assert found.dollars_per_percent(0.0080 * 1e6) == pytest.approx(21.632e6)
    assert found.dollars_per_percent(found.local) == pytest.approx(gamma * 1e6 * 520.0**2 * 0.01)
    # and for a small move it is what dealers trade: the flow of a hundredth of 1 %, a hundred times
    flow = hedge_flow(book, 520.0 * 1.0001, days=0.0).gamma[0] * 520.0 * 100.0
    assert flow == pytest.approx(-found.dollars_per_percent(found.local), rel=1e-3)
