"""Damaged files of crypto, FX, ticks and order books: a typed refusal or rows in quarantine, never an impossible value stored."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import FORMATS, Options
from fieldcast.data.formats.databento import RECORD
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput
from fieldcast.market import TABLES

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
START = datetime(2024, 3, 1, tzinfo=UTC)
MILLIS = 1709251200000
MUTATIONS = 60
# A third of the turns run with the fast tests, the others with the slow ones; every case has survivors among both.
SOME = range(24, 44)
OTHERS = tuple(turn for turn in range(MUTATIONS) if turn not in SOME)
TURNS = [pytest.param(SOME, id="some"), pytest.param(OTHERS, id="others", marks=pytest.mark.slow)]
WEEKDAYS = [day for n in range(80) if (day := date(2024, 3, 1) + timedelta(days=n)).weekday() < 5][:50]
HAS_DATABENTO = importlib.util.find_spec("databento_dbn") is not None      # an optional extra


@dataclass(frozen=True)
class Case:
    """A sound small file of a format."""

    format: str
    name: str
    data: bytes
    rows: int


def _price(n: int) -> float:
    return round(100 + 3 * ((n * 7919) % 101) / 101, 2)


def _bars(header: str, line: Callable[[int, datetime, float], str], count: int = 50) -> bytes:
    rows = [line(n, START + timedelta(minutes=n), _price(n)) for n in range(count)]
    return "\n".join([*([header] if header else []), *rows]).encode()


def _kline(n: int, _: datetime, p: float, unit: int = 1) -> str:
    opened = (MILLIS + n * 60_000) * unit
    return f"{opened},{p},{p + 1},{p - 1},{p},5.5,{opened + 60_000 * unit - 1},550.1,12,2.5,250.0,0"


def _bybit_funding() -> bytes:
    times = (str(MILLIS + n * 28_800_000) for n in range(49, -1, -1))
    rates = [{"symbol": "BTCUSDT", "fundingRate": f"{n / 1e5:.8f}", "fundingRateTimestamp": time} for n, time in enumerate(times)]
    return json.dumps({"retCode": 0, "result": {"category": "linear", "list": rates}}).encode()


def _binance_stream() -> bytes:
    lines, number = [], 100
    for n in range(60):
        receipt, sent = (MILLIS + n * 100 + 7) * 1_000_000, MILLIS + n * 100
        if n == 5:
            levels = {side: [[f"{100 + sign * (k + 1) / 100:.2f}", "2.0"] for k in range(30)]
                      for side, sign in (("bids", -1), ("asks", 1))}
            lines.append(f"{receipt} " + json.dumps({"lastUpdateId": number - 2, **levels}, separators=(",", ":")))
        elif n % 3 == 0:
            data = {"u": n, "s": "BTCUSDT", "b": "99.99", "B": "2.0", "a": "100.01", "A": "1.5"}
            lines.append(f"{receipt} " + json.dumps({"stream": "btcusdt@bookTicker", "data": data}, separators=(",", ":")))
        elif n % 3 == 1:
            data = {"e": "trade", "E": sent, "s": "BTCUSDT", "t": n, "p": "100.00", "q": "0.5", "T": sent, "m": bool(n % 2)}
            lines.append(f"{receipt} " + json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":")))
        else:
            data = {"e": "depthUpdate", "E": sent, "s": "BTCUSDT", "U": number, "u": number + 4,
                    "b": [["99.98", f"{n % 4}.0"], ["99.97", "1.25"]], "a": [["100.03", f"{n % 5}.5"]]}
            lines.append(f"{receipt} " + json.dumps({"stream": "btcusdt@depth@100ms", "data": data}, separators=(",", ":")))
            number += 5
    return "\n".join(lines).encode()


def _hyperliquid() -> bytes:
    lines = []
    for n in range(30):
        receipt = (MILLIS + n * 500 + 300) * 1_000_000
        if n % 3 == 2:
            deals = [{"coin": "BTC", "hash": "0x0", "px": "100.5", "side": "BA"[k], "sz": "0.25", "tid": 10 * n + k,
                      "time": MILLIS + n * 500, "users": ["0x1", "0x2"]} for k in range(2)]
            lines.append(f"{receipt} " + json.dumps({"channel": "trades", "data": deals}, separators=(",", ":")))
        else:
            levels = [[{"n": 1, "px": f"{100 + sign * (k + 1)}.0", "sz": "1.5"} for k in range(5)] for sign in (-1, 1)]
            book = {"coin": "BTC", "levels": levels, "time": MILLIS + n * 500}
            lines.append(f"{receipt} " + json.dumps({"channel": "l2Book", "data": book}, separators=(",", ":")))
    return "\n".join(lines).encode()


def _bybit_book() -> bytes:
    lines = []
    for n in range(30):
        levels = {side: [[f"{100 + sign * (k + 1) / 100:.2f}", f"{(n + k) % 5}"] for k in range(20 if n == 0 else 3)]
                  for side, sign in (("b", -1), ("a", 1))}
        lines.append(json.dumps({
            "topic": "orderbook.500.XRPUSDT", "type": "delta" if n else "snapshot", "ts": MILLIS + 100 * n + 2,
            "data": {"s": "XRPUSDT", **levels, "u": 50 + n, "seq": 900 + n}, "cts": MILLIS + 100 * n,
        }, separators=(",", ":")))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("2024-03-01_XRPUSDT_ob500.data"), "\n".join(lines))
    return buffer.getvalue()


def _tardis(kind: str) -> bytes:
    head = "exchange,symbol,timestamp,local_timestamp"
    micros = MILLIS * 1000
    lines = []
    for n in range(40):
        start = f"deribit,BTC-PERPETUAL,{micros + n * 1000},{micros + n * 1000 + 50}"
        if kind == "changes":
            snapshot = n < 20
            at = micros if snapshot else micros + n * 1000
            side, sign = ("bid", -1) if n % 2 else ("ask", 1)
            level = f"{str(snapshot).lower()},{side},{100 + sign * (n % 20 + 1) / 2},{n % 3 + 1}"
            lines.append(f"deribit,BTC-PERPETUAL,{at},{at + 50},{level}")
        elif kind == "trades":
            lines.append(f"{start},id-{n},{('buy', 'sell')[n % 2]},{_price(n)},{n + 1}")
        elif kind == "quotes":
            lines.append(f"{start},{n + 1},{_price(n) + 0.5},{_price(n)},{n + 2}")
        else:
            levels = ",".join(f"{101 + k},{k + 1},{99 - k},{k + 2}" for k in range(5))
            lines.append(f"{start},{levels}")
    columns = {
        "changes": "is_snapshot,side,price,amount", "trades": "id,side,price,amount",
        "quotes": "ask_amount,ask_price,bid_price,bid_amount",
        "snapshots": ",".join(f"asks[{k}].price,asks[{k}].amount,bids[{k}].price,bids[{k}].amount" for k in range(5)),
    }
    return "\n".join([f"{head},{columns[kind]}", *lines]).encode()


def _nautilus_book() -> bytes:
    lines = ["symbol,timestamp,first_update_id,last_update_id,side,update_type,price,qty,pu"]
    for k in range(20):
        lines.append(f"BTCUSDT,{MILLIS},1000,1000,{'ab'[k % 2]},snap,{100 + (-1) ** k * k / 2 + 0.25},1.5,-1")
    for n in range(20):
        before = 1000 if n == 0 else 996 + 7 * n
        lines.append(f"BTCUSDT,{MILLIS + 100 * n},{1001 + 7 * n},{1003 + 7 * n},b,set,{90 + n}.5,{n % 3}.0,{before}")
    return "\n".join(lines).encode()


def _parquet(kind: str) -> bytes:
    times = pl.Series("timestamp", [START + timedelta(seconds=n) for n in range(50)])
    prices = [_price(n) for n in range(50)]
    if kind == "quotes":
        frame = pl.DataFrame({"timestamp": times, "symbol": ["BTC/USDT"] * 50, "ask_size": [1.0] * 50,
                              "ask": [p + 1 for p in prices], "bid_size": [2.0] * 50, "bid": prices})
    else:
        frame = pl.DataFrame({"timestamp": times, "trade_id": list(range(50)), "price": prices, "quantity": [0.5] * 50,
                              "buyer_maker": ["True", "False"] * 25})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _oanda(*sides: str) -> bytes:
    candles = [
        {"complete": True, "volume": n, "time": f"{START + timedelta(minutes=n):%Y-%m-%dT%H:%M:%S}.000000000Z",
         **{side: {"o": f"{_price(n)}", "h": f"{_price(n) + 1}", "l": f"{_price(n) - 1}", "c": f"{_price(n)}"} for side in sides}}
        for n in range(50)
    ]
    return json.dumps({"instrument": "EUR_USD", "granularity": "M1", "candles": candles}).encode()


def _databento() -> bytes:
    import databento_dbn as dbn

    day = SimpleNamespace(start_date=date(2024, 3, 1), end_date=date(2024, 3, 2), symbol="17077")
    header = dbn.Metadata(
        dataset="GLBX.MDP3", start=MILLIS * 1_000_000, stype_out=dbn.SType.INSTRUMENT_ID, symbols=["ESH4"], partial=[],
        not_found=[], schema=dbn.Schema.MBO, stype_in=dbn.SType.RAW_SYMBOL,
        mappings=[SimpleNamespace(raw_symbol="ESH4", intervals=[day])],
    )
    records = np.zeros(60, RECORD)
    records["length"], records["rtype"], records["publisher_id"], records["instrument_id"] = 14, 160, 1, 17077
    steps = np.arange(60, dtype=np.uint64)
    records["ts_event"] = MILLIS * 1_000_000 + steps * 1_000_000
    records["ts_recv"] = records["ts_event"] + 5_000
    records["order_id"], records["sequence"] = steps, steps
    records["side"] = np.where(steps % 2 == 0, b"B", b"A")
    records["price"] = np.where(steps % 2 == 0, 4_700_000_000_000 - steps.astype(np.int64) * 250_000_000,
                                4_701_000_000_000 + steps.astype(np.int64) * 250_000_000)
    records["size"], records["action"], records["flags"] = 3, b"A", 128
    records["flags"][0] = 128 | 32
    records["action"][40:50], records["order_id"][40:50] = b"C", np.arange(10)
    records["action"][50:], records["side"][50:] = b"T", b"B"
    return bytes(header.encode()) + records.tobytes()


def _cases() -> tuple[Case, ...]:
    plain = "timestamp,open,high,low,close,volume"
    return (
        Case("binance-klines", "BTCUSDT-1m-2024-03.csv", _bars("", _kline), 50),
        Case("binance-klines", "ETHUSDT-1m-2024-03-01.csv", _bars(
            "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore",
            lambda n, t, p: _kline(n, t, p, 1000)), 50),
        Case("binance-export", "binance_BTCUSDT_1m.csv", _bars(
            plain, lambda n, t, p: f"{t:%Y-%m-%d %H:%M:%S},{p},{p + 1},{p - 1},{p},3"), 50),
        Case("binance-closed", "BTCUSDT_closed.csv", _bars(
            "open,high,low,close,volume,quote_volume,trades,close_datetime",
            lambda n, t, p: f"{p},{p + 1},{p - 1},{p},3,300,9,{t + timedelta(hours=1):%Y-%m-%d %H:%M}:59.999000+01:00"), 50),
        Case("bitfinex-candles", "BTCUSD_1m.csv", _bars(
            "timestamp_ms,open,close,high,low,volume", lambda n, t, p: f"{MILLIS + n * 60_000},{p},{p},{p + 1},{p - 1},0.5"), 50),
        Case("bybit-bars", "bybit_SOLUSDT_1m.csv", _bars(
            plain, lambda n, t, p: f"{t:%Y-%m-%d %H:%M:%S}+00:00,{p},{p + 1},{p - 1},{p},3"), 50),
        Case("tiingo-crypto", "SOL-USD_1m.csv", _bars(
            "date,Open,High,Low,Close,Volume,Volumenotional,Tradesdone",
            lambda n, t, p: f"{t:%Y-%m-%d %H:%M:%S}+00:00,{p},{p + 1},{p - 1},{p},3.000000001,300,7.0"), 50),
        Case("metatrader-points", "EURUSDm1.csv", _bars(
            "Date,open,high,low,close,tick_volume",
            lambda n, t, p: f"{t:%Y-%m-%d %H:%M:%S},{p * 1000},{p * 1000 + 9},{p * 1000 - 9},{p * 1000},40"), 50),
        Case("metatrader-export", "EURUSD_M1_202403010000.csv", _bars(
            "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            lambda n, t, p: f"{t:%Y.%m.%d\t%H:%M:%S}\t{p}\t{p + 1}\t{p - 1}\t{p}\t40\t0\t2"), 50),
        Case("metatrader-export-days", "EURUSD_Daily_202403010000.csv", _bars(
            "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            lambda n, t, p: f"{WEEKDAYS[n]:%Y.%m.%d}\t{p}\t{p + 1}\t{p - 1}\t{p}\t40\t0\t2"), 50),
        Case("binance-funding", "BTCUSDT-fundingRate-2024-03.csv", _bars(
            "calc_time,funding_interval_hours,last_funding_rate",
            lambda n, t, p: f"{int((START + timedelta(hours=8 * n)).timestamp() * 1000)},8,{(n - 20) / 1e5:.8f}"), 50),
        Case("bybit-funding", "funding.json", _bybit_funding(), 50),
        Case("backtestingpy-fx", "EURUSD.csv", _bars(
            ",Open,High,Low,Close,Volume",
            lambda n, t, p: f"{START + timedelta(hours=n):%Y-%m-%d %H:%M:%S},{p},{p + 1},{p - 1},{p},40"), 50),
        Case("fxcm-bars", "gbpusd-m1-bid.csv", _bars(
            "timestamp,open,high,low,close", lambda n, t, p: f"{t:%Y-%m-%d %H:%M:%S}+00:00,{p},{p + 1},{p - 1},{p}"), 50),
        Case("funding-lean", "binance_margin_interest_btcusd.csv", _bars(
            "", lambda n, t, p: f"{START + timedelta(hours=8 * n):%Y%m%d %H:%M:%S},{(n - 20) / 1e5:.8f}"), 50),
        Case("truefx-quotes", "truefx_usdjpy.csv", _bars(
            "timestamp,bid,ask", lambda n, t, p: f"{t:%Y-%m-%d %H:%M:%S}.5+00:00,{p},{p + 1}"), 50),
        Case("histdata-quotes", "eurusd_ticks.csv", _bars("", lambda n, t, p: f"{t:%Y%m%d %H%M%S}065,{p},{p + 1},0"), 50),
        Case("binance-stream", "btcusdt_20240301", _binance_stream(), 60 + 19 * 3 + 20 + 20),
        Case("hyperliquid-stream", "btcusd_20240301", _hyperliquid(), 20 * 10 + 10 * 2),
        Case("bybit-book", "2024-03-01_XRPUSDT_ob500.data.zip", _bybit_book(), 40 + 29 * 6),
        *(Case(f"tardis-{kind}", f"deribit_{kind}.csv", _tardis(kind), 400 if kind == "snapshots" else 40)
          for kind in ("changes", "trades", "quotes", "snapshots")),
        Case("nautilus-book", "depth.csv", _nautilus_book(), 40),
        Case("nautilus-quotes", "binance_btcusdt-quotes.parquet", _parquet("quotes"), 50),
        Case("nautilus-trades", "binance_btcusdt-trades.parquet", _parquet("trades"), 50),
        Case("oanda-candles", "candles.json", _oanda("bid", "ask"), 50),
        Case("oanda-candles", "middle.json", _oanda("mid"), 50),
        *([Case("databento-mbo", "es.mbo.dbn", _databento(), 60)] if HAS_DATABENTO else []),
    )


CASES = _cases()
NUMBERS = (
    b"1e308", b"1e400", b"-1", b"0", b"nan", b"inf", b"-inf", b"99999999999999999999", b"", b"1e-320", b"--", b"null", b"\xff",
    b"[]",
)


def _flip(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _cut(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def _fields(data: bytearray, chance: random.Random) -> bytes:
    lines = bytes(data).split(b"\n")
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(lines))
        fields = lines[place].split(b",")
        field, kind = chance.randrange(len(fields)), chance.randrange(4)
        if kind == 0:
            del fields[field]
        elif kind == 1:
            fields.insert(field, fields[field])
        else:
            fields[field] = chance.choice(NUMBERS)
        lines[place] = b",".join(fields)
    return b"\n".join(lines)


def _values(data: bytearray, chance: random.Random) -> bytes:
    """What stands between quotes (prices, sizes and names in JSON) replaced."""
    pieces = bytes(data).split(b'"')
    for _ in range(chance.randint(1, 6)):
        pieces[chance.randrange(len(pieces))] = chance.choice(NUMBERS)
    return b'"'.join(pieces)


def _lines(data: bytearray, chance: random.Random) -> bytes:
    lines = bytes(data).split(b"\n")
    for _ in range(chance.randint(1, 5)):
        place, kind = chance.randrange(len(lines)), chance.randrange(3)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[place])
        else:
            other = chance.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
    return b"\n".join(lines)


def _column(data: bytearray, chance: random.Random) -> bytes:
    value, place = chance.choice(NUMBERS), chance.randrange(8)
    lines = [line.split(b",") for line in bytes(data).split(b"\n")]
    for fields in lines[1:]:
        if place < len(fields):
            fields[place] = value
    return b"\n".join(b",".join(fields) for fields in lines)


def _cut_gzip(data: bytearray, chance: random.Random) -> bytes:
    packed = gzip.compress(bytes(data), mtime=0)
    return packed[: chance.randrange(2, len(packed))]


def _damaged_zip(data: bytearray, chance: random.Random) -> bytes:
    """The text inside an archive damaged, the archive itself whole."""
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        name = archive.namelist()[0]
        inner = chance.choice((_flip, _fields, _values, _lines))(bytearray(archive.read(name)), chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), inner)
    return buffer.getvalue()


TEXT = (_flip, _cut, _fields, _values, _lines, _column, _cut_gzip)
BINARY = (_flip, _cut, _flip, _cut_gzip)


def _impossible(store: MemoryStore) -> list[str]:
    found = []
    for row in store.datasets().iter_rows(named=True):
        table = TABLES[row["table"]]
        rows = store.read(row["instrument"], table=row["table"], dataset=row["dataset"])
        for name, dtype in table.schema.items():
            if dtype == pl.Float64 and not rows[name].drop_nulls().is_finite().all():
                found.append(f"{table.name}.{name} is not finite")
        found += [f"{table.name}.{name} is not positive" for name in table.positive if (rows[name].drop_nulls() <= 0).any()]
        found += [f"{table.name}.{name} is negative" for name in table.non_negative if (rows[name].drop_nulls() < 0).any()]
        found += [f"{table.name}.{name} is null" for name in (*table.required, "ts", "available_at") if rows[name].null_count()]
        if (rows["available_at"] < rows["ts"]).any() or (rows["ts"] > NOW).any():
            found.append(f"{table.name} has times that cannot be")
    return found


def _imported(path: Path, data: bytes, format: str) -> MemoryStore | None:
    path.write_bytes(data)
    store = MemoryStore()
    try:
        import_source(path, Options(now=NOW), store=store, format=format)
    except InvalidInput:
        assert store.datasets().is_empty()
        return None
    return store


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}-{case.name}")
def test_the_sound_file_is_recognised_and_stored_whole_once(case, tmp_path):
    path = tmp_path / case.name
    path.write_bytes(case.data)
    store = MemoryStore()
    report = import_source(path, Options(now=NOW), store=store)
    assert report.format == case.format
    assert report.removed == {}
    assert report.rows_kept == case.rows
    assert _impossible(store) == []
    again = import_source(path, Options(now=NOW + timedelta(hours=1)), store=store)
    assert sum(count.added + count.restated for count in again.tables.values()) == 0


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}-{case.name}")
def test_a_damaged_file_ends_in_a_typed_refusal_or_quarantine(case, turns, tmp_path):
    chance = random.Random(f"{case.format} {case.name}")
    mutators = TEXT
    if case.data.startswith(b"PK"):
        mutators = (*BINARY, _damaged_zip, _damaged_zip, _damaged_zip)
    elif b"\x00" in case.data:
        mutators = BINARY
    refused = 0
    for turn in range(MUTATIONS):
        mutate = mutators[turn % len(mutators)]
        data = mutate(bytearray(case.data), chance)
        if turn not in turns:
            continue
        store = _imported(tmp_path / case.name, data, case.format)
        if store is None:
            refused += 1
        else:
            assert _impossible(store) == [], (mutate.__name__, turn)
    assert 0 < refused < len(turns)     # both ends were reached: some files were refused, some went in without their bad rows


def test_every_format_of_these_vendors_is_fuzzed():
    vendors = ("binance", "bitfinex", "bybit", "tiingo-crypto", "metatrader", "backtestingpy", "fxcm", "funding-lean", "truefx",
               "histdata", "hyperliquid", "tardis", "nautilus", "databento", "oanda")
    optional = {"databento-option-prints"} | (set() if HAS_DATABENTO else {"databento-mbo"})     # prints: test_option_prints_fuzz
    assert {name for name in FORMATS if name.startswith(vendors)} - optional == {case.format for case in CASES}
