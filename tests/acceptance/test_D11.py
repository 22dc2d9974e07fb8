"""D11, calendars and gap checks.

Done when: "A full year of RTH bars passes, one removed 7-minute span fails, and crypto is not judged by the equity
calendar".
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore, gap_report
from fieldcast.ground import Reason
from fieldcast.market import BARS, Instrument, Kind, default_instrument, segments, sessions_between

pytestmark = pytest.mark.feature("D11")
OPEN_PARTS: tuple[str, ...] = ()

SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF)
BTC = default_instrument("CRYP:BTC", Kind.CRYPTO)
YEAR = date(2023, 1, 1), date(2023, 12, 31)


def minutes(instrument: Instrument) -> pl.DataFrame:
    """The end of every minute of every session of 2023, by plain arithmetic."""
    table = sessions_between(instrument.calendar, *YEAR)
    open_, close = (table[name].dt.epoch("s").to_numpy() for name in ("open", "close"))
    ends = np.concatenate([np.arange(o + 60, c + 1, 60) for o, c in zip(open_, close, strict=True)])
    return pl.DataFrame({"ts": ends}).select(
        pl.from_epoch("ts", "s").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    )


@pytest.fixture(scope="module")
def rth() -> pl.DataFrame:
    return minutes(SPY)


def test_a_full_year_of_rth_bars_passes(rth):
    report = gap_report(rth, SPY, "1m")
    assert report.ok
    assert report.completeness == 100.0
    # 2023: 250 sessions, of which 3 July and 24 November end at 13:00 New York (210 minutes)
    assert (report.sessions, report.half_days) == (250, 2)
    assert report.expected == report.present == 248 * 390 + 2 * 210 == rth.height


def test_one_removed_seven_minute_span_fails(rth):
    gone = rth.filter(~pl.int_range(pl.len()).is_between(50_000, 50_006))
    report = gap_report(gone, SPY, "1m")
    assert not report.ok
    assert report.gaps.select("first", "bars", "minutes", "breach").rows() == [(rth["ts"][50_000], 7, 7, True)]
    assert report.completeness == pytest.approx(100 * (1 - 7 / rth.height))
    allowed = gap_report(rth.filter(~pl.int_range(pl.len()).is_between(50_000, 50_004)), SPY, "1m")
    assert allowed.ok  # five bars are no breach, and are still listed
    assert allowed.gaps["bars"].to_list() == [5]


def test_half_days_and_holidays_are_no_holes(rth):
    half = rth.filter(pl.col("ts").dt.date() == date(2023, 11, 24))
    assert half.height == 210
    assert rth.filter(pl.col("ts").dt.date().is_in([date(2023, 12, 25), date(2023, 7, 4)])).is_empty()
    without_half = rth.filter(pl.col("ts").dt.date() != date(2023, 11, 24))
    report = gap_report(without_half, SPY, "1m")
    assert report.gaps["bars"].to_list() == [210]
    assert not report.ok


def test_crypto_is_not_judged_by_the_equity_calendar(rth):
    year = minutes(BTC)
    assert year.height == 365 * 1440
    assert gap_report(year, BTC, "1m").completeness == 100.0
    hour = year.filter(~pl.int_range(pl.len()).is_between(5_000, 5_059))
    assert gap_report(hour, BTC, "1m").ok  # 60 minutes without a trade are allowed, not 61
    longer = year.filter(~pl.int_range(pl.len()).is_between(5_000, 5_060))
    assert not gap_report(longer, BTC, "1m").ok
    sunday = date(2023, 6, 18)
    without_sunday = year.filter(pl.col("ts").dt.date() != sunday)
    report = gap_report(without_sunday, BTC, "1m")
    assert not report.ok
    assert report.gaps["bars"].to_list() == [1440]
    assert report.gaps["first"].to_list() == [datetime(2023, 6, 18, tzinfo=UTC)]
    # the equity calendar would have seen neither: it has no Sunday. And a year of equity hours is no year of crypto
    assert gap_report(without_sunday, SPY, "1m").ok
    assert not gap_report(rth, BTC, "1m").ok


def test_daily_bars_are_checked_the_same_way():
    for instrument, expected in ((SPY, 250), (BTC, 365)):
        closes = sessions_between(instrument.calendar, *YEAR).select(ts="close")
        assert gap_report(closes, instrument).expected == expected
        assert gap_report(closes, instrument).ok
        assert not gap_report(closes.filter(pl.int_range(pl.len()) != 100), instrument).ok


def test_minute_bars_are_checked_as_they_are_stored(rth):
    prices = {name: pl.lit(100.0) for name in ("open", "high", "low", "close", "volume")}
    rows = rth.with_columns(instrument=pl.lit(SPY.id), available_at="ts", reasons=pl.lit(None, dtype=pl.String), **prices)
    store = MemoryStore()
    gone = rows.filter(~pl.int_range(pl.len()).is_between(50_000, 50_006)).select(list(BARS))
    lineage = Lineage(provider="test", dataset="test", fetched_at=datetime(2024, 1, 2, tzinfo=UTC))
    store.append(gone, lineage, table="bars/1m")
    report = gap_report(store.read(SPY.id, table="bars/1m"), SPY, "1m")
    assert (report.ok, report.reasons) == (False, (Reason.MISSING_BARS,))
    assert report.gaps["bars"].to_list() == [7]


@pytest.mark.parametrize(("calendar", "minutes_a_day"), [("XHKG", 150 + 180), ("CMES", 23 * 60)])
def test_a_midday_break_and_a_maintenance_hour_are_no_holes(calendar, minutes_a_day):
    instrument = Instrument(id="TEST:ONE", kind=Kind.FUTURE, calendar=calendar)
    week = segments(calendar).filter(pl.col("session").is_between(date(2023, 11, 13), date(2023, 11, 17)))
    start, end = (week[name].dt.epoch("s").to_numpy() for name in ("start", "end"))
    ends = np.concatenate([np.arange(a + 60, b + 1, 60) for a, b in zip(start, end, strict=True)])
    frame = pl.DataFrame({"ts": ends}).select(pl.from_epoch("ts", "s").dt.replace_time_zone("UTC").cast(BARS["ts"]))
    report = gap_report(frame, instrument, "1m")
    assert (report.ok, report.completeness, report.expected) == (True, 100.0, 5 * minutes_a_day)
    last, first = week["end"][0] - timedelta(minutes=3), week["start"][1] + timedelta(minutes=4)
    around_the_pause = frame.filter(~pl.col("ts").is_between(last, first))
    assert gap_report(around_the_pause, instrument, "1m").gaps["bars"].to_list() == [4, 4]  # a hole ends where trading pauses


def test_the_last_bar_of_a_session_may_be_short():
    ends = [datetime(2023, 11, 24, hour, minute, tzinfo=UTC) for hour, minute in ((15, 30), (16, 30), (17, 30), (18, 0))]
    frame = pl.DataFrame({"ts": ends})
    report = gap_report(frame, SPY, "1h")
    assert (report.expected, report.completeness) == (4, 100.0)


# real files ---------------------------------------------------------------------------------------------------------


def yahoo(realdata: Path, symbol: str, interval: str) -> pl.DataFrame:
    """The ends of the bars of a file whose stamps are starts in UTC."""
    frame = pl.read_csv(realdata / "intraday" / f"us_2026_{interval}" / f"{symbol}_{interval}.csv.gz")
    return frame.select(ts=pl.col("Datetime").str.to_datetime("%Y-%m-%d %H:%M:%S%z", time_unit="us").dt.offset_by(interval))


@pytest.mark.parametrize("symbol", ["SPY", "AAPL", "NVDA", "QQQ", "TSLA"])
def test_real_outages_are_found_and_a_real_half_day_is_none(realdata, symbol):
    """The outages of 2026-01-30 and 02-02, the half-day of 2025-12-24, and summer time within the span."""
    report = gap_report(yahoo(realdata, symbol, "5m"), Instrument(id=f"XNAS:{symbol}", kind=Kind.ETF), "5m")
    assert not report.ok
    breaches = report.gaps.filter("breach")
    assert breaches["first"].dt.date().to_list() == [date(2026, 1, 30), date(2026, 2, 2)]
    assert (breaches["bars"] >= 51).all()
    assert (report.sessions, report.half_days, report.outside) == (60, 1, 0)
    assert report.present == report.expected - report.gaps["bars"].sum()


def test_a_real_week_of_minutes_passes(realdata):
    """2,428 of 2,430 minutes of seven sessions: two missing minutes are no breach."""
    report = gap_report(yahoo(realdata, "QQQ", "1m"), Instrument(id="XNAS:QQQ", kind=Kind.ETF), "1m")
    assert report.ok
    assert (report.expected, report.present, report.gaps["bars"].to_list()) == (2430, 2428, [2])


def test_real_crypto_minutes_without_trades_are_counted_and_only_outages_are_breaches(realdata):
    """Bitfinex BTCUSD, January to April 2019: 6,433 of 172,800 minutes are absent; the longest pause, 3 h 18 min."""
    frame = pl.read_csv(realdata / "crypto" / "bitfinex_1m" / "BTCUSD_2019-01_2019-04_1m.csv.gz")
    start = pl.from_epoch("timestamp_ms", "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    report = gap_report(frame.select(ts=start + pl.duration(minutes=1)), BTC, "1m")
    assert (report.expected, report.expected - report.present, report.outside) == (172_800, 6_433, 0)
    longest = report.gaps.sort("minutes").row(-1, named=True)
    assert longest["minutes"] + 1 == 3 * 60 + 18
    assert longest["first"] == datetime(2019, 1, 7, 10, 2, tzinfo=UTC)
    assert report.gaps["breach"].sum() == 3
    assert not report.ok


def test_real_minutes_stamped_at_their_end_fill_their_sessions(realdata):
    frame = pl.read_csv(realdata / "intraday" / "us_2019_1m_reverse_order" / "SPY_1min.csv.gz")
    local = pl.col("datetime").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").dt.replace_time_zone("America/New_York")
    report = gap_report(frame.select(ts=local.dt.convert_time_zone("UTC")), SPY, "1m")
    assert (report.ok, report.completeness, report.present) == (True, 100.0, 5 * 390)
