"""A chain becomes contracts that can be priced; what cannot is counted under its reason, and nothing is invented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.fields.chain_rows import latest_rows, with_open_interest
from fieldcast.fields.pricing_chain import ChainRules, price_chain
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.pricing.quotes import QuoteRules

AS_OF = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_forward_volatility_and_time_of_a_known_chain_come_back(make_table, make_smile):
    chain = make_table(half_spread=0.0005, width=0.12)
    found = price_chain(chain, AS_OF)
    assert len(found) == chain.height
    assert found.filled == {}
    assert found.dropped == {}
    assert found.spot == 100.0
    np.testing.assert_allclose(found.sigma, make_smile(found.strike, 100.0), atol=2e-3)
    np.testing.assert_allclose(found.rate[found.years > 0.05], 0.04, atol=2e-3)
    np.testing.assert_allclose(found.carry, 0.03, atol=3e-3)
    np.testing.assert_allclose(np.unique(found.years) * 365, [7, 30, 90], rtol=1e-12)
    assert (np.diff(found.expiry_ts) > 0).all()
    assert found.iv_source.startswith("mids of out-of-the-money quotes")


def test_call_and_put_of_a_strike_have_one_volatility_and_the_order_is_expiry_strike_puts_first(make_table):
    found = price_chain(make_table(), AS_OF)
    keys = list(zip(found.expiry.tolist(), found.strike.tolist(), found.is_call.tolist(), strict=True))
    assert keys == sorted(keys)
    puts, calls = found.sigma[~found.is_call], found.sigma[found.is_call]
    np.testing.assert_array_equal(puts, calls)


@pytest.mark.slow
def test_american_quotes_give_the_volatility_that_priced_them(make_table, make_smile):
    chain = make_table(days=(30.0, 90.0, 180.0), american=True, half_spread=0.002, strikes=21)
    found = price_chain(chain, AS_OF)
    assert found.american.all()
    near = np.abs(np.log(found.strike / 100)) < 0.15
    np.testing.assert_allclose(found.sigma[near], make_smile(found.strike[near], 100.0), atol=3e-3)


def test_the_newest_snapshot_known_is_taken_and_no_later_one(make_table):
    early, late = make_table(spot=100.0), make_table(spot=101.0, ts=AS_OF + timedelta(hours=1))
    both = pl.concat([early, late])
    assert price_chain(both, AS_OF + timedelta(minutes=30)).spot == 100.0
    assert price_chain(both, AS_OF + timedelta(minutes=60)).spot == 101.0
    delayed = both.with_columns(available_at=pl.col("available_at") + timedelta(minutes=15))
    assert price_chain(delayed, AS_OF + timedelta(minutes=60)).spot == 100.0
    with pytest.raises(MissingData, match="expected a chain known at"):
        price_chain(delayed, AS_OF)
    with pytest.raises(MissingData, match="not older than"):
        price_chain(early, AS_OF + timedelta(days=6))


def test_time_to_expiry_runs_from_the_decision_and_volatility_stays_that_of_the_quotes(make_table):
    now, later = (price_chain(make_table(), AS_OF + timedelta(hours=h)) for h in (0, 5))
    np.testing.assert_allclose((now.years - later.years) * 365 * 24, 5.0, rtol=1e-9)
    np.testing.assert_array_equal(now.sigma, later.sigma)


def test_open_interest_enters_once_published_and_unknown_is_never_zero(make_table):
    chain = make_table().with_columns(
        open_interest=pl.when(pl.col("strike") < 95).then(None).when(pl.col("strike") > 105).then(0.0).otherwise("open_interest")
    )
    unknown = chain.filter(pl.col("strike") < 95).height
    found = price_chain(chain, AS_OF)
    assert found.dropped == {Reason.OPEN_INTEREST_UNKNOWN: unknown}
    assert (found.open_interest[found.strike > 105] == 0).all()
    late = chain.with_columns(
        oi_available_at=pl.when(pl.col("right") == "call").then(AS_OF + timedelta(minutes=1)).otherwise("oi_available_at")
    )
    found = price_chain(late, AS_OF)
    assert not found.is_call.any()
    assert found.dropped[Reason.OPEN_INTEREST_UNPUBLISHED] > 0
    assert price_chain(late, AS_OF + timedelta(minutes=1)).is_call.any()


def test_a_chain_without_open_interest_or_without_quotes_says_so(make_table):
    chain = make_table()
    with pytest.raises(MissingData, match="open_interest_unknown"):
        price_chain(chain.with_columns(open_interest=pl.lit(None, pl.Float64)), AS_OF)
    with pytest.raises(MissingData, match="open_interest_unknown"):
        price_chain(chain.drop("open_interest"), AS_OF)
    empty = chain.with_columns(bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64))
    with pytest.raises(MissingData, match="no usable quote"):
        price_chain(empty, AS_OF)
    with pytest.raises(MissingData, match="price of XNAS:TEST"):
        price_chain(chain.with_columns(underlying_price=pl.lit(None, pl.Float64)), AS_OF)


def test_a_vendors_volatility_and_a_rate_stand_in_only_where_declared(make_table):
    chain = make_table().with_columns(bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64), iv=pl.lit(0.25))
    found = price_chain(chain, AS_OF, rules=ChainRules(volatility="vendor", rate=0.04, dividend_yield=0.01))
    assert len(found) == chain.height
    assert (found.sigma == 0.25).all()
    np.testing.assert_allclose(found.carry, 0.03, rtol=1e-12)
    assert found.iv_source.startswith("the vendor's")
    with pytest.raises(MissingData):
        price_chain(chain, AS_OF, rules=ChainRules(volatility="vendor"))
    both = price_chain(chain, AS_OF, rules=ChainRules(volatility="quotes, then vendor", rate=0.04))
    assert (both.sigma == 0.25).all()


def test_strikes_without_a_quote_are_filled_from_their_neighbours_or_counted(make_table, make_smile):
    chain = make_table(days=(30.0, 90.0), width=0.12)
    hole = pl.col("strike").is_between(97, 99)
    wing = pl.col("strike") > 110
    broken = chain.with_columns(bid=pl.when(hole | wing).then(0.0).otherwise("bid"))
    found = price_chain(broken, AS_OF)
    assert len(found) == chain.height
    assert found.filled["gap"] == chain.filter(hole).height
    assert found.filled["wing"] == chain.filter(wing).height
    inside = (found.strike >= 97) & (found.strike <= 99)
    np.testing.assert_allclose(found.sigma[inside], make_smile(found.strike[inside], 100.0), atol=2e-3)
    strict = price_chain(broken, AS_OF, rules=ChainRules(fill_gaps=False, fill_wings=False))
    assert strict.dropped == {Reason.ZERO_BID: chain.filter(hole | wing).height}
    assert len(strict) + sum(strict.dropped.values()) == chain.height


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bid": pl.col("ask") + 1}, Reason.QUOTE_CROSSED),
        ({"quote_ts": pl.col("ts") - timedelta(hours=2)}, Reason.STALE),
        ({"bid": pl.col("ask") * 0.3}, Reason.SPREAD_TOO_WIDE),
        ({"ask": pl.lit(None, pl.Float64)}, Reason.VALUE_MISSING),
    ],
)
def test_a_bad_quote_is_left_out_under_its_reason(make_table, change, reason):
    chain = make_table(days=(30.0, 90.0))
    bad = (pl.col("strike") < 92) & (pl.col("right") == "put") & (pl.col("ask") > 0.2)
    broken = chain.with_columns(**{name: pl.when(bad).then(value).otherwise(name) for name, value in change.items()})
    found = price_chain(broken, AS_OF, rules=ChainRules(fill_gaps=False, fill_wings=False))
    assert found.dropped[reason] == chain.filter(bad).height
    assert len(found) + sum(found.dropped.values()) == chain.height


def test_quotes_of_before_a_split_are_no_contracts_of_today(make_table):
    chain = make_table(days=(30.0, 90.0))
    old = (pl.col("strike") > 115) & (pl.col("right") == "call")
    broken = chain.with_columns(bid=pl.when(old).then(55.0).otherwise("bid"), ask=pl.when(old).then(56.0).otherwise("ask"))
    found = price_chain(broken, AS_OF)
    assert found.dropped[Reason.OUT_OF_LINE] >= chain.filter(old).height
    assert not ((found.strike > 115) & found.is_call).any()


def test_multipliers_are_kept_contract_by_contract(make_table):
    chain = make_table().with_columns(multiplier=pl.when(pl.col("strike") > 100).then(10.0).otherwise(100.0))
    found = price_chain(chain, AS_OF)
    np.testing.assert_array_equal(found.multiplier, np.where(found.strike > 100, 10.0, 100.0))


def test_expired_rows_are_counted_and_an_expiry_in_a_minute_is_finite(make_table):
    chain = make_table(days=(1 / 1440, 5 / 1440, 30.0, 90.0), half_spread=0.0002, width=0.02)
    found = price_chain(chain, AS_OF, rules=ChainRules(quotes=QuoteRules(max_relative_spread=None)))
    assert found.years.min() * 525_600 == pytest.approx(1.0)
    for values in (found.sigma, found.years, found.rate, found.carry):
        assert np.isfinite(values).all()
    later = price_chain(chain, AS_OF + timedelta(minutes=1))
    ended = chain.filter(pl.col("expiry_ts") <= AS_OF + timedelta(minutes=1)).height
    assert later.dropped[Reason.EXPIRED] == ended
    assert (later.years > 0).all()
    dead = chain.with_columns(expiry_ts=AS_OF - timedelta(days=1))
    with pytest.raises(MissingData, match="expired"):
        price_chain(dead, AS_OF)


def test_rows_that_no_contract_can_have_and_second_copies_are_counted(make_table):
    chain = make_table()
    broken = chain.with_columns(multiplier=pl.when(pl.col("contract_id") == "T3").then(None).otherwise("multiplier"))
    found = price_chain(pl.concat([broken, broken.filter(pl.col("contract_id") == "T5")]), AS_OF)
    assert found.dropped == {Reason.ROW_UNREADABLE: 1, Reason.DUPLICATE_STAMP: 1}


def test_what_is_no_chain_is_refused(make_table):
    chain = make_table()
    with pytest.raises(InvalidInput, match="time zone"):
        price_chain(chain, AS_OF.replace(tzinfo=None))
    with pytest.raises(InvalidInput, match="missing strike"):
        price_chain(chain.drop("strike"), AS_OF)
    with pytest.raises(InvalidInput, match="one underlying"):
        price_chain(pl.concat([chain, chain.with_columns(instrument=pl.lit("XNAS:OTHER"))]), AS_OF)
    with pytest.raises(InvalidInput, match="spot above zero"):
        price_chain(chain, AS_OF, spot=-1.0)
    with pytest.raises(InvalidInput, match="volatility"):
        ChainRules(volatility="guess")  # type: ignore[arg-type]


def test_a_stale_spot_shows_as_carry_and_parity_finds_the_true_one(make_table):
    chain = make_table(days=(2.0, 7.0, 30.0, 60.0), half_spread=0.001).with_columns(underlying_price=pl.lit(99.7))
    stated = price_chain(chain, AS_OF)
    assert stated.carry.max() > 0.3
    found = price_chain(chain, AS_OF, rules=ChainRules(spot="parity"))
    assert found.spot == pytest.approx(100.0, abs=0.02)
    np.testing.assert_allclose(found.carry, 0.03, atol=0.03)
    assert price_chain(chain, AS_OF, spot=100.0).spot == 100.0


def test_quotes_written_when_they_change_become_one_snapshot(make_table):
    whole = make_table(days=(30.0, 90.0)).with_columns(quote_ts=pl.lit(None, pl.Datetime("us", "UTC")))
    minute = timedelta(minutes=1)
    later = AS_OF + 5 * minute
    changed = whole.head(20).with_columns(ts=pl.lit(later), available_at=pl.lit(later), volume=9.0)
    both = pl.concat([whole, changed])
    rows = latest_rows(both, AS_OF + 5 * minute)
    assert rows.height == whole.height
    assert rows["ts"].unique().to_list() == [AS_OF + 5 * minute]
    assert (rows["quote_ts"] == AS_OF).sum() == whole.height - 20
    assert (rows["volume"] == 9.0).sum() == 20
    assert (latest_rows(both, AS_OF + 4 * minute)["volume"] == 5.0).all()
    assert len(price_chain(rows, AS_OF + 5 * minute)) == whole.height
    with pytest.raises(MissingData, match="came out later"):
        latest_rows(both, AS_OF - minute)
    with pytest.raises(InvalidInput, match="time zone"):
        latest_rows(both, AS_OF.replace(tzinfo=None))


def test_open_interest_of_its_own_table_is_joined_as_it_was_known(make_table):
    chain = make_table(days=(30.0, 90.0)).with_columns(open_interest=pl.lit(None, pl.Float64))
    hours = [timedelta(hours=h) for h in (-24, -1, 1)]
    counts = pl.DataFrame(
        {"instrument": ["XNAS:TEST"] * 3, "ts": [AS_OF + h for h in hours], "available_at": [AS_OF + h for h in hours],
         "contract_id": ["T7"] * 3, "open_interest": [1.0, 2.0, 3.0]}
    ).cast({"ts": pl.Datetime("us", "UTC"), "available_at": pl.Datetime("us", "UTC")})  # fmt: skip
    found = with_open_interest(chain, counts, AS_OF)
    assert found.filter(pl.col("open_interest").is_not_null())["contract_id"].to_list() == ["T7"]
    assert found["open_interest"].drop_nulls().to_list() == [2.0]
    assert price_chain(found, AS_OF).open_interest.tolist() == [2.0]
    own = with_open_interest(make_table(days=(30.0,)), counts, AS_OF)
    assert own["open_interest"].equals(make_table(days=(30.0,))["open_interest"])


def test_a_count_of_the_row_itself_that_came_out_later_gives_way_to_an_older_one(make_table):
    """The source stamps Tuesday's count on Monday's row: at Monday 15:00 the count of Friday is what was known."""
    stamp = pl.Datetime("us", "UTC")
    later = pl.lit(AS_OF + timedelta(hours=18)).cast(stamp)
    chain = make_table(days=(30.0,)).with_columns(oi_available_at=later)
    friday = AS_OF - timedelta(days=2)
    counts = pl.DataFrame(
        {"instrument": ["XNAS:TEST"], "ts": [friday], "available_at": [friday], "contract_id": ["T7"], "open_interest": [5.0]}
    ).cast({"ts": stamp, "available_at": stamp})
    found = with_open_interest(chain, counts, AS_OF)
    seven = found.filter(contract_id="T7")
    assert (seven["open_interest"].item(), seven["oi_available_at"].item()) == (5.0, friday)
    # without an older count the row still says that its own was not out yet, and the pricing counts it so
    others = found.filter(pl.col("contract_id") != "T7")
    assert others["oi_available_at"].unique().to_list() == [AS_OF + timedelta(hours=18)]
    priced = price_chain(found, AS_OF)
    assert priced.open_interest.tolist() == [5.0]
    assert priced.dropped[Reason.OPEN_INTEREST_UNPUBLISHED] == chain.height - 1
    # once it is out, its own count stands again
    assert with_open_interest(chain, counts, AS_OF + timedelta(hours=18))["open_interest"].equals(chain["open_interest"])


def test_american_options_without_a_spot_cannot_be_priced(make_table):
    chain = make_table(days=(30.0, 90.0), american=True, strikes=11).with_columns(underlying_price=pl.lit(None, pl.Float64))
    with pytest.raises(MissingData, match="give spot="):
        price_chain(chain, AS_OF, rules=ChainRules(spot="parity"))
    assert price_chain(chain, AS_OF, spot=100.0).spot == 100.0


@settings(max_examples=15)
@given(share=st.floats(0.0, 0.9), seed=st.integers(0, 10_000))
def test_every_row_is_either_priced_or_counted_once(make_table, share, seed):
    chain = make_table(days=(30.0, 90.0), strikes=21)
    random = np.random.default_rng(seed)

    def holed(name):
        return pl.Series(name, np.where(random.random(chain.height) < share / 3, np.nan, chain[name].to_numpy())).fill_nan(None)

    broken = chain.with_columns(holed("bid"), holed("ask"), holed("open_interest"))
    try:
        found = price_chain(broken, AS_OF)
    except MissingData:
        return
    assert len(found) + sum(found.dropped.values()) == chain.height
    for name in ("sigma", "years", "rate", "carry", "open_interest"):
        assert np.isfinite(getattr(found, name)).all()


@pytest.mark.parametrize(
    ("name", "rows", "share"),
    [
        ("cboe_quotedata/spx_2023-09-14.csv.gz", 19_624, 0.999),
        ("cboe_quotedata/spx_2024-01-07.csv.gz", 20_592, 0.999),
        ("yahoo_chain_2026-02/NVDA_options.csv.gz", 3_802, 0.80),
    ],
)
def test_real_chains_are_priced_but_for_known_rows(real_chain, name, rows, share):
    chain = real_chain(name)
    found = price_chain(chain, chain["ts"][0])
    assert chain.height == rows
    assert len(found) + sum(found.dropped.values()) == rows
    assert len(found) >= share * rows
    for values in (found.sigma, found.years, found.rate, found.carry, found.open_interest):
        assert np.isfinite(values).all()
    assert ((found.sigma > 0) & (found.years > 0)).all()
