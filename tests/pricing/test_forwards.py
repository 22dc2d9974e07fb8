"""Forwards and discount factors of chains with known answers, of bad quotes, of American options, and of real snapshots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcast.ground.errors import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.pricing.american import american_price
from fieldcast.pricing.forwards import (
    DEAMERICANISED,
    PARITY,
    ForwardRules,
    early_exercise_premium,
    forward_from_dividends,
    implied_forwards,
)
from fieldcast.pricing.quotes import chain_quotes, judge


def test_exact_parity_gives_forward_and_discount_to_rounding(make_chain):
    chain = make_chain()
    found = implied_forwards(chain)
    assert not found.refused
    for one in found.known:
        assert one.forward == pytest.approx(100 * np.exp(0.03 * one.years), rel=1e-9)
        assert one.discount == pytest.approx(np.exp(-0.04 * one.years), rel=1e-8)
        assert one.rate == pytest.approx(0.04, abs=1e-6)
        assert one.carry == pytest.approx(0.03, abs=1e-6)
        assert one.dividend_yield == pytest.approx(0.01, abs=1e-6)
        assert one.tradable_low <= one.forward <= one.tradable_high
        assert (one.method, one.day_count, one.iterations) == (PARITY, "ACT/365", 0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says(make_chain):
    inside = []
    for seed in range(120):
        chain = make_chain(days=(90.0,), noise=0.01, seed=seed)
        one = implied_forwards(chain).known[0]
        inside.append(one.forward_low <= 100 * np.exp(0.03 * one.years) <= one.forward_high)
    assert 0.85 <= np.mean(inside) <= 0.99  # nominal 0.95; 120 chains: ±0.04


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_third_of_wrong_pairs_does_not_move_the_line(make_chain, share):
    chain = make_chain(days=(90.0,), noise=0.005)
    random = np.random.default_rng(3)
    bad = random.random(len(chain)) < share / 2  # of either side
    shift = np.where(bad, random.choice([-3.0, 5.0], len(chain)), 0.0)
    moved = replace(chain, bid=np.maximum(chain.bid + shift, 0.0), ask=np.maximum(chain.bid + shift, 0.0) + 0.02)
    one = implied_forwards(moved).known[0]
    assert one.forward == pytest.approx(100 * np.exp(0.03 * one.years), abs=0.02)
    assert one.outliers >= 3


def test_a_tight_quote_weighs_more_than_a_wide_one(make_chain):
    chain = make_chain(days=(90.0,))
    upper = chain.strike > 100  # there the mids are wrong by 10 cents, with spreads of 2
    wide = replace(chain, bid=np.where(upper & chain.is_call, chain.bid + 0.1 - 1.0, chain.bid))
    wide = replace(wide, ask=np.where(upper & chain.is_call, chain.ask + 0.1 + 1.0, chain.ask))
    one = implied_forwards(wide.take(wide.bid > 0)).known[0]
    assert one.forward == pytest.approx(100 * np.exp(0.03 * one.years), abs=2e-3)


def test_too_few_pairs_and_expired_rows_are_refused_with_a_reason(make_chain):
    chain = make_chain(days=(20.0, 30.0, 60.0), strikes=4)
    chain = replace(chain, expiry=np.where(chain.series == 0, chain.as_of - 60_000_000, chain.expiry))
    found = implied_forwards(chain, ForwardRules(max_log_moneyness=2.0))
    assert not found.known
    assert [one.reason for one in found.refused] == [Reason.EXPIRED, Reason.FEW_ROWS, Reason.FEW_ROWS]
    assert "4 strikes" in found.refused[1].detail
    assert np.isnan(found.of_rows(chain)).all()


def test_a_short_expiry_takes_its_rate_from_those_that_resolve_it(make_chain):
    chain = make_chain(days=(1.0, 180.0, 365.0), noise=0.01)
    short, *rest = implied_forwards(chain).known
    assert [one.discount_source for one in rest] == ["regression", "regression"]
    assert short.discount_source == "pooled"
    assert short.rate == pytest.approx(0.04, abs=0.003)
    alone = implied_forwards(chain.take(chain.series == 0)).known[0]
    assert alone.discount_source == "unresolved"
    assert alone.forward == pytest.approx(short.forward, abs=0.01)


def test_a_rate_that_stands_out_from_its_neighbours_is_not_believed(make_chain):
    chain = make_chain(days=(60.0, 80.0, 100.0, 120.0, 140.0, 160.0))
    tilt = np.where((chain.series == 3) & chain.is_call, 0.01 * (chain.strike - 100), 0.0)  # rate of 7 per cent
    bent = replace(chain, bid=chain.bid + tilt, ask=chain.ask + tilt)
    known = implied_forwards(bent.take(bent.bid > 0)).known
    assert [one.discount_source for one in known] == ["regression"] * 3 + ["pooled"] + ["regression"] * 2
    assert known[3].rate == pytest.approx(0.04, abs=1e-3)


def test_a_given_rate_leaves_only_the_forward_to_the_options(make_chain):
    chain = make_chain(days=(30.0, 90.0))
    first, second = implied_forwards(chain, rates=np.array([0.04, np.nan])).known
    assert (first.discount_source, second.discount_source) == ("given", "regression")
    assert first.rate_low == first.rate == first.rate_high == pytest.approx(0.04)
    assert first.forward == pytest.approx(100 * np.exp(0.03 * first.years), rel=1e-9)


def american(forward, strike, deviation, discount, is_call, years):
    rate, carry = -np.log(discount) / years, np.log(forward / 100) / years
    return np.asarray(american_price(100.0, strike, years, rate, rate - carry, deviation / np.sqrt(years), is_call))


@pytest.mark.parametrize(("rate", "dividend_yield"), [(0.05, 0.01), (0.03, 0.06), (0.05, 0.05)])
def test_american_chains_are_de_americanised(make_chain, rate, dividend_yield):
    chain = make_chain(
        days=(60.0, 365.0), rate=rate, dividend_yield=dividend_yield, price=american, american=True, half_spread=0.005, width=2.0,
        strikes=41,
    )
    raw = implied_forwards(chain, premium=lambda *given: np.zeros(len(given[1]))).known
    found = implied_forwards(chain).known
    for before, one in zip(raw, found, strict=True):
        truth = 100 * np.exp((rate - dividend_yield) * one.years)
        assert one.method == DEAMERICANISED
        assert one.iterations >= 2
        assert one.forward == pytest.approx(truth, rel=2e-4)
        assert abs(one.forward - truth) < 0.3 * abs(before.forward - truth) + 1e-3
    assert found[1].rate == pytest.approx(rate, abs=0.0015)


def test_a_premium_between_its_nodes_is_that_of_every_strike():
    strike = np.linspace(60, 150, 91)
    sigma = 0.25 - 0.001 * (strike - 100)
    nodes = early_exercise_premium(100.0, strike, 0.5, 0.05, 0.02, sigma, False)
    one_by_one = zip(strike[:, None], sigma[:, None], strict=True)
    each = np.concatenate([early_exercise_premium(100.0, k, 0.5, 0.05, 0.02, s, False) for k, s in one_by_one])
    assert np.abs(nodes - each).max() < 0.015  # of premiums up to 2.7
    assert (early_exercise_premium(100.0, strike, 0.5, 0.05, 0.0, sigma, True) == 0).all()  # no dividend, no early call


def test_american_options_need_a_spot(make_chain):
    chain = replace(make_chain(days=(60.0,), american=True), spot=float("nan"))
    with pytest.raises(InvalidInput, match="need a spot"):
        implied_forwards(chain)


def test_a_dividend_schedule_gives_the_forward_without_options():
    assert forward_from_dividends(100.0, 0.05, 1.0) == pytest.approx(105.12710963760242, rel=1e-15)
    # Hull, Options, Futures and Other Derivatives, example 5.2: 50, 8 %, three dividends of 0.75, ten months: 51.14
    assert forward_from_dividends(50.0, 0.08, 10 / 12, (0.25, 0.5, 0.75, 1.0), (0.75,) * 4) == pytest.approx(51.14, abs=0.005)
    with pytest.raises(InvalidInput, match="worth less than the spot"):
        forward_from_dividends(1.0, 0.05, 1.0, (0.5,), (2.0,))


def test_rules_that_make_no_sense_are_refused():
    for rules in ({"day_count": "30/360"}, {"fewest_pairs": 2}, {"confidence": 1.0}):
        with pytest.raises(InvalidInput):
            ForwardRules(**rules)


@pytest.mark.parametrize(
    ("name", "spot", "rate"), [("spx_2023-09-14", 4505.1, (0.050, 0.062)), ("spx_2024-01-07", 4697.24, (0.048, 0.062))]
)
def test_real_index_forwards_lie_between_the_tradable_bounds_and_rise_with_the_rate(real_chain, name, spot, rate):
    chain = chain_quotes(real_chain(f"cboe_quotedata/{name}.csv.gz"))
    found = implied_forwards(chain.take(judge(chain).kept))
    assert not found.refused
    assert len(found.known) >= 58
    for one in found.known:
        assert one.forward == pytest.approx(spot, rel=0.02 + 0.05 * one.years)
        assert (one.forward_high - one.forward_low) / 2 < 0.0012 * one.forward
    half_year = [one for one in found.known if 0.1 < one.years < 0.7]
    assert all(rate[0] < one.rate < rate[1] for one in half_year)
    assert all(one.tradable_low <= one.forward <= one.tradable_high for one in half_year)
    assert all(0.002 < one.dividend_yield < 0.02 for one in half_year if one.years > 0.15)  # about 1.5 per cent
    by_date = {}
    for one in found.known:  # AM and PM settlement of the same day have almost the same forward
        by_date.setdefault(one.expiry // 86_400_000_000, []).append(one.forward)
    pairs = [values for values in by_date.values() if len(values) == 2]
    assert len(pairs) >= 5
    assert max(abs(a / b - 1) for a, b in pairs) < 2e-4


@pytest.mark.slow
def test_real_american_forwards_of_a_fund(real_chain):
    chain = chain_quotes(real_chain("yahoo_chain_2026-02/SPY_options.csv.gz"))
    found = implied_forwards(chain.take(judge(chain).kept))
    assert not found.refused
    assert len(found.known) == 31
    for one in found.known:
        assert one.method == DEAMERICANISED
        assert one.forward == pytest.approx(692.3, rel=0.001 + 0.045 * one.years)
        assert 0.025 < one.rate < 0.055
    assert all(0.0 < one.dividend_yield < 0.025 for one in found.known if one.years > 0.6)  # SPY pays about 1.1 per cent
