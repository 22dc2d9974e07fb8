"""D21, event calendar: earnings, ex-dividend, expiry and macro release dates, point in time.

Done when: "A packet whose horizon spans a known earnings date carries the event and its warning, and an announcement is invisible
before it was made".
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.actions import action_rows
from fieldcast.data.events import KINDS, ex_dividends, expiries, future_expiries, upcoming
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.market import Kind, default_instrument

pytestmark = pytest.mark.feature("D21", part="the calendar, point in time")
OPEN_PARTS: tuple[str, ...] = ("a packet whose horizon spans a known earnings date carries the event and its warning",)

CALENDAR = """instrument,event,item,happens_at,announced_at,value,note
XNAS:AAPL,earnings,2024Q1,2024-02-06T21:30:00Z,2024-01-10T13:00:00Z,,
XNAS:AAPL,earnings,2024Q1,2024-02-01T21:30:00Z,2024-01-18T13:00:00Z,,
XNAS:AAPL,earnings,2024Q2,2024-05-02T20:30:00Z,2024-04-04T12:00:00Z,,
FRED:CPIAUCSL,macro_release,2024-01,2024-02-13T13:30:00Z,2023-11-01T12:00:00Z,,
"""
FETCHED = datetime(2024, 6, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=31)


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    """Earnings and a release out of a file, dividends out of corporate actions, expiries by rule."""
    path = tmp_path / "calendar.csv"
    path.write_text(CALENDAR)
    store = MemoryStore()
    import_source(path, Options(now=FETCHED), store=store, dataset="events")
    announced = [datetime(2024, 2, 1, 21, 30, tzinfo=UTC)]
    dividends = ex_dividends(action_rows("XNAS:AAPL", [date(2024, 2, 9)], dividends=[0.24], announced=announced))
    options = expiries("XNAS:AAPL", "equity-monthly", date(2024, 1, 1), date(2024, 3, 31))
    futures = future_expiries("XCME:ES", date(2024, 1, 1), date(2024, 3, 31))
    for rows in (dividends, options, futures):
        store.append(rows, Lineage(provider="test", dataset="events", fetched_at=FETCHED), table="events")
    return store


def seen(store: MemoryStore, as_of: datetime, *kinds: str) -> list[tuple[str, datetime]]:
    ids = ["XNAS:AAPL", "FRED:CPIAUCSL", "XCME:ES"]
    return upcoming(store, ids, as_of, MONTH, kinds=kinds or KINDS).select("item", "happens_at").rows()


def test_an_announcement_is_invisible_before_it_was_made(store):
    first, moved = datetime(2024, 1, 10, 13, tzinfo=UTC), datetime(2024, 1, 18, 13, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    assert seen(store, first - moment, "earnings") == []
    assert seen(store, first, "earnings") == [("2024Q1", datetime(2024, 2, 6, 21, 30, tzinfo=UTC))]
    assert seen(store, moved - moment, "earnings") == [("2024Q1", datetime(2024, 2, 6, 21, 30, tzinfo=UTC))]
    assert seen(store, moved, "earnings") == [("2024Q1", datetime(2024, 2, 1, 21, 30, tzinfo=UTC))]  # the newest announcement


def test_no_moment_shows_what_was_announced_later(store):
    """Every hour of five months: whatever the calendar shows was announced by then and has not begun."""
    for hour in range(0, 24 * 150, 13):
        as_of = datetime(2023, 12, 1, tzinfo=UTC) + timedelta(hours=hour)
        found = upcoming(store, ["XNAS:AAPL", "FRED:CPIAUCSL"], as_of, MONTH)
        assert (found["ts"] <= as_of).all()
        assert (found["available_at"] <= as_of).all()
        assert (found["happens_at"] > as_of).all()
        assert (found["happens_at"] <= as_of + MONTH).all()
        assert found.select("instrument", "event", "item").is_unique().all()


def test_every_kind_of_event_is_on_the_calendar(store):
    found = seen(store, datetime(2024, 2, 1, 21, 30, tzinfo=UTC))
    assert [item for item, _ in found] == ["2024-02-09", "2024-01", "equity-monthly 2024-02-16"]
    assert [at for _, at in found] == [
        datetime(2024, 2, 9, 5, tzinfo=UTC),
        datetime(2024, 2, 13, 13, 30, tzinfo=UTC),
        datetime(2024, 2, 16, 21, tzinfo=UTC),
    ]
    later = seen(store, datetime(2024, 2, 20, tzinfo=UTC), "expiry")
    assert [item for item, _ in later] == ["equity-monthly 2024-03-15", "XCME:ES.2024H"]


def test_the_rule_finds_every_expiry_of_a_real_chain(realdata):
    """Each monthly SPX contract of CBOE's file settles at a moment of the rule; each Friday's SPXW at one of the weekly rules."""
    store = MemoryStore()
    import_source(realdata / "options" / "cboe_quotedata" / "spx_2024-01-07.csv.gz", Options(now=FETCHED), store=store)
    chain = store.read("XCBO:SPX", table="chains").filter(pl.col("expiry_ts") < datetime(2025, 12, 1, tzinfo=UTC))
    span = date(2024, 1, 1), date(2025, 12, 31)
    monthly = set(expiries("XCBO:SPX", "spx-monthly", *span)["happens_at"])
    listed = set(chain.filter(pl.col("root") == "SPX")["expiry_ts"])
    assert len(listed) > 10
    assert listed <= monthly
    weekly = set(expiries("XCBO:SPX", "spxw-weekly", *span)["happens_at"]) | set(
        expiries("XCBO:SPX", "equity-monthly", *span)["happens_at"]
    )
    fridays = set(chain.filter((pl.col("root") == "SPXW") & (pl.col("expiry_ts").dt.weekday() == 5))["expiry_ts"])
    assert len(fridays) > 10
    assert fridays <= weekly


def test_a_real_dividend_that_was_not_announced_is_never_upcoming(realdata):
    """Tiingo tells ex-dates and not announcements: such a dividend is known on its day and not before."""
    store = MemoryStore()
    options = Options(now=datetime(2026, 11, 1, tzinfo=UTC), instrument=default_instrument("ARCX:SPY", Kind.ETF))
    import_source(realdata / "daily" / "tiingo_raw_and_adj" / "SPY_1d.csv.gz", options, store=store)
    rows = ex_dividends(store.read("ARCX:SPY", table="actions"))
    assert rows.height == 8
    for as_of in rows["happens_at"]:
        for before in (timedelta(days=1), timedelta(seconds=1), timedelta()):
            assert upcoming(rows, "ARCX:SPY", as_of - before, MONTH).is_empty()
