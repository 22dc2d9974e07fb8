"""Each sign policy has its own vector, says what it is, and what it does not know is unknown, not 0."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.dealer import (
    ALL_LONG,
    ALL_SHORT,
    NAIVE,
    POLICIES,
    REVERSED,
    BySide,
    TradeFlow,
    dealer_field,
    dealer_sign,
    lee_ready,
    quote_rule,
    signed_volume,
)
from fieldcast.ground import InvalidInput, MissingData, Reason

# the reference's two options: S = 520, call gamma .0080 × 10,000, put gamma .0075 × 15,000; 30 days, r = q = 0
CALL, PUT = 21.632, 30.420


@pytest.fixture
def two(make_priced):
    """Volatilities at which the two options have just these gammas, out of the money: strikes solved for σ = 15 % and 18 %."""
    from scipy.optimize import brentq

    from fieldcast.pricing import bsm_greeks

    def strike(sigma, gamma, low, high):
        gap = lambda k: float(bsm_greeks(520.0, k, 30 / 365, 0.0, 0.0, sigma, True).gamma) - gamma  # noqa: E731
        return brentq(gap, low, high, xtol=1e-12)

    call, put = strike(0.15, 0.0080, 522.0, 620.0), strike(0.18, 0.0075, 420.0, 518.0)
    return make_priced([call, put], [0.15, 0.18], 30.0, [True, False], [10_000.0, 15_000.0], spot=520.0)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(NAIVE, CALL - PUT), (REVERSED, PUT - CALL), (ALL_SHORT, -CALL - PUT), (ALL_LONG, CALL + PUT),
     (BySide("half of calls overwritten", 0.5, -1.0), 0.5 * CALL - PUT)],
)  # fmt: skip
def test_each_policy_by_side_has_its_vector(two, policy, expected):
    found = dealer_field(two, sign=policy)
    assert found.gex / 1e6 == pytest.approx(expected, abs=1e-5)
    assert found.conventions.sign_policy == policy.name


def test_trade_flow_has_its_vector_and_takes_size_from_the_trades(two):
    # puts first: customers sold 500 puts and bought 200 calls, so dealers are long 500 puts and short 200 calls
    found = dealer_field(two, sign=TradeFlow(np.array([-500.0, 200.0])))
    assert found.gex / 1e6 == pytest.approx(PUT * 500 / 15_000 - CALL * 200 / 10_000, abs=1e-5)
    assert found.conventions.sign_policy.startswith("trade flow")


def test_trade_flow_on_open_interest_takes_the_direction_alone(two):
    found = dealer_field(two, sign=TradeFlow(np.array([-500.0, 200.0]), basis="open_interest"))
    assert found.gex / 1e6 == pytest.approx(PUT - CALL, abs=1e-5)


def test_a_contract_without_a_known_flow_is_counted_and_in_no_figure(two):
    found = dealer_field(two, sign=TradeFlow(np.array([np.nan, 200.0])))
    assert found.gex / 1e6 == pytest.approx(-CALL * 200 / 10_000, abs=1e-5)
    assert found.dropped == {Reason.SIGN_UNKNOWN: 1}
    with pytest.raises(MissingData, match="sign for some"):
        dealer_sign(two, TradeFlow(np.full(2, np.nan)))
    even = TradeFlow(np.array([0.0, 200.0]), basis="open_interest")
    assert dealer_sign(two, even).unknown == {Reason.SIGN_UNKNOWN: 1}


def test_the_book_says_how_much_dealers_are_long(two):
    assert dealer_sign(two, NAIVE).long_share == pytest.approx(0.4)
    assert dealer_sign(two, ALL_SHORT).long_share == 0.0
    assert dealer_sign(two, ALL_LONG).long_share == 1.0


def test_a_policy_that_is_none_is_refused(two):
    with pytest.raises(InvalidInput, match="signs from -1 to 1"):
        BySide("too much", 2.0, 0.0)
    with pytest.raises(InvalidInput, match="a name"):
        BySide(" ", 1.0, 1.0)
    with pytest.raises(InvalidInput, match="each of 2 contracts"):
        dealer_sign(two, TradeFlow(np.zeros(3)))
    with pytest.raises(InvalidInput, match="basis"):
        TradeFlow(np.zeros(2), basis="guess")  # type: ignore[arg-type]
    assert set(POLICIES) == {"naive", "reversed", "all_short", "all_long"}


def test_the_quote_rule_by_hand():
    found = quote_rule([1.05, 1.00, 1.10, 1.20, 1.05], [1.0, 1.0, 1.0, 1.0, np.nan], [1.1, 1.1, 1.1, 0.9, 1.1])
    np.testing.assert_array_equal(found, [np.nan, -1, 1, np.nan, np.nan])


def test_lee_and_ready_ask_the_last_different_price_of_the_same_contract():
    price = [1.05, 2.00, 1.06, 1.06, 1.04, 2.00]
    contract = [0, 1, 0, 0, 0, 1]
    bid = [1.0, 1.9, 1.02, 1.02, 0.98, 1.9]
    ask = [1.1, 2.1, 1.10, 1.10, 1.10, 2.1]  # all at the middle
    found = lee_ready(price, bid, ask, contract)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 1, 1, -1, np.nan])
    assert lee_ready([1.09], [1.0], [1.1], [0]) == [1.0]


def tick_by_tick(price, bid, ask, contract):
    """Lee and Ready as they put it, one trade after the other: what is known of a contract is its last price and last tick."""
    side = quote_rule(price, bid, ask)
    last = {}
    for i, (one, paid) in enumerate(zip(contract, price, strict=True)):
        if not np.isfinite(paid):
            continue
        before, tick = last.get(one, (paid, np.nan))
        if paid != before:
            tick = 1.0 if paid > before else -1.0
        last[one] = paid, tick
        if np.isnan(side[i]):
            side[i] = tick
    return side


@given(
    st.lists(
        st.tuples(st.sampled_from([1.0, 1.05, 1.1, 2.0, np.nan]), st.sampled_from([0.9, 1.0, np.nan]), st.integers(0, 3)),
        max_size=40,
    )
)
def test_lee_and_ready_is_what_a_reader_of_the_tape_finds(trades):
    price, bid, contract = (np.array(column) for column in zip(*trades, strict=True)) if trades else (np.empty(0),) * 3
    ask = bid + 0.2
    np.testing.assert_array_equal(lee_ready(price, bid, ask, contract), tick_by_tick(price, bid, ask, contract))


def test_lee_and_ready_of_a_long_tape_is_much_quicker_than_trade_by_trade():
    """A hundred thousand prints at the middle: side by side in one process, at least five times as fast."""
    random = np.random.default_rng(4)
    many = 100_000
    price = np.round(random.uniform(1.0, 1.2, many), 2)
    tape = price, price - 0.01, price + 0.01, random.integers(0, 500, many)

    def seconds(work):
        taken = []
        for _ in range(3):
            start = process_time()
            work(*tape)
            taken.append(process_time() - start)
        return min(taken)

    assert 5.0 * seconds(lee_ready) < seconds(tick_by_tick)


def test_signed_volume_adds_what_is_known_and_knows_what_is_not():
    found = signed_volume([1, -1, np.nan, 1], [10, 4, 7, 2], [0, 0, 1, 2], 4)
    np.testing.assert_array_equal(found, [6, np.nan, 2, np.nan])
    with pytest.raises(InvalidInput, match="places of contracts"):
        signed_volume([1], [1], [4], 4)
