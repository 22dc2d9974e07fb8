"""VWAP and its bands against sums over each span, and anchors that are not known too early."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.liquidity import Anchor, swings, vwap, weighted_bands
from fieldcast.fields.liquidity.vwap import session_of
from fieldcast.ground import InvalidInput
from fieldcast.market import BARS


@given(
    rows=st.lists(st.tuples(st.floats(1, 1e5), st.floats(0, 1e9), st.booleans()), min_size=1, max_size=60),
)
def test_bands_are_the_weighted_moments_since_the_last_restart(rows: list[tuple[float, float, bool]]) -> None:
    price, volume = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    volume[volume < 1e-3] = 0.0
    restart = np.array([row[2] for row in rows])
    mean, deviation = weighted_bands(price, volume, restart)
    for row in range(price.size):
        begins = np.flatnonzero(restart[: row + 1])
        span = slice(begins[-1], row + 1) if begins.size else slice(0, 0)
        if volume[span].sum() <= 0:
            assert np.isnan(mean[row])
            continue
        expected = np.average(price[span], weights=volume[span])
        spread = np.sqrt(np.average((price[span] - expected) ** 2, weights=volume[span]))
        assert mean[row] == pytest.approx(expected, rel=1e-9)
        assert deviation[row] == pytest.approx(spread, rel=1e-6, abs=1e-7 * expected)


def test_bands_keep_their_digits_where_the_sum_of_squares_loses_them() -> None:
    price = 1e6 + np.tile([0.0, 1e-3], 500)
    _, deviation = weighted_bands(price, np.ones(1000), np.arange(1000) == 0)
    assert deviation[-1] == pytest.approx(5e-4, rel=1e-6)


def test_the_vwap_of_a_session_begins_at_its_open_through_half_days_and_daylight_saving(minute_bars_of) -> None:
    # 2025-11-26 to 12-01: a half day on Friday 28th, a holiday before it; 2026-03-06 and -09: clocks go forward between them
    for first, last, counts in (
        (date(2025, 11, 26), date(2025, 12, 1), [78, 42, 78]),
        (date(2026, 3, 6), date(2026, 3, 9), [78, 78]),
    ):
        bars = minute_bars_of("XNYS", first, last)
        table = vwap(bars, Anchor.SESSION)
        typical = (bars["high"] + bars["low"] + bars["close"]) / 3
        start = 0
        for count in counts:
            span = slice(start, start + count)
            expected = (typical[span] * bars["volume"][span]).cum_sum() / bars["volume"][span].cum_sum()
            np.testing.assert_allclose(table["vwap"][span], expected, rtol=1e-12)
            start += count
        assert start == bars.height
        np.testing.assert_allclose(table["upper_2"] - table["vwap"], 2 * table["sd"], atol=1e-9)


def test_a_market_that_never_closes_has_one_session_a_utc_day(minute_bars_of) -> None:
    bars = minute_bars_of("24/7", date(2025, 3, 1), date(2025, 3, 3), minutes=60)
    place = session_of(bars["ts"].to_physical().to_numpy(), "24/7")
    assert np.diff(place).sum() == 2
    assert [int((place == k).sum()) for k in np.unique(place)] == [24, 24, 24]  # midnight ends the day before


def test_a_bar_that_ends_at_the_open_is_of_before_and_one_that_ends_at_the_close_of_the_session() -> None:
    stamps = pl.Series([datetime(2026, 3, 9, 13, 30, tzinfo=UTC), datetime(2026, 3, 9, 20, 0, tzinfo=UTC)]).cast(BARS["ts"])
    before, last = session_of(stamps.to_physical().to_numpy(), "XNYS")
    assert before == -1
    assert last > 0


def test_a_bar_outside_trading_hours_has_no_value_and_moves_none(minute_bars_of) -> None:
    bars = minute_bars_of("XNYS", date(2026, 3, 9), date(2026, 3, 10))
    extra = bars[0].with_columns(
        pl.lit(datetime(2026, 3, 9, 22, 0, tzinfo=UTC)).cast(BARS["ts"]).alias("ts"), high=pl.lit(900.0), close=pl.lit(900.0)
    )
    mixed = vwap(pl.concat([bars, extra]).sort("ts"), Anchor.SESSION)
    assert mixed.filter(pl.col("ts") == extra["ts"][0])["vwap"].to_list() == [None]
    assert (
        mixed.filter(pl.col("ts") != extra["ts"][0]).drop("available_at").equals(vwap(bars, Anchor.SESSION).drop("available_at"))
    )


def test_a_week_begins_on_its_first_session(minute_bars_of) -> None:
    bars = minute_bars_of("XNYS", date(2026, 1, 15), date(2026, 1, 21))  # Monday 19th is a holiday
    table = vwap(bars, Anchor.WEEK)
    tuesday = int((bars["ts"] < datetime(2026, 1, 20, tzinfo=UTC)).sum())
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    assert table["vwap"][tuesday] == pytest.approx(typical[tuesday])
    assert table["vwap"][tuesday - 1] == pytest.approx(np.average(typical[:tuesday], weights=bars["volume"][:tuesday]))


def test_the_vwap_of_a_swing_is_shown_from_its_confirmation_on(bars: pl.DataFrame) -> None:
    turn = swings(bars).row(20, named=True)
    before = bars["ts"].search_sorted(turn["ts"])
    table = vwap(bars, bars["ts"][before - 1], known_since=turn["confirmed_at"])
    confirmed = bars["ts"].search_sorted(turn["confirmed_at"])
    assert table["vwap"][:confirmed].null_count() == confirmed
    typical = ((bars["high"] + bars["low"] + bars["close"]) / 3)[before : confirmed + 1]
    assert table["vwap"][confirmed] == pytest.approx(np.average(typical, weights=bars["volume"][before : confirmed + 1]))
    with pytest.raises(InvalidInput, match="at or after the anchor"):
        vwap(bars, turn["confirmed_at"], known_since=turn["ts"])


def test_nothing_later_moves_a_band(minute_bars_of) -> None:
    bars = minute_bars_of("XNYS", date(2026, 3, 5), date(2026, 3, 9), seed=3)
    for anchor in (*Anchor, bars["ts"][30]):
        full = vwap(bars, anchor)
        for rows in (1, 40, 79, 150):
            assert vwap(bars.head(rows), anchor).equals(full.head(rows)), (anchor, rows)
