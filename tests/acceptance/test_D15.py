"""D15, resampling.

Done when: "Sum of volume is preserved, a 2-day bar always holds exactly 2 trading days, and a half-day closes at 13:00".
"""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data.daily_check import check_daily
from fieldcast.data.resample import to_minutes, to_sessions, to_weeks
from fieldcast.market import BARS, STAMP, segments, sessions_between

pytestmark = pytest.mark.feature("D15")
OPEN_PARTS: tuple[str, ...] = ()

YEAR = date(2023, 1, 1), date(2023, 12, 31)
HALF_DAYS = [date(2023, 7, 3), date(2023, 11, 24)]


def walk(id: str, ts: pl.Series) -> pl.DataFrame:
    random, n = np.random.default_rng(15), len(ts)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.0005, n))), 2)
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) + 0.01, np.minimum(opened, close) - 0.01
    columns = [[id] * n, ts, ts, opened, high, low, close, np.rint(random.lognormal(8, 1, n)), [None] * n]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def minutes(calendar: str, first: date, last: date) -> pl.DataFrame:
    spans = segments(calendar).filter(pl.col("session").is_between(first, last))
    start, end = (spans[name].dt.epoch("s").to_numpy() for name in ("start", "end"))
    ends = np.concatenate([np.arange(a + 60, b + 1, 60) for a, b in zip(start, end, strict=True)])
    return walk("TEST:ONE", pl.from_epoch(pl.Series(ends), "s").dt.replace_time_zone("UTC").cast(STAMP))


@pytest.fixture(scope="module")
def year() -> pl.DataFrame:
    return minutes("XNYS", *YEAR)


@pytest.mark.parametrize("step", [2, 5, 15, 30, 60, 390])
def test_the_sum_of_volume_is_preserved_over_a_year(year, step):
    bars = to_minutes(year, "XNYS", step).bars
    assert bars["volume"].sum() == year["volume"].sum()
    assert bars["high"].max() == year["high"].max()
    assert bars["low"].min() == year["low"].min()
    half = -(-210 // step)
    assert bars.height == 248 * -(-390 // step) + 2 * half


@pytest.mark.parametrize("calendar", ["24/7", "24/5", "CMES"])
def test_the_sum_of_volume_is_preserved_where_trading_never_stops(calendar):
    frame = minutes(calendar, date(2023, 3, 6), date(2023, 3, 17))  # summer time begins on the 12th
    for step in (5, 60, 240):
        assert to_minutes(frame, calendar, step).bars["volume"].sum() == frame["volume"].sum()


def test_a_half_day_closes_at_thirteen_hundred(year):
    for step in (5, 60, 240):
        local = to_minutes(year, "XNYS", step).bars.with_columns(at=pl.col("ts").dt.convert_time_zone("America/New_York"))
        day = pl.col("at").dt.date().alias("day")
        last = local.group_by(day, maintain_order=True).agg(pl.col("at").last().dt.strftime("%H:%M"))
        assert last.filter(pl.col("at") == "13:00")["day"].to_list() == HALF_DAYS
        assert set(last["at"]) == {"13:00", "16:00"}


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("calendar", ["XNYS", "24/7", "24/5", "XHKG"])
def test_a_bar_of_n_days_always_holds_exactly_n_trading_days(n, calendar):
    closes = sessions_between(calendar, *YEAR)["close"]
    daily = walk("TEST:ONE", closes).with_columns(volume=pl.lit(1.0))  # so that the volume counts the days
    for start in range(n):
        result = to_sessions(daily.slice(start), calendar, n)
        assert set(result.bars["volume"]) == {float(n)}
        assert result.rows_used == n * result.bars.height
        assert result.rows_used + result.rows_pending + result.rows_incomplete == daily.height - start
        assert result.rows_pending < n
        assert result.rows_incomplete < n


def test_a_missing_day_takes_its_bar_with_it_and_no_other():
    closes = sessions_between("XNYS", *YEAR)["close"]
    daily = walk("TEST:ONE", closes)
    whole = to_sessions(daily, "XNYS", 2).bars
    gone = to_sessions(daily.filter(pl.col("ts") != whole["ts"][10]), "XNYS", 2)
    assert gone.bars.equals(whole.filter(pl.int_range(pl.len()) != 10))


def test_weeks_hold_their_sessions():
    closes = sessions_between("XNYS", *YEAR)["close"]
    weekly = to_weeks(walk("TEST:ONE", closes).with_columns(volume=pl.lit(1.0)), "XNYS").bars
    assert weekly.height == 52
    assert set(weekly["volume"]) == {4.0, 5.0}
    assert weekly["volume"].sum() == 250


def test_no_bar_is_known_before_its_last_minute(year):
    bars = to_minutes(year.head(3 * 390 + 203), "XNYS", 30).bars
    assert (bars["available_at"] == bars["ts"]).all()
    assert bars["ts"][-1] <= year["ts"][3 * 390 + 202]
    assert bars.height == 3 * 13 + 203 // 30


# real files ---------------------------------------------------------------------------------------------------------


def lean_minutes(realdata: Path, symbol: str, day: str) -> pl.DataFrame:
    """LEAN's trade bars of a day: milliseconds from New York's midnight at the bar's start, prices times 10,000."""
    path = realdata / "intraday" / "lean_equity_minute" / symbol / f"{day}_trade.zip"
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0])
    raw = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=["ms", "open", "high", "low", "close", "volume"])
    midnight = pl.lit(datetime.strptime(day, "%Y%m%d")).dt.cast_time_unit("us").dt.replace_time_zone("America/New_York")  # noqa: DTZ007
    end = (midnight + pl.duration(milliseconds=pl.col("ms")) + pl.duration(minutes=1)).dt.convert_time_zone("UTC")
    prices = [(pl.col(name) / 10_000).alias(name) for name in ("open", "high", "low", "close")]
    return raw.select(
        *(pl.lit(symbol.upper()).alias("instrument"), end.alias("ts"), end.alias("available_at"), *prices),
        *(pl.col("volume").cast(pl.Float64), pl.lit(None, dtype=pl.String).alias("reasons")),
    )


def lean_daily(realdata: Path, symbol: str) -> pl.DataFrame:
    with zipfile.ZipFile(realdata / "daily" / "lean_raw" / f"{symbol}.zip") as archive:
        text = archive.read(archive.namelist()[0])
    names = ["day", "open", "high", "low", "close", "volume"]
    raw = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=names)
    closes = sessions_between("XNYS", date(1998, 1, 1), date(2022, 1, 1)).select("session", ts="close")
    return raw.with_columns(session=pl.col("day").str.slice(0, 8).str.to_date("%Y%m%d")).join(closes, on="session").select(
        *(pl.lit(symbol.upper()).alias("instrument"), "ts", pl.col("ts").alias("available_at")),
        *((pl.col(name) / 10_000).alias(name) for name in names[1:5]),
        *(pl.col("volume").cast(pl.Float64), pl.lit(None, dtype=pl.String).alias("reasons")),
    )


def test_a_real_half_day_has_210_minutes_though_prints_run_on(realdata):
    """GOOG on Christmas Eve 2015: an early close, with prints before the open and until 16:11."""
    frame = lean_minutes(realdata, "goog", "20151224")
    result = to_minutes(frame, "XNYS", 5)
    assert result.bars.height == 210 // 5
    assert result.bars["ts"][-1] == datetime(2015, 12, 24, 18, 0, tzinfo=UTC)  # 13:00 New York
    first, last = datetime(2015, 12, 24, 14, 31, tzinfo=UTC), datetime(2015, 12, 24, 18, tzinfo=UTC)
    within = frame.filter(pl.col("ts").is_between(first, last))
    assert within.height == 210
    assert result.rows_outside == frame.height - 210 > 0
    assert result.bars["volume"].sum() == within["volume"].sum()


def test_real_minutes_agree_with_the_vendors_dailies(realdata):
    """SPY, 4 to 10 October 2013: the high and the low are the same; open and close are within basis points."""
    days = ["20131004", "20131007", "20131008", "20131009", "20131010"]
    frame = pl.concat([lean_minutes(realdata, "spy", day) for day in days])
    report = check_daily(frame, lean_daily(realdata, "spy"), "XNYS")
    assert report.sessions.height == 5
    assert report.only_daily == report.only_minutes == 0
    assert report.agreeing == 100.0
    wrong_unit = lean_daily(realdata, "spy").with_columns(pl.col("open", "high", "low", "close") * 100)
    assert check_daily(frame, wrong_unit, "XNYS").agreeing == 0.0


def test_real_minutes_of_bitfinex_keep_their_volume(realdata):
    frame = pl.read_csv(realdata / "crypto" / "bitfinex_1m" / "BTCUSD_2019-01_2019-04_1m.csv.gz")
    end = pl.from_epoch("timestamp_ms", "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(minutes=1)
    rows = frame.select(
        *(pl.lit("BITF:BTCUSD").alias("instrument"), end.alias("ts"), end.alias("available_at")),
        *(pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")),
        pl.lit(None, dtype=pl.String).alias("reasons"),
    )
    result = to_minutes(rows, "24/7", 60)
    assert result.bars["volume"].sum() == pytest.approx(rows["volume"].sum(), rel=1e-12)
    hours = frame.select((pl.col("timestamp_ms") // 3_600_000).n_unique()).item()
    assert result.bars.height == hours == 120 * 24 - 5  # five hours without a single trade give no bar
    short = result.bars.filter(pl.col("reasons") == "missing_bars").height
    assert short > 900  # an hour with an absent minute says so
