"""Every fault of a quote is found, counted once in the tally and never silently dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.ground.errors import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.pricing.quotes import UNKNOWN_TIME, ChainQuotes, QuoteRules, chain_quotes, judge, years_between

TS = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def table(**changes):
    rows = {
        "instrument": ["X"] * 4, "ts": [TS] * 4, "root": ["SPX", "SPXW", "SPX", "SPXW"],
        "expiry_ts": [TS + timedelta(days=d) for d in (18, 18, 18, 30)], "strike": [100.0, 100.0, 110.0, 100.0],
        "right": ["call", "call", "put", "put"], "exercise_style": ["european"] * 4, "bid": [5.0, 5.1, 12.0, 1.0],
        "ask": [5.2, 5.3, 12.2, None], "iv": [0.2, 1e-5, None, 0.3], "underlying_price": [101.0] * 4,
        "quote_ts": [TS, None, TS - timedelta(minutes=20), TS],
    }
    return pl.DataFrame({**rows, **changes})


def rows(n, **columns) -> ChainQuotes:
    base = {
        "as_of": 10**15, "spot": 100.0, "strike": np.full(n, 100.0), "bid": np.full(n, 5.0), "ask": np.full(n, 5.2),
        "is_call": np.full(n, True), "american": np.full(n, False), "expiry": np.full(n, 10**15 + 30 * 86_400_000_000),
        "quote_time": np.full(n, 10**15), "vendor_iv": np.full(n, 0.2), "series": np.zeros(n, np.int64), "roots": ("X",),
    }
    return ChainQuotes(**{**base, **columns})


def test_a_table_of_chains_becomes_arrays_and_two_roots_of_one_moment_are_two_series():
    chain = chain_quotes(table())
    assert (chain.n_series, chain.roots) == (3, ("SPX", "SPXW", "SPXW"))
    assert chain.series.tolist() == [0, 1, 0, 2]
    assert chain.spot == 101.0
    assert chain.quote_time[1] == UNKNOWN_TIME
    assert np.isnan(chain.ask[3])
    assert np.isnan(chain.vendor_iv[2])
    assert chain.take(np.array([3])).series.tolist() == [2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ts": [TS, TS, TS, TS + timedelta(minutes=1)]}, "one snapshot"),
        ({"right": ["call", "call", "put", "C"]}, "right call or put"),
        ({"instrument": ["X", "X", "X", "Y"]}, "one underlying"),
        ({"strike": [100.0, 100.0, 110.0, -1.0]}, "strikes above zero"),
    ],
)
def test_a_table_that_is_no_snapshot_is_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        chain_quotes(table(**changes))
    with pytest.raises(InvalidInput, match="missing expiry_ts"):
        chain_quotes(table().drop("expiry_ts"))
    with pytest.raises(InvalidInput, match="found none"):
        chain_quotes(table().clear())


def test_each_fault_is_found_and_booked_once():
    bid = np.array([5.0, np.nan, 5.3, 0.0, 5.0, 2.0, 1.0, 5.0])
    ask = np.array([5.2, 5.0, 5.2, 0.1, 5.2, 5.0, 1.1, 5.2])
    chain = rows(
        8, bid=bid, ask=ask, strike=np.array([100.0] * 6 + [90.0, 100.0]), american=np.array([False] * 6 + [True, False]),
        quote_time=np.array([10**15] * 4 + [10**15 - 16 * 60_000_000] + [10**15] * 3),
        expiry=np.array([10**15 + 30 * 86_400_000_000] * 7 + [10**15]),
    )
    judged = judge(chain)
    assert judged.kept.tolist() == [True] + [False] * 7
    assert judged.counts == {
        Reason.EXPIRED: 1, Reason.VALUE_MISSING: 1, Reason.QUOTE_CROSSED: 1, Reason.ZERO_BID: 1, Reason.STALE: 1,
        Reason.SPREAD_TOO_WIDE: 1, Reason.BELOW_INTRINSIC: 1,
    }
    assert sum(judged.counts.values()) == (~judged.kept).sum()


def test_a_row_with_two_faults_is_booked_under_the_first_and_counted_under_both():
    judged = judge(rows(1, bid=np.array([0.0]), ask=np.array([3.0])))
    assert judged.counts == {Reason.ZERO_BID: 1}
    assert judged.all_counts == {Reason.ZERO_BID: 1, Reason.SPREAD_TOO_WIDE: 1}


def test_a_penny_spread_is_never_too_wide_and_rules_can_be_switched_off():
    penny = rows(1, bid=np.array([0.05]), ask=np.array([0.10]))
    assert judge(penny).kept.all()
    assert not judge(penny, QuoteRules(tolerated_spread=0.01)).kept.any()
    old = rows(1, quote_time=np.array([0]))
    assert judge(old).counts == {Reason.STALE: 1}
    assert judge(old, QuoteRules(max_age_minutes=None)).kept.all()
    unknown = judge(rows(1, quote_time=np.array([UNKNOWN_TIME])))
    assert (unknown.kept.all(), unknown.age_unknown) == (True, 1)


def test_a_vendor_floor_makes_its_volatility_unknown_and_drops_the_row_only_on_demand():
    chain = rows(3, vendor_iv=np.array([0.2, 1e-5, np.nan]))
    judged = judge(chain)
    assert judged.kept.all()
    assert judged.vendor_iv_unknown == 2
    np.testing.assert_array_equal(judged.vendor_iv, [0.2, np.nan, np.nan])
    assert judge(chain, QuoteRules(require_vendor_iv=True)).counts == {Reason.PLACEHOLDER: 2}


def test_european_rows_are_judged_by_the_forward_not_by_the_spot():
    chain = rows(1, strike=np.array([90.0]), bid=np.array([8.0]), ask=np.array([8.1]))
    assert judge(chain).kept.all()
    below = judge(chain, forward=np.array([99.0]), discount=np.array([0.99]))
    assert below.counts == {Reason.BELOW_INTRINSIC: 1}  # 0.99 × 9 = 8.91 > 8.1
    assert judge(chain, forward=np.array([98.0]), discount=np.array([0.99])).kept.all()
    with pytest.raises(InvalidInput, match="together"):
        judge(chain, forward=np.array([98.0]))


def test_strikes_of_before_a_split_are_out_of_line(make_chain):
    chain = make_chain(days=(30.0,))
    forward, discount = np.full(len(chain), 100.3), np.full(len(chain), 0.997)
    assert judge(chain, forward=forward, discount=discount).counts.get(Reason.OUT_OF_LINE, 0) == 0
    zombie = chain.is_call & (chain.strike == chain.strike.max())
    broken = replace(chain, bid=np.where(zombie, 40.0, chain.bid), ask=np.where(zombie, 41.0, chain.ask))
    judged = judge(broken, forward=forward, discount=discount)
    assert judged.counts[Reason.OUT_OF_LINE] == 1
    assert not judged.kept[zombie].any()
    low = replace(chain, bid=np.where(chain.strike == chain.strike[33], 0.001, chain.bid))
    low = replace(low, ask=np.where(low.bid == 0.001, 0.002, low.ask))
    one_low_ask = judge(low, QuoteRules(max_relative_spread=None), forward, discount)
    assert one_low_ask.counts.get(Reason.OUT_OF_LINE, 0) == 0  # one false ask does not condemn all beyond it


def test_years_are_counted_to_the_minute_by_a_stated_day_count():
    week = np.array([7 * 86_400_000_000 + 29_000_000])
    assert years_between(0, week)[0] == 7 / 365
    assert years_between(0, week, "ACT/360")[0] == pytest.approx(7 / 360, rel=1e-15)
    assert years_between(0, np.array([60_000_000]))[0] == pytest.approx(1 / 525_600, rel=1e-15)
    with pytest.raises(InvalidInput, match="day count"):
        years_between(0, week, "30/360")


def test_rules_below_zero_are_refused():
    with pytest.raises(InvalidInput, match="max_relative_spread"):
        QuoteRules(max_relative_spread=-1.0)


def test_real_snapshots_lose_known_numbers_of_quotes(real_chain):
    spx = judge(chain_quotes(real_chain("cboe_quotedata/spx_2023-09-14.csv.gz")))
    assert len(spx.faults) == 19_624
    assert spx.counts[Reason.ZERO_BID] == 1105
    assert spx.counts[Reason.VALUE_MISSING] == 228
    assert spx.kept.mean() > 0.9
    nvda = chain_quotes(real_chain("yahoo_chain_2026-02/NVDA_options.csv.gz"))
    assert judge(nvda).age_unknown == len(nvda)  # Yahoo does not say when a quote was made
