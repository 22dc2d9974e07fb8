"""Option prints of Massive, DataShop and Databento: contracts, cancels and quotes; `CASES` are seeds of the fuzz campaign."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options, Source
from fieldcast.data.formats.registry import recognise
from fieldcast.data.importing import SourceReport, import_source
from fieldcast.ground import InvalidInput
from fieldcast.market import default_instrument

NOW = datetime(2024, 6, 1, tzinfo=UTC)
HAS_DATABENTO = importlib.util.find_spec("databento_dbn") is not None      # an optional extra

NOON = datetime(2024, 1, 10, 17, 0, tzinfo=UTC)    # 12:00 in New York
SPXW, MONTHLY, SPY = "SPXW  240119C04800000", "SPX   240216P04700000", "SPY   240119C00475000"


def nanos(seconds: float = 0.0) -> int:
    return round((NOON.timestamp() + seconds) * 1_000) * 1_000_000


MASSIVE = "\n".join([
    "ticker,conditions,correction,exchange,price,sip_timestamp,size",
    f"O:SPXW240119C04800000,209,0,302,12.5,{nanos(1)},5",
    f"O:SPXW240119C04800000,227,0,302,12.5,{nanos(2)},5",
    f'O:SPXW240119C04800000,"209,227",0,312,12.6,{nanos(3)},7',
    f"O:SPX240216P04700000,209,0,302,41.0,{nanos(4)},2",
    f"O:SPXW240119C04800000,203,0,302,12.5,{nanos(60)},5",     # takes back the print of second 2
    f"O:SPXW240119C04800000,201,0,302,99.0,{nanos(61)},5",     # takes back nothing that is here
    f"O:SPX240216P04700000,209,1,302,40.0,{nanos(62)},3",      # corrected, nobody says when
    f"O:SPXW240109C04800000,209,0,302,12.5,{nanos(63)},5",     # expired the day before
    *(f"O:SPXW240119C04800000,209,0,302,{12.5 + n / 20:.2f},{nanos(70 + n)},{1 + n}" for n in range(40)),
]).encode() + b"\n"  # fmt: skip

_HEADER = (
    "underlying_symbol,quote_datetime,sequence_number,root,expiration,strike,option_type,exchange_id,trade_size,trade_price,"
    "trade_condition_id,canceled_trade_condition_id,best_bid,best_ask,trade_iv,trade_delta,underlying_bid,underlying_ask,"
    "number_of_exchanges,{exchange,bid_size,bid,ask_size,ask}"
)


def _datashop_line(second: int, price: float, *, size: int = 5, condition: int = 0, cancelled: int = 0, tail: str = "") -> str:
    return (
        f"^SPX,2024-01-10 12:00:{second:02}.375,{1000 + second},SPXW,2024-01-19,4800.000,C,5,{size},{price:.4f},{condition},"
        f"{cancelled},12.4000,12.6000,0.1234,0.4321,4760.10,4761.30,{tail}"
    )


DATASHOP = "\n".join([
    _HEADER,
    _datashop_line(1, 12.6), _datashop_line(2, 12.4, tail="2,5,10,12.4,11,12.6,6,3,12.4,9,12.6"), _datashop_line(3, 12.5),
    _datashop_line(40, 12.4, condition=40),                     # takes back the print of second 2
    _datashop_line(41, 12.5, cancelled=41, size=9),             # cancelled, nobody says when
    *(_datashop_line(10 + n, 12.41 + n / 100) for n in range(20)),
]).encode() + b"\n"  # fmt: skip


def databento(schema: str, *, dataset: str = "OPRA.PILLAR", count: int = 30, **changed: Any) -> bytes:
    """`count` prints of two contracts, a second apart; `changed` = field → what stands in every record."""
    import databento_dbn as dbn

    from fieldcast.data.formats.databento_prints import RECORDS

    def span(number: int) -> SimpleNamespace:
        return SimpleNamespace(start_date=date(2024, 1, 10), end_date=date(2024, 1, 11), symbol=str(number))

    header = dbn.Metadata(
        dataset=dataset, start=nanos(), stype_out=dbn.SType.INSTRUMENT_ID, symbols=[SPXW, MONTHLY], partial=[], not_found=[],
        schema=getattr(dbn.Schema, schema.upper()), stype_in=dbn.SType.RAW_SYMBOL,
        mappings=[SimpleNamespace(raw_symbol=symbol, intervals=[span(number)]) for number, symbol in ((7, SPXW), (8, MONTHLY))],
    )
    record, kind = RECORDS[schema]
    rows = np.zeros(count, record)
    steps = np.arange(count, dtype=np.uint64)
    rows["length"], rows["rtype"], rows["publisher_id"] = record.itemsize // 4, kind, 22
    rows["instrument_id"] = 7 + steps % 2
    rows["ts_event"] = nanos() + steps * 1_000_000_000
    rows["ts_recv"] = rows["ts_event"] + 250_000
    rows["price"] = 12_500_000_000 + steps.astype(np.int64) * 50_000_000
    rows["size"], rows["action"], rows["flags"] = 1 + steps % 5, b"T", 128
    rows["side"] = np.where(steps % 3 == 0, b"B", np.where(steps % 3 == 1, b"A", b"N"))
    if schema == "tcbbo":
        rows["bid"], rows["ask"] = rows["price"] - 100_000_000, rows["price"] + 100_000_000
        rows["bid_size"], rows["ask_size"], rows["bid_publisher"], rows["ask_publisher"] = 10, 20, 22, 24
    for name, value in changed.items():
        rows[name] = value
    return bytes(header.encode()) + rows.tobytes()


@dataclass(frozen=True)
class Case:
    format: str
    name: str
    data: bytes


CASES = (
    Case("massive-option-trades", "2024-01-10.csv", MASSIVE),
    Case("datashop-option-trades", "UnderlyingOptionsTrades_2024-01-10.csv", DATASHOP),
    *(
        Case("databento-option-prints", f"opra-pillar-20240110.{schema}.dbn", databento(schema))
        for schema in (("trades", "tcbbo") if HAS_DATABENTO else ())
    ),
)


def imported(path: Path, data: bytes, **said: Any) -> tuple[MemoryStore, SourceReport]:
    path.write_bytes(data)
    store = MemoryStore()
    return store, import_source(path, Options(now=NOW, **said), store=store)


def prints(store: MemoryStore, as_of: datetime | None = None, instrument: str = "XCBO:SPX") -> pl.DataFrame:
    return store.read(instrument, table="option_trades", as_of=as_of).sort("sequence")


def test_every_file_is_recognised_by_its_own_format(tmp_path: Path) -> None:
    for case in CASES:
        path = tmp_path / case.name
        path.write_bytes(case.data)
        assert recognise(Source(path)).name == case.format


def test_a_flat_file_becomes_prints_of_the_underlying(tmp_path: Path) -> None:
    store, report = imported(tmp_path / "2024-01-10.csv.gz", gzip.compress(MASSIVE))
    rows = prints(store)
    first = rows.row(0, named=True)
    assert first["contract_id"] == SPXW
    assert (first["root"], first["strike"], first["right"], first["settlement"]) == ("SPXW", 4800.0, "call", "PM")
    assert first["expiry_ts"] == datetime(2024, 1, 19, 21, tzinfo=UTC)
    assert (first["price"], first["size"], first["exchange"], first["conditions"]) == (12.5, 5.0, "302", "209")
    assert first["ts"] == first["available_at"] == NOON + timedelta(seconds=1)
    assert rows["conditions"][2] == "209,227"
    monthly = rows.filter(pl.col("root") == "SPX").row(0, named=True)
    assert (monthly["contract_id"], monthly["settlement"]) == (MONTHLY, "AM")
    assert report.removed == {"trade_cancelled": 2, "expired": 1}


def test_a_cancel_takes_back_the_newest_print_of_its_price_and_size_from_then_on(tmp_path: Path) -> None:
    store, _ = imported(tmp_path / "2024-01-10.csv", MASSIVE)
    before = prints(store, NOON + timedelta(seconds=59))
    assert before["size"].to_list() == [5.0, 5.0, 7.0, 2.0]
    after = prints(store, NOON + timedelta(seconds=60))
    assert after["size"].to_list() == [5.0, 0.0, 7.0, 2.0]
    assert after["reasons"].to_list() == [None, "trade_cancelled", None, None]


def test_two_cancels_take_back_two_prints(tmp_path: Path) -> None:
    lines = MASSIVE.decode().splitlines()
    again = lines[5].replace(str(nanos(60)), str(nanos(60.5)))
    store, _ = imported(tmp_path / "2024-01-10.csv", "\n".join([*lines[:6], again, *lines[6:]]).encode())
    assert prints(store)["size"].to_list()[:2] == [0.0, 0.0]


def test_the_exchange_s_own_time_is_when_it_happened_and_the_feed_s_when_it_was_known(tmp_path: Path) -> None:
    data = (
        "ticker,conditions,correction,exchange,participant_timestamp,price,sip_timestamp,size\n"
        f"O:SPXW240119C04800000,209,0,302,{nanos(1)},12.5,{nanos(1.004)},5\n"
    )
    store, _ = imported(tmp_path / "2024-01-10.csv", data.encode())
    row = prints(store).row(0, named=True)
    assert row["available_at"] - row["ts"] == timedelta(milliseconds=4)


def test_shares_need_a_venue_and_an_instrument_takes_its_own_contracts(tmp_path: Path) -> None:
    data = MASSIVE + f"O:SPY240119C00475000,209,0,302,3.1,{nanos(200)},4\n".encode()
    with pytest.raises(InvalidInput, match="the venue of SPY"):
        imported(tmp_path / "a.csv", data)
    store, _ = imported(tmp_path / "b.csv", data, venue="ARCX")
    assert prints(store, instrument="ARCX:SPY")["contract_id"].to_list() == [SPY]
    store, report = imported(tmp_path / "c.csv", data, instrument=default_instrument("ARCX:SPY", "etf"))
    assert store.datasets()["instrument"].to_list() == ["ARCX:SPY"]
    assert any("left out" in note for note in report.notes)


def test_an_adjusted_contract_is_counted_and_left_out(tmp_path: Path) -> None:
    data = MASSIVE + f"O:AAPL1240119C00475000,209,0,302,3.1,{nanos(200)},4\n".encode()
    _, report = imported(tmp_path / "2024-01-10.csv", data)
    assert report.removed["value_missing"] == 1


def test_datashop_s_prints_carry_the_quotes_beside_them(tmp_path: Path) -> None:
    store, report = imported(tmp_path / "trades.csv", DATASHOP)
    rows = prints(store)
    first = rows.row(0, named=True)
    assert first["ts"] == NOON + timedelta(seconds=1, milliseconds=375)      # 12:00 in New York is 17:00 UTC in January
    assert (first["bid"], first["ask"]) == (12.4, 12.6)
    assert (first["underlying_bid"], first["underlying_ask"]) == (4760.1, 4761.3)
    assert rows["size"].to_list()[:3] == [5.0, 0.0, 5.0]
    assert report.removed == {"trade_cancelled": 1}
    assert prints(store, NOON + timedelta(seconds=30))["size"].to_list()[:3] == [5.0, 5.0, 5.0]


@pytest.mark.skipif(not HAS_DATABENTO, reason="needs the extra databento")
@pytest.mark.parametrize("schema", ["trades", "tcbbo"])
def test_databento_s_records_are_read_as_its_own_library_reads_them(tmp_path: Path, schema: str) -> None:
    import databento_dbn as dbn

    path = tmp_path / f"opra.{schema}.dbn"
    store, _ = imported(path, databento(schema))
    rows = prints(store)
    decoder = dbn.DBNDecoder()
    decoder.write(path.read_bytes())
    told = [record for record in decoder.decode() if not isinstance(record, dbn.Metadata)]
    assert rows.height == len(told) == 30
    for row, record in zip(rows.iter_rows(named=True), told, strict=True):
        assert row["contract_id"] == {7: SPXW, 8: MONTHLY}[record.instrument_id]
        assert row["price"] == record.price / 1e9
        assert row["size"] == record.size
        assert row["side"] == {"B": "buy", "A": "sell", "N": None}[str(record.side)]
        assert row["exchange"] == "XCBO"
        assert row["available_at"] - row["ts"] == timedelta(microseconds=250)
        if schema == "tcbbo":
            assert (row["bid"], row["ask"]) == (record.levels[0].bid_px / 1e9, record.levels[0].ask_px / 1e9)
            assert (row["bid_size"], row["ask_size"]) == (10.0, 20.0)
        else:
            assert row["bid"] is None


@pytest.mark.skipif(not HAS_DATABENTO, reason="needs the extra databento")
def test_databento_s_records_that_are_no_trades_or_of_nobody_are_rejects(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="30 of 30 unfit"):
        imported(tmp_path / "a.dbn", databento("trades", action=b"C"))
    with pytest.raises(InvalidInput, match="30 of 30 unfit"):
        imported(tmp_path / "b.dbn", databento("trades", instrument_id=99))
    with pytest.raises(InvalidInput, match="OPRA"):
        imported(tmp_path / "c.dbn", databento("trades", dataset="GLBX.MDP3"))


@pytest.mark.skipif(not HAS_DATABENTO, reason="needs the extra databento")
def test_databento_s_compressed_prints_are_recognised(tmp_path: Path) -> None:
    import pyarrow

    store, _ = imported(tmp_path / "opra.tcbbo.dbn.zst", pyarrow.compress(databento("tcbbo"), "zstd", asbytes=True))
    assert prints(store).height == 30
