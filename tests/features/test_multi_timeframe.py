"""Joining higher timeframes: late bars, ages, names, weights, and the helper that finds the newest row known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data.simulated import BarMarket, equity, simulate_bars
from fieldcast.features._known import newest_known
from fieldcast.features.multi_timeframe import alignment, higher_timeframes, join_timeframes
from fieldcast.ground import InvalidInput
from fieldcast.market import BAR_LATENCY


@pytest.fixture(scope="module")
def minutes() -> pl.DataFrame:
    (made,) = simulate_bars(BarMarket(7, (equity("JOIN"),), date(2014, 3, 3), date(2014, 3, 4), "1m"))
    return made.bars


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_newest_row_known_equals_a_search_through_all_rows(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 12))
    number = st.integers(0, 15)
    ts = np.array(data.draw(st.lists(number, min_size=size, max_size=size)), dtype=np.int64)
    available = ts + np.array(data.draw(st.lists(st.integers(-2, 6), min_size=size, max_size=size)), dtype=np.int64)
    decision = np.array(data.draw(st.lists(number, min_size=1, max_size=8)), dtype=np.int64)
    until = decision - data.draw(st.integers(0, 3))
    for limit in (None, until):
        found = newest_known(ts, available, decision, limit)
        for place, moment in enumerate(decision):
            best, key = -1, None
            for row in range(size):
                known = max(ts[row], available[row]) <= moment and (limit is None or ts[row] <= limit[place])
                if known and (key is None or (ts[row], available[row]) >= key):
                    best, key = row, (ts[row], available[row])
            got = found[place]
            assert (got == -1) == (best == -1)
            assert best == -1 or (ts[got], available[got]) == key


def test_a_bar_that_is_published_late_is_not_there_before(minutes: pl.DataFrame) -> None:
    higher = higher_timeframes(minutes, "XNYS", (15,))
    frame = higher["15m"]
    delayed = frame.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 10)
        .then(pl.col("available_at") + timedelta(minutes=40))
        .otherwise("available_at")
    )
    taken = join_timeframes(minutes, {"15m": delayed})["15m.bar_ts"]
    until = frame["ts"][10] + timedelta(minutes=40)
    between = (minutes["ts"] >= frame["ts"][10]) & (minutes["ts"] < until)
    assert set(taken.filter(between)) == {frame["ts"][9]}  # later bars read the late one, and wait for it too
    assert taken.filter(minutes["ts"] == until)[0] > frame["ts"][10]


def test_a_bar_of_the_lower_timeframe_that_is_published_late_is_not_in_the_alignment_before(minutes: pl.DataFrame) -> None:
    late = minutes.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 700).then(pl.col("ts") + timedelta(minutes=12)).otherwise("ts")
    )
    higher = higher_timeframes(minutes, "XNYS", (5,))
    found, plain = (alignment(bars, join_timeframes(bars, higher), ("5m",)) for bars in (late, minutes))
    assert found["alignment.score"][701:712].null_count() == 11
    assert plain["alignment.score"][690:720].null_count() == 0
    rest = pl.int_range(pl.len()).is_between(700, 711)
    assert found.filter(~rest).equals(plain.filter(~rest))


def test_a_row_that_comes_after_its_decision_takes_what_was_known_at_the_decision(minutes: pl.DataFrame) -> None:
    higher = higher_timeframes(minutes, "XNYS", (5,))
    slow = {"5m": higher["5m"].with_columns(pl.col("available_at") + timedelta(minutes=40))}
    late = minutes.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 300).then(pl.col("ts") + timedelta(hours=5)).otherwise("ts")
    )
    taken = join_timeframes(late, slow)["5m.bar_ts"][300]
    decision = minutes["ts"][300] + BAR_LATENCY
    assert taken == slow["5m"].filter(pl.col("available_at") <= decision)["ts"][-1]


def test_an_old_bar_is_left_out_where_a_limit_is_set(minutes: pl.DataFrame) -> None:
    higher = higher_timeframes(minutes, "XNYS", (60,))
    limited = join_timeframes(minutes, higher, oldest=timedelta(hours=2))
    free = join_timeframes(minutes, higher)
    night = free["60m.bar_ts"].is_not_null() & ((free["ts"] - free["60m.bar_ts"]) > timedelta(hours=2))
    assert night.sum() > 30
    assert limited.filter(night)["60m.bar_ts"].null_count() == night.sum()
    assert limited.filter(~night).equals(free.filter(~night))


def test_wrong_use_is_refused_in_words(minutes: pl.DataFrame) -> None:
    higher = higher_timeframes(minutes, "XNYS", (5,))
    with pytest.raises(InvalidInput, match="ascending minutes"):
        higher_timeframes(minutes, "XNYS", (15, 5))
    with pytest.raises(InvalidInput, match="other than base"):
        join_timeframes(minutes, {"base": minutes})
    with pytest.raises(InvalidInput, match="bars of SIM"):
        join_timeframes(minutes, {"5m": higher["5m"].with_columns(instrument=pl.lit("XNAS:OTHER"))})
    joined = join_timeframes(minutes, higher)
    with pytest.raises(InvalidInput, match="weight above zero"):
        alignment(minutes, joined, ("5m",), {"5m": 1.0})
    with pytest.raises(InvalidInput, match="15m"):
        alignment(minutes, joined, ("5m", "15m"))


def test_a_timeframe_with_all_the_weight_decides_the_direction(
    minutes: pl.DataFrame, bars_of: Callable[..., pl.DataFrame]
) -> None:
    joined = join_timeframes(minutes, higher_timeframes(minutes, "XNYS", (5,)))
    found = alignment(minutes, joined, ("5m",), {"base": 1e-9, "5m": 1.0})
    sign = joined["5m.set31.close_to_sma_21"].sign()
    known = found["alignment.direction"].is_not_null()
    np.testing.assert_allclose(found["alignment.direction"].filter(known), sign.filter(known), atol=1e-8)
    strength = found["alignment.strength"].filter(known)
    assert (strength.sign() == sign.filter(known)).all()
