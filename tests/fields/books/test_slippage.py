"""Slippage: the fill price of a walk to the last digit, monotone in size and urgency, and silence beyond the visible book."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.books import Ladders, Patience, impact_walk, slippage_field
from fieldcast.ground import InvalidInput, MissingData

FLAT = 1e-9  # bps by which rounding alone may turn a slope around


def exact_vwap(prices: np.ndarray, sizes: np.ndarray, size: float) -> Fraction:
    """The walk in exact fractions of the doubles given."""
    left, paid = Fraction(size), Fraction(0)
    for price, there in zip(prices.tolist(), sizes.tolist(), strict=True):
        taken = min(left, Fraction(there))
        paid, left = paid + taken * Fraction(price), left - taken
    assert left == 0
    return paid / Fraction(size)


def orders(book: Ladders, side: str, **asked: object) -> pl.DataFrame:
    return slippage_field(book, **asked).table.filter(pl.col("side") == side)  # type: ignore[arg-type]


def test_a_hand_built_book_fills_at_the_price_worked_by_hand(hand_book):
    """50 bought: 5 at 100.02, 15 at 100.03, 30 at 100.08: 5002.95 / 50 = 100.059. Sold: 10 · 100 + 20 · 99.99 + 20 · 99.95."""
    bought = orders(hand_book, "buy", sizes=(50.0,)).row(0, named=True)
    assert bought["vwap"] == pytest.approx(100.059, abs=1e-9)
    assert bought["slippage_bps"] == pytest.approx((100.059 - 100.01) / 100.01 * 1e4, abs=1e-9)
    assert (bought["worst_price"], bought["unfilled"], bought["reasons"]) == (100.08, 0.0, None)
    sold = orders(hand_book, "sell", sizes=(50.0,)).row(0, named=True)
    assert sold["vwap"] == pytest.approx(99.976, abs=1e-9)
    assert sold["slippage_bps"] == pytest.approx((100.01 - 99.976) / 100.01 * 1e4, abs=1e-9)


def test_a_notional_buys_the_units_that_cost_it(hand_book):
    """2,000.55 buys 5 at 100.02 and 15 at 100.03: 20 units."""
    row = orders(hand_book, "buy", notionals=(2000.55,)).row(0, named=True)
    assert row["size"] == pytest.approx(20.0, abs=1e-9)
    assert row["vwap"] == pytest.approx(2000.55 / 20, abs=1e-9)


def test_beyond_the_visible_book_the_price_is_unknown_and_the_rest_is_counted(hand_book):
    table = slippage_field(hand_book, sizes=(100.0, 125.0), notionals=(20_000.0,)).table
    for row in table.iter_rows(named=True):
        if row["size"] == 100.0:
            assert row["vwap"] is not None
            continue
        assert (row["vwap"], row["slippage_bps"], row["worst_price"], row["reasons"]) == (None, None, None, "beyond_book")
        if row["size"] == 125.0:
            assert row["unfilled"] == pytest.approx(0.2)
        else:
            buys = row["side"] == "buy"
            holds = 5 * 100.02 + 15 * 100.03 + 80 * 100.08 if buys else 10 * 100 + 20 * 99.99 + 70 * 99.95
            assert row["unfilled"] == pytest.approx(1 - holds / 20_000, abs=1e-9)


@given(seed=st.integers(0, 2**32), share=st.floats(1e-6, 1.0))
def test_every_fill_is_that_of_a_walk_in_exact_fractions(make_book, seed, share):
    book = make_book(seed)
    for order, (prices, sizes) in {"buy": book.side("ask"), "sell": book.side("bid")}.items():
        size = share * 0.999999 * float(sizes.sum())
        found = orders(book, order, sizes=(size,))["vwap"][0]
        assert found == pytest.approx(float(exact_vwap(prices, sizes, size)), rel=1e-12)


@given(seed=st.integers(0, 2**32), shares=st.lists(st.floats(1e-9, 0.999), min_size=2, max_size=8))
def test_slippage_rises_with_size_and_falls_with_patience(make_book, seed, shares):
    book = make_book(seed)
    top = min(book.bid_size.sum(), book.ask_size.sum())
    sizes = [share * top for share in sorted(shares)]
    patience = Patience(half_life_seconds=3.0, slices=5)
    table = slippage_field(book, sizes=sizes, horizons_seconds=(0.0, 1.0, 10.0, 1000.0), patience=patience).table
    for _, part in table.group_by("side", "horizon_seconds"):
        assert (np.diff(part["slippage_bps"].to_numpy()) >= -FLAT).all()
    for _, part in table.unique(["side", "size", "horizon_seconds"]).group_by("side", "size"):
        assert (np.diff(part.sort("horizon_seconds")["slippage_bps"].to_numpy()) <= FLAT).all()


def test_slices_cost_what_the_recursion_says(hand_book):
    """20 bought in two slices, half of what was eaten back in between: E = 0, then 5; C(10) − C(0), then C(15) − C(5).

    C counts from the best price: extra(10) = 5 · 0.01, extra(15) − extra(5) = 10 · 0.01, so VWAP = 100.02 + 0.15 / 20.
    """
    patience = Patience(half_life_seconds=7.0, slices=2)
    row = orders(hand_book, "buy", sizes=(20.0,), horizons_seconds=(7.0,), patience=patience).row(0, named=True)
    assert row["vwap"] == pytest.approx(100.0275, abs=1e-9)
    assert row["worst_price"] == 100.03


def test_with_time_a_book_takes_more_than_it_shows_at_once(hand_book):
    patience = Patience(half_life_seconds=1.0, slices=4)
    table = orders(hand_book, "buy", sizes=(150.0,), horizons_seconds=(0.0, 60.0), patience=patience)
    assert table["reasons"].to_list() == ["beyond_book", None]
    assert table["unfilled"].to_list() == [pytest.approx(1 / 3), 0.0]


def test_the_walk_is_the_field_at_each_whole_level(hand_book):
    walk = impact_walk(hand_book, "sell")
    field = orders(hand_book, "sell", sizes=walk["cumulative_size"].to_list())
    np.testing.assert_allclose(walk["slippage_bps"], field["slippage_bps"], atol=1e-9)
    np.testing.assert_allclose(walk["cumulative_notional"], [1000.0, 2999.8, 9996.3], atol=1e-9)
    np.testing.assert_allclose(walk["impact_bps"], np.array([0.01, 0.02, 0.06]) / 100.01 * 1e4, atol=1e-8)


def test_wrong_use_is_refused(hand_book):
    for asked in ({}, {"sizes": (0.0,)}, {"sizes": (float("nan"),)}, {"sizes": (1.0,), "horizons_seconds": (5.0,)},
                  {"sizes": (1.0,), "horizons_seconds": (-1.0,)}):  # fmt: skip
        with pytest.raises(InvalidInput, match="expected"):
            slippage_field(hand_book, **asked)
    empty = np.array([])
    with pytest.raises(MissingData, match="book_one_sided"):
        slippage_field(Ladders(hand_book.bid_price, hand_book.bid_size, empty, empty), sizes=(1.0,))
    asks, sizes = hand_book.side("ask")
    with pytest.raises(MissingData, match="quote_crossed"):
        slippage_field(Ladders(asks[::-1], sizes, asks, sizes), sizes=(1.0,))
    for prices, sizes in (([1.0, 2.0], [1.0, 1.0]), ([2.0, 2.0], [1.0, 1.0]), ([2.0], [0.0]), ([2.0], [1.0, 2.0])):
        with pytest.raises(InvalidInput, match="expected"):
            Ladders(np.array(prices), np.array(sizes), empty, empty)
    with pytest.raises(InvalidInput, match="half-life"):
        Patience(0.0)


# recorded books ------------------------------------------------------------------------------------------------------


def test_slippage_is_monotone_in_size_on_every_recorded_book(recorded):
    for book in recorded.books():
        for order, ladder in (("buy", "ask"), ("sell", "bid")):
            sizes = np.geomspace(1e-6, 1.0, 200) * book.side(ladder)[1].sum()
            slippage = orders(book, order, sizes=sizes)["slippage_bps"]
            assert slippage.null_count() == 0
            assert (np.diff(slippage.to_numpy()) >= -FLAT).all()
            assert slippage[0] == pytest.approx(book.spread_bps / 2, abs=1e-6 if recorded.name.endswith("gz") else 0.5)


def test_slippage_is_monotone_in_notional_on_every_recorded_book(recorded):
    for book in recorded.books():
        table = slippage_field(book, notionals=np.geomspace(1, 1e9, 150)).table
        for _, part in table.group_by("side"):
            known = part.drop_nulls("slippage_bps")
            assert (np.diff(known["slippage_bps"].to_numpy()) >= -FLAT).all()
            np.testing.assert_allclose(known["size"] * known["vwap"], known["notional"], rtol=1e-9)
            assert part["reasons"].to_list()[known.height :] == ["beyond_book"] * (part.height - known.height)


def test_the_fill_of_recorded_books_is_that_of_a_walk_in_exact_fractions(recorded):
    for book in recorded.books():
        prices, sizes = book.side("ask")
        for share in (0.001, 0.3, 0.999):
            size = share * float(sizes.sum())
            expected = float(exact_vwap(prices, sizes, size))
            assert orders(book, "buy", sizes=(size,))["vwap"][0] == pytest.approx(expected, rel=1e-13)


def test_an_order_as_large_as_a_recorded_side_fills_at_its_mean_price(recorded):
    for book in recorded.books():
        prices, sizes = book.side("bid")
        assert impact_walk(book, "sell")["vwap"][-1] == pytest.approx(float(np.average(prices, weights=sizes)), rel=1e-12)


def test_urgency_costs_on_every_recorded_book(recorded):
    for book in recorded.books():
        size = 0.5 * float(min(book.bid_size.sum(), book.ask_size.sum()))
        table = slippage_field(book, sizes=(size,), horizons_seconds=(0, 1, 10, 100), patience=Patience(1.1)).table
        for _, part in table.group_by("side", maintain_order=True):
            assert (np.diff(part["slippage_bps"].to_numpy()) <= FLAT).all()


def test_more_than_a_recorded_book_shows_is_never_priced(recorded):
    for book in recorded.books():
        shown = float(max(book.bid_size.sum(), book.ask_size.sum()))
        table = slippage_field(book, sizes=(2 * shown,)).table
        assert table["vwap"].null_count() == 2
        assert (table["unfilled"] >= 0.5 - 1e-12).all()
