"""LEAN bars and ticks: times, scales, sides, sessions; on made files and on the real ones."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options, Source, recognise
from fieldcast.data.formats.lean_text import moments, read_numbers
from fieldcast.data.importing import SourceReport, import_source, import_sources
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, has_reason

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def zipped(folder: Path, name: str, members: dict[str, str]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


def imported(path: Path, **options: object) -> tuple[MemoryStore, SourceReport]:
    store = MemoryStore()
    return store, import_source(path, Options(now=NOW, **options), store=store)  # type: ignore[arg-type]


def numbers_in(path: Path) -> list[list[str]]:
    """The fields of a zip's only member, split by hand: the oracle of the real files."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode().replace("\r", "")
    return [line.split(",") for line in text.strip().split("\n")]


# numbers and times ---------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.decimals(-10**9, 10**9, places=5) | st.none(), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_kernel_reads_what_python_reads(rows):
    text = "\n".join(",".join("" if value is None else f"{value:f}" for value in row) for row in rows).encode()
    found = read_numbers(text, 3)
    expected = np.array([[np.nan if value is None else float(f"{value:f}") for value in row] for row in rows]).T
    np.testing.assert_array_equal(found.values, expected)
    assert found.rejects.is_empty()


def test_a_line_that_cannot_be_read_costs_that_line():
    found = read_numbers(b"1,2,3\n4,x,6\n7,8\n1e2, 5 ,inf\n", 3)
    assert found.values.T.tolist() == [[1, 2, 3], [100, 5, float("inf")]]
    assert found.rows.tolist() == [0, 3]
    assert found.rejects.rows() == [(1, "row_unreadable", "4,x,6"), (2, "row_unreadable", "7,8")]


@pytest.mark.parametrize(("day", "hours"), [(date(2014, 3, 9), 23), (date(2014, 11, 2), 25), (date(2014, 6, 5), 24)])
def test_milliseconds_are_clock_time_on_days_with_and_without_a_clock_change(day, hours):
    noon_and_evening = moments(np.array([12 * 3.6e6, 20 * 3.6e6]), day, "America/New_York")
    offset = {23: 4, 25: 5, 24: 4}[hours]
    assert noon_and_evening.to_list() == [
        datetime(day.year, day.month, day.day, 12 + offset, tzinfo=UTC),
        datetime(day.year, day.month, day.day, 20, tzinfo=UTC) + timedelta(hours=offset),
    ]


# made files ----------------------------------------------------------------------------------------------------------


def test_minute_trades_are_stamped_at_their_end_and_scaled(tmp_path):
    text = "34140000,6450000,6460000,6440000,6455000,100\n34200000,6455000,6460000,6450000,6459900,250\n"
    path = zipped(tmp_path, "equity/usa/minute/aapl/20140605_trade.zip", {"20140605_aapl_minute_trade.csv": text})
    store, report = imported(path, venue="XNAS")
    rows = store.read("XNAS:AAPL", table="bars/1m")
    assert report.format == "lean-minute-trade"
    assert rows["ts"].to_list() == [datetime(2014, 6, 5, 13, 30, tzinfo=UTC), datetime(2014, 6, 5, 13, 31, tzinfo=UTC)]
    assert rows["ts"].equals(rows["available_at"])
    assert rows.row(1)[3:8] == (645.5, 646.0, 645.0, 645.99, 250.0)
    assert rows["reasons"].to_list() == ["outside_hours", None]


def test_a_side_without_a_quote_is_null_and_a_row_without_any_is_refused(tmp_path):
    full = "64500,64600,64400,64500,3"
    text = f"34200000,,,,,0,{full}\n34260000,{full},0,0,0,0,0\n34320000,,,,,0,0,0,0,0,0\n34380000,{full},{full}\n"
    path = zipped(tmp_path, "equity/usa/minute/aapl/20140605_quote.zip", {"20140605_aapl_minute_quote.csv": text})
    store, report = imported(path, venue="XNAS")
    rows = store.read("XNAS:AAPL", table="quote_bars/1m")
    assert rows["bid_close"].to_list() == [None, 6.45, 6.45]
    assert rows["ask_close"].to_list() == [6.45, None, 6.45]
    assert rows["bid_size"].to_list() == [None, 3.0, 3.0]
    assert rows["ask_size"].to_list() == [3.0, None, 3.0]
    assert report.removed == {Reason.VALUE_MISSING: 1}


def test_the_instrument_that_a_person_names_wins_over_the_path(tmp_path):
    text = "34200000,6455000,6460000,6450000,6459900,250\n"
    path = zipped(tmp_path, "x/20140605_trade.zip", {"20140605_aapl_minute_trade.csv": text})
    store, _ = imported(path, instrument=Instrument("XNAS:AAPL.TEST", Kind.EQUITY))
    assert store.read("XNAS:AAPL.TEST", table="bars/1m")["close"].to_list() == [645.99]


def test_without_map_files_the_report_says_that_the_id_is_the_tickers(tmp_path):
    path = zipped(tmp_path, "equity/usa/daily/fb.zip", {"fb.csv": "20020102 00:00,127500,127500,115000,115000,16300\n"})
    store, report = imported(path)
    assert "map files" in " ".join(report.notes)
    assert store.read("USA:FB")["close"].to_list() == [11.5]


def test_map_files_of_leans_own_layout_are_found_and_part_two_companies(tmp_path):
    lines = ["20020102 00:00,127500,127500,115000,115000,163", "20050103 00:00,1,1,1,1,1"]
    lines.append("20200102 00:00,2000000,2090000,1990000,2050000,5")
    path = zipped(tmp_path, "equity/usa/daily/fb.zip", {"fb.csv": "\n".join(lines)})
    maps = tmp_path / "equity/usa/map_files"
    maps.mkdir()
    (maps / "fb.1.csv").write_text("19990929,fb\n20030328,fb\n")
    (maps / "fb.csv").write_text("20120518,fb,Q\n20501231,fb,Q\n")
    store, report = imported(path)
    assert store.read("USA:FB.1")["close"].to_list() == [11.5]
    assert store.read("XNAS:FB")["close"].to_list() == [205.0]
    assert report.removed == {Reason.TICKER_UNKNOWN: 1}


def test_a_zip_whose_name_and_member_disagree_on_the_day_is_refused(tmp_path):
    member = {"20140605_aapl_minute_trade.csv": "34200000,1,1,1,1,1\n"}
    path = zipped(tmp_path, "equity/usa/minute/aapl/20140606_trade.zip", member)
    with pytest.raises(InvalidInput, match="renamed"):
        imported(path)


@pytest.mark.parametrize(
    ("folder", "member", "close"),
    [
        ("crypto/coinbase/minute/btcusd/20170903_trade.zip", "20170903_btcusd_minute_trade.csv", 4652.69),
        ("cryptofuture/binance/minute/btcusd/20170903_trade.zip", "20170903_btcusd_minute_trade_perp.csv", 4652.69),
        ("index/usa/minute/spx/20170903_trade.zip", "20170903_spx_minute_trade.csv", 4652.69),
        ("equity/usa/minute/spy/20170903_trade.zip", "20170903_spy_minute_trade.csv", 0.465269),
    ],
)
def test_only_shares_and_options_are_in_ten_thousandths(tmp_path, folder, member, close):
    path = zipped(tmp_path, folder, {member: "51000000,4642.39,4652.71,4642.39,4652.69,6.63\n"})
    store, report = imported(path)
    assert store.read(report.instruments[0].id, table="bars/1m")["close"].to_list() == [pytest.approx(close)]


def test_a_market_that_nobody_names_is_asked_for(tmp_path):
    member = {"20140501_eurusd_minute_quote.csv": "0,1,1,1,1,0,1,1,1,1,0\n"}
    path = zipped(tmp_path, "forex/minute/eurusd/20140501_quote.zip", member)
    with pytest.raises(InvalidInput, match="market"):
        imported(path)


def test_an_unknown_zone_is_refused(tmp_path):
    member = {"20140605_aapl_minute_trade.csv": "34200000,1,1,1,1,1\n"}
    path = zipped(tmp_path, "equity/usa/minute/aapl/20140605_trade.zip", member)
    for zone in ("Mars/Olympus", "America", "../etc"):
        with pytest.raises(InvalidInput, match="a time zone"):
            imported(path, zone=zone)


def test_a_day_on_which_nobody_had_the_ticker_is_refused(tmp_path):
    path = zipped(tmp_path, "equity/usa/minute/fb/20080102_trade.zip", {"20080102_fb_minute_trade.csv": "34200000,1,1,1,1,1\n"})
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "fb.csv").write_text("20120518,fb,Q\n20501231,fb,Q\n")
    with pytest.raises(InvalidInput, match="ticker FB on 2008-01-02"):
        imported(path, map_files=maps)


def test_suspicious_ticks_are_kept_and_flagged(tmp_path):
    text = "34200000,1815200,283,P,20002020,0\n34200000,1815300,100,Q,2000,1\n34200001,1815300,x,Q,2000,0\n"
    path = zipped(tmp_path, "equity/usa/tick/ibm/20131007_trade.zip", {"20131007_ibm_Trade_Tick.csv": text})
    store, report = imported(path)
    rows = store.read("USA:IBM", table="trades")
    assert rows["sequence"].to_list() == [0, 1]
    assert rows["price"].to_list() == [181.52, 181.53]
    assert rows["reasons"].to_list() == [None, "suspicious"]
    assert report.removed == {Reason.ROW_UNREADABLE: 1}


# real files ----------------------------------------------------------------------------------------------------------

DAY_FILES = (
    "intraday/lean_equity_minute/*/*.zip", "intraday/lean_equity_second/spy/*.zip", "crypto/lean_coinbase_minute/*/*.zip",
    "crypto/lean_cryptofuture/*.zip", "fx/lean_oanda_minute_*/*.zip", "options/lean_index_minute_spx/*.zip",
)
UNSCALED = ("crypto", "fx", "options")


def test_every_real_day_file_holds_the_fields_of_its_lines(realdata: Path):
    """Row for row against the text: scale, sides, ends of bars; nothing is lost."""
    files = [path for pattern in DAY_FILES for path in sorted(realdata.glob(pattern))]
    assert len(files) == 80
    maps = realdata / "reference/lean_map_files"
    for path in files:
        lines = numbers_in(path)
        kind = "trade" if len(lines[0]) == 6 else "quote"
        span = 1000 if "second" in str(path) else 60_000
        store, report = imported(path, map_files=maps)
        assert report.format == f"lean-{'second' if span == 1000 else 'minute'}-{kind}"
        assert not report.removed
        table = next(iter(report.tables))
        rows = store.read(report.instruments[0].id, table=table)
        assert rows.height == len(lines)
        scale = 1.0 if path.relative_to(realdata).parts[0] in UNSCALED else 10_000.0
        place, name = (4, "close") if kind == "trade" else (9, "ask_close")
        assert rows[name].to_list() == [float(line[place]) / scale if float(line[place] or 0) else None for line in lines]
        first = rows["ts"][0].timestamp() * 1000 - int(lines[0][0]) - span
        assert ((rows["ts"].dt.epoch("ms") - span - first) == pl.Series([int(line[0]) for line in lines])).all()


def test_minutes_of_new_york_start_at_half_past_nine_in_summer_and_winter(realdata: Path):
    for day, opened in (("twx/20140605", 13), ("goog/20151223", 14)):
        store, report = imported(realdata / f"intraday/lean_equity_minute/{day}_trade.zip")
        rows = store.read(report.instruments[0].id, table="bars/1m").filter(~has_reason("outside_hours"))
        assert (rows["ts"][0].hour, rows["ts"][0].minute) == (opened, 31)
        assert rows.height == 390


def test_goog_on_its_early_close_has_210_minutes_in_session_and_prints_until_1611(realdata: Path):
    store, _ = imported(realdata / "intraday/lean_equity_minute/goog/20151224_trade.zip")
    rows = store.read("USA:GOOG", table="bars/1m")
    inside = rows.filter(~has_reason("outside_hours"))
    assert inside.height == 210
    assert inside["ts"][-1] == datetime(2015, 12, 24, 18, tzinfo=UTC)
    assert rows["ts"][-1] == datetime(2015, 12, 24, 21, 12, tzinfo=UTC)


def test_the_spx_index_minutes_are_chicago_time(realdata: Path):
    """The file's 08:30 is the open of New York: its hours are SPY's hours, and no other shift by whole hours comes near."""
    store, _ = imported(realdata / "options/lean_index_minute_spx/20210104_trade.zip")
    spx = store.read("XCBO:SPX", table="bars/1m")
    assert spx["ts"][0] == datetime(2021, 1, 4, 14, 31, tzinfo=UTC)
    assert spx["volume"].null_count() == spx.height
    hours, _ = imported(realdata / "intraday/lean_equity_hour/spy.zip")
    spy = hours.read("USA:SPY", table="bars/1h", first=date(2021, 1, 4), last=date(2021, 1, 4))
    spy = spy.filter(pl.col("ts").dt.hour() > 15)
    errors = {}
    for shift in (-1, 0, 1):
        moved = spx.with_columns(hour=(pl.col("ts") + pl.duration(hours=shift) - pl.duration(microseconds=1)).dt.truncate("1h"))
        lows = moved.group_by("hour").agg(pl.col("low").min(), pl.col("high").max())
        both = spy.with_columns(hour=pl.col("ts") - pl.duration(hours=1)).join(lows, on="hour", suffix="_index")
        ratio = both["low_index"] / both["low"]
        errors[shift] = float((ratio / ratio.median() - 1).abs().max())
    assert errors[0] < 0.001
    assert min(errors[-1], errors[1]) > 3 * errors[0]


def test_hours_and_days_of_spy_agree(realdata: Path):
    hours, _ = imported(realdata / "intraday/lean_equity_hour/spy.zip")
    days, _ = imported(realdata / "daily/lean_raw/spy.zip")
    by_day = hours.read("USA:SPY", table="bars/1h").group_by(pl.col("ts").dt.date().alias("day")).agg(
        pl.col("high").max(), pl.col("low").min(), pl.col("ts").max()
    )
    both = by_day.join(days.read("USA:SPY").with_columns(day=pl.col("ts").dt.date()), on="day", suffix="_day")
    assert both.height == 5849
    assert (both["ts"] == both["ts_day"]).mean() > 0.98      # the last hour ends with the session, half-days included
    assert ((both["high"] == both["high_day"]) & (both["low"] == both["low_day"])).mean() > 0.9


def test_forex_days_and_hours_are_utc_and_sunday_evenings_stay(realdata: Path):
    days, report = imported(realdata / "fx/lean_oanda_daily_gbpusd.zip")
    rows = days.read("OANDA:GBPUSD", table="quote_bars/1d")
    assert report.rows_kept == 3738
    assert rows["ts"][0] == datetime(2007, 1, 2, tzinfo=UTC)
    assert (rows["ts"].dt.weekday() == 1).sum() > 500       # Sundays end on Monday
    assert rows["bid_size"].null_count() == rows.height
    hours, _ = imported(realdata / "fx/lean_oanda_hour_eurusd.zip")
    assert hours.read("OANDA:EURUSD", table="quote_bars/1h")["ts"][0] == datetime(2007, 1, 1, 22, tzinfo=UTC)


def test_real_ticks_keep_their_order_sides_and_doubts(realdata: Path):
    path = realdata / "ticks/lean_equity_tick/ibm/20131007_quote.zip"
    lines = numbers_in(path)
    store, report = imported(path)
    rows = store.read("USA:IBM", table="quotes")
    assert rows.height == len(lines) == 109_067
    assert rows["sequence"].is_sorted()
    assert rows["bid"].null_count() == sum(line[1] == "0" for line in lines)
    assert rows["ask"].null_count() == sum(line[3] == "0" for line in lines)
    assert rows.filter(has_reason("suspicious")).height == sum(line[7] == "1" for line in lines) == 1
    store, report = imported(realdata / "ticks/lean_forex_tick_eurusd_oanda_20140501.zip")
    rows = store.read("OANDA:EURUSD", table="quotes")
    assert rows.row(0, named=True)["bid"] == 1.38676
    assert rows["ts"][0] == datetime(2014, 5, 1, 0, 0, 0, 292_000, tzinfo=UTC)
    assert not report.removed


@pytest.mark.slow
def test_a_quarter_of_a_million_real_trades_go_in_with_their_minute_bars_volume(realdata: Path):
    store, _ = imported(realdata / "ticks/lean_equity_tick/spy/20131007_trade.zip")
    ticks = store.read("USA:SPY", table="trades")
    assert ticks.height == 250_601
    bars, _ = imported(realdata / "intraday/lean_equity_minute/spy/20131007_trade.zip")
    minutes = bars.read("USA:SPY", table="bars/1m")
    by_minute = ticks.group_by((pl.col("ts").dt.truncate("1m") + pl.duration(minutes=1)).alias("ts")).agg(
        pl.col("price").last(), pl.col("price").max().alias("top"), pl.col("size").sum()
    )
    both = minutes.join(by_minute, on="ts")
    assert both.height == minutes.height
    assert (both["close"] / both["price"] - 1).abs().max() < 1e-3       # bars leave some conditions out
    assert (both["high"] <= both["top"]).mean() > 0.99
    assert both["volume"].sum() == pytest.approx(both["size"].sum(), rel=0.1)


def test_real_files_per_ticker_are_parted_by_their_map_files(realdata: Path):
    maps = realdata / "reference/lean_map_files"
    store, report = imported(realdata / "daily/lean_raw/fb.zip", map_files=maps)
    old, new = store.read("USA:FB.1"), store.read("XNAS:FB")
    assert old["ts"][-1].date() <= date(2003, 3, 28)
    assert new["ts"][0].date() == date(2012, 5, 18)
    assert new["open"][0] == pytest.approx(42.05, abs=0.5)      # the company's first print was at 42.05
    store, report = imported(realdata / "daily/lean_raw/goog.zip", map_files=maps)
    assert store.read("XNAS:GOOGL")["ts"][-1].date() == date(2014, 4, 2)
    assert store.read("XNAS:GOOG")["ts"][0].date() == date(2014, 4, 3)
    for name, id, lost in (("uso", "ARCX:USO", 140), ("wm", "XNYS:WM", 2465), ("bac", "XNYS:BAC", 188), ("qqq", "XNAS:QQQ", 0)):
        store, report = imported(realdata / f"daily/lean_raw/{name}.zip", map_files=maps)
        assert [item.id for item in report.instruments] == [id]
        assert report.removed.get(Reason.TICKER_UNKNOWN, 0) == lost
    gap = store.read("XNAS:QQQ")["ts"].diff().max()
    assert gap is not None
    assert gap.days == 2303     # and 23 hours: 2004-12-01 to 2011-03-22 it traded as QQQQ, which is another file


def test_every_real_lean_file_is_recognised(realdata: Path):
    folders = (
        "daily/lean_raw", "intraday/lean_*", "ticks/lean_*", "crypto/lean_*", "fx/lean_*", "options/lean_*",
        "reference/lean_factor_files",
    )
    files = [path for folder in folders for top in realdata.glob(folder) for path in ([top] if top.is_file() else top.rglob("*"))]
    files = [path for path in files if path.is_file() and "margin_interest" not in path.name]
    assert len(files) > 140
    for path in files:
        assert recognise(Source(path)).name.startswith("lean-"), path


# the doubled hour, and days ------------------------------------------------------------------------------------------


def _half_hours(*hours: float) -> str:
    return "".join(f"{int(hour * 3_600_000)},100,101,99,100,5\n" for hour in hours)


def _put_back(tmp_path: Path, text: str) -> tuple[list[datetime], tuple[str, ...]]:
    """A coin's minutes on the day on which New York's clock was put back at 06:00 UTC, told to be in New York's time."""
    path = zipped(tmp_path, "crypto/coinbase/minute/btcusd/20141102_trade.zip", {"20141102_btcusd_minute_trade.csv": text})
    store, report = imported(path, zone="America/New_York")
    (instrument,) = report.instruments
    return store.read(instrument.id, table="bars/1m")["ts"].to_list(), report.notes


def test_the_order_of_the_rows_tells_the_two_hours_of_autumn_apart(tmp_path):
    stamps, notes = _put_back(tmp_path, _half_hours(0.5, 1, 1.5, 1, 1.5, 2))
    start = datetime(2014, 11, 2, 4, 31, tzinfo=UTC)
    assert stamps == [start + timedelta(minutes=30 * k) for k in range(6)]
    assert not any("twice" in note for note in notes)


def test_a_doubled_hour_that_stands_once_is_the_earlier_and_the_report_says_so(tmp_path):
    stamps, notes = _put_back(tmp_path, _half_hours(0.5, 1, 1.5, 2))
    assert [stamp.hour for stamp in stamps] == [4, 5, 5, 7]
    assert [note for note in notes if "2 rows stand in an hour that occurs twice in America/New_York" in note]


def test_a_zone_for_daily_bars_of_a_share_is_refused_unless_it_is_the_calendars_own(tmp_path):
    path = zipped(tmp_path, "equity/usa/daily/aapl.zip", {"aapl.csv": "20140605 00:00,6455000,6460000,6450000,6459900,250\n"})
    with pytest.raises(InvalidInput, match=r"expected no time zone for the daily bars of aapl\.zip"):
        imported(path, zone="Asia/Tokyo")
    assert imported(path, zone="America/New_York")[1].rows_kept == 1


def test_the_map_files_of_a_folder_are_looked_through_once_for_many_days(tmp_path, monkeypatch):
    from fieldcast.data.formats import lean_maps

    maps = tmp_path / "equity/usa/map_files"
    maps.mkdir(parents=True)
    (maps / "aapl.csv").write_text("19980102,aapl,Q\n20501231,aapl,Q\n")
    looked = []
    real = lean_maps.read_map_folder
    monkeypatch.setattr(lean_maps, "read_map_folder", lambda folder: looked.append(folder) or real(folder))
    text = "34200000,6455000,6460000,6450000,6459900,250\n"
    paths = [
        zipped(tmp_path, f"equity/usa/minute/aapl/{day}_trade.zip", {f"{day}_aapl_minute_trade.csv": text})
        for day in ("20140605", "20140606", "20140609")
    ]
    report = import_sources([(path, Options(now=NOW)) for path in paths], store=MemoryStore(), halt=True)
    assert [item.id for file in report.files for item in file.instruments] == ["XNAS:AAPL"] * 3
    assert len(looked) == 1
    (maps / "msft.csv").write_text("19980102,msft,Q\n20501231,msft,Q\n")
    text_path = zipped(tmp_path, "equity/usa/minute/msft/20140605_trade.zip", {"20140605_msft_minute_trade.csv": text})
    assert [item.id for item in imported(text_path)[1].instruments] == ["XNAS:MSFT"]


def test_an_edited_map_file_counts_from_the_next_import_on(tmp_path):
    maps = tmp_path / "equity/usa/map_files"
    maps.mkdir(parents=True)
    path = zipped(tmp_path, "equity/usa/daily/aapl.zip", {"aapl.csv": "20140605 00:00,6455000,6460000,6450000,6459900,250\n"})
    for exchange, venue in (("Q", "XNAS"), ("N", "XNYS"), ("P", "ARCX")):
        (maps / "aapl.csv").write_text(f"19980102,aapl,{exchange}\n20501231,aapl,{exchange}\n")
        assert [item.id for item in imported(path)[1].instruments] == [f"{venue}:AAPL"]
