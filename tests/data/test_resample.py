"""Resampling: borders on the calendar, sums, what is not over yet, and what a bar says about its rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data.daily_check import check_daily
from fieldcast.data.resample import session_bars, to_minutes, to_sessions, to_weeks
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import BARS, add_reason, segments, sessions, sessions_between

CALENDARS = {"XNYS": "ARCX:SPY", "24/7": "CRYP:BTC", "24/5": "FX:EURUSD", "CMES": "XCME:ES", "XHKG": "XHKG:0700"}


def minutes(
    calendar: str = "XNYS", first: date = date(2023, 11, 20), last: date = date(2023, 11, 28), seed: int = 1
) -> pl.DataFrame:
    """Sound minute bars on every minute of every session."""
    spans = segments(calendar).filter(pl.col("session").is_between(first, last))
    start, end = (spans[name].dt.epoch("s").to_numpy() for name in ("start", "end"))
    ends = np.concatenate([np.arange(a + 60, b + 1, 60) for a, b in zip(start, end, strict=True)])
    ts = pl.from_epoch(pl.Series(ends), "s").dt.replace_time_zone("UTC").cast(BARS["ts"])
    return walk(CALENDARS[calendar], ts, seed)


def walk(id: str, ts: pl.Series, seed: int = 1) -> pl.DataFrame:
    random, n = np.random.default_rng(seed), len(ts)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.001, n))), 2)
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) + 0.02, np.minimum(opened, close) - 0.02
    volume = np.rint(random.lognormal(8, 1, n))
    columns = [[id] * n, ts, ts, opened, high, low, close, volume, [None] * n]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def daily(calendar: str = "XNYS", first: date = date(2023, 1, 3), last: date = date(2023, 6, 30)) -> pl.DataFrame:
    return walk(CALENDARS[calendar], sessions_between(calendar, first, last)["close"])


def plain(frame: pl.DataFrame, calendar: str, step: int) -> dict[datetime, tuple[float, ...]]:
    """The same bars by a loop in plain Python."""
    spans = list(segments(calendar).filter(pl.col("end") > frame["ts"][0] - timedelta(days=3)).iter_rows())
    found: dict[datetime, list[tuple[float, ...]]] = {}
    for row in frame.iter_rows(named=True):
        start, end = next((a, b) for _, a, b in spans if a < row["ts"] <= b)
        k = -(-(row["ts"] - start) // timedelta(minutes=step))
        key = min(start + k * timedelta(minutes=step), end)
        found.setdefault(key, []).append((row["open"], row["high"], row["low"], row["close"], row["volume"]))
    return {
        key: (rows[0][0], max(r[1] for r in rows), min(r[2] for r in rows), rows[-1][3], sum(r[4] for r in rows))
        for key, rows in found.items()
    }


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("step", [5, 15, 60])
def test_the_bars_are_those_of_a_plain_loop(calendar, step):
    frame = minutes(calendar, date(2023, 11, 22), date(2023, 11, 24))
    result = to_minutes(frame, calendar, step)
    expected = plain(frame, calendar, step)
    assert result.bars["ts"].to_list() == list(expected)
    assert result.bars.select("open", "high", "low", "close", "volume").rows() == list(expected.values())
    assert result.bars["reasons"].null_count() == result.bars.height
    assert (result.rows_used, result.rows_outside, result.rows_pending) == (frame.height, 0, 0)


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("step", [2, 7, 30, 240])
def test_the_sum_of_volume_is_preserved(calendar, step):
    frame = minutes(calendar)
    assert to_minutes(frame, calendar, step).bars["volume"].sum() == frame["volume"].sum()


def test_bars_are_counted_from_the_open_and_end_with_a_half_day():
    bars = to_minutes(minutes(), "XNYS", 60).bars.with_columns(local=pl.col("ts").dt.convert_time_zone("America/New_York"))
    friday = bars.filter(pl.col("ts").dt.date() == date(2023, 11, 24))["local"].dt.strftime("%H:%M").to_list()
    assert friday == ["10:30", "11:30", "12:30", "13:00"]
    monday = bars.filter(pl.col("ts").dt.date() == date(2023, 11, 20))["local"].dt.strftime("%H:%M").to_list()
    assert monday == ["10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00"]


SUMMER_TIME = [(date(2023, 3, 10), 14), (date(2023, 3, 13), 13), (date(2023, 11, 3), 13), (date(2023, 11, 6), 14)]


@pytest.mark.parametrize(("first", "opens"), SUMMER_TIME)
def test_the_open_moves_with_summer_time(first, opens):
    bars = to_minutes(minutes("XNYS", first, first), "XNYS", 30).bars
    assert bars["ts"][0] == datetime(first.year, first.month, first.day, opens + 1, 0, tzinfo=UTC)
    assert bars.height == 13


def test_a_midday_break_starts_the_count_again():
    bars = to_minutes(minutes("XHKG", date(2023, 11, 22), date(2023, 11, 22)), "XHKG", 60).bars
    local = bars["ts"].dt.convert_time_zone("Asia/Hong_Kong").dt.strftime("%H:%M").to_list()
    assert local == ["10:30", "11:30", "12:00", "14:00", "15:00", "16:00"]


def test_a_missing_minute_is_said_and_an_unreported_volume_stays_unknown():
    frame = minutes("XNYS", date(2023, 11, 20), date(2023, 11, 20))
    gone = frame.filter(pl.int_range(pl.len()) != 7)
    bars = to_minutes(gone, "XNYS", 5).bars
    assert bars["reasons"].to_list() == [None, "missing_bars", *[None] * 76]
    silent = frame.with_columns(volume=pl.when(pl.int_range(pl.len()) == 12).then(None).otherwise("volume"))
    silent = silent.with_columns(add_reason("volume_not_reported", pl.col("volume").is_null()))
    bars = to_minutes(silent, "XNYS", 5).bars
    assert bars["volume"].null_count() == 1
    assert bars["reasons"].to_list() == [None, None, "volume_not_reported", *[None] * 75]
    bare = frame.with_columns(open=None, high=None, low=None).with_columns(add_reason("close_only", pl.lit(value=True)))
    bars = to_minutes(bare, "XNYS", 5).bars
    assert bars["high"].null_count() == bars.height
    assert set(bars["reasons"]) == {"close_only"}


def test_reasons_of_the_rows_stand_on_the_bar_once_and_sorted():
    frame = minutes("XNYS", date(2023, 11, 20), date(2023, 11, 20))
    said = {2: "volume_zero", 3: "large_move,volume_zero", 9: "simulated"}
    frame = frame.with_columns(reasons=pl.int_range(pl.len()).replace_strict(said, default=None, return_dtype=pl.String))
    assert to_minutes(frame, "XNYS", 5).bars["reasons"].to_list()[:3] == ["large_move,volume_zero", "simulated", None]


def test_rows_outside_the_session_are_counted_and_left_out():
    frame = minutes("XNYS", date(2023, 11, 20), date(2023, 11, 20))
    early = frame.head(30).with_columns(pl.col("ts", "available_at") - pl.duration(hours=2))
    odd = frame.slice(100, 1).with_columns(pl.col("ts", "available_at") + pl.duration(seconds=17))
    result = to_minutes(pl.concat([early, frame, odd]), "XNYS", 5)
    assert result.rows_outside == 31
    assert result.bars.equals(to_minutes(frame, "XNYS", 5).bars)


def test_several_instruments_are_kept_apart_whatever_their_order():
    one, two = minutes(seed=1), minutes(seed=2).with_columns(instrument=pl.lit("ARCX:QQQ"))
    together = to_minutes(pl.concat([one, two]).sample(fraction=1, shuffle=True, seed=3), "XNYS", 15).bars
    apart = pl.concat([to_minutes(two, "XNYS", 15).bars, to_minutes(one, "XNYS", 15).bars])
    assert together.equals(apart)


def test_what_cannot_be_resampled_is_refused():
    frame = minutes("XNYS", date(2023, 11, 20), date(2023, 11, 20))
    with pytest.raises(InvalidInput, match="multiple of 5"):
        to_minutes(frame, "XNYS", 7, source_minutes=5)
    with pytest.raises(InvalidInput, match="one version of each bar"):
        to_minutes(pl.concat([frame, frame.slice(3, 1)]), "XNYS", 5)
    with pytest.raises(InvalidInput, match="step of a session of XNYS"):
        to_minutes(frame.with_columns(pl.col("ts", "available_at") + pl.duration(hours=12)), "XNYS", 5)
    with pytest.raises(InvalidInput, match="between 1 and 252"):
        to_sessions(daily(), "XNYS", 0)
    assert to_minutes(frame.clear(), "XNYS", 5).bars.is_empty()


@given(cut=st.integers(1, 900), step=st.sampled_from([2, 5, 13, 60]), calendar=st.sampled_from(sorted(CALENDARS)))
@settings(max_examples=40)
def test_cutting_the_rows_off_gives_the_same_bars_up_to_there(cut, step, calendar):
    frame = minutes(calendar, date(2023, 11, 22), date(2023, 11, 27))
    whole = to_minutes(frame, calendar, step).bars
    at = frame["ts"][cut]
    cut_off = to_minutes(frame.head(cut + 1), calendar, step)
    assert cut_off.bars.equals(whole.filter(pl.col("available_at") <= at))
    assert to_minutes(frame, calendar, step, as_of=at).bars.equals(cut_off.bars)
    assert cut_off.rows_used + cut_off.rows_pending == cut + 1


def test_a_bar_is_known_when_its_last_row_is():
    frame = minutes("XNYS", date(2023, 11, 20), date(2023, 11, 20))
    late = frame["ts"][3] + timedelta(minutes=40)
    at = pl.int_range(pl.len()) == 2
    frame = frame.with_columns(available_at=pl.when(at).then(pl.lit(late).cast(BARS["ts"])).otherwise("available_at"))
    bars = to_minutes(frame, "XNYS", 5).bars
    assert bars["available_at"][0] == late
    assert (bars["available_at"][1:] == bars["ts"][1:]).all()


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("calendar", ["XNYS", "24/7", "24/5"])
def test_a_bar_of_n_sessions_holds_n_trading_days_wherever_the_rows_begin(n, calendar):
    frame = daily(calendar)
    whole = to_sessions(frame, calendar, n)
    closes = frame["ts"]
    number = {ts: k for k, ts in enumerate(closes)}
    ends = [number[ts] for ts in whole.bars["ts"]]
    assert set(np.diff(ends)) == {n}
    for k, row in zip(ends, whole.bars.iter_rows(named=True), strict=True):
        part = frame.slice(k - n + 1, n)
        assert part.height == n
        assert row["volume"] == part["volume"].sum()
        assert (row["open"], row["close"]) == (part["open"][0], part["close"][-1])
        assert (row["high"], row["low"]) == (part["high"].max(), part["low"].min())
    for start in (1, 2, 7):
        later = to_sessions(frame.slice(start), calendar, n).bars
        assert later.equals(whole.bars.tail(later.height))


def test_a_bar_of_which_a_session_is_missing_is_not_given():
    frame = daily()
    whole = to_sessions(frame, "XNYS", 5).bars
    gone = frame.filter(pl.col("ts") != whole["ts"][3])
    result = to_sessions(gone, "XNYS", 5)
    assert result.bars.equals(whole.filter(pl.int_range(pl.len()) != 3))
    assert result.rows_used + result.rows_pending + result.rows_incomplete == gone.height


def test_weeks_end_on_their_last_session():
    bars = to_weeks(daily(), "XNYS").bars
    ends = bars["ts"].dt.convert_time_zone("America/New_York").dt.date()
    assert date(2023, 4, 6) in ends.to_list()  # Good Friday 2023: the week ends on Thursday
    assert ends.dt.weekday().is_in([4, 5]).all()
    crypto = to_weeks(daily("24/7"), "24/7").bars
    assert (crypto["ts"].dt.weekday() == 1).all()  # Sunday's session closes at midnight, Monday 00:00
    assert crypto.height == 25
    gone = daily().filter(pl.col("ts").dt.date() != date(2023, 2, 15))
    flagged = to_weeks(gone, "XNYS").bars.filter(pl.col("reasons").is_not_null())
    assert flagged.select("ts", "reasons").rows() == [(datetime(2023, 2, 17, 21, tzinfo=UTC), "missing_session")]


def test_a_week_that_is_not_over_is_not_given():
    frame = daily(last=date(2023, 6, 28))  # a Wednesday
    result = to_weeks(frame, "XNYS")
    assert result.bars["ts"][-1].date() == date(2023, 6, 23)
    assert result.rows_pending == 3


def test_sessions_from_minutes_close_with_their_session():
    frame = minutes()
    result = session_bars(frame, "XNYS")
    closes = sessions("XNYS").filter(pl.col("session").is_between(date(2023, 11, 20), date(2023, 11, 28)))["close"]
    assert result.bars["ts"].to_list() == closes.to_list()
    assert result.bars["volume"].sum() == frame["volume"].sum()
    assert result.bars["reasons"].null_count() == result.bars.height
    assert session_bars(minutes("XHKG"), "XHKG").bars["reasons"].null_count() == 7


def test_a_vendors_dailies_are_checked_against_the_minutes():
    frame = minutes()
    vendor = session_bars(frame, "XNYS").bars
    report = check_daily(frame, vendor, "XNYS")
    assert (report.agreeing, report.only_daily, report.only_minutes) == (100.0, 0, 0)
    at = pl.int_range(pl.len()) == 2
    wrong = vendor.with_columns(high=pl.when(at).then(pl.col("high") * 1.01).otherwise("high")).head(5)
    report = check_daily(frame, wrong, "XNYS")
    assert report.sessions["within"].to_list() == [True, True, False, True, True]
    assert report.only_minutes == 1
    largest = dict(report.table().select("price", "largest_bps").iter_rows())
    assert largest["high"] == pytest.approx(99.0099, abs=1e-3)
    with pytest.raises(MissingData, match="both minutes and a daily bar"):
        check_daily(frame, vendor.clear(), "XNYS")


@pytest.mark.parametrize("calendar", ["XNYS", "24/7", "XHKG"])
def test_fifteen_minutes_out_of_five_are_those_out_of_one(calendar):
    frame = minutes(calendar)
    five = to_minutes(frame, calendar, 5).bars
    assert to_minutes(five, calendar, 15, source_minutes=5).bars.equals(to_minutes(frame, calendar, 15).bars)
    hours = to_minutes(five, calendar, 60, source_minutes=5)
    assert hours.bars.equals(to_minutes(frame, calendar, 60).bars)
    assert (hours.rows_outside, hours.rows_pending) == (0, 0)


def test_simulated_minutes_stay_labelled():
    frame = minutes().with_columns(reasons=pl.lit("simulated"))
    for result in (to_minutes(frame, "XNYS", 5), session_bars(frame, "XNYS")):
        assert set(result.bars["reasons"]) == {"simulated"}
