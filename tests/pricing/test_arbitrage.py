"""Arbitrage in quotes: worked by hand, against every pair and triple by brute force, and in real snapshots before and after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing.arbitrage import ExpiryQuotes, Violations, check_calendar, check_quotes, check_surface
from fieldcast.pricing.black76 import black76_price
from fieldcast.pricing.forwards import implied_forwards
from fieldcast.pricing.quotes import chain_quotes, judge
from fieldcast.pricing.smiles import calibrate
from fieldcast.pricing.svi import Svi

STRIKES = np.array([90.0, 100.0, 110.0])
CALLS = np.array([True] * 3)


def check(bid, ask, strike=STRIKES, is_call=CALLS, discount=1.0, mid=False):
    return check_quotes(strike, np.array(bid, float), np.array(ask, float), is_call, discount, mid=mid)


def test_hand_worked_vertical_butterfly_and_steep_spread():
    clean = check([12.0, 6.0, 2.0], [12.2, 6.2, 2.2])
    assert clean == Violations(3)
    rising = check([12.0, 6.0, 7.0], [12.2, 6.2, 7.2])
    assert (rising.vertical, rising.vertical_amount) == (1, pytest.approx(0.8))  # buy 100 at 6.2, sell 110 at 7.0
    bulge = check([12.0, 8.0, 2.0], [12.2, 8.2, 2.2])
    assert (bulge.vertical, bulge.butterfly, bulge.butterfly_amount) == (0, 1, pytest.approx(0.8))  # 8.0 − ½ (12.2 + 2.2)
    steep = check([25.0, 6.0, 2.0], [25.2, 6.2, 2.2])
    assert (steep.vertical, steep.vertical_amount) == (1, pytest.approx(25.0 - 6.2 - 10.0))
    assert check([25.0, 6.0, 2.0], [25.2, 6.2, 2.2], discount=1.9).vertical == 0


def test_puts_are_judged_as_calls_in_a_mirror():
    put = np.array([False] * 3)
    assert check([2.0, 6.0, 12.0], [2.2, 6.2, 12.2], is_call=put) == Violations(3)
    assert check([7.0, 6.0, 12.0], [7.2, 6.2, 12.2], is_call=put).vertical == 1
    assert check([2.0, 8.0, 12.0], [2.2, 8.2, 12.2], is_call=put).butterfly == 1


def test_a_spread_hides_what_mids_show():
    bid, ask = [11.0, 6.0, 2.0], [13.0, 9.0, 3.0]
    assert check(bid, ask).count == 0
    assert check(bid, ask, mid=True).butterfly == 1  # 7.5 > ½ (12 + 2.5)


def test_a_violation_between_strikes_that_are_not_neighbours_is_found():
    strike = np.array([100.0, 105.0, 110.0])
    found = check([5.0, 1.0, 5.5], [5.2, 9.0, 5.7], strike=strike)  # 105 is too wide to help or hurt
    assert (found.vertical, found.vertical_amount) == (1, pytest.approx(0.3))


@given(
    n=st.integers(3, 9), seed=st.integers(0, 2**20), noise=st.floats(0.0, 2.0), spread=st.floats(0.001, 1.0),
    discount=st.floats(0.8, 1.0),
)
def test_every_pair_and_triple_is_covered(n, seed, noise, spread, discount):
    random = np.random.default_rng(seed)
    strike = np.sort(random.choice(np.arange(60, 160), n, replace=False)).astype(float)
    mid = np.asarray(black76_price(100.0, strike, 0.5, discount, 0.3, np.ones(n, bool))) + noise * random.standard_normal(n)
    bid, ask = mid - spread, mid + spread
    found = check_quotes(strike, bid, ask, np.ones(n, bool), discount)
    vertical = butterfly = 0
    for i in range(n):
        gains = [max(bid[j] - ask[i], bid[i] - ask[j] - discount * (strike[j] - strike[i])) for j in range(i + 1, n)]
        vertical += max(gains, default=0) > 1e-7
        best = min(
            (((strike[c] - strike[i]) * ask[a] + (strike[i] - strike[a]) * ask[c]) / (strike[c] - strike[a])
             for a in range(i) for c in range(i + 1, n)), default=np.inf,
        )
        butterfly += bid[i] - best > 1e-7
    assert (found.vertical, found.butterfly) == (vertical, butterfly)


def expiry(years, sigma, spread=0.01):
    strike = np.linspace(80, 125, 46)
    mid = np.asarray(black76_price(100.0, strike, years, 0.99, sigma, np.ones(46, bool)))
    return ExpiryQuotes(years, 100.0, 0.99, strike, mid - spread, mid + spread)


def test_a_calendar_arbitrage_is_found_by_its_amount():
    assert check_calendar(expiry(0.25, 0.2), expiry(0.5, 0.2)).count == 0
    found = check_calendar(expiry(0.25, 0.3), expiry(0.5, 0.2))  # total variance 0.0225 against 0.02
    assert found.calendar > 10
    gap = float(black76_price(100.0, 100.0, 0.25, 0.99, 0.3, True) - black76_price(100.0, 100.0, 0.5, 0.99, 0.2, True))
    assert found.calendar_amount == pytest.approx(gap - 0.02, rel=0.05)
    assert check_calendar(expiry(0.25, 0.3, 1.0), expiry(0.5, 0.2, 1.0)).count == 0  # too wide to trade
    assert check_calendar(expiry(0.25, 0.3, 1.0), expiry(0.5, 0.2, 1.0), mid=True).count > 0
    with pytest.raises(InvalidInput, match="earlier expiry first"):
        check_calendar(expiry(0.5, 0.2), expiry(0.25, 0.2))


def test_bad_quotes_are_refused():
    with pytest.raises(InvalidInput, match="finite"):
        check([np.nan, 6.0, 2.0], [12.2, 6.2, 2.2])
    with pytest.raises(InvalidInput, match="found two"):
        check([12.0, 6.0, 2.0], [12.2, 6.2, 2.2], strike=np.array([90.0, 90.0, 110.0]))


def test_a_surface_that_does_offer_arbitrage_is_caught(make_chain):
    surface = calibrate(make_chain(days=(30.0, 90.0))).surface
    assert check_surface(surface).is_free
    first, last = surface.smiles
    crossed = replace(surface, smiles=(replace(first, slice=replace(last.slice, a=last.slice.a + 0.01)), last))
    found = check_surface(crossed)
    assert found.calendar > 0
    assert found.worst_growth < 0
    vogt = replace(surface, smiles=(replace(last, slice=Svi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153), low=-1.5, high=1.5),))
    found = check_surface(vogt)
    assert found.butterfly > 0
    assert found.worst_g == pytest.approx(-0.0329, abs=2e-4)
    assert not found.is_free
    steep = replace(surface, smiles=(replace(last, slice=Svi(0.1, 1.5, 0.5, 0.0, 0.5)),))
    assert check_surface(steep).steepest == 2.25
    assert not check_surface(steep).is_free


@pytest.mark.parametrize("name", ["spx_2023-09-14", "spx_2024-01-07"])
def test_real_quotes_hold_arbitrage_in_their_mids_and_the_fitted_surface_none(real_chain, name):
    chain = chain_quotes(real_chain(f"cboe_quotedata/{name}.csv.gz"))
    kept = chain.take(judge(chain).kept)
    forwards = implied_forwards(kept)
    traded, mids = Violations(0), Violations(0)
    for one in forwards.known:
        rows = kept.series == one.series
        given = kept.strike[rows], kept.bid[rows], kept.ask[rows], kept.is_call[rows], one.discount
        traded, mids = traded + check_quotes(*given), mids + check_quotes(*given, mid=True)
    assert traded.quotes == len(kept)
    assert mids.butterfly > 2000  # mids are rough: most strikes stand above the hull of all the others
    assert traded.count < 0.02 * len(kept)  # few could be traded (the snapshot is not quite of one moment)
    after = check_surface(calibrate(chain).surface)
    assert (after.butterfly, after.calendar) == (0, 0)
    print(name, "traded", traded, "mids", mids, "after", after)
