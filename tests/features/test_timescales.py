"""Timescales: against plain loops over the calendar, cut at any moment, holes, and what is not known."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from fieldcast.data.simulated import BarMarket, equity, simulate_bars
from fieldcast.features.timescales import MULTI, TIMESCALES, at_timescale, features_at, timescale_counts
from fieldcast.ground import InvalidInput
from fieldcast.market import sessions_between


@pytest.fixture(scope="module")
def daily() -> pl.DataFrame:
    (made,) = simulate_bars(BarMarket(12, (equity("TIME"),), date(2013, 1, 2), date(2014, 6, 18), "1d"))
    return made.bars


def key(day: date, timescale: str) -> object:
    if timescale == "1mo":
        return day.year, day.month
    week = (day.toordinal() - date(1970, 1, 5).toordinal()) // 7
    return week // 2 if timescale == "2w" else week


@pytest.mark.parametrize("timescale", ["1w", "2w", "1mo"])
def test_spans_of_the_calendar_equal_a_loop(daily: pl.DataFrame, timescale: str) -> None:
    days = sessions_between("XNYS", date(2013, 1, 2), date(2014, 12, 31))["session"].to_list()
    expected = []
    for place in range(daily.height):
        group = [row for row in range(daily.height) if key(days[row], timescale) == key(days[place], timescale)]
        over = key(days[group[-1] + 1], timescale) != key(days[place], timescale)
        if place == group[0] and over:
            part = daily[group]
            expected.append(
                (part["ts"][-1], part["open"][0], part["high"].max(), part["low"].min(), part["close"][-1], part["volume"].sum())
            )
    found = at_timescale(daily, timescale, "XNYS")
    columns = ["ts", "open", "high", "low", "close"]
    assert found.select(columns).rows() == [row[:5] for row in expected]
    assert found["volume"].to_list() == pytest.approx([row[5] for row in expected])
    assert daily.height > 300
    assert len(expected) < daily.height / 4


@pytest.mark.parametrize("timescale", TIMESCALES)
def test_cutting_the_rows_gives_the_same_bars_up_to_there(daily: pl.DataFrame, timescale: str) -> None:
    whole = at_timescale(daily, timescale, "XNYS")
    for cut in (101, 200, 297):
        part = daily.head(cut)
        again = at_timescale(part, timescale, "XNYS")
        assert again.equals(whole.filter(pl.col("ts") <= part["ts"][-1]))


def test_features_of_weeks_and_months_join_the_days_once_they_are_over(daily: pl.DataFrame) -> None:
    whole = features_at(daily, MULTI, "XNYS", ["set31"])
    assert whole.height == daily.height
    weekly = features_at(daily, "1w", "XNYS", ["set31"])
    name = "set31.close_to_sma_7"
    for row in range(60, daily.height, 11):
        known = weekly.filter(pl.col("ts") <= daily["ts"][row])
        assert whole[f"1w.{name}"][row] == known[name][-1]
    cut = features_at(daily.head(250), MULTI, "XNYS", ["set31"])
    assert cut.equals(whole.head(250))


def test_a_hole_and_an_unknown_volume_stand_on_the_longer_bar(daily: pl.DataFrame) -> None:
    holed = daily.with_row_index().filter(pl.col("index") != 50).drop("index")
    holed = holed.with_columns(volume=pl.when(pl.int_range(pl.len()) == 120).then(None).otherwise(pl.col("volume")))
    for timescale in ("2w", "1mo"):
        found = at_timescale(holed, timescale, "XNYS")
        marked = found.filter(pl.col("reasons").str.contains("missing_session"))
        whole = at_timescale(daily, timescale, "XNYS").filter(~pl.col("reasons").fill_null("").str.contains("missing_session"))
        assert marked.height == found.height - whole.height + 1
        assert found["volume"].null_count() == 1


def test_wrong_use_is_refused(daily: pl.DataFrame) -> None:
    with pytest.raises(InvalidInput, match="out of 1d, 2d"):
        at_timescale(daily, "4d", "XNYS")
    with pytest.raises(InvalidInput, match="elsewhere"):
        at_timescale(daily.with_columns(pl.col("ts", "available_at").dt.offset_by("1m")), "1mo", "XNYS")
    counts = timescale_counts(daily, "XNYS")
    assert list(counts) == list(TIMESCALES)
    assert counts["1d"] == counts[MULTI] == daily.height
