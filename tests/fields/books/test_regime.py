"""Regimes by cost and imbalance, and the filter of option contracts: every limit on both of its sides."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.books import RegimeThresholds, StrikeLimits, liquidity_regime, option_strikes, round_trip_bps
from fieldcast.fields.vocabulary import LiquidityRegime
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import table_of

NOW = datetime(2026, 2, 2, 16, tzinfo=UTC)


@pytest.mark.parametrize(("cost", "imbalance", "expected"), [
    (0.0, 0.0, "deep"), (4.999, 0.0, "deep"), (5.0, 0.0, "liquid"), (19.999, None, "liquid"), (20.0, 0.79, "thin"),
    (49.999, 0.0, "thin"), (50.0, 0.0, "frozen"), (1.0, 0.8, "toxic"), (30.0, -0.9, "toxic"), (60.0, 1.0, "frozen"),
])  # fmt: skip
def test_regimes_at_their_limits(cost, imbalance, expected):
    assert liquidity_regime(cost, imbalance) is LiquidityRegime(expected)


@given(cost=st.floats(0, 1e4), imbalance=st.floats(-1, 1), more=st.floats(0, 100))
def test_a_dearer_book_is_never_in_a_better_regime(cost, imbalance, more):
    order = ["deep", "liquid", "thin", "frozen"]
    calm = 0.5 * imbalance
    assert order.index(liquidity_regime(cost + more, calm)) >= order.index(liquidity_regime(cost, calm))
    assert liquidity_regime(cost, imbalance) is liquidity_regime(cost, -imbalance)


def test_a_round_trip_worked_by_hand(hand_book):
    """20 bought at 100.0275 and sold at 99.995: 0.0325 / 100.01; a small one costs the quoted spread of 2 cents."""
    assert round_trip_bps(hand_book, size=20.0) == pytest.approx(0.0325 / 100.01 * 1e4, abs=1e-9)
    assert round_trip_bps(hand_book) == pytest.approx(0.02 / 100.01 * 1e4, abs=1e-9)
    assert round_trip_bps(hand_book, size=1e-6) == pytest.approx(round_trip_bps(hand_book), abs=1e-9)
    assert round_trip_bps(hand_book, size=1000.0) is Reason.BEYOND_BOOK


def test_wrong_use_is_refused(hand_book):
    for ask in (
        lambda: RegimeThresholds(deep_bps=30.0), lambda: liquidity_regime(-1.0), lambda: liquidity_regime(1.0, 1.5),
        lambda: round_trip_bps(hand_book, 1.0, 1.0), lambda: liquidity_regime(float("nan")),
        lambda: StrikeLimits(spread_weight=0.9), lambda: StrikeLimits(full_volume=0.0),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="expected"):
            ask()


def contract(**values: object) -> pl.DataFrame:
    schema = dict(table_of("chains").schema)
    row = dict.fromkeys(schema) | {
        "instrument": "XTST:A", "ts": NOW, "available_at": NOW, "contract_id": "A     260220C00100000", "root": "A",
        "expiry_ts": NOW, "strike": 100.0, "right": "call", "multiplier": 100.0, "bid": 1.99, "ask": 2.01,
        "open_interest": 5000.0, "volume": 500.0,
    } | values  # fmt: skip
    return pl.DataFrame([row], schema=schema)


def test_a_score_worked_by_hand():
    """1 % spread: 0.8; log 5001 / log 10001 = 0.92475; log 501 / log 1001 = 0.89980; .4 · .8 + .4 · .92475 + .2 · .89980."""
    row = option_strikes(contract()).row(0, named=True)
    assert row["spread_pct"] == pytest.approx(1.0)
    interest, volume = math.log(5001) / math.log(10_001), math.log(501) / math.log(1001)
    assert row["score"] == pytest.approx(0.4 * 0.8 + 0.4 * interest + 0.2 * volume, rel=1e-12)
    assert row["score"] == pytest.approx(0.86986, abs=1e-5)
    assert (row["tradeable"], row["reasons"]) == (True, None)


@pytest.mark.parametrize(("values", "reasons"), [
    ({"open_interest": 100.0}, None),
    ({"open_interest": 99.0}, "open_interest_low"),
    ({"volume": 50.0}, None),
    ({"volume": 49.0}, "traded_too_little"),
    ({"bid": 1.94, "ask": 2.06, "open_interest": 1e5, "volume": 1e4}, "spread_too_wide"),
    ({"bid": 1.953, "ask": 2.047, "open_interest": 100.0}, "score_low"),
    ({"bid": 0.0}, "zero_bid"),
    ({"bid": 2.02}, "quote_crossed"),
    ({"volume": None}, "value_missing"),
    ({"open_interest": None, "bid": 1.9, "ask": 2.1}, "value_missing,spread_too_wide"),
    ({"open_interest": 0.0, "volume": 0.0}, "open_interest_low,traded_too_little,score_low"),
])  # fmt: skip
def test_each_limit_turns_a_contract_away_under_its_own_name(values, reasons):
    row = option_strikes(contract(**values)).row(0, named=True)
    assert (row["reasons"], row["tradeable"]) == (reasons, reasons is None)
    assert (row["score"] is None) == bool({"zero_bid", "quote_crossed", "value_missing"} & set((reasons or "").split(",")))


def test_a_real_chain_has_both_kinds_and_every_refusal_has_a_reason(realdata):
    from fieldcast.data import MemoryStore
    from fieldcast.data.formats import Options
    from fieldcast.data.importing import import_source

    file = realdata / "options" / "yahoo_chain_2026-02" / "AAPL_options.csv.gz"
    store = MemoryStore()
    report = import_source(file, Options(now=datetime(2026, 11, 1, tzinfo=UTC), venue="XNAS"), store=store)
    chain = store.read(report.instruments[0].id, table="chains")
    found = option_strikes(chain)
    assert found.height == chain.height
    assert 0 < found["tradeable"].sum() < found.height
    assert found.filter(~pl.col("tradeable"))["reasons"].null_count() == 0
    good = found.filter("tradeable")
    assert (good["score"] >= 0.6).all()
    assert (good["spread_pct"] <= 5.0).all()


# recorded books ------------------------------------------------------------------------------------------------------


def test_recorded_books_of_liquid_markets_are_deep(recorded):
    for book in recorded.books():
        cost = round_trip_bps(book)
        assert cost == pytest.approx(book.spread_bps)
        assert liquidity_regime(cost, 0.0) is LiquidityRegime.DEEP


def test_the_round_trip_of_recorded_books_rises_from_the_spread_on(recorded):
    for book in recorded.books():
        shown = float(min(book.bid_size.sum(), book.ask_size.sum()))
        costs = [round_trip_bps(book, size=share * shown) for share in (1e-9, 0.01, 0.1, 0.5, 0.99)]
        assert costs == sorted(costs)
        assert costs[0] == pytest.approx(book.spread_bps, rel=1e-6)
        assert round_trip_bps(book, size=3 * shown) is Reason.BEYOND_BOOK
