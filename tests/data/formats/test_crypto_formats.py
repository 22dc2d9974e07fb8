"""Bars, quotes and funding of crypto and FX vendors: what each file's peculiarities become, and the real files."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options, Source, _bar_files, format_of
from fieldcast.data.formats._moments import moments
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Kind, default_instrument, has_reason, sessions_between

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MILLIS = 1709251200000      # 2024-03-01 00:00 UTC
UNPROVEN = has_reason(Reason.LAST_BAR_UNPROVEN).fill_null(value=False)


def _write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _imported(path: Path, now: datetime = NOW, **options: object) -> tuple[MemoryStore, object]:
    store = MemoryStore()
    report = import_source(path, Options(now=now, **options), store=store)  # type: ignore[arg-type]
    return store, report


def _only(store: MemoryStore) -> pl.DataFrame:
    """The rows of the one instrument and table that the store holds."""
    (held,) = store.datasets().select("instrument", "table").rows()
    return store.read(held[0], table=held[1])


def _kline(n: int, unit: int = 1, minutes: int = 1, price: float = 100.0) -> str:
    opened, length = (MILLIS + n * minutes * 60_000) * unit, minutes * 60_000 * unit
    return f"{opened},{price},{price + 2},{price - 1},{price + 1},2.5,{opened + length - 1},250.0,7,1.5,150.0,0"


HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"


# Binance -----------------------------------------------------------------------------------------------------------


def test_klines_of_the_archive_and_of_either_clock_are_the_same_bars(tmp_path):
    plain = _imported(_write(tmp_path / "a", "BTCUSDT-1m-2024-03-01.csv", *(_kline(n) for n in range(5))))[0]
    header = HEADER.replace("open_time", "open_time_ms").replace("close_time", "close_time_ms")      # as the REST service has it
    headed = _imported(_write(tmp_path / "b", "BTCUSDT-1m-2024-03-01.csv", header, *(_kline(n, 1000) for n in range(5))))[0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("BTCUSDT-1m-2024-03-01.csv", "\n".join(_kline(n) for n in range(5)))
    (tmp_path / "BTCUSDT-1m-2024-03-01.zip").write_bytes(buffer.getvalue())
    packed = _imported(tmp_path / "BTCUSDT-1m-2024-03-01.zip")[0]
    assert _only(plain).equals(_only(headed))
    assert _only(plain).equals(_only(packed))
    first = _only(plain).row(0, named=True)
    assert first["ts"] == first["available_at"] == datetime(2024, 3, 1, 0, 1, tzinfo=UTC)
    assert [first[name] for name in ("open", "high", "low", "close", "volume")] == [100.0, 102.0, 99.0, 101.0, 2.5]


def test_klines_of_the_futures_archive_are_never_spot(tmp_path):
    lines = [_kline(n) for n in range(5)]
    name = "BTCUSDT-1m-2024-03-01.csv"
    usual = [
        _write(tmp_path / "futures" / "um" / "daily" / "klines", name, *lines),      # by its folder
        _write(tmp_path / "headed", name, HEADER, *lines),                           # by its header
    ]
    for path in usual:
        store, report = _imported(path)
        assert _only(store)["instrument"].unique().to_list() == ["BINANCE:BTCUSDT-PERP"]
        assert report.instruments[0].kind is Kind.FUTURE
        assert _only(store)["volume"].unique().to_list() == [2.5]
    coin = _write(tmp_path / "futures" / "cm" / "daily", "BTCUSD_PERP-1m-2024-03-01.csv", HEADER, *lines)
    rows = _only(_imported(coin)[0])
    assert rows["instrument"].unique().to_list() == ["BINANCE:BTCUSD-PERP"]
    assert rows["volume"].unique().to_list() == [250.0]      # contracts stand in the column of the volume
    with pytest.raises(InvalidInput, match="contract that expires"):
        _imported(_write(tmp_path, "BTCUSDT_230630-1m-2024-03-01.csv", HEADER, *lines))
    with pytest.raises(InvalidInput, match="nothing was traded"):
        _imported(_write(tmp_path / "futures" / "um" / "markPriceKlines", name, HEADER, *lines))


def test_a_vendor_s_doubled_hour_follows_the_order_of_its_rows():
    """The clocks of New York went back on 2024-11-03 at 06:00 UTC."""
    times = [datetime(2024, 11, 3, 4, tzinfo=UTC) + timedelta(minutes=20 * n) for n in range(12)]
    del times[7], times[4]      # a quiet spell in either hour: some times stand once
    wall = pl.Series([f"{time.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M:%S}" for time in times])
    assert moments(wall, "America/New_York").to_list() == times
    assert moments(wall.reverse(), "America/New_York").to_list() == times[::-1]
    assert moments(wall.head(5), "America/New_York").to_list() == times[:5]      # one hour alone is the earlier


def test_a_bar_that_is_not_over_is_not_stored_and_a_last_bar_is_marked(tmp_path):
    path = _write(tmp_path, "BTCUSDT_1h.csv", *(_kline(n, minutes=60) for n in range(5)))
    store, report = _imported(path, now=datetime(2024, 3, 1, 4, 20, tzinfo=UTC))
    assert report.removed == {Reason.FUTURE_STAMP: 1}
    assert _only(store)["ts"].max() == datetime(2024, 3, 1, 4, tzinfo=UTC)
    rows = _only(_imported(path)[0])
    assert rows.filter(UNPROVEN)["ts"].to_list() == [datetime(2024, 3, 1, 5, tzinfo=UTC)]


def test_the_next_file_settles_a_bar_that_was_not_over(tmp_path):
    store = MemoryStore()
    early = _write(tmp_path, "BTCUSDT_1m.csv", _kline(0), _kline(1, price=100.0))
    import_source(early, Options(now=datetime(2024, 3, 2, tzinfo=UTC)), store=store)
    later = _write(tmp_path, "BTCUSDT_1m.csv", _kline(0), _kline(1, price=104.0), _kline(2))
    report = import_source(later, Options(now=datetime(2024, 3, 3, tzinfo=UTC)), store=store)
    counts = report.tables["bars/1m"]
    assert (counts.added, counts.restated, counts.unchanged) == (1, 1, 1)
    assert _only(store)["close"].to_list() == [101.0, 105.0, 101.0]
    before = store.read("BINANCE:BTCUSDT", table="bars/1m", as_of=datetime(2024, 3, 2, tzinfo=UTC))
    assert before["close"].to_list()[:2] == [101.0, 101.0]


def test_the_last_bar_of_a_whole_day_of_the_archive_is_over(tmp_path):
    rows = _only(_imported(_write(tmp_path, "BTCUSDT-1m-2024-03-01.csv", *(_kline(n) for n in range(1440))))[0])
    assert rows.filter(UNPROVEN).is_empty()
    cut = _only(_imported(_write(tmp_path, "BTCUSDT-1m-2024-03-01.csv", *(_kline(n) for n in range(1439))))[0])
    assert cut.filter(UNPROVEN).height == 1


@pytest.mark.parametrize(("lines", "message"), [
    ([_kline(0)], "too few rows"),
    ([_kline(n, minutes=7) for n in range(4)], "found 0:07:00"),
])
def test_bars_whose_length_cannot_be_told_are_refused(tmp_path, lines, message):
    with pytest.raises(InvalidInput, match=message):
        _imported(_write(tmp_path, "BTCUSDT.csv", *lines))


def test_a_file_without_a_pair_in_its_name_asks_for_the_instrument(tmp_path):
    path = _write(tmp_path, "prices.csv", *(_kline(n) for n in range(3)))
    with pytest.raises(InvalidInput, match="give instrument="):
        _imported(path)
    store, _ = _imported(path, instrument=default_instrument("KRAKEN:XBTUSD", "crypto"))
    assert _only(store)["instrument"].unique().to_list() == ["KRAKEN:XBTUSD"]


def test_small_parts_hold_the_same_bars(tmp_path, monkeypatch):
    path = _write(tmp_path, "BTCUSDT_1m.csv", HEADER, *(_kline(n) for n in range(200)))
    whole = _only(_imported(path)[0])
    monkeypatch.setattr(_bar_files, "BLOCK", 1000)
    parts = list(format_of("binance-klines").read(Source(path), Options(now=NOW)))
    assert len(parts) > 10
    assert _only(_imported(path)[0]).equals(whole)


def test_the_newest_bar_is_marked_in_a_file_that_begins_with_it(tmp_path, monkeypatch):
    path = _write(tmp_path, "BTCUSDT_1m.csv", HEADER, *(_kline(n) for n in reversed(range(200))))
    whole = _only(_imported(path)[0])
    assert whole.filter(UNPROVEN)["ts"].to_list() == [whole["ts"].max()]
    monkeypatch.setattr(_bar_files, "BLOCK", 1000)
    assert _only(_imported(path)[0]).equals(whole)


# columns, offsets, zones -------------------------------------------------------------------------------------------


def test_bitfinex_writes_the_close_before_high_and_low(tmp_path):
    rows = _only(_imported(_write(
        tmp_path, "BTCUSD_1m.csv", "timestamp_ms,open,close,high,low,volume",
        f"{MILLIS},10,11,12,9,0.5", f"{MILLIS + 60_000},11,10,13,8,0.5", f"{MILLIS + 240_000},11,10,13,8,0.5"))[0])
    assert rows.select("open", "high", "low", "close").row(0) == (10, 12, 9, 11)
    assert rows.height == 3     # minutes without a trade are not made up


def test_a_close_time_with_an_offset_ends_the_bar(tmp_path):
    rows = _only(_imported(_write(
        tmp_path, "BTCUSDT_x.csv", "open,high,low,close,volume,quote_volume,trades,close_datetime",
        "1,3,1,2,5,5,1,2024-12-01 00:00:59.999000+01:00", "1,3,1,2,5,5,1,2024-12-01 00:01:59.999000+01:00"))[0])
    assert rows["ts"].to_list() == [datetime(2024, 11, 30, 23, m, tzinfo=UTC) for m in (1, 2)]


POINTS = "Date,open,high,low,close,tick_volume"


def test_metatrader_prices_are_points_in_broker_time(tmp_path):
    lines = ["2024-03-28 10:00:00,158000.00000000001,158100,157900,158050,9", "2024-03-28 11:00:00,158050,158100,157900,158000,9",
             "2024-04-02 10:00:00,158000,158100,157900,158050,9"]      # daylight saving began between the last two
    store, report = _imported(_write(tmp_path, "GBPUSDh1.csv", POINTS, *lines))
    rows = _only(store)
    assert rows["ts"].to_list() == [datetime(2024, 3, 28, 9, tzinfo=UTC), datetime(2024, 3, 28, 10, tzinfo=UTC),
                                    datetime(2024, 4, 2, 8, tzinfo=UTC)]
    assert rows["open"].to_list() == [1.58, 1.5805, 1.58]
    assert rows["volume"].null_count() == 3
    assert any("Europe/Athens" in note for note in report.notes)
    stated, told = _imported(tmp_path / "GBPUSDh1.csv", zone="UTC")
    assert _only(stated)["ts"][0] == datetime(2024, 3, 28, 11, tzinfo=UTC)
    assert not any("assumed" in note or "taken as broker time" in note for note in told.notes)


def test_a_yen_pair_has_points_of_a_thousandth(tmp_path):
    lines = [f"2024-03-28 1{n}:00:00,150123,150200,150000,150100,9" for n in range(3)]
    assert _only(_imported(_write(tmp_path, "USDJPYh1.csv", POINTS, *lines))[0])["open"][0] == 150.123


def test_hours_that_do_not_exist_or_exist_twice(tmp_path):
    """In Athens 03:30 did not occur on 2024-03-31, and 03:30 occurred twice on 2024-10-27: the first is taken."""
    lines = [f"{day},150000,150100,149900,150050,9" for day in
             ("2024-03-31 02:30:00", "2024-03-31 03:30:00", "2024-03-31 04:30:00", "2024-10-27 03:30:00")]
    store, report = _imported(_write(tmp_path, "EURUSDh1.csv", POINTS, *lines), interval="1h")
    assert report.removed == {Reason.ROW_UNREADABLE: 1}
    assert _only(store)["ts"].to_list() == [datetime(2024, 3, 31, 1, 30, tzinfo=UTC), datetime(2024, 3, 31, 2, 30, tzinfo=UTC),
                                            datetime(2024, 10, 27, 1, 30, tzinfo=UTC)]


def test_fxcm_sides_are_read_together_from_either_file(tmp_path):
    head = "timestamp,open,high,low,close"
    bid = _write(tmp_path, "gbpusd-m1-bid.csv", head, "2012-02-01 00:00:00+00:00,1.5,1.6,1.4,1.55",
                 "2012-02-01 00:01:00+00:00,1.5,1.6,1.4,1.55", "2012-02-01 00:02:00+00:00,1.5,1.6,1.4,1.55")
    alone, told = _imported(bid)
    assert _only(alone)["ask_close"].null_count() == 3
    assert any("the ask is null" in note for note in told.notes)
    ask = _write(tmp_path, "gbpusd-m1-ask.csv", head, "2012-02-01 00:00:00+00:00,1.51,1.61,1.41,1.56",
                 "2012-02-01 00:02:00+00:00,1.51,1.61,1.41,1.56")
    both, _ = _imported(bid)
    assert _only(both).equals(_only(_imported(ask)[0]))
    assert _only(both)["ask_close"].to_list() == [1.56, None, 1.56]
    assert _only(both)["ts"][0] == datetime(2012, 2, 1, 0, 1, tzinfo=UTC)


def test_histdata_keeps_standard_time_all_year(tmp_path):
    path = _write(tmp_path, "eurusd.csv", "20200101 170000065,1.1,1.2,0", "20200701 170000065,1.1,1.2,0")
    assert [t.hour for t in _only(_imported(path)[0])["ts"]] == [22, 22]


def test_funding_may_be_negative(tmp_path):
    path = _write(tmp_path, "margin_interest/btcusd.csv", "20221213 08:00:00,-0.00001900", "20221213 16:00:00,0.0001")
    rows = _only(_imported(path)[0])
    assert rows.select("instrument", "ts", "rate").row(0) == (
        "BINANCE:BTCUSD-PERP", datetime(2022, 12, 13, 8, tzinfo=UTC), -0.000019)


def test_binance_funding_of_a_month_is_read_from_its_zip(tmp_path):
    """Binance writes the moment of calculation, some milliseconds late; rates of the documented example of its futures API."""
    lines = "calc_time,funding_interval_hours,last_funding_rate\n1709251200004,8,-0.00010000\n1709280000000,8,0.00030158\nx,8,1\n"
    path = tmp_path / "ETHUSDT-fundingRate-2024-03.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ETHUSDT-fundingRate-2024-03.csv", lines)
    store, report = _imported(path)
    assert (report.format, report.dataset, report.removed) == ("binance-funding", "binance", {Reason.ROW_UNREADABLE: 1})
    assert _only(store).select("instrument", "ts", "rate").rows() == [
        ("BINANCE:ETHUSDT-PERP", datetime(2024, 3, 1, 0, 0, 0, 4000, tzinfo=UTC), -0.0001),
        ("BINANCE:ETHUSDT-PERP", datetime(2024, 3, 1, 8, tzinfo=UTC), 0.00030158),
    ]


def test_bybit_funding_history_comes_newest_first(tmp_path):
    """The layout of Bybit's v5 reference, Get Funding Rate History."""
    newest = 1_672_041_600_000      # 2022-12-26 08:00
    rates = [
        {"symbol": "ETHUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(newest - 28_800_000 * k)} for k in range(3)
    ]
    answer = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rates}, "time": 1672051897447}
    store, report = _imported(_write(tmp_path, "funding.json", json.dumps(answer)))
    assert report.format == "bybit-funding"
    rows = _only(store)
    assert rows["instrument"].unique().to_list() == ["BYBIT:ETHUSDT-PERP"]
    assert rows["ts"].to_list() == [datetime(2022, 12, 25, 16, tzinfo=UTC) + timedelta(hours=8 * k) for k in range(3)]
    answer["result"]["list"] = [rates[0], {**rates[1], "symbol": "BTCUSDT"}]
    with pytest.raises(InvalidInput, match=r"one future in two\.json, found BTCUSDT, ETHUSDT"):
        _imported(_write(tmp_path, "two.json", json.dumps(answer)))


def _funding_answer(*entries: dict[str, object], **changes: object) -> str:
    answer = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": list(entries)}}
    return json.dumps(answer | changes)


def test_a_bybit_rate_of_zero_written_as_a_number_is_a_rate(tmp_path):
    entries = [{"symbol": "ETHUSDT", "fundingRate": rate, "fundingRateTimestamp": 1_672_041_600_000 + 28_800_000 * k}
               for k, rate in enumerate((0, 0.0, 1e-05))]
    rows = _only(_imported(_write(tmp_path, "funding.json", _funding_answer(*entries)))[0])
    assert rows["rate"].to_list() == [0.0, 0.0, 1e-05]


def test_half_a_surrogate_pair_in_a_bybit_answer_costs_its_row_only(tmp_path):
    entries = [{"symbol": "ETHUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": stamp}
               for stamp in ("1672041600000", "167\ud8002041600000", "1672070400000")]
    store, report = _imported(_write(tmp_path, "funding.json", _funding_answer(*entries)))
    assert _only(store).height == 2
    assert report.removed == {Reason.ROW_UNREADABLE: 1}


@pytest.mark.parametrize(
    ("symbol", "changes", "found"),
    [("ETHUSDT", {"retCode": 10001, "retMsg": "params error", "result": {}}, "found retCode 10001: params error"),
     ("ETHUSDT", {"retCode": 10002, "retMsg": "late"}, "found retCode 10002: late"),
     ("ETHUSDT", {"retCode": 10003, "retMsg": "late \ud800"}, "found retCode 10003: late \\ud800"),
     (None, {}, "found entries without one; give instrument="),
     ("BTCPERP", {}, "a pair such as BTCUSDT, found 'BTCPERP'; give instrument=")],
)  # fmt: skip
def test_what_is_wrong_with_a_bybit_funding_answer_is_named(tmp_path, symbol, changes, found):
    entry = {"symbol": symbol, "fundingRate": "0.0001", "fundingRateTimestamp": "1672041600000"}
    path = _write(tmp_path, "funding.json", _funding_answer(entry, **changes))
    with pytest.raises(InvalidInput, match=re.escape(found)):
        import_source(path, Options(now=NOW), store=MemoryStore(), format="bybit-funding")


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_metatraders_own_export_is_in_broker_time_and_without_volume(tmp_path, zone):
    header = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    lines = [f"2024.01.02\t{10 + n}:00:00\t1.1\t1.12\t1.09\t1.11\t842\t0\t21" for n in range(4)]
    store, report = _imported(_write(tmp_path, "EURUSD_H1_202401021000_202401021300.csv", header, *lines), zone=zone)
    assert report.format == "metatrader-export"
    rows = _only(store)
    hour = 11 if zone else 9        # Athens is two hours before UTC in winter; ts is the bar's end
    assert rows["ts"].to_list() == [datetime(2024, 1, 2, hour + n, tzinfo=UTC) for n in range(4)]
    assert rows.select("instrument", "open", "high", "low", "close", "volume").row(0) == (
        "MT5:EURUSD", 1.1, 1.12, 1.09, 1.11, None)
    assert any("broker time" in note for note in report.notes) == (zone is None)


def test_metatraders_own_export_of_days_has_no_clock(tmp_path):
    header = "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    lines = [f"2024.01.{n:02d}\t1.1\t1.12\t1.09\t1.11\t842\t0\t21" for n in (2, 3, 4, 5)]
    store, report = _imported(_write(tmp_path, "EURUSD_Daily_202401020000_202401050000.csv", header, *lines))
    assert (report.format, report.rows_kept) == ("metatrader-export-days", 4)
    ends = sessions_between("24/5", date(2024, 1, 2), date(2024, 1, 5))["close"].to_list()      # currencies: midnight to midnight
    assert _only(store)["ts"].to_list() == ends == [datetime(2024, 1, n, tzinfo=UTC) for n in (3, 4, 5, 6)]


def _candle(minute: int, complete: bool, **sides: str) -> dict[str, object]:
    prices = {side: {"o": price, "h": price, "l": price, "c": price} for side, price in sides.items()}
    return {"complete": complete, "volume": 9, "time": f"2024-03-01T10:{minute:02d}:00.000000000Z", **prices}


def _answer(folder: Path, granularity: str, *candles: dict[str, object]) -> Path:
    return _write(folder, "c.json", json.dumps({"instrument": "EUR_USD", "granularity": granularity, "candles": candles}))


def test_oanda_candles_that_are_not_over_are_left_out(tmp_path):
    candles = [_candle(n, n < 3, bid="1.1000", ask="1.1002") for n in range(4)]
    store, report = _imported(_answer(tmp_path, "M1", *candles))
    assert report.format == "oanda-candles"
    assert report.removed == {Reason.LAST_BAR_UNPROVEN: 1}
    rows = _only(store)
    assert rows["ts"].to_list() == [datetime(2024, 3, 1, 10, n, tzinfo=UTC) for n in (1, 2, 3)]
    assert rows.select("instrument", "bid_close", "ask_close").row(0) == ("OANDA:EURUSD", 1.1, 1.1002)
    middle = _only(_imported(_answer(tmp_path, "M1", *(_candle(n, True, mid="1.1001") for n in range(2))))[0])
    assert middle.select("close", "volume").row(0) == (1.1001, None)


def test_oanda_days_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="granularity out of"):
        _imported(_answer(tmp_path, "D", _candle(0, True, mid="1.1")))


# real files --------------------------------------------------------------------------------------------------------


def _real(realdata: Path, name: str, **options: object) -> pl.DataFrame:
    store, report = _imported(realdata / name, **options)
    assert report.removed == {}
    return _only(store)


@pytest.mark.parametrize(("name", "format", "rows"), [
    ("crypto/binance_klines/BTCUSDT_1d.csv.gz", "binance-klines", 3178),
    ("crypto/binance_klines/BTCUSDT_1h.csv.gz", "binance-klines", 37_923),
    ("crypto/binance_klines/ETHUSDT_1d.csv.gz", "binance-klines", 3178),
    ("crypto/binance_klines/SOLUSDT_15m_2025.csv.gz", "binance-klines", 34_944),
    ("crypto/binance_klines/SOLUSDT_1d.csv.gz", "binance-klines", 2088),
    ("crypto/binance_1m_utc/BTCUSDT_marzo_2025_1m.csv.gz", "binance-export", 44_640),
    ("crypto/binance_1m_utc/ETHUSDT_marzo_2025_1m.csv.gz", "binance-export", 44_640),
    ("crypto/binance_BTCUSDT_1m_2024-12_with_trades.csv.gz", "binance-closed", 41_761),
    ("crypto/bitfinex_1m/BTCUSD_2019-01_2019-04_1m.csv.gz", "bitfinex-candles", 166_367),
    ("crypto/bitfinex_1m/ETHUSD_2019-01_2019-02_1m.csv.gz", "bitfinex-candles", 77_900),
    ("crypto/bybit_SOLUSDT_5m_2025Q2.csv.gz", "bybit-bars", 25_920),
    ("crypto/SOL-USD_1m_tiingo_2026-03-21_24.csv.gz", "tiingo-crypto", 5001),
    ("fx/backtesting_py_EURUSD_1h_2017_2018.csv.gz", "backtestingpy-fx", 5000),
    ("fx/ejtrader/EURUSDd1.csv.gz", "metatrader-points", 2400),
    ("fx/ejtrader/EURUSDh4.csv.gz", "metatrader-points", 14_400),
    ("fx/ejtrader/GBPUSDh1.csv.gz", "metatrader-points", 57_600),
    ("crypto/lean_cryptofuture/binance_margin_interest_btcusd.csv", "funding-lean", 12),
    ("ticks/nautilus_truefx_usdjpy-ticks.csv", "truefx-quotes", 1000),
    ("ticks/nautilus_eurusd_quote_ticks_20200101.csv.gz", "histdata-quotes", 9500),
    ("l2/nautilus_binance_btcusdt-quotes.parquet", "nautilus-quotes", 451),
    ("l2/nautilus_binance_btcusdt-trades.parquet", "nautilus-trades", 2001),
    ("l2/nautilus_tardis/bitmex_trades_XBTUSD.csv", "tardis-trades", 10),
    ("l2/nautilus_tardis/huobi-dm-swap_quotes_BTC-USD.csv", "tardis-quotes", 10),
])
def test_every_row_of_a_real_file_is_read(realdata, name, format, rows):
    store, report = _imported(realdata / name)
    assert (report.format, report.rows_kept, dict(report.removed)) == (format, rows, {})
    held = _only(store)
    assert held.height == rows
    if "close" in held.columns:
        outside = (pl.col("high") < pl.max_horizontal("open", "close")) | (pl.col("low") > pl.min_horizontal("open", "close"))
        assert held.filter(outside).is_empty()
        assert held.filter(UNPROVEN)["ts"].to_list() == [held["ts"].max()]


def test_bitfinex_minutes_without_a_trade_are_absent(realdata):
    ts = _real(realdata, "crypto/bitfinex_1m/BTCUSD_2019-01_2019-04_1m.csv.gz")["ts"]
    minutes = (ts.max() - ts.min()) // timedelta(minutes=1) + 1
    assert (minutes, minutes - ts.len()) == (172_800, 6433)
    assert timedelta(hours=3, minutes=15) < ts.diff().max() <= timedelta(hours=3, minutes=19)


@pytest.mark.parametrize("name", ["binance_1m_utc/BTCUSDT_marzo_2025_1m.csv.gz", "binance_BTCUSDT_1m_2024-12_with_trades.csv.gz"])
def test_binance_minutes_are_exactly_the_hourly_klines(realdata, name):
    minutes = _real(realdata, f"crypto/{name}")
    hours = _real(realdata, "crypto/binance_klines/BTCUSDT_1h.csv.gz")
    made = minutes.group_by_dynamic("ts", every="1h", closed="right", label="right").agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum(),
        pl.len(),
    ).filter(pl.col("len") == 60)
    both = made.join(hours, on="ts", suffix="_hour")
    assert both.height == made.height >= 690
    for price in ("open", "high", "low", "close"):
        assert (both[price] == both[f"{price}_hour"]).all()
    assert ((both["volume"] / both["volume_hour"] - 1).abs() < 1e-9).all()


def test_binance_hours_are_exactly_the_days(realdata):
    hours = _real(realdata, "crypto/binance_klines/BTCUSDT_1h.csv.gz")
    days = _real(realdata, "crypto/binance_klines/BTCUSDT_1d.csv.gz")
    made = hours.group_by_dynamic("ts", every="1d", closed="right", label="right").agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.len())
    both = made.join(days, on="ts", suffix="_day")
    assert both.height > 1500
    assert both.filter(pl.any_horizontal(pl.col(p) != pl.col(f"{p}_day") for p in ("open", "high", "low", "close"))).is_empty()


def test_the_halt_of_binance_is_a_gap_and_an_empty_bar(realdata):
    hours = _real(realdata, "crypto/binance_klines/BTCUSDT_1h.csv.gz")
    day = hours.filter(pl.col("ts").is_between(datetime(2023, 3, 24, 12, tzinfo=UTC), datetime(2023, 3, 24, 16, tzinfo=UTC)))
    assert [(t.hour, volume == 0) for t, volume in day.select("ts", "volume").iter_rows()] == [
        (12, False), (13, True), (15, False), (16, False)]


def test_fxcm_february_has_both_sides_of_every_minute(realdata):
    rows = _real(realdata, "fx/fxcm_gbpusd-m1-bid-2012-02.csv.gz")
    assert rows.height == 30_117
    assert rows.select(pl.col("bid_close", "ask_close").null_count()).row(0) == (0, 0)
    assert rows.select((pl.col("ask_close") - pl.col("bid_close")).median()).item() == pytest.approx(0.0001, abs=0.0001)
    assert rows.filter(pl.col("ts").dt.weekday() == 6).is_empty()      # closed on Saturdays: the times are right


def _oanda_hours(realdata: Path) -> pl.DataFrame:
    with zipfile.ZipFile(realdata / "fx/lean_oanda_hour_eurusd.zip") as archive:
        raw = archive.read(archive.namelist()[0])
    names = ["start", "bid_open", "high", "low", "bid_close", "size", "ask_open", "ask_high", "ask_low", "ask_close", "ask_size"]
    table = pl.read_csv(raw, has_header=False, new_columns=names, schema_overrides={"start": pl.String})
    start = pl.col("start").str.to_datetime("%Y%m%d %H:%M", time_unit="us").dt.replace_time_zone("UTC")
    return table.select(
        start.alias("start"), "bid_open", middle=(pl.col("bid_close") + pl.col("ask_close")) / 2)


def test_the_hours_of_backtesting_py_are_utc_and_stamped_with_their_start(realdata):
    rows = _real(realdata, "fx/backtesting_py_EURUSD_1h_2017_2018.csv.gz")
    apart = {}
    for shift in (-1, 0, 1):
        start = (pl.col("ts") - timedelta(hours=1) + timedelta(hours=shift)).alias("start")
        both = rows.with_columns(start).join(_oanda_hours(realdata), on="start")
        apart[shift] = both.select((pl.col("close") - pl.col("middle")).abs().mean()).item()
    assert apart[0] < 3e-5 < 6e-4 < min(apart[-1], apart[1])


def test_the_broker_time_of_the_metatrader_export_is_eastern_european_from_2015(realdata):
    """The 4-hour opens against Oanda's, for the zone that is assumed and for others."""
    apart = {}
    for zone in ("Europe/Athens", "UTC", "Europe/London", "Europe/Moscow"):
        rows = _real(realdata, "fx/ejtrader/EURUSDh4.csv.gz", zone=zone).filter(pl.col("ts").dt.year() >= 2015)
        both = rows.with_columns(start=pl.col("ts") - timedelta(hours=4)).join(_oanda_hours(realdata), on="start")
        apart[zone] = both.select((pl.col("open") - pl.col("bid_open")).abs().mean()).item()
    assert apart["Europe/Athens"] < 2e-4
    assert min(apart, key=apart.__getitem__) == "Europe/Athens"
    assert all(value > 2 * apart["Europe/Athens"] for zone, value in apart.items() if zone != "Europe/Athens")
