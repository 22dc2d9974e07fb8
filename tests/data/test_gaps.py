"""Gap checks: daily and minute bars, on calendars that pause and on one that does not."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from fieldcast.data import gap_report
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import Instrument, Kind, default_instrument, sessions_between

BTC = default_instrument("CRYP:BTC", Kind.CRYPTO)


def minutes(instrument: Instrument, first: date, last: date, step: int = 1) -> pl.DataFrame:
    """A stamp for every bar of every session, made without the code under test."""
    stamps = []
    for row in sessions_between(instrument.calendar, first, last).iter_rows(named=True):
        count = int((row["close"] - row["open"]).total_seconds()) // (60 * step)
        start = int(row["open"].timestamp())
        stamps += [datetime.fromtimestamp(start + 60 * step * (k + 1), tz=UTC) for k in range(count)]
    return pl.DataFrame({"ts": stamps}, schema={"ts": pl.Datetime("us", "UTC")})


def without(frame: pl.DataFrame, *at: int) -> pl.DataFrame:
    return frame.filter(~pl.int_range(pl.len()).is_in(at))


def test_a_missing_session_is_a_breach_and_a_holiday_is_none(make_bars, spy):
    bars = make_bars()
    whole = gap_report(bars, spy)
    assert (whole.ok, whole.completeness, whole.gaps.height, whole.reasons) == (True, 100.0, 0, ())
    assert whole.half_days == 1  # the day after Thanksgiving 2022
    report = gap_report(without(bars, 10, 11, 30), spy)
    assert not report.ok
    assert report.gaps["bars"].to_list() == [2, 1]
    assert report.gaps["first"].to_list() == [bars["ts"][10], bars["ts"][30]]
    assert report.reasons == (Reason.MISSING_SESSION,)
    assert report.completeness == pytest.approx(100 * (bars.height - 3) / bars.height)


def test_a_half_day_is_known_as_one_even_alone(spy):
    frame = minutes(spy, date(2023, 11, 24), date(2023, 11, 24))
    report = gap_report(frame, spy, "1m")
    assert (report.sessions, report.half_days, report.expected, report.completeness) == (1, 1, 210, 100.0)


def test_rows_on_no_session_are_counted_apart(make_bars, spy):
    bars = make_bars()
    sunday = bars.head(1).with_columns(ts=pl.lit(datetime(2022, 12, 4, 21, tzinfo=UTC)).cast(bars["ts"].dtype))
    report = gap_report(pl.concat([bars, sunday]), spy)
    assert (report.outside, report.completeness) == (1, 100.0)


@pytest.mark.parametrize(("step", "bars"), [(1, 6), (5, 6)])
def test_minute_holes_breach_above_five_bars(spy, step, bars):
    frame = minutes(spy, date(2023, 1, 3), date(2023, 1, 10), step)
    assert gap_report(frame, spy, f"{step}m").ok
    allowed = gap_report(without(frame, *range(20, 20 + bars - 1)), spy, f"{step}m")
    assert allowed.ok
    assert allowed.gaps["bars"].to_list() == [5]
    assert not gap_report(without(frame, *range(20, 20 + bars)), spy, f"{step}m").ok


def test_a_hole_over_the_night_is_two_holes(spy):
    frame = minutes(spy, date(2023, 1, 3), date(2023, 1, 4))
    report = gap_report(without(frame, *range(386, 394)), spy, "1m")
    assert report.gaps["bars"].to_list() == [4, 4]
    assert report.ok


def test_a_hole_over_midnight_is_one_hole_where_trading_never_stops():
    frame = minutes(BTC, date(2023, 1, 7), date(2023, 1, 9))
    at = 1440 - 31
    assert gap_report(without(frame, *range(at, at + 60)), BTC, "1m").ok
    report = gap_report(without(frame, *range(at, at + 61)), BTC, "1m")
    assert not report.ok
    assert report.gaps.select("bars", "minutes").rows() == [(61, 61)]
    assert report.reasons == (Reason.MISSING_BARS,)


def test_bars_before_and_after_hours_do_not_count(spy):
    frame = minutes(spy, date(2023, 1, 3), date(2023, 1, 4))
    early = frame.head(30).with_columns(ts=pl.col("ts") - pl.duration(hours=2))
    report = gap_report(pl.concat([early, frame]), spy, "1m")
    assert (report.outside, report.present, report.completeness) == (30, 780, 100.0)


def test_what_cannot_be_judged_is_refused(spy, make_bars):
    with pytest.raises(InvalidInput, match="1d, 1m or 5m"):
        gap_report(make_bars(), spy, "hourly")
    with pytest.raises(MissingData, match="found none"):
        gap_report(make_bars().clear(), spy)
    shifted = make_bars().with_columns(ts=pl.col("ts") + pl.duration(seconds=1))
    with pytest.raises(MissingData, match="times of XNYS"):
        gap_report(shifted, spy)
