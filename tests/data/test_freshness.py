"""Freshness: late by the calendar's own sessions and minutes, never by the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fieldcast.data.freshness import freshness
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, default_instrument

SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF)
BTC = default_instrument("CRYP:BTC", Kind.CRYPTO)
FRIDAY = datetime(2023, 12, 29, 21, tzinfo=UTC)  # close of the last session of 2023


@pytest.mark.parametrize(
    ("now", "late", "multiplier"),
    [
        (datetime(2023, 12, 29, 21, 30, tzinfo=UTC), 0, 1.0),
        (datetime(2024, 1, 2, 14, 0, tzinfo=UTC), 0, 1.0),    # after a long weekend: as fresh as can be
        (datetime(2024, 1, 2, 21, 29, tzinfo=UTC), 0, 1.0),   # Tuesday's figures are not due yet
        (datetime(2024, 1, 2, 21, 30, tzinfo=UTC), 1, 0.25),
        (datetime(2024, 1, 3, 21, 30, tzinfo=UTC), 2, 0.0),
    ],
)
def test_daily_bars_are_late_by_sessions(now, late, multiplier):
    found = freshness(FRIDAY, SPY, now)
    assert (found.sessions_late, found.multiplier) == (late, multiplier)
    assert found.reasons == ((Reason.STALE,) if late else ())


def test_crypto_is_late_over_the_same_weekend():
    assert freshness(datetime(2023, 12, 30, tzinfo=UTC), BTC, datetime(2024, 1, 2, 14, tzinfo=UTC)).multiplier == 0.0


@pytest.mark.parametrize(("minutes", "multiplier"), [(0, 1.0), (5, 1.0), (6, 0.25), (60, 0.25)])
def test_minute_bars_are_late_by_trading_minutes(minutes, multiplier):
    newest = datetime(2024, 1, 2, 15, 30, tzinfo=UTC)
    found = freshness(newest, SPY, newest + timedelta(minutes=minutes), "bars/1m")
    assert (found.minutes_late, found.multiplier) == (minutes, multiplier)


def test_the_night_is_no_delay():
    close, next_open = datetime(2024, 1, 2, 21, tzinfo=UTC), datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
    found = freshness(close, SPY, next_open + timedelta(minutes=3), "bars/1m")
    assert (found.minutes_late, found.sessions_late, found.multiplier) == (3.0, 0, 1.0)
    assert freshness(close, SPY, next_open + timedelta(minutes=30), "bars/1m").multiplier == 0.25
    assert freshness(close, SPY, next_open + timedelta(hours=7), "bars/1m").sessions_late == 1
    assert freshness(close, SPY, next_open + timedelta(days=1, hours=7), "bars/1m").multiplier == 0.0


def test_crypto_minutes_may_be_absent_for_an_hour():
    newest = datetime(2024, 1, 6, 12, tzinfo=UTC)  # a Saturday
    assert freshness(newest, BTC, newest + timedelta(minutes=60), "bars/1m").multiplier == 1.0
    assert freshness(newest, BTC, newest + timedelta(minutes=61), "bars/1m").multiplier == 0.25


def test_no_row_is_worth_nothing():
    found = freshness(None, SPY, FRIDAY)
    assert (found.multiplier, found.reasons) == (0.0, (Reason.NO_DATA,))


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InvalidInput, match="read as of then"):
        freshness(FRIDAY, SPY, FRIDAY - timedelta(days=1))
    with pytest.raises(InvalidInput, match="rows in every session, found news"):
        freshness(FRIDAY, SPY, FRIDAY, "news")
