"""The regime at one moment: what it reads, since when it may, and what it says where it cannot know."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from fieldcast.fields import FieldMap, build_field_table
from fieldcast.fields.regime import regime_field
from fieldcast.fields.vocabulary import Alarm, MarketHours, Stance, VixLevel
from fieldcast.ground import Reason


@pytest.fixture(scope="module")
def known(bars: pl.DataFrame) -> tuple[datetime, FieldMap]:
    at = bars["available_at"][-1]
    assert isinstance(at, datetime)
    return at, FieldMap.at("XNAS:TEST", at, build_field_table(bars))


def vix_of(bars: pl.DataFrame, close: float) -> pl.DataFrame:
    return bars.with_columns(pl.lit(close).alias(name) for name in ("open", "high", "low", "close"))


def test_a_vix_that_was_known_later_does_not_enter(known: tuple[datetime, FieldMap], bars: pl.DataFrame) -> None:
    at, field = known
    vix = vix_of(bars, 12.0)
    last = pl.int_range(pl.len()) == vix.height - 1
    late = vix.with_columns(
        close=pl.when(last).then(45.0).otherwise("close"),
        available_at=pl.when(last).then(pl.col("available_at") + timedelta(minutes=1)).otherwise("available_at"),
    )
    before = regime_field(field.regime, bars, at, calendar="XNYS", vix=late)
    after = regime_field(field.regime, bars, at + timedelta(minutes=1), calendar="XNYS", vix=late)
    assert before.labels["vix_level"] is VixLevel.LOW
    assert after.labels["vix_level"] is VixLevel.CRISIS
    assert Alarm.VIX_JUMP in after.verdict.alarms


def test_an_old_or_absent_vix_is_unknown_and_no_calm_is_claimed(known: tuple[datetime, FieldMap], bars: pl.DataFrame) -> None:
    at, field = known
    old = regime_field(field.regime, bars, at, calendar="XNYS", vix=vix_of(bars, 12.0).head(bars.height - 10))
    absent = regime_field(field.regime, bars, at, calendar="XNYS")
    for found, reason in ((old, Reason.STALE), (absent, Reason.NO_DATA)):
        assert found.reasons["vix"] is reason
        assert "vix_level" not in found.labels
        if not found.verdict.active:
            assert found.reasons["stance"] is reason


def test_calm_is_said_where_the_vix_is_known_and_no_rule_holds(known: tuple[datetime, FieldMap], bars: pl.DataFrame) -> None:
    at, field = known
    quiet = dict(field.regime) | {"volatility_rank": 0.5}
    found = regime_field(quiet, bars, at, calendar="24/7", vix=vix_of(bars, 12.0), market_correlation=0.75)
    assert found.labels["stance"] is Stance.CALM
    assert found.labels["market_hours"] is MarketHours.REGULAR
    assert "trading_desk" in found.labels
    reading = found.reading()
    assert reading.values["vix"] == 12.0
    assert reading.values["market_correlation"] == 0.75
    assert found.labels["correlation_level"] == "strong"
    assert found.verdict.alarms == ()  # an index fund follows the market, and that is no alarm
    assert reading.values["alarms_judged"] == 4.0  # no pairs were given; a calm VIX settles the dealers
    assert reading.reasons["alarm_correlation"] is Reason.NO_DATA


def test_pairs_that_move_together_are_an_alarm(known: tuple[datetime, FieldMap], bars: pl.DataFrame) -> None:
    at, field = known
    found = regime_field(field.regime, bars, at, calendar="XNYS", pairwise_correlation=0.75)
    assert Alarm.CORRELATION in found.verdict.alarms
    assert "correlation_level" not in found.labels


def test_nothing_judged_is_no_calm(bars: pl.DataFrame) -> None:
    at = bars["available_at"][0]
    found = regime_field({}, bars.head(1), at, calendar="XNYS")
    assert found.values["alarms_judged"] == 0.0
    assert {f"alarm_{rule}" for rule in Alarm} <= set(found.reasons)
    assert "stance" in found.reasons


def test_a_jump_needs_the_session_before(known: tuple[datetime, FieldMap], bars: pl.DataFrame) -> None:
    at, field = known
    vix = vix_of(bars, 14.0)
    holed = pl.concat([vix.head(vix.height - 9), vix.tail(1).with_columns(close=pl.lit(18.0))])
    found = regime_field(field.regime, bars, at, calendar="XNYS", vix=holed)
    assert found.state.vix == 18.0
    assert found.state.vix_before is None
    assert found.reasons["alarm_vix_jump"] is Reason.MISSING_SESSION


def test_hours_and_structure_are_unknown_with_a_reason(bars: pl.DataFrame) -> None:
    at = bars["available_at"][-1]
    found = regime_field({}, bars, at, calendar="XTKS")
    assert found.reasons["market_hours"] is Reason.UNDEFINED
    assert found.reasons["structure"] is Reason.WARMING_UP
    assert found.memberships == {}
