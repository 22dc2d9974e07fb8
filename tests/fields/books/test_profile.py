"""Depth against distance: hand-worked sums, the two analytic books (block and power law), and the recorded ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.books import Ladders, depth_density, depth_profile
from fieldcast.ground import InvalidInput, MissingData, Reason


def power_book(exponent: float, levels: int = 400) -> Ladders:
    """D(δ) = 1000 δ^exponent exactly at every level, δ = 0.25, 0.5 … bps, around 100."""
    away = 0.25 * np.arange(1, levels + 1)
    sizes = np.diff(1000 * away**exponent, prepend=0.0)
    return Ladders(100 * (1 - away / 1e4), sizes, 100 * (1 + away / 1e4), sizes)


def test_depth_of_a_hand_built_book(hand_book):
    """Mid 100.01: bids 1, 2 and 6 cents away are 0.9999, 1.9998, 5.9994 bps; asks alike. (1, 2] bps are 0.010001 wide."""
    profile = depth_profile(hand_book, (1.0, 2.0, 5.0, 10.0))
    bids = profile.table.filter(pl.col("side") == "bid")
    assert bids["depth"].to_list() == [10.0, 30.0, 30.0, None]
    assert bids["notional"].to_list() == [pytest.approx(1000.0), pytest.approx(2999.8), pytest.approx(2999.8), None]
    assert bids["density"][1] == pytest.approx(20 / 0.010001, rel=1e-12)
    assert bids["reasons"].to_list() == [None, None, None, "beyond_book"]
    assert bids["price"][0] == pytest.approx(100.01 * (1 - 1e-4))
    assert profile.table.filter(pl.col("side") == "ask")["depth"].to_list() == [5.0, 20.0, 20.0, None]
    assert profile.reach_bps["bid"] == pytest.approx(0.06 / 100.01 * 1e4)


def test_a_whole_book_has_nothing_behind_its_last_level(hand_book):
    table = depth_profile(replace(hand_book, complete=True), (5.0, 50.0)).table
    assert table["depth"].to_list() == [30.0, 100.0, 20.0, 100.0]
    assert table["reasons"].null_count() == 4


def test_a_block_shaped_book_has_elasticity_one_and_its_own_density():
    """1,000 units a basis point of 100, that is 100,000 units a dollar; Obizhaeva and Wang's block."""
    book = power_book(1.0)
    profile = depth_profile(book)
    for side in ("bid", "ask"):
        assert profile.elasticity[side] == pytest.approx(1.0, abs=1e-9)
        assert profile.slope[side] == pytest.approx(1000.0, rel=1e-9)
        assert profile.evenness[side] == pytest.approx(1.0, abs=1e-6)
        np.testing.assert_allclose(depth_density(book, side, np.array([0.0, 0.1, 0.5, 1.0])), 100_000, rtol=1e-9)
    np.testing.assert_allclose(profile.table["density"], 100_000, rtol=1e-9)


@pytest.mark.parametrize("exponent", [0.5, 1.5, 2.0])
def test_elasticity_is_the_exponent_of_a_power_law_book(exponent):
    profile = depth_profile(power_book(exponent))
    assert profile.elasticity["bid"] == pytest.approx(exponent, abs=1e-9)
    assert profile.peak_bps["ask"] == (0.5 if exponent < 1 else 75.0)  # densest at the touch, or far away


def test_evenness_is_one_over_one_plus_the_coefficient_of_variation(hand_book):
    """Sizes 10, 20, 70: mean 33.33…, standard deviation √(2066.67/3) = 26.2467; 1 / (1 + 0.7874)."""
    profile = depth_profile(hand_book, even_levels=3)
    assert profile.evenness["bid"] == pytest.approx(1 / (1 + 26.246692913372705 / (100 / 3)), rel=1e-12)
    assert depth_profile(hand_book).reasons["evenness_bid"] is Reason.FEW_ROWS


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-3, 1e3))
def test_depth_scales_with_size_and_its_shape_does_not(make_book, seed, scale):
    book = make_book(seed)
    other = Ladders(book.bid_price, book.bid_size * scale, book.ask_price, book.ask_size * scale)
    one, two = depth_profile(book), depth_profile(other)
    for side, value in one.elasticity.items():
        assert two.elasticity[side] == pytest.approx(value, abs=1e-9)
        assert two.slope[side] == pytest.approx(one.slope[side] * scale, rel=1e-9)
    assert one.table["reasons"].equals(two.table["reasons"])
    depth = one.table.filter(pl.col("side") == "bid")["depth"].drop_nulls().to_numpy()
    assert (np.diff(depth) >= 0).all()


def test_wrong_use_is_refused(hand_book):
    for grid in ((), (0.0, 1.0), (2.0, 1.0), (float("nan"),)):
        with pytest.raises(InvalidInput, match="expected"):
            depth_profile(hand_book, grid)
    with pytest.raises(MissingData, match="ask for less"):
        depth_density(hand_book, "bid", np.array([0.0, 0.05, 0.2]))
    with pytest.raises(InvalidInput, match="ascending"):
        depth_density(hand_book, "bid", np.array([0.1, 0.05]))
    with pytest.raises(InvalidInput, match="bid or ask"):
        depth_density(hand_book, "buy", np.array([0.0, 0.05]))


# recorded books ------------------------------------------------------------------------------------------------------


def test_the_depth_of_recorded_books_is_that_of_a_plain_sum(recorded):
    for book in recorded.books():
        table = depth_profile(book).table
        for side, distance, depth, notional, reason in table.select(
            "side", "distance_bps", "depth", "notional", "reasons"
        ).iter_rows():
            prices, sizes = book.side(side)
            inside = [(p, s) for p, s in zip(prices, sizes, strict=True) if abs(p - book.mid) / book.mid * 1e4 <= distance]
            if abs(prices[-1] - book.mid) / book.mid * 1e4 < distance:
                assert (depth, reason) == (None, "beyond_book")
                continue
            assert depth == pytest.approx(sum(s for _, s in inside), rel=1e-9, abs=1e-12)
            assert notional == pytest.approx(sum(p * s for p, s in inside), rel=1e-9, abs=1e-9)


def test_the_density_of_recorded_books_adds_up_to_their_depth(recorded):
    for book in recorded.books():
        for side in ("bid", "ask"):
            reach = float(book.distance_bps(side)[-1]) / 1e4 * book.mid
            edges = np.linspace(0, reach, 40)
            density = depth_density(book, side, edges)
            assert (density >= 0).all()
            assert float(density @ np.diff(edges)) == pytest.approx(float(book.side(side)[1].sum()), rel=1e-9)
            with pytest.raises(MissingData):
                depth_density(book, side, np.array([0.0, reach * 1.01]))


def test_recorded_books_have_a_slope_and_an_elasticity_above_zero(recorded):
    for book in recorded.books():
        profile = depth_profile(book)
        for side in ("bid", "ask"):
            assert profile.slope[side] > 0
            assert 0 < profile.elasticity[side] < 5
            if side in profile.evenness:
                assert 0 < profile.evenness[side] <= 1
