"""Swings, breaks, gaps and zones of structure against loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields import build_field_table, liquidity
from fieldcast.fields.liquidity.structure import open_gaps, pivots
from fieldcast.market import BARS


def hand_bars(high: list[float], low: list[float]) -> pl.DataFrame:
    """Daily bars that close in the middle of their range."""
    n = len(high)
    ts = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 1) + pl.duration(days=n - 1), "1d", eager=True)
    stamps = ts.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    middle = [(a + b) / 2 for a, b in zip(high, low, strict=True)]
    columns = {"open": middle, "high": high, "low": low, "close": middle, "volume": [1.0] * n, "reasons": [None] * n}
    return pl.DataFrame({"instrument": ["XNAS:TEST"] * n, "ts": stamps, "available_at": stamps, **columns}, schema=BARS)


@given(
    highs=st.lists(st.integers(1, 6), min_size=1, max_size=40),
    left=st.integers(1, 3),
    right=st.integers(1, 3),
)
def test_swings_are_what_a_loop_finds(highs: list[int], left: int, right: int) -> None:
    values = np.array(highs, dtype=float)
    found = list(pivots(values, left, right))
    expected = [
        row
        for row in range(left, len(highs) - right)
        if all(highs[row] > highs[row - k] for k in range(1, left + 1))
        and all(highs[row] >= highs[row + k] for k in range(1, right + 1))
    ]
    assert found == expected


def test_swings_carry_the_bar_that_confirmed_them(bars: pl.DataFrame) -> None:
    swings = liquidity.swings(bars, left=2, right=4)
    row = dict(zip(bars["ts"], range(bars.height), strict=True))
    assert set(swings["kind"]) == {"high", "low"}
    for turn in swings.iter_rows(named=True):
        assert row[turn["confirmed_at"]] - row[turn["ts"]] == 4
        assert turn["price"] == bars[turn["kind"]][row[turn["ts"]]]


def test_no_swing_of_the_table_is_seen_before_its_confirmation(bars: pl.DataFrame) -> None:
    """Cut at every row: the last swing of the table is one that the bars until then confirm, with the right stamp."""
    table = build_field_table(bars)
    swings = liquidity.swings(bars)
    for kind in ("high", "low"):
        turns = swings.filter(pl.col("kind") == kind)
        for row in range(70, bars.height, 7):
            now = bars["ts"][row]
            known = turns.filter(pl.col("confirmed_at") <= now).tail(1)
            assert table[f"liquidity.swing_{kind}"][row] == known["price"][0]
            assert table[f"liquidity.swing_{kind}_confirmed_at"][row] == known["confirmed_at"][0]
            age = table[f"liquidity.swing_{kind}_age"][row]
            assert bars["ts"][row - int(age)] == known["ts"][0]


def test_anchored_vwap_starts_at_the_swing(bars: pl.DataFrame) -> None:
    table = build_field_table(bars)
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    for row in (100, 333, 899):
        start = row - int(table["liquidity.swing_low_age"][row])
        volume = bars["volume"][start : row + 1]
        expected = (typical[start : row + 1] * volume).sum() / volume.sum()
        assert table["liquidity.anchored_vwap_low"][row] == pytest.approx(expected, rel=1e-10)


@given(moves=st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 4)), min_size=3, max_size=60))
def test_open_gaps_are_what_a_loop_finds(moves: list[tuple[int, int]]) -> None:
    low = 1000.0 + np.cumsum([step for step, _ in moves])
    high = low + np.array([reach for _, reach in moves])
    up, down = open_gaps(low, high), -open_gaps(-high, -low)
    for row in range(len(moves)):
        reach = range(max(1, row - liquidity.WINDOW + 1), row + 1)
        below = [high[j - 1] for j in reach if low[j : row + 1].min() > high[j - 1]]
        above = [low[j - 1] for j in reach if high[j : row + 1].max() < low[j - 1]]
        np.testing.assert_equal(up[row], max(below, default=np.nan))
        np.testing.assert_equal(down[row], min(above, default=np.nan))


def test_a_gap_is_listed_with_what_is_left_of_it_and_when_it_was_filled() -> None:
    # up from 11 to 13; a dip to 12 leaves 11 … 12; then down from 12 to 10 is a gap down that fills the first
    lows, highs = [10.0, 13.0, 12.0, 14.0, 8.0], [11.0, 14.0, 13.0, 15.0, 9.0]
    bars = hand_bars(highs, lows)
    before = liquidity.gaps(bars.head(4))
    assert before.select("side", "low", "high", "unfilled_low", "unfilled_high", "age").rows() == [
        ("up", 11.0, 13.0, 11.0, 12.0, 2),
        ("up", 13.0, 14.0, 13.0, 14.0, 0),
    ]
    assert before["ts"].to_list() == bars["ts"][[1, 3]].to_list()
    after = liquidity.gaps(bars)
    assert after["filled_at"].to_list() == [bars["ts"][4], bars["ts"][4], None]
    assert after.row(2, named=True)["side"] == "down"
    assert after.select("unfilled_low", "unfilled_high").rows() == [(None, None), (None, None), (9.0, 14.0)]


@given(moves=st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 4)), min_size=2, max_size=40))
def test_the_list_of_gaps_is_what_a_loop_finds(moves: list[tuple[int, int]]) -> None:
    low = 1000.0 + np.cumsum([step for step, _ in moves])
    high = low + np.array([reach for _, reach in moves])
    bars = hand_bars(list(high), list(low))
    expected = []
    for row in range(1, len(moves)):
        if low[row] > high[row - 1]:
            fill = next((j for j in range(row, len(moves)) if low[j] <= high[row - 1]), None)
            left = (None, None) if fill is not None else (high[row - 1], low[row:].min())
            expected.append((bars["ts"][row], "up", *left, None if fill is None else bars["ts"][fill]))
        if high[row] < low[row - 1]:
            fill = next((j for j in range(row, len(moves)) if high[j] >= low[row - 1]), None)
            left = (None, None) if fill is not None else (high[row:].max(), low[row - 1])
            expected.append((bars["ts"][row], "down", *left, None if fill is None else bars["ts"][fill]))
    found = liquidity.gaps(bars).select("ts", "side", "unfilled_low", "unfilled_high", "filled_at").rows()
    assert found == expected


def test_an_open_gap_is_forgotten_after_its_memory_and_a_filled_one_is_not() -> None:
    bars = hand_bars([11.0, 14.0, 15.0, 16.0], [10.0, 13.0, 14.0, 15.0])
    assert liquidity.gaps(bars).height == 1
    assert liquidity.gaps(bars, memory=1).is_empty()
    assert liquidity.gaps(bars, memory=2).height == 1


def test_turns_are_labelled_by_the_turn_before_them(bars: pl.DataFrame) -> None:
    for kind, up, down in (("high", "HH", "LH"), ("low", "HL", "LL")):
        turns = liquidity.swings(bars).filter(pl.col("kind") == kind).sort("ts")
        prices = turns["price"].to_list()
        assert turns["label"][0] is None
        assert turns["label"][1:].to_list() == [up if now > before else down for before, now in pairwise(prices)]


def test_structure_is_one_with_higher_highs_and_higher_lows_alone(bars: pl.DataFrame) -> None:
    table, turns = build_field_table(bars), liquidity.swings(bars)
    row_of = dict(zip(bars["ts"], range(bars.height), strict=True))
    seen = set()
    for row in range(100, bars.height, 5):
        known = turns.filter(pl.col("confirmed_at") <= bars["ts"][row])
        score, fresh = 0.0, True
        for kind in ("high", "low"):
            last = known.filter(pl.col("kind") == kind).tail(2)
            fresh = fresh and last.height == 2 and row - row_of[last["ts"][0]] <= liquidity.WINDOW
            score += np.sign(last["price"][1] - last["price"][0]) / 2
        assert table["liquidity.structure"][row] == (score if fresh else None)
        seen.add(table["liquidity.structure"][row])
    assert {1.0, -1.0, 0.0} <= seen


def test_a_break_is_the_first_close_beyond_the_last_confirmed_swing(bars: pl.DataFrame) -> None:
    bars = bars.head(350)
    found = liquidity.breaks(bars)
    turns = liquidity.swings(bars)
    close = bars["close"].to_numpy()
    expected = []
    for kind, side, sign in (("high", "up", 1), ("low", "down", -1)):
        broken = set()
        for row in range(bars.height):
            known = turns.filter((pl.col("confirmed_at") < bars["ts"][row]) & (pl.col("kind") == kind))
            if known.is_empty():
                continue
            last = known.row(-1, named=True)
            if last["ts"] not in broken and sign * close[row] > sign * last["price"]:
                broken.add(last["ts"])
                expected.append((bars["ts"][row], side, last["price"], last["ts"]))
    assert sorted(found.rows()) == sorted(expected)
    assert found["ts"].is_sorted()
    cut = liquidity.breaks(bars.head(200))
    assert cut.equals(found.filter(pl.col("ts") <= bars["ts"][199]))  # a later bar undoes no break
