"""Sessions end when the exchange does: half-days, daylight saving, holidays; a decision comes 30 minutes later.

Golden moments: NYSE "Holidays and Trading Hours" (early closes at 13:00 New York), closures of 2001-09-11 and
2012-10-29.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import DECISION_DELAY, last_session, next_session, segments, sessions, sessions_between


def _row(calendar: str, day: date) -> dict[str, datetime]:
    found = sessions_between(calendar, day, day)
    assert found.height == 1, f"{calendar} {day}"
    return found.row(0, named=True)


@pytest.mark.parametrize(
    ("day", "opened", "closed"),
    [
        (date(2018, 7, 2), (13, 30), (20, 0)),  # summer time
        (date(2018, 12, 3), (14, 30), (21, 0)),  # winter time
        (date(2018, 3, 9), (14, 30), (21, 0)),  # the Friday before the clocks went forward
        (date(2018, 3, 12), (13, 30), (20, 0)),  # and the Monday after
        (date(2018, 11, 2), (13, 30), (20, 0)),  # before they went back
        (date(2018, 11, 5), (14, 30), (21, 0)),
        (date(2018, 7, 3), (13, 30), (17, 0)),  # half-day before Independence Day
        (date(2018, 11, 23), (14, 30), (18, 0)),  # half-day after Thanksgiving
        (date(2018, 12, 24), (14, 30), (18, 0)),  # Christmas Eve
    ],
)
def test_new_york_opens_and_closes_at_its_own_hours(
    day: date, opened: tuple[int, int], closed: tuple[int, int]
) -> None:
    row = _row("XNYS", day)
    assert row["open"] == datetime(day.year, day.month, day.day, *opened, tzinfo=UTC)
    assert row["close"] == datetime(day.year, day.month, day.day, *closed, tzinfo=UTC)
    assert row["as_of"] == row["close"] + timedelta(minutes=30)


@pytest.mark.parametrize(
    "day",
    [
        date(2001, 9, 11),
        date(2001, 9, 14),
        date(2012, 10, 29),
        date(2018, 12, 5),
        date(2018, 3, 30),
        date(2018, 7, 4),
        date(2018, 12, 25),
        date(2018, 12, 8),
        date(2018, 12, 9),
    ],
)
def test_new_york_rests_on_holidays_weekends_and_when_it_had_to(day: date) -> None:
    assert sessions_between("XNYS", day, day).is_empty()


@pytest.mark.parametrize(("year", "n"), [(1999, 252), (2001, 248), (2012, 250), (2016, 252), (2018, 251)])
def test_the_number_of_sessions_a_year_is_the_published_one(year: int, n: int) -> None:
    assert sessions_between("XNYS", date(year, 1, 1), date(year, 12, 31)).height == n


@pytest.mark.parametrize("calendar", ["XNYS", "XETR", "CMES", "24/5", "24/7"])
def test_every_calendar_is_one_ordered_table_in_utc(calendar: str) -> None:
    table = sessions(calendar)
    stamp = pl.Datetime("us", "UTC")
    assert table.schema == {"session": pl.Date, "open": stamp, "close": stamp, "as_of": stamp}
    assert table["session"].is_sorted()
    assert table["session"].n_unique() == table.height
    assert (table["open"] < table["close"]).all()
    assert (table["close"].diff().drop_nulls() > timedelta(0)).all()
    assert (table["as_of"] - table["close"] == DECISION_DELAY).all()
    assert table.null_count().row(0) == (0, 0, 0, 0)


def test_a_market_that_never_closes_has_every_day() -> None:
    assert sessions_between("24/7", date(2018, 1, 1), date(2018, 12, 31)).height == 365


def test_the_newest_session_is_known_only_from_its_decision_time_on() -> None:
    moment = datetime(2018, 12, 3, 21, 30, tzinfo=UTC)
    assert last_session("XNYS", moment)["session"] == date(2018, 12, 3)
    assert last_session("XNYS", moment - timedelta(microseconds=1))["session"] == date(2018, 11, 30)
    half_day = datetime(2018, 11, 23, 18, 30, tzinfo=UTC)
    assert last_session("XNYS", half_day)["session"] == date(2018, 11, 23)


def test_the_next_session_steps_over_holidays() -> None:
    assert next_session("XNYS", date(2018, 12, 4))["session"] == date(2018, 12, 6)  # mourning for G. H. W. Bush
    assert next_session("XNYS", date(2018, 12, 21), n=3)["session"] == date(2018, 12, 27)
    assert next_session("XNYS", date(2018, 12, 22))["session"] == date(2018, 12, 24)  # from a Saturday


def test_a_session_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidInput, match="100000 sessions of XNYS"):
        next_session("XNYS", date(2018, 12, 4), n=100_000)
    with pytest.raises(InvalidInput, match="first session of XNYS"):
        last_session("XNYS", datetime(1900, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("n", [0, -1])
def test_the_next_session_is_at_least_one_ahead(n: int) -> None:
    with pytest.raises(InvalidInput):
        next_session("XNYS", date(2018, 12, 4), n=n)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(InvalidInput, match="zone"):
        last_session("XNYS", datetime(2018, 12, 3))  # noqa: DTZ001 - the point of the test


def test_an_unknown_calendar_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'MARS'"):
        sessions("MARS")


def test_segments_are_the_sessions_where_trading_does_not_pause_within_them():
    for calendar in ("XNYS", "24/7", "24/5"):
        whole = sessions(calendar).select("session", start="open", end="close")
        assert segments(calendar).equals(whole)


def test_a_midday_break_cuts_a_session_in_two_since_the_break_is_kept_on_record():
    day = segments("XTKS").filter(pl.col("session") == date(2023, 11, 24)).with_columns(
        pl.col("start", "end").dt.convert_time_zone("Asia/Tokyo").dt.strftime("%H:%M")
    )
    assert day.select("start", "end").rows() == [("09:00", "11:30"), ("12:30", "15:00")]
    assert segments("XTKS")["start"].is_sorted()
    early = segments("XTKS").filter(pl.col("session").dt.year() == 1998)
    assert early.height > early["session"].n_unique()


def test_the_maintenance_hour_of_globex_is_no_trading_and_an_early_close_has_none():
    globex = segments("CMES").with_columns(pl.col("end").dt.convert_time_zone("America/Chicago").dt.strftime("%H:%M"))
    week = globex.filter(pl.col("session").is_between(date(2023, 11, 22), date(2023, 11, 24)))
    ends = dict(week.select("session", "end").iter_rows())
    assert ends[date(2023, 11, 22)] == "16:00"
    assert ends[date(2023, 11, 24)] < "16:00"
    assert (segments("CMES")["end"] > segments("CMES")["start"]).all()
