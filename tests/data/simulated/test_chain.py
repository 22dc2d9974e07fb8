"""Simulated chains: no arbitrage in the truth nor at the quotes, counts that add up, and the label on every row."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data import MemoryStore
from fieldcast.data.chains import parse_osi
from fieldcast.data.simulated import (
    INDEX_LISTINGS,
    ChainMarket,
    Defects,
    FlowProcess,
    ListingRules,
    QuoteProcess,
    SurfaceProcess,
    crypto,
    equity,
    index,
    simulate_chain,
    spoil,
)
from fieldcast.data.simulated.listings import expiries, ladder, nice_step, third_friday
from fieldcast.data.simulated.option_quotes import early_bound
from fieldcast.data.simulated.parameters import PriceProcess
from fieldcast.data.simulated.surface import KNOTS, Surface, expected_variance
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import has_reason, sessions
from fieldcast.pricing import american_price, black76_price, bsm_price, implied_volatility
from fieldcast.pricing.arbitrage import ExpiryQuotes, check_calendar, check_quotes
from fieldcast.pricing.quotes import QuoteRules, chain_quotes, judge
from fieldcast.pricing.svi import worst_butterfly, worst_calendar

FIRST, LAST = date(2024, 3, 11), date(2024, 3, 22)
MARKET = ChainMarket(11, index("IDX"), FIRST, LAST, listings=INDEX_LISTINGS)
FEW = ListingRules(weeklies=2, monthlies=2, long_years=0, near_strikes=12)
SHARE = ChainMarket(5, equity("SHR"), date(2024, 3, 13), date(2024, 3, 15), "1h", "bars", "american", listings=FEW)


@pytest.fixture(scope="module")
def history():
    return list(simulate_chain(MARKET).sessions())


@pytest.fixture(scope="module")
def share():
    return list(simulate_chain(SHARE).sessions())


def by_expiry(snapshot):
    """Each expiry's rows with their truth, and its terms."""
    rows = snapshot.rows.with_columns(snapshot.truth.contracts.drop("contract_id"))
    for terms in snapshot.truth.expiries.iter_rows(named=True):
        yield rows.filter((pl.col("expiry_ts") == terms["expiry_ts"]) & (pl.col("root") == terms["root"])), terms


def arrays(rows, *names):
    return [rows[name].to_numpy() for name in names]


# the surface --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    rho=st.floats(-0.95, 0.95), share=st.floats(0.05, 0.9999), gamma=st.floats(0.05, 0.5), slow=st.floats(-1, 1),
    fast=st.floats(-1, 1), nearer=st.floats(0.05, 400), gap=st.floats(0.1, 300),
)  # fmt: skip
def test_every_surface_that_the_parameters_allow_is_free_of_butterflies_and_calendar_arbitrage(
    rho, share, gamma, slow, fast, nearer, gap
):
    """Judged by `pricing.svi` on raw slices, which knows nothing of SSVI's conditions."""
    summed = expected_variance(PriceProcess(0.2), SurfaceProcess(), 0.2**2 / 252, slow, fast)
    surface = Surface(rho, share * 2 / (1 + abs(rho)), gamma, summed)
    first, second = surface.slice(nearer), surface.slice(nearer + gap)
    assert worst_butterfly(first, 5.0) > -1e-9
    assert worst_calendar(first, second, 5.0) > -1e-9
    k = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(surface.total_variance(k, surface.theta(nearer)), first.total_variance(k), rtol=1e-10)


def test_expected_variance_is_the_mean_of_simulated_paths():
    """Two Ornstein-Uhlenbeck factors by exact steps, 40,000 paths, three sessions ahead; within four standard errors."""
    price = PriceProcess(0.2, slow_volatility_sd=0.4, slow_half_life=20, fast_volatility_sd=0.5, fast_half_life=1.0)
    flat = replace(SurfaceProcess(), premium_short=0.0, premium_long=0.0)
    variance, slow, fast, steps = 0.2**2 / 252, 0.3, -0.4, 150
    random, dt = np.random.default_rng(1), 3 / 150
    h = np.array([np.full(40_000, slow), np.full(40_000, fast)])
    total = np.zeros(40_000)
    sd, rate = np.array([[0.4], [0.5]]), math.log(2) / np.array([[20.0], [1.0]])
    kept = np.exp(-rate * dt)
    for _ in range(steps):
        begin = variance * np.exp(2 * h.sum(0) - 2 * price.log_volatility_variance)
        h = kept * h + sd * np.sqrt(1 - kept**2) * random.standard_normal(h.shape)
        total += dt * 0.5 * (begin + variance * np.exp(2 * h.sum(0) - 2 * price.log_volatility_variance))
    found = np.interp(3.0, KNOTS, expected_variance(price, flat, variance, slow, fast))
    assert found == pytest.approx(total.mean(), abs=4 * total.std() / math.sqrt(total.size))
    long = np.interp(4000.0, KNOTS, expected_variance(price, flat, variance, slow, fast))
    assert long == pytest.approx(4000 * variance, rel=0.02)  # the mean of all history


def test_volatility_at_the_money_follows_the_bars_own_and_the_smile_tilts_with_the_price():
    market = replace(MARKET, first=date(2023, 1, 3), last=date(2023, 6, 30), listings=replace(FEW, morning_settled=True))
    made = simulate_chain(market)
    seen = list(made.snapshots())
    nearest = [one.truth.expiries.filter(pl.col("ahead") >= 0.9).row(0, named=True) for one in seen]
    implied = np.array([row["theta"] / row["ahead"] for row in nearest])
    latent = made.bars.log_volatility.sum(axis=1)
    assert np.corrcoef(np.log(implied), latent)[0, 1] > 0.8
    moves = np.diff(np.log(made.bars.bars["close"].to_numpy()))
    tilt = np.diff(np.arctanh([one.truth.surface.rho for one in seen]))
    assert np.corrcoef(moves, tilt)[0, 1] > 0.1  # 0.35 by the parameters; 124 sessions


# quotes -------------------------------------------------------------------------------------------------------------


def test_no_snapshot_offers_an_arbitrage_at_its_quotes_nor_at_its_true_prices(history):
    checked = 0
    for session in history:
        for snapshot in session.snapshots:
            before = None
            for rows, terms in by_expiry(snapshot):
                strike, bid, ask, true = arrays(rows, "strike", "bid", "ask", "price")
                call = (rows["right"] == "call").to_numpy()
                assert (bid <= true + 1e-9).all()
                assert (true <= ask + 1e-9).all()
                assert (bid < ask).all()
                assert check_quotes(strike, bid, ask, call, terms["discount"]).count == 0
                assert check_quotes(strike, true, true, call, terms["discount"], mid=True).count == 0
                here = ExpiryQuotes(terms["years"], terms["forward"], terms["discount"], strike[call], bid[call], ask[call])
                if before is not None and before.years < here.years:
                    assert check_calendar(before, here).count == 0
                before, checked = here, checked + rows.height
    assert checked > 15_000


def test_calls_less_puts_are_the_discounted_forward_less_the_strike_within_the_spread(history):
    for rows, terms in by_expiry(history[-1].snapshots[0]):
        call, put = (rows.filter(right=right) for right in ("call", "put"))
        assert call["strike"].equals(put["strike"])
        worth = terms["discount"] * (terms["forward"] - call["strike"].to_numpy())
        np.testing.assert_allclose((call["price"] - put["price"]).to_numpy(), worth, atol=1e-7)
        assert ((call["bid"] - put["ask"]).to_numpy() <= worth + 1e-7).all()
        assert ((call["ask"] - put["bid"]).to_numpy() >= worth - 1e-7).all()


def test_the_true_volatility_lies_between_those_of_bid_and_ask(history):
    found = 0
    for rows, terms in by_expiry(history[3].snapshots[0]):
        strike, bid, ask, sigma = arrays(rows, "strike", "bid", "ask", "sigma")
        call = (rows["right"] == "call").to_numpy()
        low, _ = implied_volatility(bid, terms["forward"], strike, terms["years"], terms["discount"], call)
        high, _ = implied_volatility(ask, terms["forward"], strike, terms["years"], terms["discount"], call)
        assert not (low > sigma * (1 + 1e-6)).any()  # NaN where the bid has no volatility: not above it
        assert not (high < sigma * (1 - 1e-6)).any()
        found += int((np.isfinite(low) & np.isfinite(high)).sum())
        w = rows["sigma"].to_numpy() ** 2 * terms["years"]
        expected = history[3].snapshots[0].truth.surface.slice(terms["ahead"]).total_variance(np.log(strike / terms["forward"]))
        np.testing.assert_allclose(w, expected, rtol=1e-9)
    assert found > 800


def test_spreads_widen_away_from_the_money_and_stand_on_ticks(history):
    rows = history[0].snapshots[0].rows.with_columns(history[0].snapshots[0].truth.contracts.select("price", "sigma"))
    for side in ("bid", "ask"):
        cents = rows[side].to_numpy() * 100
        assert np.allclose(cents, np.rint(cents), atol=1e-6)
        coarse = cents[cents >= 300]
        assert np.allclose(coarse / 5, np.rint(coarse / 5), atol=1e-6)
    calls = rows.filter((pl.col("right") == "call") & (pl.col("bid") > 0))
    share = (calls["ask"] - calls["bid"]) / calls["price"]
    money = calls["strike"] / calls["underlying_price"]
    assert share.filter(money > 1.15).median() > 2 * share.filter(money.is_between(0.98, 1.02)).median()


def test_american_prices_are_exact_where_computed_and_the_ignored_right_is_worth_nothing(share):
    snapshot = share[0].snapshots[2]
    surface = SHARE.surface
    for rows, terms in by_expiry(snapshot):
        strike, sigma, true = arrays(rows, "strike", "sigma", "price")
        call = (rows["right"] == "call").to_numpy()
        rate, spot = -math.log(terms["discount"]) / terms["years"], float(rows["underlying_price"][0])
        full = american_price(spot, strike, terms["years"], rate, surface.dividend_yield, sigma, call)
        np.testing.assert_allclose(true, full, atol=6e-5)
        assert (rows["ask"].to_numpy() >= np.where(call, spot - strike, strike - spot)).all()


@settings(max_examples=25, deadline=None)
@given(
    place=st.floats(-4, 4), years=st.floats(0.003, 2), rate=st.floats(0, 0.08), dividend=st.floats(0, 0.08),
    sigma=st.floats(0.08, 0.9), call=st.booleans(),
)  # fmt: skip
def test_the_bound_of_early_exercise_is_one(place, years, rate, dividend, sigma, call):
    strike = 100 * math.exp(place * sigma * math.sqrt(years))
    premium = american_price(100, strike, years, rate, dividend, sigma, call) - bsm_price(
        100, strike, years, rate, dividend, sigma, call
    )
    one = [np.array([value]) for value in (strike, years, rate, dividend, sigma)]
    bound = early_bound(100.0, *one, np.array([call]))
    assert premium <= bound[0] + 1e-6 + 2e-3 * bound[0]  # quadrature of a step, where the option is at the money


# what is listed -----------------------------------------------------------------------------------------------------


def test_expiries_are_those_of_an_exchange_and_none_is_taken_away_before_its_day(history):
    days = sessions("XNYS")["session"].to_list()
    found = expiries(INDEX_LISTINGS, days, FIRST, LAST)
    by_day = {(item.day, item.settlement): item.listed for item in found}
    assert (date(2024, 3, 15), "AM") in by_day  # third Friday, beside the weekly of the same day
    assert (date(2024, 3, 15), "PM") in by_day
    assert (date(2024, 3, 28), "PM") in by_day  # Good Friday and the end of the quarter: Thursday
    assert (date(2024, 3, 29), "PM") not in by_day
    assert (date(2025, 12, 19), "AM") in by_day
    for day in (FIRST + timedelta(days=n) for n in range(12)):
        if day in days:
            assert (day, "PM") in by_day
    assert third_friday(2024, 3) == date(2024, 3, 15)
    before: set[str] = set()
    for session in history:
        rows = session.snapshots[0].rows
        ids = set(rows["contract_id"])
        assert not {symbol for symbol in before - ids if symbol[6:12] > f"{session.session:%y%m%d}"}
        assert (rows["expiry_ts"] > rows["ts"]).all()
        assert rows["contract_id"].n_unique() == rows.height
        for row in rows.sample(4, seed=1).iter_rows(named=True):
            root, expiry, right, strike = parse_osi(row["contract_id"])
            assert (root, right, strike) == (row["root"], row["right"], row["strike"])
            assert root == ("IDX" if row["settlement"] == "AM" else "IDXW")
            assert expiry == row["expiry_ts"].date()
        before = ids


@given(spot=st.floats(3, 20_000), deviation=st.floats(0.003, 0.8))
def test_the_ladder_surrounds_the_spot_with_a_bounded_number_of_strikes(spot, deviation):
    strikes = ladder(INDEX_LISTINGS, spot, deviation) / 1000
    assert strikes[0] < spot < strikes[-1]
    assert np.diff(strikes).min() >= INDEX_LISTINGS.least_step * spot * 0.999 or np.diff(strikes).min() >= 0.01
    near = np.abs(np.log(strikes / spot)) <= INDEX_LISTINGS.near * deviation
    assert near.sum() <= INDEX_LISTINGS.near_strikes + 1
    assert strikes.size <= 120


def test_steps_are_round():
    assert [nice_step(x) for x in (0.3, 0.5, 0.51, 1.0, 4.9, 5.0, 12.0, 251.0)] == [0.5, 0.5, 1.0, 1.0, 5.0, 5.0, 25.0, 500.0]


def test_a_contract_that_expires_today_is_seen_until_its_last_moment_and_no_longer(share):
    friday = share[-1]
    assert friday.session == date(2024, 3, 15)
    today = [snapshot.rows.filter(pl.col("expiry_ts").dt.date() == friday.session).height for snapshot in friday.snapshots]
    assert len(today) == 7
    assert min(today[:-1]) > 10
    assert today[-1] == 0
    last = friday.snapshots[-2].truth.expiries.row(0, named=True)
    assert 0 < last["years"] < 1 / 365 / 24


# counts -------------------------------------------------------------------------------------------------------------


def test_open_interest_carries_over_and_changes_by_no_more_than_what_was_traded(history):
    counted, volumes = {}, {}
    for number, session in enumerate(history):
        rows = session.snapshots[-1].rows
        shown = dict(zip(rows["contract_id"], rows["open_interest"], strict=True))
        for symbol, after in counted.items():
            if symbol in shown:
                assert shown[symbol] == after  # yesterday's count is what this morning shows
        fresh = set(shown) - set(counted)
        if number:
            assert all(shown[symbol] == 0 for symbol in fresh)
        volumes = dict(zip(rows["contract_id"], rows["volume"], strict=True))
        counted = dict(session.open_interest.select("contract_id", "open_interest").iter_rows())
        for symbol, after in counted.items():
            if symbol in shown:
                assert abs(after - shown[symbol]) <= volumes[symbol]
        truth = session.snapshots[-1].truth.contracts
        assert (truth["dealer"].abs() <= rows["open_interest"]).all()
        assert ((rows["volume"] - truth["bought"]).to_numpy() >= 0).all()
        assert ((rows["volume"] - truth["sold"]).to_numpy() >= 0).all()
    assert sum(volumes.values()) > 50_000


def test_open_interest_is_known_the_next_morning_and_volume_only_grows_within_a_session(share, history):
    for earlier, later in pairwise(history):
        assert earlier.open_interest["available_at"].n_unique() == 1
        assert earlier.open_interest["available_at"][0] == later.snapshots[0].rows["oi_available_at"][0]
        assert (later.snapshots[0].rows["oi_available_at"] < later.snapshots[0].rows["ts"]).all()
    for session in share:
        for before, after in pairwise(session.snapshots):
            both = before.rows.join(after.rows, on="contract_id", suffix="_later")
            assert (both["volume_later"] >= both["volume"]).all()
            assert both["open_interest_later"].equals(both["open_interest"].rename("open_interest_later"))
            traded = both.filter(pl.col("volume_later") > pl.col("volume"))
            assert (traded["last_ts_later"] == traded["ts_later"]).all()
            last, bid, ask = (pl.col(f"{name}_later") for name in ("last", "bid", "ask"))
            assert traded.select(((last == bid) | (last == ask)).all()).item()


def test_dealers_are_short_the_puts_that_customers_buy_and_long_the_calls_that_they_write(history):
    rows = history[-1].snapshots[0]
    held = rows.truth.contracts.with_columns(right=rows.rows["right"]).group_by("right").agg(pl.col("dealer").sum())
    net = dict(held.iter_rows())
    assert net["put"] < 0 < net["call"]
    turned = replace(MARKET, last=date(2024, 3, 13), flow=FlowProcess(put_buying=-0.5, overwriting=-0.5))
    final = list(simulate_chain(turned).snapshots())[-1]
    net = dict(
        final.truth.contracts.with_columns(right=final.rows["right"]).group_by("right").agg(pl.col("dealer").sum()).iter_rows()
    )
    assert net["call"] < 0 < net["put"]


# label and repetition -----------------------------------------------------------------------------------------------


def test_every_row_is_labelled_and_fits_the_store(history, share):
    for market, sessions_ in ((MARKET, history), (SHARE, share)):
        made, store = simulate_chain(market), MemoryStore()
        assert made.instrument.id.startswith("SIM:")
        assert made.lineage.simulated
        assert f"seed {market.seed}" in made.lineage.source
        chains = pl.concat([snapshot.rows for session in sessions_ for snapshot in session.snapshots])
        counts = pl.concat([session.open_interest for session in sessions_])
        assert store.append(chains, made.lineage, table="chains").rows_added == chains.height
        store.append(counts, made.lineage, table="open_interest")
        for table in ("chains", "open_interest"):
            read = store.read(made.instrument.id, table=table)
            assert read.select(has_reason(Reason.SIMULATED).all()).item()
        assert store.datasets()["simulated"].all()


def digest(market: ChainMarket) -> str:
    values = pl.concat([snapshot.rows for snapshot in simulate_chain(market).snapshots()])
    return hashlib.sha256(values.select("contract_id", "bid", "ask", "volume", "open_interest").write_csv().encode()).hexdigest()


CODE = """
from datetime import date
import hashlib, polars as pl
from fieldcast.data.simulated import *
market = ChainMarket(11, index("IDX"), date(2024, 3, 11), date(2024, 3, 12), listings=INDEX_LISTINGS)
rows = pl.concat([one.rows for one in simulate_chain(market).snapshots()])
print(hashlib.sha256(rows.select("contract_id", "bid", "ask", "volume", "open_interest").write_csv().encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_rows_in_another_process_and_a_later_end_only_appends(history):
    short = replace(MARKET, last=date(2024, 3, 12))
    other = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True).stdout.strip()
    assert digest(short) == other
    assert digest(replace(short, seed=12)) != other
    for one, two in zip(simulate_chain(short).snapshots(), (session.snapshots[0] for session in history[:2]), strict=True):
        assert one.rows.equals(two.rows)


# faults -------------------------------------------------------------------------------------------------------------


def test_planted_faults_are_where_the_truth_says_and_nowhere_else(history):
    earlier, rows = history[1].snapshots[0].rows, history[2].snapshots[0].rows
    made = spoil(rows, Defects(0.1, 0.1, 0.1, 0.1, 0.1), 3, earlier=earlier)
    faults = made.faults["fault"]
    assert made.rows.columns == rows.columns
    for fault in ("stale", "crossed", "zero_bid", "no_quote", "no_count"):
        assert abs((faults == fault).sum() - 0.1 * rows.height) < 5 * math.sqrt(0.09 * rows.height)
    sound = faults.is_null()
    assert made.rows.filter(sound).equals(rows.filter(sound))
    of = {fault: made.rows.filter((faults == fault).fill_null(value=False)) for fault in faults.drop_nulls().unique()}
    assert (of["crossed"]["bid"] > of["crossed"]["ask"]).all()
    assert (of["zero_bid"]["bid"] == 0).all()
    assert of["no_quote"].select("bid", "ask", "quote_ts").null_count().row(0) == (of["no_quote"].height,) * 3
    assert of["no_count"].select("open_interest", "oi_available_at").null_count().row(0) == (of["no_count"].height,) * 2
    assert (of["stale"]["quote_ts"] < of["stale"]["ts"]).all()
    known = of["stale"].join(earlier, on="contract_id", suffix="_then")
    assert known.height > 100
    assert known["bid"].equals(known["bid_then"].rename("bid"))
    assert made.rows.equals(spoil(rows, Defects(0.1, 0.1, 0.1, 0.1, 0.1), 3, earlier=earlier).rows)
    judged = judge(chain_quotes(made.rows), QuoteRules())
    with_fault = (made.faults["fault"].is_in(["stale", "crossed", "zero_bid", "no_quote"])).fill_null(value=False).to_numpy()
    assert (judged.faults[with_fault] != 0).all()  # the filters of pricing find every one
    lone = spoil(rows, Defects(stale=1.0, stale_minutes=30), 3).rows
    assert (lone["quote_ts"] == rows["quote_ts"] - timedelta(minutes=30)).all()
    with pytest.raises(InvalidInput, match="one snapshot"):
        spoil(earlier, Defects(), 3, earlier=rows)


@pytest.mark.parametrize(
    "wrong",
    [lambda: SurfaceProcess(curvature=1.0), lambda: SurfaceProcess(gamma=0.6), lambda: SurfaceProcess(premium_long=-1.0),
     lambda: SurfaceProcess(skew=-1.0), lambda: FlowProcess(put_buying=1.5), lambda: QuoteProcess(ticks=(5, 1)),
     lambda: replace(MARKET, instrument=index("TOOLONG")), lambda: replace(MARKET, instrument=crypto("BTC")),
     lambda: replace(MARKET, style="bermudan"), lambda: ListingRules(near=6.0), lambda: Defects(stale=0.6, crossed=0.6)],
)  # fmt: skip
def test_parameters_that_would_offer_arbitrage_or_make_no_market_are_refused(wrong):
    with pytest.raises(InvalidInput, match="expected"):
        wrong()


def test_mids_price_back_within_half_the_spread(history):
    for rows, terms in by_expiry(history[5].snapshots[0]):
        strike, bid, ask, sigma = arrays(rows, "strike", "bid", "ask", "sigma")
        call = (rows["right"] == "call").to_numpy()
        model = black76_price(terms["forward"], strike, terms["years"], terms["discount"], sigma, call)
        assert (np.abs(model - (bid + ask) / 2) <= (ask - bid) / 2 + 1e-9).all()
