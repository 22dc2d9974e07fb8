"""Walls, max pain, pin zones and concentration of a ten-strike chain worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.fields.dealer import OpenInterestRules, dealer_sign, oi_distribution
from fieldcast.ground import InvalidInput, Reason

STRIKES = np.array([80.0, 85, 90, 95, 100, 105, 110, 115, 120, 125])
CALLS = np.array([0.0, 0, 5, 10, 20, 40, 60, 30, 10, 5])
PUTS = np.array([10.0, 20, 50, 40, 30, 10, 5, 0, 0, 0])


def ten(make_priced, **changes):
    """Spot 100, σ = 20 % everywhere, 30 days, r = q = 0, multiplier 100."""
    strike, call = np.repeat(STRIKES, 2), np.tile([False, True], 10)
    return make_priced(strike, 0.2, 30.0, call, np.where(call, np.repeat(CALLS, 2), np.repeat(PUTS, 2)), **changes)


def test_max_pain_by_hand(make_priced):
    # payout in units at 90: 750; 95: 25 + 325 = 350; 100: 100 + 100 = 200; 105: 275 + 25 = 300
    found = oi_distribution(dealer_sign(ten(make_priced)))
    assert found.max_pain == 100.0
    assert found.by_expiry["payout"].to_list() == [200 * 100]


def test_walls_by_hand(make_priced):
    # densities e^(−d1²/2): 95 .653, 100 1.000, 105 .713, 110 .263, 90 .175; calls 28.5 at 105, 20 at 100, 15.8 at 110;
    # puts 30 at 100, 26.1 at 95, 8.7 at 90; net +21.4 at 105, −19.6 at 95
    found = oi_distribution(dealer_sign(ten(make_priced)))
    assert (found.call_wall, found.put_wall, found.absolute_gamma_strike) == (105.0, 100.0, 105.0)
    assert (found.call_wall_oi, found.put_wall_oi) == (110.0, 90.0)
    at = found.by_strike.filter(found.by_strike["strike"] == 105.0).row(0, named=True)
    assert at["call_gamma"] / at["put_gamma"] == pytest.approx(4.0)
    assert at["gex"] == pytest.approx(at["call_gamma"] - at["put_gamma"])


def test_concentration_by_hand(make_priced):
    found = oi_distribution(dealer_sign(ten(make_priced)))
    held = CALLS + PUTS
    assert held.sum() == 345
    assert found.hhi == pytest.approx(16_275 / 345**2, rel=1e-12)
    assert found.put_call == pytest.approx(165 / 180, rel=1e-12)
    share = held / 345
    assert found.entropy == pytest.approx(-(share * np.log(share)).sum() / np.log(10), rel=1e-12)


def test_pin_zones_by_hand(make_priced):
    book = dealer_sign(ten(make_priced))
    one = oi_distribution(book, OpenInterestRules(pin_share=0.1, pin_reach=0.12, pin_gap=0.06)).pin_zones
    assert one.select("low", "high", "open_interest").rows() == [(90.0, 110.0, 270.0)]
    centre = (90 * 55 + 95 * 50 + 100 * 50 + 105 * 50 + 110 * 65) / 270
    assert one["centre"][0] == pytest.approx(centre)
    five = oi_distribution(book, OpenInterestRules(pin_share=0.1, pin_reach=0.12, pin_gap=0.01)).pin_zones
    assert five["low"].to_list() == [90.0, 95.0, 100.0, 105.0, 110.0]
    assert (five["gex"] > 0).to_list() == [False, False, False, True, True]
    none = oi_distribution(book, OpenInterestRules(pin_share=0.5)).pin_zones
    assert none.height == 0


def test_the_epp_scalar_declares_its_scale(make_priced):
    book = dealer_sign(ten(make_priced))
    net = float(book.exposures.gex.sum())
    own = oi_distribution(book)
    assert own.epp == pytest.approx(np.tanh(net / np.abs(book.exposures.gex).sum()))
    fixed = oi_distribution(book, OpenInterestRules(epp_scale=1e4))
    assert (fixed.epp, fixed.epp_scale) == (pytest.approx(np.tanh(net / 1e4)), 1e4)


def test_later_expiries_can_be_left_out_and_max_pain_is_the_nearest_expirys(make_priced):
    strike = np.array([90.0, 90, 110, 110, 90, 90, 110, 110])
    call = np.tile([False, True], 4)
    held = np.array([100.0, 0, 0, 10, 0, 10, 0, 500])
    book = dealer_sign(make_priced(strike, 0.2, np.repeat([5.0, 60.0], 4), call, held))
    every = oi_distribution(book)
    assert every.by_expiry["max_pain"].to_list() == [90.0, 90.0]
    assert every.call_wall_oi == 110.0
    near = oi_distribution(book, OpenInterestRules(within_days=10.0))
    assert near.by_expiry.height == 1
    assert near.by_strike["call_oi"].sum() == 10.0


def test_without_open_interest_nothing_is_marked_out(make_priced):
    found = oi_distribution(dealer_sign(make_priced([95.0, 105.0], open_interest=0.0)))
    assert found.call_wall is None
    assert found.max_pain is None
    assert set(found.reasons) == {
        "call_wall", "put_wall", "call_wall_oi", "put_wall_oi", "absolute_gamma_strike", "max_pain", "put_call", "hhi", "entropy",
        "epp", "epp_scale",
    }  # fmt: skip
    assert set(found.reasons.values()) == {Reason.UNDEFINED}


@pytest.mark.parametrize("rules", [{"pin_share": 0.0}, {"pin_reach": 2.0}, {"epp_scale": -1.0}, {"within_days": 0.0}])
def test_rules_that_make_no_sense_are_refused(rules):
    with pytest.raises(InvalidInput):
        OpenInterestRules(**rules)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(50, 150), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=25))
def test_max_pain_is_the_least_payout_of_all_prices(make_priced, rows):
    strike = np.array([row[0] for row in rows], float)
    calls, puts = (np.array([row[i] for row in rows], float) for i in (1, 2))
    chain = make_priced(
        np.concatenate([strike, strike]), 0.2, 10.0, np.repeat([True, False], len(rows)), np.concatenate([calls, puts])
    )
    found = oi_distribution(dealer_sign(chain))
    prices = np.unique(strike)

    def payout(price):
        return 100 * float((calls * np.maximum(price - strike, 0)).sum() + (puts * np.maximum(strike - price, 0)).sum())

    if (calls + puts).sum() == 0:
        assert found.max_pain is None
        return
    assert found.by_expiry["payout"][0] == pytest.approx(min(payout(p) for p in prices), abs=1e-6)
    assert payout(found.max_pain) == pytest.approx(found.by_expiry["payout"][0], abs=1e-6)
    between = np.linspace(50, 150, 201)
    assert min(payout(p) for p in between) >= found.by_expiry["payout"][0] - 1e-6
