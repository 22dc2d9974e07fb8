"""Option prints of OPRA in Databento's DBN: schema `trades`, and `tcbbo` with the best bid and offer just before each.

The records are 48 and 80 bytes and are taken as they are. `ts_event` is OPRA's own time, `ts_recv` that of the receipt, from
which on the print was known. The publisher is the exchange; the side is the aggressor's where it is stated. A record that is no
trade (action other than T) is a reject. The header says which contract an instrument number means on which day.
Source: databento.com/docs, "Trades", "TCBBO", "OPRA" (publishers); layout of the records: `databento-dbn`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data.formats._prints import Contracts, print_parts
from fieldcast.data.formats.contract import Format, Options, Parsed, no_rejects
from fieldcast.data.formats.databento import PRINT_CODES, Unfolded, header_of, schema_code
from fieldcast.data.formats.source import Source
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP
from fieldcast.market.tables import OPTION_TRADES

_HEAD = [
    ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"), ("price", "<i8"),
    ("size", "<u4"), ("action", "S1"), ("side", "S1"), ("flags", "u1"), ("depth", "u1"), ("ts_recv", "<u8"),
    ("ts_in_delta", "<i4"), ("sequence", "<u4"),
]  # fmt: skip
TRADE = np.dtype(_HEAD)
TCBBO = np.dtype([
    *_HEAD, ("bid", "<i8"), ("ask", "<i8"), ("bid_size", "<u4"), ("ask_size", "<u4"), ("bid_publisher", "<u2"), ("spare", "S2"),
    ("ask_publisher", "<u2"), ("spare_too", "S2"),
])  # fmt: skip
RECORDS = {"trades": (TRADE, 0), "tcbbo": (TCBBO, 194)}     # schema → record, record type
EXCHANGES = {
    20: "AMXO", 21: "XBOX", 22: "XCBO", 23: "EMLD", 24: "EDGO", 25: "GMNI", 26: "XISX", 27: "MCRY", 28: "XMIO", 29: "ARCO",
    30: "OPRA", 31: "MPRL", 32: "XNDQ", 33: "XBXO", 34: "C2OX", 35: "XPHL", 36: "BATO", 37: "MXOP", 61: "SPHR",
}  # fmt: skip
_ONE, _NO_PRICE, _NO_TIME, _TRADE = 1e9, 2**63 - 1, 2**63, ord("T")
_SIDES = {ord("B"): "buy", ord("A"): "sell"}
_PART = 150_000


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    yield from print_parts(lambda: _parts(source), Contracts(options, source.name))


def _parts(source: Source) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    blocks = Unfolded(source)
    header = header_of(blocks, source.name, tuple(RECORDS))
    if not str(header.dataset).startswith("OPRA"):
        raise InvalidInput(f"expected option prints of OPRA in {source.name}, found the dataset {header.dataset}")
    record, kind = RECORDS[str(header.schema)]
    meanings = _meanings(header)
    first = 0
    while raw := blocks.take(record.itemsize * _PART):
        if len(raw) % record.itemsize:
            raise InvalidInput(
                f"expected records of {record.itemsize} bytes in {source.name}, found one that is cut short; fetch it again"
            )
        records = np.frombuffer(raw, record)
        other = (records["rtype"] != kind) | (records["length"] != record.itemsize // 4)
        if other.any():
            found = records["rtype"][int(np.flatnonzero(other)[0])]
            raise InvalidInput(f"expected records of type {kind} alone in {source.name}, found type {found}")
        yield _prints(records, first, meanings), no_rejects()
        first += len(records)


def _meanings(header: Any) -> pl.DataFrame:
    """`instrument_id`, `first`, `end` (exclusive) and `contract` of each mapping of the header, by `first`."""
    rows = [
        (int(span["symbol"]), span["start_date"], span["end_date"], symbol)
        for symbol, spans in header.mappings.items()
        for span in spans
        if str(span["symbol"]).isdigit() and int(span["symbol"]) < 2**32
    ]
    schema = {"instrument_id": pl.UInt32, "first": pl.Date, "end": pl.Date, "contract": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("first")


def _prints(records: np.ndarray, first: int, meanings: pl.DataFrame) -> pl.DataFrame:
    names = ["publisher_id", "instrument_id", "ts_event", "ts_recv", "size"]
    prices = ["price", *(name for name in ("bid", "ask") if name in (records.dtype.names or ()))]
    sizes = [f"{name}_size" for name in prices[1:]]
    columns = {name: np.ascontiguousarray(records[name]) for name in (*names, *sizes)}
    columns |= {name: np.ascontiguousarray(records[name]).view(np.uint8) for name in ("action", "side")}
    columns |= {name: np.where(records[name] == _NO_PRICE, np.nan, records[name] / _ONE) for name in prices}

    def micros(name: str) -> pl.Expr:
        return pl.when(pl.col(name) < _NO_TIME).then(pl.col(name).cast(pl.Int64, strict=False) // 1000).cast(STAMP)

    frame = pl.DataFrame(columns).with_columns(pl.col(prices).fill_nan(None)).with_row_index("row", first)
    frame = frame.with_columns(pl.col("row").cast(pl.Int64), available_at=micros("ts_recv"), when=micros("ts_event"))
    frame = frame.with_columns(day=pl.col("available_at").dt.date()).sort("day", maintain_order=True).join_asof(
        meanings, left_on="day", right_on="first", by="instrument_id", strategy="backward", check_sortedness=False,
    ).sort("row")
    told = (pl.col("action") == _TRADE) & (pl.col("day") < pl.col("end"))
    return frame.with_columns(
        # what is no trade, or of nobody, has no time and so becomes a reject
        ts=pl.when(told).then(pl.min_horizontal("when", "available_at")),
        text=pl.format("number {} action {} publisher {}", "instrument_id", "action", "publisher_id"),
        contract=pl.col("contract").fill_null(""),
        size=pl.col("size").cast(pl.Float64),
        side=pl.col("side").replace_strict(_SIDES, default=None, return_dtype=pl.String),
        exchange=pl.col("publisher_id").replace_strict(EXCHANGES, default=None, return_dtype=pl.String),
        cancel=pl.lit(value=False),
        taken_back=pl.lit(value=False),
        **{name: pl.col(name).cast(pl.Float64) for name in sizes},
    )


FORMATS = (
    Format(
        "databento-option-prints", "Databento option prints of OPRA in DBN: trades, and tcbbo with the best quotes",
        (OPTION_TRADES.name,), "B: databento.com/docs, Trades and TCBBO; records as databento-dbn lays them out",
        lambda sample: schema_code(sample) in PRINT_CODES, _read,
    ),
)  # fmt: skip
