"""The session under way: equal to its parts, blind to what comes later, sound through half days and missing volume."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.fields.liquidity import Anchor, Profile, SessionPolicy, profile_of, session_liquidity, vwap
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import Instrument, Kind, segments

SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF)
BTC = Instrument(id="BFNX:BTCUSD", kind=Kind.CRYPTO, calendar="24/7")
FIRST, LAST = date(2025, 11, 3), date(2025, 12, 3)  # 22 sessions, of which 2025-11-28 is a half day


@pytest.fixture(scope="module")
def month(minute_bars_of) -> pl.DataFrame:
    return minute_bars_of("XNYS", FIRST, LAST, seed=1)


def day_of(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    return bars.filter(pl.col("ts").dt.convert_time_zone("America/New_York").dt.date() == day)


def test_a_session_is_its_profile_its_vwap_and_its_composite(month: pl.DataFrame) -> None:
    found = session_liquidity(month, SPY, month["ts"][-1])
    today = day_of(month, LAST)
    assert (found.session, found.current, found.outside, found.composite_sessions) == (LAST, True, 0, 5)
    own, last = profile_of(today), found.developing.row(-1, named=True)
    for name in ("poc", "val", "vah"):
        assert getattr(found.profile, name) == getattr(own, name)
        assert last[name] == pytest.approx(getattr(own, name), rel=1e-9)
        assert found.landmarks[f"session_{name}"].price == last[name]
    days = [date(2025, 11, 26), date(2025, 11, 28), date(2025, 12, 1), date(2025, 12, 2), LAST]  # the 27th is a holiday
    five = profile_of(pl.concat([day_of(month, day) for day in days]))
    assert found.composite is not None
    assert (found.composite.poc, found.composite.bars) == (five.poc, five.bars)
    bands = vwap(month, Anchor.SESSION).row(-1, named=True)
    for name in ("vwap", "sd", "lower_3", "upper_1"):
        assert last[name] == pytest.approx(bands[name], rel=1e-12)
    assert last["week_vwap"] == pytest.approx(vwap(month, Anchor.WEEK)["vwap"][-1], rel=1e-12)
    close = today["close"][-1]
    assert found.values["session_vwap_deviation"] == pytest.approx((close - bands["vwap"]) / bands["sd"])
    assert found.values["composite_poc_distance"] == pytest.approx(np.log(close / five.poc))
    assert not found.reasons


def test_what_comes_later_moves_nothing(month: pl.DataFrame) -> None:
    full = session_liquidity(month, SPY, month["ts"][-1])
    for back in (1, 20, 60, 77):
        as_of = month["ts"][-1 - back]
        then = session_liquidity(month, SPY, as_of)
        alone = session_liquidity(month[:-back], SPY, as_of)
        rows = 78 - back
        assert then.developing.equals(full.developing.head(rows))
        assert then.values == alone.values
        assert then.landmarks == alone.landmarks
        assert all(mark.known_since <= as_of for mark in then.landmarks.values())


def test_a_bar_published_late_or_restated_counts_from_then_on(month: pl.DataFrame) -> None:
    end = month["ts"][-1]
    late = month[-10].with_columns(volume=pl.lit(1e9), available_at=pl.lit(end + timedelta(minutes=20)).cast(month.schema["ts"]))
    both = pl.concat([month, late])
    before = session_liquidity(both, SPY, end + timedelta(minutes=19))
    after = session_liquidity(both, SPY, end + timedelta(minutes=20))
    assert before.values == session_liquidity(month, SPY, end).values
    assert after.profile is not None
    assert after.profile.held.sum() > 1e9
    assert after.landmarks["session_vwap"].known_since == end + timedelta(minutes=20)


def test_volume_is_compared_with_the_same_time_after_the_open(month: pl.DataFrame) -> None:
    """A second computation by clock time: no daylight saving lies in the span, so that minutes of the day are enough."""
    found = session_liquidity(month, SPY, month["ts"][-1]).developing
    local = month.with_columns(
        day=pl.col("ts").dt.convert_time_zone("America/New_York").dt.date(),
        minute=pl.col("ts").dt.convert_time_zone("America/New_York").dt.time(),
    )
    days = local["day"].unique().sort()[:-1].tail(20).to_list()
    for row in (0, 41, 50, 77):
        clock = local.filter(pl.col("ts") == found["ts"][row])["minute"][0]
        until = local.filter(pl.col("minute") <= clock).group_by("day").agg(pl.col("volume").sum()).sort("day")
        # the half day of the 28th ended after 42 bars of five minutes: it says nothing of later ones
        past = [day for day in days if row <= 41 or day != date(2025, 11, 28)]
        mean = until.filter(pl.col("day").is_in(past))["volume"].mean()
        mine = until.filter(pl.col("day") == LAST)["volume"][0]
        assert found["relative_volume"][row] == pytest.approx(np.log(mine / mean), rel=1e-9), row


def test_few_sessions_give_no_relative_volume(month: pl.DataFrame) -> None:
    few = month.filter(pl.col("ts") > datetime(2025, 12, 1, tzinfo=month["ts"][0].tzinfo))
    found = session_liquidity(few, SPY, few["ts"][-1])
    assert found.reasons["session_relative_volume"] is Reason.FEW_ROWS
    assert session_liquidity(few, SPY, few["ts"][-1], SessionPolicy(least=2)).values["session_relative_volume"] is not None
    cut = few[5:]  # the first session is not seen from its open: it cannot be compared with, and the week is not whole
    found = session_liquidity(cut, SPY, cut["ts"][-1], SessionPolicy(least=2))
    assert found.reasons == {"session_relative_volume": Reason.FEW_ROWS, "week_vwap_distance": Reason.FEW_ROWS}
    midweek = month.filter(pl.col("ts") > datetime(2025, 12, 2, tzinfo=month["ts"][0].tzinfo))
    found = session_liquidity(midweek, SPY, midweek["ts"][-1])
    assert found.reasons["week_vwap_distance"] is Reason.FEW_ROWS
    assert "session_vwap_distance" in found.values


def test_a_session_that_is_over_speaks_no_more_once_the_next_has_opened(month: pl.DataFrame) -> None:
    end = month["ts"][-1]
    evening = session_liquidity(month, SPY, end + timedelta(hours=3))
    assert evening.current
    assert evening.reading().values == evening.values
    tomorrow = session_liquidity(month, SPY, end + timedelta(hours=18, minutes=30))
    assert (tomorrow.session, tomorrow.current) == (LAST, False)
    assert not tomorrow.reading().values
    assert not tomorrow.reading().landmarks
    assert set(tomorrow.reading().reasons.values()) == {Reason.STALE}


def test_bars_outside_hours_are_counted_and_left_out(month: pl.DataFrame) -> None:
    early = day_of(month, LAST)[:3].with_columns(pl.col("ts", "available_at") - pl.duration(hours=3), volume=pl.lit(1e9))
    mixed = session_liquidity(pl.concat([month, early]).sort("ts"), SPY, month["ts"][-1])
    assert mixed.outside == 3
    assert mixed.values == session_liquidity(month, SPY, month["ts"][-1]).values
    with pytest.raises(MissingData, match="inside the sessions of XNYS"):
        session_liquidity(early, SPY, month["ts"][-1])


def test_without_volume_there_are_reasons_and_no_values(month: pl.DataFrame) -> None:
    silent = month.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    found = session_liquidity(silent, SPY, month["ts"][-1])
    assert found.profile is found.composite is None
    assert not found.reading().values
    assert set(found.reading().reasons.values()) == {Reason.VOLUME_NOT_REPORTED}


def test_a_policy_that_cannot_be_is_refused() -> None:
    for change in ({"composite": 0}, {"least": 0}, {"past": 3, "least": 4}):
        with pytest.raises(InvalidInput, match="expected composite"):
            SessionPolicy(**change)


def test_a_coin_has_a_session_a_day(minute_bars_of) -> None:
    bars = minute_bars_of("24/7", date(2025, 3, 1), date(2025, 3, 9), seed=2, minutes=15)
    as_of = bars["ts"][-30]
    found = session_liquidity(bars, BTC, as_of)
    today = bars.filter((pl.col("ts") > datetime(2025, 3, 9, tzinfo=as_of.tzinfo)) & (pl.col("ts") <= as_of))
    assert found.session == date(2025, 3, 9)
    assert found.developing.height == today.height
    assert found.profile is not None
    assert found.profile.poc == profile_of(today).poc
    assert "session_relative_volume" in found.values


# real bars ------------------------------------------------------------------------------------------------------------


def real_minutes(path: Path, instrument: str, stamp: pl.Expr, names: dict[str, str]) -> pl.DataFrame:
    """Minute bars of a file whose stamps are starts in UTC."""
    values = [pl.col(name).cast(pl.Float64).alias(ours) for ours, name in names.items()]
    end = stamp.cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(minutes=1)
    frame = pl.read_csv(path).with_columns(ts=end)
    return frame.select(
        pl.lit(instrument).alias("instrument"), "ts", pl.col("ts").alias("available_at"), *values,
        pl.lit(None, dtype=pl.String).alias("reasons"),
    ).sort("ts")  # fmt: skip


def check_real(bars: pl.DataFrame, instrument: Instrument, least: int) -> None:
    """At many moments: area, bands and profile hold together, and the past is not moved by what follows."""
    stamps = segments(instrument.calendar)["end"]
    seen = 0
    for as_of in bars["ts"].gather_every(max(1, bars.height // 40))[1:]:
        try:
            found = session_liquidity(bars, instrument, as_of)
        except MissingData:
            continue
        known = bars.filter(pl.col("available_at") <= as_of)
        again = session_liquidity(known, instrument, as_of)
        assert again.values == found.values
        if found.profile is None:
            continue
        table = found.developing
        assert table["value_area_share"].drop_nulls().min() >= 0.7
        assert (table["val"] <= table["poc"]).all()
        assert (table["poc"] <= table["vah"]).all()
        assert (table["lower_3"] <= table["vwap"]).all()
        assert isinstance(found.profile, Profile)
        assert found.profile.held.sum() == pytest.approx(
            known.filter(pl.col("ts").is_in(table["ts"].implode()))["volume"].sum(), rel=1e-9
        )
        seen += 1
    assert seen >= least
    assert stamps.len() > 0


@pytest.mark.realdata
def test_real_minutes_of_spy(realdata: Path) -> None:
    names = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}
    stamp = pl.col("Datetime").str.slice(0, 19).str.to_datetime("%Y-%m-%d %H:%M:%S")
    bars = real_minutes(realdata / "intraday" / "us_2026_1m" / "SPY_1m.csv.gz", SPY.id, stamp, names)
    check_real(bars, SPY, least=25)
    found = session_liquidity(bars, SPY, bars["ts"][-1])
    assert found.profile is not None
    assert found.profile.bars > 50
    assert abs(found.values["session_vwap_distance"]) < 0.05


@pytest.mark.realdata
def test_real_minutes_of_a_coin_with_missing_minutes(realdata: Path) -> None:
    names = {name: name for name in ("open", "high", "low", "close", "volume")}
    stamp = pl.from_epoch("timestamp_ms", time_unit="ms")
    bars = real_minutes(realdata / "crypto" / "bitfinex_1m" / "BTCUSD_2019-01_2019-04_1m.csv.gz", BTC.id, stamp, names)
    check_real(bars.unique("ts", keep="last").sort("ts")[:40_000], BTC, least=25)
