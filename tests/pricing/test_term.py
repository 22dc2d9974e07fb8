"""Term structure, skew, model-free variance and IV rank against closed forms and Cboe's published figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fieldcast.ground.errors import InvalidInput, MissingData
from fieldcast.pricing.black76 import black76_price
from fieldcast.pricing.quotes import chain_quotes
from fieldcast.pricing.smiles import calibrate
from fieldcast.pricing.term import (
    constant_maturity,
    interpolated_variance,
    iv_percentile,
    iv_rank,
    model_free_variance,
    skew,
    term_structure,
)


def test_the_final_step_of_cboes_worked_example():
    # Cboe, VIX white paper (2014 edition), worked example: T1, T2 from minutes 35,924 and 46,394; VIX 13.69
    years = 35_924 / 525_600, 46_394 / 525_600
    assert years == (pytest.approx(0.0683486, abs=5e-8), pytest.approx(0.0882686, abs=5e-8))
    variance = interpolated_variance(years, (0.01846292, 0.01882101))
    assert round(100 * variance**0.5, 2) == 13.69
    with pytest.raises(InvalidInput, match="ascend"):
        interpolated_variance((0.1, 0.1), (0.01, 0.02))


def strip(sigma=0.2, years=0.25, low=0.2, high=4.0, step=0.5, spread=0.0):
    strike = np.arange(100 * low, 100 * high, step)
    columns = []
    for is_call in (True, False):
        price = np.asarray(black76_price(101.3, strike, years, 0.98, sigma, np.full(len(strike), is_call)))
        columns.append((strike, np.maximum(price - spread, 0), price + spread, np.full(len(strike), is_call)))
    return tuple(np.concatenate(parts) for parts in zip(*columns, strict=True))


def test_a_flat_volatility_is_its_own_model_free_volatility():
    found = model_free_variance(*strip(), 101.3, 0.25, 0.98)
    assert found.volatility == pytest.approx(0.2, abs=2e-4)
    assert found.at_or_below == 101.0
    rougher = model_free_variance(*strip(step=5.0), 101.3, 0.25, 0.98)
    assert found.volatility - 0.2 < rougher.volatility - 0.2 < 0.005


def test_two_zero_bids_in_a_row_end_the_strip_and_one_does_not():
    strike, bid, ask, is_call = strip(low=0.7, high=1.3, step=5.0, spread=0.0005)
    one, two = bid.copy(), bid.copy()
    one[(~is_call) & (strike == 85)] = 0
    two[(~is_call) & np.isin(strike, (80, 85))] = 0
    assert model_free_variance(strike, bid, ask, is_call, 101.3, 0.25, 0.98).lowest < 80
    single = model_free_variance(strike, one, ask, is_call, 101.3, 0.25, 0.98)
    assert single.lowest < 80
    cut = model_free_variance(strike, two, ask, is_call, 101.3, 0.25, 0.98)
    assert cut.lowest == 90
    assert cut.strikes < single.strikes
    with pytest.raises(MissingData, match="at or below the forward"):
        model_free_variance(strike, bid, ask, is_call, 50.0, 0.25, 0.98)
    with pytest.raises(InvalidInput, match="finite"):
        model_free_variance(strike, bid * np.nan, ask, is_call, 101.3, 0.25, 0.98)


def test_term_structure_of_a_known_surface(make_chain):
    surface = calibrate(make_chain(half_spread=0.005)).surface
    found = term_structure(surface)
    np.testing.assert_allclose(found.volatility, 0.2, atol=5e-4)
    np.testing.assert_allclose(found.forward_volatility, 0.2, atol=1.5e-3)
    assert abs(found.slope) < 1e-3
    assert constant_maturity(surface, 60) == pytest.approx(0.2, abs=5e-4)
    with pytest.raises(MissingData, match="between the expiries"):
        constant_maturity(surface, 3)


def test_skew_strikes_have_the_delta_that_was_asked_for(make_chain):
    smile = calibrate(make_chain(days=(90.0,))).surface.smiles[0]
    found = skew(smile)
    for k, target in ((found.put_k, -0.25), (found.call_k, 0.25)):
        s = float(np.sqrt(smile.slice.total_variance(k)))
        delta = norm.cdf(-k / s + s / 2) - (1 if target < 0 else 0)
        assert delta == pytest.approx(target, abs=1e-9)
    assert found.put_k < 0 < found.call_k
    assert found.risk_reversal == pytest.approx(found.call - found.put)
    assert found.risk_reversal < -0.02  # ρ is −0.6
    assert found.butterfly == pytest.approx((found.call + found.put) / 2 - found.at_the_money)
    assert not found.extrapolated
    assert skew(smile, 0.1).risk_reversal < found.risk_reversal
    with pytest.raises(InvalidInput, match="delta"):
        skew(smile, 0.6)


def test_rank_and_percentile_by_hand():
    history = np.array([0.2, 0.3, 0.1, 0.2, np.nan, 0.4, 0.4])
    np.testing.assert_allclose(iv_rank(history, 3), [np.nan, np.nan, 0.0, 0.5, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(iv_rank(history, 3, fewest=2), [np.nan, 1.0, 0.0, 0.5, np.nan, 1.0, np.nan])  # the last: no range
    np.testing.assert_allclose(iv_percentile(history, 3, fewest=2), [np.nan, 1.0, 0.0, 0.5, np.nan, 1.0, 0.5])
    with pytest.raises(InvalidInput, match="window"):
        iv_rank(history, 1)
    with pytest.raises(InvalidInput, match="fewest"):
        iv_percentile(history, 5, fewest=6)


@pytest.mark.parametrize("of", [iv_rank, iv_percentile])
def test_rank_and_percentile_do_not_know_the_future(of):
    history = np.random.default_rng(1).lognormal(-1.6, 0.3, 400)
    history[::17] = np.nan
    whole = of(history, 100, fewest=60)
    for end in (60, 137, 250, 399):
        np.testing.assert_array_equal(of(history[:end], 100, fewest=60), whole[:end])
    known = whole[np.isfinite(whole)]
    assert known.size > 250
    assert known.min() >= 0
    assert known.max() <= 1


def test_real_vix_by_our_strip(real_chain):
    for name, vix in (("spx_2023-09-14", 12.82), ("spx_2024-01-07", 13.35)):  # Cboe's closes of 14 Sep 2023 and 5 Jan 2024
        chain = chain_quotes(real_chain(f"cboe_quotedata/{name}.csv.gz"))
        forwards = {one.series: one for one in calibrate(chain).forwards.known}
        inside = [one for one in forwards.values() if 23 / 365 < one.years < 37 / 365]
        near = max((one for one in inside if one.years <= 30 / 365), key=lambda one: one.years)
        far = min((one for one in inside if one.years > 30 / 365), key=lambda one: one.years)
        variance = []
        for one in (near, far):
            rows = (chain.series == one.series) & np.isfinite(chain.bid) & np.isfinite(chain.ask)
            given = chain.strike[rows], chain.bid[rows], chain.ask[rows], chain.is_call[rows]
            variance.append(model_free_variance(*given, one.forward, one.years, one.discount).variance)
        index = 100 * interpolated_variance((near.years, far.years), (variance[0], variance[1])) ** 0.5
        assert index == pytest.approx(vix, abs=0.35)  # other expiries, and quotes of another minute
