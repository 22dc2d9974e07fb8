"""Recorded streams, order books and orders: what each file's peculiarities become."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.books import replay
from fieldcast.data.formats import Options, Source, _streams, format_of
from fieldcast.data.formats.databento import RECORD
from fieldcast.data.importing import import_source
from fieldcast.ground import ConfigError, InvalidInput, Reason

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MILLIS = 1709251200000      # 2024-03-01 00:00 UTC
START = datetime(2024, 3, 1, tzinfo=UTC)


def _imported(path: Path, **options: object) -> tuple[MemoryStore, object]:
    store = MemoryStore()
    return store, import_source(path, Options(now=NOW, **options), store=store)  # type: ignore[arg-type]


def _read(folder: Path, *lines: str, name: str = "stream", table: str = "depth", **options: object) -> pl.DataFrame:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    store, report = _imported(path, **options)
    held = store.datasets().filter(pl.col("table") == table)["instrument"].to_list()
    assert len(held) == 1, (held, report)
    return store.read(held[0], table=table)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _depth(n: int, first: int, last: int, bids: list, asks: list, behind: int = 5, **more: int) -> str:
    """A change sent at n tenths of a second, received `behind` ms later."""
    data = {"e": "depthUpdate", "E": MILLIS + 100 * n, "s": "BTCUSDT", "U": first, "u": last, **more, "b": bids, "a": asks}
    return f"{(MILLIS + 100 * n + behind) * 1_000_000} " + _json({"stream": "btcusdt@depth@100ms", "data": data})


def _snapshot(n: int, number: int, bids: list, asks: list) -> str:
    return f"{(MILLIS + 100 * n + 5) * 1_000_000} " + _json({"lastUpdateId": number, "bids": bids, "asks": asks})


BID, ASK = [["99.5", "1.0"]], [["100.5", "2.0"]]


# Binance -----------------------------------------------------------------------------------------------------------


def test_a_row_is_known_at_its_receipt_and_never_before_it_happened(tmp_path):
    rows = _read(tmp_path, _depth(0, 1, 2, BID, ASK), _depth(1, 3, 4, BID, ASK, behind=-1270))
    behind, ahead = rows.filter(pl.col("last_update") == 2), rows.filter(pl.col("last_update") == 4)
    assert behind.select("ts", "available_at").row(0) == (START, START + timedelta(milliseconds=5))
    assert ahead.select("ts", "available_at").row(0) == (START + timedelta(milliseconds=-1170),) * 2


def test_levels_stand_in_the_order_of_the_messages_bids_first(tmp_path):
    rows = _read(tmp_path, _depth(0, 1, 2, [["99.5", "1"], ["99.0", "2"]], ASK), _depth(1, 3, 4, BID, ASK)).sort("sequence")
    assert rows["sequence"].to_list() == [0, 1, 2, 3, 4]
    assert rows["side"].to_list() == ["bid", "bid", "ask", "bid", "ask"]
    assert rows["price"].to_list()[:3] == [99.5, 99.0, 100.5]


def test_a_message_with_one_unreadable_level_is_left_out_whole_and_the_book_knows(tmp_path):
    path = tmp_path / "stream"
    lines = [_snapshot(0, 10, BID, ASK), _depth(1, 11, 12, BID, ASK), _depth(2, 13, 14, [["99.0", "1"], ["abc", "1"]], ASK),
             _depth(3, 15, 16, BID, ASK)]
    path.write_text("\n".join(lines), encoding="utf-8")
    store, report = _imported(path)
    assert report.removed == {Reason.ROW_UNREADABLE: 1}
    rows = store.read("BINANCE:BTCUSDT", table="depth")
    assert rows.filter(pl.col("last_update") == 14).is_empty()
    assert replay(rows).states["reasons"].to_list() == [None, None, "book_gap"]


@pytest.mark.parametrize("level", [["0", "1"], ["-5", "1"], ["nan", "1"], ["inf", "1"], ["99", "-1"], ["99", "nan"], ["99"], []])
def test_impossible_levels_cost_their_message(tmp_path, level):
    path = tmp_path / "stream"
    lines = [_depth(0, 1, 2, BID, ASK), _depth(1, 3, 4, [level], ASK), _depth(2, 5, 6, BID, ASK)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert _imported(path)[1].removed == {Reason.ROW_UNREADABLE: 1}


def test_a_change_of_nothing_hands_its_number_to_the_next(tmp_path):
    empty = [_depth(1, 11, 12, [], []), _depth(2, 13, 14, [], [])]
    rows = _read(tmp_path, _snapshot(0, 10, BID, ASK), *empty, _depth(3, 15, 16, BID, []))
    assert rows.filter(~pl.col("snapshot")).select("first_update", "last_update").row(0) == (11, 16)
    assert replay(rows).unknown == 0
    torn = _read(tmp_path, _snapshot(0, 10, BID, ASK), _depth(1, 12, 12, [], []), _depth(3, 13, 16, BID, []))
    assert replay(torn).unknown == 1


def test_futures_follow_by_the_number_before(tmp_path):
    rows = _read(tmp_path, _snapshot(0, 10, BID, ASK), _depth(1, 8, 12, BID, ASK, pu=7), _depth(2, 20, 25, BID, ASK, pu=12))
    assert rows["instrument"].unique().to_list() == ["BINANCE:BTCUSDT-PERP"]
    assert rows.filter(~pl.col("snapshot"))["first_update"].unique().sort().to_list() == [8, 13]
    assert replay(rows).unknown == 0


def test_best_quotes_and_trades(tmp_path):
    receipt = (MILLIS + 5) * 1_000_000
    ticker = {"u": 4, "s": "BTCUSDT", "b": "99.5", "B": "1.5", "a": "100.5", "A": "2.5"}
    deal = {"e": "trade", "E": MILLIS, "s": "BTCUSDT", "t": 77, "p": "100.0", "q": "0.25", "T": MILLIS, "m": True, "M": True}
    lines = [f"{receipt} " + _json({"stream": "btcusdt@bookTicker", "data": ticker}),
             *(f"{receipt} " + _json({"stream": "btcusdt@trade", "data": deal | {"m": maker}}) for maker in (True, False)),
             f"{receipt} " + _json({"stream": "btcusdt@markPrice", "data": {"s": "BTCUSDT"}})]
    quotes = _read(tmp_path, *lines, table="quotes").row(0, named=True)
    assert [quotes[name] for name in ("bid", "bid_size", "ask", "ask_size")] == [99.5, 1.5, 100.5, 2.5]
    trades = _read(tmp_path, *lines, table="trades")
    assert trades["side"].to_list() == ["sell", "buy"]      # m: the buyer was resting, so that a seller came
    assert trades.select("trade_id", "ts").row(0) == ("77", START)
    assert any("markPrice" in note for note in _imported(tmp_path / "stream")[1].notes)


def test_a_snapshot_among_several_symbols_is_refused(tmp_path):
    path = tmp_path / "stream"
    other = _depth(0, 1, 2, BID, ASK).replace("BTCUSDT", "ETHUSDT")
    path.write_text("\n".join([_depth(0, 1, 2, BID, ASK), other, _snapshot(1, 10, BID, ASK)]), encoding="utf-8")
    with pytest.raises(InvalidInput, match="split the file by symbol"):
        _imported(path)


def test_small_parts_of_a_stream_hold_the_same_rows(tmp_path, monkeypatch):
    lines = [_snapshot(0, 0, BID, ASK), *(_depth(n, 2 * n - 1, 2 * n, BID, ASK) for n in range(1, 200))]
    whole = _read(tmp_path, *lines)
    monkeypatch.setattr(_streams, "BLOCK", 2000)
    parts = list(format_of("binance-stream").read(Source(tmp_path / "stream"), Options(now=NOW)))
    assert len(parts) > 10
    assert _read(tmp_path, *lines).equals(whole)


def test_one_broken_line_among_many_is_found(tmp_path):
    lines = [_depth(n, 2 * n + 1, 2 * n + 2, BID, ASK) for n in range(101)]
    lines[37] = lines[37][:-9]
    lines[64] = lines[64].replace('"b":[["', '"b":[[{"x":1},"')
    path = tmp_path / "stream"
    path.write_text("\n".join(lines), encoding="utf-8")
    report = _imported(path)[1]
    assert report.removed == {Reason.ROW_UNREADABLE: 2}
    assert sorted(report.quarantine["row"].to_list()) == [37, 64]


# other venues ------------------------------------------------------------------------------------------------------


def _bybit(n: int, number: int, kind: str = "delta") -> str:
    return _json({"topic": "orderbook.500.XRPUSDT", "type": kind, "ts": MILLIS + n, "data": {
        "s": "XRPUSDT", "b": BID, "a": ASK, "u": number, "seq": 5}, "cts": MILLIS + n - 1})


def test_a_bybit_snapshot_that_starts_again_at_one_replaces_the_book(tmp_path):
    rows = _read(tmp_path, _bybit(0, 500, "snapshot"), _bybit(1, 501), _bybit(2, 1, "snapshot"), _bybit(3, 2), _bybit(4, 4),
                 name="2024-03-01_XRPUSDT_ob500.data")
    assert replay(rows).states["reasons"].to_list() == [None, None, None, None, "book_gap"]


def test_hyperliquid_books_replace_each_other_and_trades_keep_their_own_time(tmp_path):
    def book(n: int, bid: str) -> str:
        levels = [[{"n": 1, "px": bid, "sz": "1.0"}], [{"n": 1, "px": "101.0", "sz": "1.0"}]]
        data = {"coin": "BTC", "levels": levels, "time": MILLIS}
        return f"{(MILLIS + n) * 1_000_000} " + _json({"channel": "l2Book", "data": data})

    deals = [{"coin": "BTC", "px": "100.5", "side": side, "sz": "1.5", "tid": 1, "time": MILLIS - 50_000} for side in "BA"]
    trades = f"{(MILLIS + 3) * 1_000_000} " + _json({"channel": "trades", "data": deals})
    rows = _read(tmp_path, book(1, "100.0"), book(2, "99.0"), trades)
    states = replay(rows, 2).states
    assert states["bid_1"].to_list() == [100.0, 99.0]
    assert states["bid_2"].null_count() == 2
    found = _read(tmp_path, book(1, "100.0"), trades, table="trades")
    assert found.select("side", "ts").rows() == [(side, START - timedelta(seconds=50)) for side in ("buy", "sell")]
    assert found["available_at"].to_list() == [START + timedelta(milliseconds=3)] * 2


TARDIS = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"


def _change(n: int, text: str) -> str:
    return f"deribit,BTC-PERPETUAL,{MILLIS * 1000 + n},{MILLIS * 1000 + n + 9},{text}"


def test_a_tardis_row_that_cannot_be_read_breaks_the_book_until_the_next_snapshot(tmp_path):
    opening, again = ([_change(n, "true,bid,99.5,10"), _change(n, "true,ask,100.5,10")] for n in (0, 90))
    lines = [TARDIS, *opening, _change(1, "false,bid,99.0,5"), _change(2, "false,bid,?,5"), _change(3, "false,bid,98.0,5"),
             _change(4, "false,bid,97.0,0"), *again]
    rows = _read(tmp_path, *lines, name="changes.csv")
    assert replay(rows).states["reasons"].to_list() == [None, None, "book_gap", "book_gap", None]
    assert rows.filter(pl.col("reasons") == "book_gap")["price"].to_list() == [98.0]


def test_tardis_times_are_those_of_exchange_and_receipt(tmp_path):
    rows = _read(tmp_path, TARDIS, _change(0, "true,bid,99.5,10"), name="c.csv")
    assert rows.select("ts", "available_at").row(0) == (START, START + timedelta(microseconds=9))
    held = _imported(tmp_path / "c.csv")[0]
    assert held.lineage("DERIBIT:BTC-PERPETUAL", table="depth")[0].available_at == "reported"


# Databento ---------------------------------------------------------------------------------------------------------


def _dbn(records: list[tuple[str, str, int, float, int, int]]) -> bytes:
    """A DBN file of (action, side, order, price, size, flags), a microsecond apart."""
    dbn = pytest.importorskip("databento_dbn")
    day = SimpleNamespace(start_date=date(2024, 3, 1), end_date=date(2024, 3, 2), symbol="17")
    header = dbn.Metadata(
        dataset="GLBX.MDP3", start=MILLIS * 1_000_000, stype_out=dbn.SType.INSTRUMENT_ID, symbols=["ESH4"], partial=[],
        not_found=[], schema=dbn.Schema.MBO, stype_in=dbn.SType.RAW_SYMBOL,
        mappings=[SimpleNamespace(raw_symbol="ESH4", intervals=[day])],
    )
    rows = np.zeros(len(records), RECORD)
    rows["length"], rows["rtype"], rows["instrument_id"] = 14, 160, 17
    for n, (action, side, order, price, size, flags) in enumerate(records):
        rows[n]["action"], rows[n]["side"], rows[n]["order_id"] = action.encode(), side.encode(), order
        rows[n]["price"] = 2**63 - 1 if price == 0 else round(price * 1e9)
        rows[n]["size"], rows[n]["flags"], rows[n]["sequence"] = size, flags, n
        rows[n]["ts_event"] = MILLIS * 1_000_000 + n * 1000
        rows[n]["ts_recv"] = rows[n]["ts_event"] + 500_000
    return bytes(header.encode()) + rows.tobytes()


LAST, SNAPSHOT = 128, 32


def test_orders_become_a_book_and_trades(tmp_path):
    path = tmp_path / "es.mbo.dbn"
    path.write_bytes(_dbn([
        ("R", "N", 0, 0, 0, SNAPSHOT), ("A", "B", 1, 99.75, 5, SNAPSHOT), ("A", "A", 2, 100.25, 7, SNAPSHOT | LAST),
        ("M", "B", 1, 100.0, 4, LAST),
        ("T", "S", 0, 100.0, 1, 0), ("F", "B", 1, 100.0, 1, 0), ("C", "B", 1, 100.0, 1, LAST),
        ("R", "N", 0, 0, 0, LAST), ("A", "B", 9, 98.5, 2, LAST), ("C", "A", 2, 100.25, 7, LAST),
    ]))
    store, report = _imported(path)
    assert report.format == "databento-mbo"
    assert report.removed == {}
    rows = store.read("GLBX:ESH4", table="depth").sort("sequence")
    assert rows["action"].to_list() == ["reset", "add", "modify", "cancel", "reset", "cancel"]
    found = replay(rows, 1).states.select("bid_1", "bid_size_1", "ask_1").rows()
    assert found == [(99.75, 5.0, 100.25), (100.0, 4.0, 100.25), (100.0, 3.0, 100.25), (98.5, 2.0, None), (98.5, 2.0, None)]
    assert store.read("GLBX:ESH4", table="trades")["price"].to_list() == [100.0]
    # an event is known when its last record was received
    assert rows["available_at"].to_list()[:2] == [START + timedelta(microseconds=502)] * 2


def test_a_feed_that_lost_something_says_so(tmp_path):
    path = tmp_path / "es.mbo.dbn"
    flags = (SNAPSHOT | LAST, LAST | 4, LAST)       # 4: F_MAYBE_BAD_BOOK
    path.write_bytes(_dbn([("A", "B", n, 99.75 - n / 4, 5, flag) for n, flag in enumerate(flags)]))
    rows = _imported(path)[0].read("GLBX:ESH4", table="depth")
    assert replay(rows).states["reasons"].to_list() == [None, "book_gap", "book_gap"]


def test_the_library_is_asked_for_by_name(tmp_path, monkeypatch):
    path = tmp_path / "es.mbo.dbn"
    path.write_bytes(_dbn([("A", "B", 1, 99.75, 5, SNAPSHOT | LAST)]))
    monkeypatch.setitem(sys.modules, "databento_dbn", None)
    with pytest.raises(ConfigError, match=r"fieldcast\[databento\]"):
        _imported(path)


@pytest.mark.parametrize(("cut", "message"), [(20, "DBN header|begin with DBN"), (-1, "cut short"), (3, "begin with DBN")])
def test_a_cut_file_is_refused(tmp_path, cut, message):
    path = tmp_path / "es.mbo.dbn"
    path.write_bytes(_dbn([("A", "B", 1, 99.75, 5, SNAPSHOT | LAST)])[:cut])
    with pytest.raises(InvalidInput, match=message):
        _imported(path)


def test_a_gzipped_stream_that_is_cut_is_refused(tmp_path, realdata):
    raw = (realdata / "l2" / "hftbacktest_binance_spot_btcusdt_20240808.gz").read_bytes()
    path = tmp_path / "btcusdt.gz"
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InvalidInput, match="fetch it again"):
        _imported(path)


# real files --------------------------------------------------------------------------------------------------------


def test_the_real_binance_stream_is_read_whole(realdata):
    store, report = _imported(realdata / "l2" / "hftbacktest_binance_spot_btcusdt_20240808.gz")
    kept = {name: count.rows_kept for name, count in report.tables.items()}
    assert kept == {"depth": 126_090, "quotes": 28_040, "trades": 9757}
    assert report.removed == {}
    for table in ("depth", "quotes", "trades"):
        rows = store.read("BINANCE:BTCUSDT", table=table).sort("sequence")
        assert rows["available_at"].is_sorted()
        assert (rows["ts"] <= rows["available_at"]).all()
    snapshot = store.read("BINANCE:BTCUSDT", table="depth").filter("snapshot")
    assert snapshot["last_update"].unique().to_list() == [50093239218]


def test_the_real_hyperliquid_stream_is_read_whole(realdata):
    store, report = _imported(realdata / "l2" / "hftbacktest_hyperliquid_btcusd_20250126.gz")
    assert {name: count.rows_kept for name, count in report.tables.items()} == {"depth": 46 * 40, "trades": 64}
    trades = store.read("HYPERLIQUID:BTC-PERP", table="trades")
    assert trades["ts"].min() < trades["available_at"].min() - timedelta(seconds=40)      # repeated from before the subscription


@pytest.mark.parametrize(
    ("exchange", "symbol", "id"),
    [
        ("binance-futures", "BTCUSDT", "BINANCE:BTCUSDT-PERP"),
        ("binance-futures", "BTCUSDT_210326", "BINANCE:BTCUSDT_210326"),
        ("binance-delivery", "BTCUSD_PERP", "BINANCE:BTCUSD-PERP"),
        ("binance", "BTCUSDT", "BINANCE:BTCUSDT"),
    ],
)
def test_a_perpetual_future_of_binance_has_one_id_whoever_recorded_it(tmp_path, exchange, symbol, id):
    lines = [f"{exchange},{symbol},{MILLIS * 1000 + n},{MILLIS * 1000 + n + 9},{n},buy,100.5,2" for n in range(3)]
    path = tmp_path / "trades.csv"
    path.write_text("\n".join(["exchange,symbol,timestamp,local_timestamp,id,side,price,amount", *lines]))
    report = import_source(path, Options(now=NOW), store=MemoryStore())
    assert [instrument.id for instrument in report.instruments] == [id]
