"""The calendar of events: invisible before it was announced, the newest announcement counts, expiries by the exchange's rule."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.actions import action_rows
from fieldcast.data.events import (
    EXPIRY_RULES,
    ex_dividends,
    expiries,
    future_expiries,
    known_events,
    rule_dates,
    third_friday,
    upcoming,
)
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import STAMP
from fieldcast.market.tables import EVENTS

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def announcements(
    *rows: tuple[int, int, str, str | None], instrument: str = "XNAS:AAPL", event: str = "earnings"
) -> pl.DataFrame:
    """Rows out of (day announced, day it happens, item, note)."""
    frame = pl.DataFrame(
        {
            "instrument": [instrument] * len(rows),
            "ts": [START + made * DAY for made, _, _, _ in rows],
            "available_at": [START + made * DAY for made, _, _, _ in rows],
            "happens_at": [START + at * DAY for _, at, _, _ in rows],
            "event": [event] * len(rows),
            "item": [item for _, _, item, _ in rows],
            "value": [None] * len(rows),
            "note": [note for _, _, _, note in rows],
            "reasons": [None] * len(rows),
        },
        schema_overrides={"ts": STAMP, "available_at": STAMP, "happens_at": STAMP},
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in EVENTS.schema.items())


MOVED = announcements((10, 30, "2024Q1", None), (20, 33, "2024Q1", None), (25, 120, "2024Q2", None))


def days(found: pl.DataFrame) -> list[tuple[str, int]]:
    return [(item, (at - START).days) for item, at in found.select("item", "happens_at").iter_rows()]


def test_an_event_does_not_exist_before_it_was_announced():
    seen = {day: days(upcoming(MOVED, "XNAS:AAPL", START + day * DAY, timedelta(days=60))) for day in (9, 10, 19, 20, 29, 33)}
    assert seen == {
        9: [],
        10: [("2024Q1", 30)],
        19: [("2024Q1", 30)],
        20: [("2024Q1", 33)],
        29: [("2024Q1", 33)],
        33: [],  # it has begun
    }


def test_the_horizon_is_a_span_or_a_moment_and_its_end_counts():
    as_of = START + 26 * DAY
    assert days(upcoming(MOVED, "XNAS:AAPL", as_of, START + 33 * DAY)) == [("2024Q1", 33)]
    assert days(upcoming(MOVED, "XNAS:AAPL", as_of, START + 33 * DAY - timedelta(seconds=1))) == []
    assert days(upcoming(MOVED, "XNAS:AAPL", as_of, timedelta(days=365))) == [("2024Q1", 33), ("2024Q2", 120)]
    with pytest.raises(InvalidInput, match="horizon after"):
        upcoming(MOVED, "XNAS:AAPL", as_of, START)
    with pytest.raises(InvalidInput, match="kinds of events"):
        upcoming(MOVED, "XNAS:AAPL", as_of, DAY, kinds=["party"])


def test_a_cancelled_item_is_off_the_calendar_until_it_is_announced_again():
    rows = announcements((1, 30, "Q1", None), (5, 30, "Q1", "cancelled"), (9, 40, "Q1", None))
    assert [days(upcoming(rows, "XNAS:AAPL", START + day * DAY, timedelta(days=90))) for day in (1, 5, 9)] == [
        [("Q1", 30)],
        [],
        [("Q1", 40)],
    ]


def test_an_event_of_a_day_is_upcoming_until_the_day_ends_and_in_reach_once_it_begins():
    rows = announcements((1, 31, "Q1", "day only"))  # the day lasts from 30 to 31
    asked = [(29.5, 0.4), (29.5, 0.5), (30.5, 0.1), (31.0, 1.0)]
    found = [upcoming(rows, "XNAS:AAPL", START + at * DAY, timedelta(days=reach)).height for at, reach in asked]
    assert found == [0, 1, 1, 0]


def test_a_store_gives_the_same_calendar_and_several_instruments_one():
    store = MemoryStore()
    both = pl.concat([MOVED, announcements((2, 31, "2024-02", None), instrument="FRED:CPIAUCSL", event="macro_release")])
    store.append(both, Lineage(provider="test", dataset="events", fetched_at=START + 90 * DAY), table="events")
    for day in (9, 10, 19, 20, 29, 33):
        as_of = START + day * DAY
        assert upcoming(store, "XNAS:AAPL", as_of, timedelta(days=60)).equals(
            upcoming(MOVED, "XNAS:AAPL", as_of, timedelta(days=60))
        )
    found = upcoming(store, ["XNAS:AAPL", "FRED:CPIAUCSL", "XNAS:NONE"], START + 21 * DAY, timedelta(days=60))
    assert days(found) == [("2024-02", 31), ("2024Q1", 33)]
    assert days(
        upcoming(store, ["XNAS:AAPL", "FRED:CPIAUCSL"], START + 21 * DAY, timedelta(days=60), kinds=["macro_release"])
    ) == [("2024-02", 31)]


ROWS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 40), st.sampled_from("ABC"), st.sampled_from([None, None, "cancelled"])),
    min_size=1,
    max_size=20,
    unique_by=lambda row: (row[0], row[2]),
)


@given(rows=ROWS, as_of=st.integers(-1, 45), reach=st.integers(0, 30))
def test_every_calendar_agrees_with_a_search_by_hand(rows, as_of, reach):
    table = announcements(*rows)
    newest: dict[str, tuple[int, int, str | None]] = {}
    for made, at, item, note in sorted(rows, key=lambda row: row[0]):
        if made <= as_of:
            newest[item] = (made, at, note)
    expected = sorted((at, item) for item, (_, at, note) in newest.items() if note is None and as_of < at <= as_of + reach)
    moment = START + as_of * DAY
    assert [(at, item) for item, at in days(upcoming(table, "XNAS:AAPL", moment, timedelta(days=reach)))] == expected
    assert known_events(table, moment).height == sum(note is None for _, _, note in newest.values())


# made by rule -------------------------------------------------------------------------------------------------------


def test_a_dividend_is_an_event_from_its_announcement_on():
    announced = datetime(2024, 2, 1, 22, tzinfo=UTC)
    rows = ex_dividends(
        action_rows("XNAS:AAPL", [date(2024, 2, 9), date(2024, 5, 10)], dividends=[0.24, 0.25], announced=[announced, None])
    )
    assert rows.select("item", "value", "event").rows() == [
        ("2024-02-09", 0.24, "ex_dividend"),
        ("2024-05-10", 0.25, "ex_dividend"),
    ]
    assert upcoming(rows, "XNAS:AAPL", announced - timedelta(seconds=1), timedelta(days=365)).is_empty()
    assert upcoming(rows, "XNAS:AAPL", announced, timedelta(days=365))["item"].to_list() == [
        "2024-02-09"
    ]  # the other is unannounced


@given(year=st.integers(1990, 2050), month=st.integers(1, 12))
def test_the_third_friday_is_a_friday_between_the_15th_and_the_21st(year, month):
    day = third_friday(year, month)
    assert (day.weekday(), 15 <= day.day <= 21) == (4, True)


def moments(rule: str, first: date, last: date) -> list[datetime]:
    return expiries("XCBO:SPX", rule, first, last)["happens_at"].to_list()


def test_monthly_expiries_settle_at_the_open_or_the_close_and_move_before_a_holiday():
    assert moments("spx-monthly", date(2024, 1, 1), date(2024, 1, 31)) == [datetime(2024, 1, 19, 14, 30, tzinfo=UTC)]
    assert moments("equity-monthly", date(2024, 1, 1), date(2024, 1, 31)) == [datetime(2024, 1, 19, 21, tzinfo=UTC)]
    assert moments("equity-monthly", date(2022, 4, 1), date(2022, 4, 30)) == [
        datetime(2022, 4, 14, 20, tzinfo=UTC)
    ]  # Good Friday
    assert moments("equity-monthly", date(2026, 6, 1), date(2026, 6, 30)) == [datetime(2026, 6, 18, 20, tzinfo=UTC)]  # Juneteenth


def test_weekly_and_quarterly_expiries():
    weekly = [at.date() for at in moments("equity-weekly", date(2024, 3, 1), date(2024, 3, 31))]
    assert weekly == [date(2024, 3, 1), date(2024, 3, 8), date(2024, 3, 22), date(2024, 3, 28)]  # Good Friday is the 29th
    assert moments("equity-weekly", date(2023, 11, 24), date(2023, 11, 24)) == [
        datetime(2023, 11, 24, 18, tzinfo=UTC)
    ]  # half-day
    assert [at.date() for at in moments("equity-quarterly", date(2024, 1, 1), date(2024, 12, 31))] == [
        date(2024, 3, 28),
        date(2024, 6, 28),
        date(2024, 9, 30),
        date(2024, 12, 31),
    ]


def test_vix_settles_thirty_days_before_the_next_third_friday():
    """Cboe's settlement dates of 2024, and those of 2022-03 (before Good Friday) and 2026-05 (before Juneteenth): a Tuesday."""
    published = [(1, 17), (2, 14), (3, 20), (4, 17), (5, 22), (6, 18), (7, 17), (8, 21), (9, 18), (10, 16), (11, 20), (12, 18)]
    assert [(at.month, at.day) for at in moments("vix-monthly", date(2024, 1, 1), date(2024, 12, 31))] == published
    assert moments("vix-monthly", date(2022, 3, 1), date(2022, 3, 31)) == [datetime(2022, 3, 15, 13, 30, tzinfo=UTC)]
    assert moments("vix-monthly", date(2026, 5, 1), date(2026, 5, 31)) == [datetime(2026, 5, 19, 13, 30, tzinfo=UTC)]


def test_an_expiry_is_upcoming_once_it_is_listed():
    rows = expiries("XNAS:AAPL", "equity-weekly", date(2024, 3, 8), date(2024, 3, 8))
    happens = rows["happens_at"][0]
    assert rows["reasons"].to_list() == ["availability_assumed"]
    assert upcoming(rows, "XNAS:AAPL", happens - timedelta(days=36), timedelta(days=60)).is_empty()
    assert upcoming(rows, "XNAS:AAPL", happens - timedelta(days=34), timedelta(days=60)).height == 1


def test_futures_end_on_the_last_trading_day_of_their_rule():
    rows = future_expiries("XCME:ES", date(2024, 1, 1), date(2024, 12, 31))
    assert rows["item"].to_list() == ["XCME:ES.2024H", "XCME:ES.2024M", "XCME:ES.2024U", "XCME:ES.2024Z"]
    assert [(at - timedelta(hours=12)).date() for at in rows["happens_at"]] == [
        third_friday(2024, month) for month in (3, 6, 9, 12)
    ]
    with pytest.raises(InvalidInput):
        future_expiries("XCME:NONE", date(2024, 1, 1), date(2024, 12, 31))


def test_an_unknown_rule_or_span_is_refused():
    with pytest.raises(InvalidInput, match="expiry rule"):
        expiries("XCBO:SPX", "yearly", date(2024, 1, 1), date(2024, 2, 1))
    with pytest.raises(InvalidInput, match="within"):
        expiries("XCBO:SPX", "spx-monthly", date(2024, 1, 1), date(2090, 1, 1))
    assert rule_dates(EXPIRY_RULES["spx-monthly"], date(2024, 1, 20), date(2024, 2, 1)) == []


# imported -----------------------------------------------------------------------------------------------------------

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
TABLE = """instrument,event,item,happens_at,announced_at,value,note
XNAS:AAPL,earnings,2024Q1,2024-05-02T20:30:00Z,2024-04-04T12:00:00Z,,
FRED:CPIAUCSL,macro_release,2024-05,2024-06-12T12:30:00Z,2023-12-01T15:00:00Z,,
XNAS:AAPL,party,2024,2024-05-02T20:30:00Z,2024-04-04T12:00:00Z,,
XNAS:AAPL,earnings,2024Q2,2024-08-01T20:30:00Z,,,
"""


@pytest.fixture
def bring(tmp_path: Path):
    def run(content: str, **options):
        path = tmp_path / "calendar.csv"
        path.write_text(content)
        store = MemoryStore()
        return import_source(path, Options(**({"now": NOW} | options)), store=store), store

    return run


def test_a_calendar_comes_in_with_its_announcements(bring):
    report, store = bring(TABLE)
    assert (report.format, report.rows_kept) == ("events-table", 2)
    assert report.removed == {Reason.STAMP_MISSING: 1, Reason.ROW_UNREADABLE: 1}
    row = store.read("XNAS:AAPL", table="events").row(0, named=True)
    assert (row["ts"], row["happens_at"]) == (datetime(2024, 4, 4, 12, tzinfo=UTC), datetime(2024, 5, 2, 20, 30, tzinfo=UTC))
    assert upcoming(store, "FRED:CPIAUCSL", NOW, timedelta(days=14)).height == 1


def test_days_need_a_zone_and_tickers_a_venue(bring):
    text = "ticker,event,item,happens_at\nAAPL,earnings,2024Q2,2024-08-01\nMSFT,earnings,2024Q2,2024-07-30\n"
    with pytest.raises(InvalidInput, match="zone="):
        bring(text, venue="XNAS")
    with pytest.raises(InvalidInput, match="venue="):
        bring(text, zone="America/New_York")
    report, store = bring(text, venue="XNAS", zone="America/New_York")
    row = store.read("XNAS:AAPL", table="events").row(0, named=True)
    assert (row["ts"], row["happens_at"]) == (NOW, datetime(2024, 8, 2, 4, tzinfo=UTC))
    assert (row["note"], row["reasons"]) == ("day only", "availability_assumed")
    assert any("announced_at" in note for note in report.notes)
