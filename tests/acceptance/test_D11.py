"""D11, calendars and gap checks.

Done when: "A full year of RTH bars passes, one removed 7-minute span fails, and crypto is not judged by the equity
calendar".
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.data import gap_report
from fieldcast.market import Instrument, Kind, default_instrument, sessions_between

pytestmark = pytest.mark.feature("D11")
OPEN_PARTS: tuple[str, ...] = (
    "gap checks of stored minute bars (the check is built; the store's intraday layout is not)",
    "sessions with a midday or maintenance break",
)

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
