"""Databento's orders (schema MBO) in its DBN encoding, plain or compressed with zstandard.

The header is decoded with Databento's own library (`databento-dbn`); the records are 56 bytes each and are taken as they are.
Of the actions, A (add), C (cancel: takes its size off the order) and M (modify: price and size anew) change the book; T is a
trade; F (fill) and N change nothing. R empties the book: the first order after it stands with the action `reset`. Records up to
the one with the flag F_LAST are one event and are known when its last record was received. A record with F_MAYBE_BAD_BOOK says
that the feed has lost something; it carries the reason `book_gap`. Source: databento.com/docs, "MBO", "MBO snapshots".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fieldcast.data.formats._streams import Places, not_after, parsed_part
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import ConfigError, InvalidInput, Reason
from fieldcast.market import STAMP, Instrument, Kind, default_instrument

if TYPE_CHECKING:
    import databento_dbn

RECORD = np.dtype(
    [
        ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"),
        ("order_id", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel_id", "u1"), ("action", "S1"),
        ("side", "S1"), ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
    ]
)
_MBO, _WORDS = 160, RECORD.itemsize // 4
_LAST, _SNAPSHOT, _BAD_BOOK = 128, 32, 4
_PRICES_IN_ONE, _NO_PRICE, _NO_TIME = 1e9, 2**63 - 1, 2**63
ZSTD = b"\x28\xb5\x2f\xfd"
_RECORDS = 150_000      # in a part
PRINT_CODES = {4: "trades", 17: "tcbbo"}   # number in the header → schema
_LARGEST_HEADER = 64 << 20
_KEPT = ("instrument_id", "ts_event", "order_id", "size", "flags", "ts_recv", "sequence")
_BOOK_ACTIONS = {"A": "add", "C": "cancel", "M": "modify"}


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    blocks = Unfolded(source)
    header = header_of(blocks, source.name, ("mbo",))
    symbols = _Symbols(header, options, source.name)
    places, held = Places(), pl.DataFrame()
    while raw := blocks.take(RECORD.itemsize * _RECORDS):
        frame = pl.concat([held, _records(raw, source.name)]) if held.height else _records(raw, source.name)
        whole, held = _events(frame)
        yield from _part(whole, symbols, places)
    if held.height:
        yield from _part(held.with_columns(event=pl.int_range(pl.len())), symbols, places)


class Unfolded:
    """The unfolded bytes of a file, taken in pieces of the size that is asked for."""

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._blocks = self._unfolded(source)
        self._rest = b""

    def _unfolded(self, source: Source) -> Iterator[bytes]:
        if source.sample().head[:4] != ZSTD:
            yield from source.blocks()
            return
        import pyarrow

        try:
            with pyarrow.OSFile(str(source.path)) as file, pyarrow.CompressedInputStream(file, "zstd") as stream:
                while block := stream.read(1 << 20):
                    yield block
        except (OSError, pyarrow.ArrowException) as error:
            raise InvalidInput(f"expected {self._name} to be whole, found: {error}; fetch it again") from None

    def take(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        parts, have = [self._rest], len(self._rest)
        while have < size and (block := next(self._blocks, b"")):
            parts.append(block)
            have += len(block)
        together = b"".join(parts)
        self._rest = together[size:]
        return together[:size]


def header_of(blocks: Unfolded, name: str, schemas: Sequence[str]) -> databento_dbn.Metadata:
    """The header of a file, which holds records of one of `schemas`; the records come next.

    Raises
    ------
    InvalidInput : it is no DBN file, or holds records of another schema
    ConfigError : Databento's library is not there
    """
    start = blocks.take(8)
    if start[:3] != b"DBN" or len(start) < 8:
        raise InvalidInput(f"expected {name} to begin with DBN, found {start[:3]!r}")
    length = int.from_bytes(start[4:8], "little")
    if length > _LARGEST_HEADER:
        raise InvalidInput(f"expected a header of at most 64 MiB in {name}, found {length} bytes")
    try:
        import databento_dbn
    except ImportError:
        raise ConfigError("expected Databento's library for .dbn files, found none; pip install 'fieldcast[databento]'") from None
    try:
        header = databento_dbn.Metadata.decode(start + blocks.take(length))
    except (databento_dbn.DBNError, ValueError, OverflowError) as error:
        raise InvalidInput(f"expected a DBN header in {name}, found: {error}; fetch it again") from None
    if str(header.schema) not in schemas:
        raise InvalidInput(f"expected records of schema {' or '.join(schemas)} in {name}, found schema {header.schema}")
    return header


def schema_code(sample: Sample) -> int | None:
    """The number of the schema in a DBN file's header; none where it is no DBN file.

    Source: databento.com/docs, "Databento Binary Encoding", metadata: dataset at byte 8, schema at byte 24.
    """
    start = sample.head[:26]
    if start[:4] == ZSTD:
        import pyarrow

        try:
            with pyarrow.OSFile(str(sample.path)) as file, pyarrow.CompressedInputStream(file, "zstd") as stream:
                start = stream.read(26)
        except (OSError, pyarrow.ArrowException):
            return None
    return int.from_bytes(start[24:26], "little") if start[:3] == b"DBN" and len(start) == 26 else None


class _Symbols:
    """Instrument numbers of the file → instruments, by day."""

    def __init__(self, header: Any, options: Options, name: str) -> None:
        self._venue = options.venue or str(header.dataset).split(".", 1)[0].upper()
        self._options, self._name = options, name
        self._spans: dict[str, list[tuple[Any, Any, str]]] = {}
        for symbol, spans in header.mappings.items():
            for span in spans:
                self._spans.setdefault(str(span["symbol"]), []).append((span["start_date"], span["end_date"], symbol))
        self.instruments: dict[str, Instrument] = {}

    def ids(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With the column `instrument`: null where the file does not say who it is."""
        days = frame.select("instrument_id", day=pl.col("available_at").dt.date()).unique().drop_nulls()
        found = [(number, day, self._find(str(number), day)) for number, day in days.iter_rows()]
        names = pl.DataFrame(
            found, schema={"instrument_id": pl.UInt32, "day": pl.Date, "instrument": pl.String}, orient="row"
        )
        frame = frame.with_columns(day=pl.col("available_at").dt.date())
        return frame.join(names, on=["instrument_id", "day"], how="left", maintain_order="left")

    def _find(self, number: str, day: Any) -> str | None:
        for first, end, symbol in self._spans.get(number, []):
            if first <= day < end:
                return self._described(symbol)
        return None

    def _described(self, symbol: str) -> str | None:
        given = self._options.instrument
        if given is not None:
            if len(self._spans) > 1:
                raise InvalidInput(f"expected one symbol in {self._name} for instrument=, found {len(self._spans)}")
            self.instruments[given.id] = given
            return given.id
        instrument = default_instrument(
            f"{self._venue}:{symbol}", self._options.kind or Kind.FUTURE,
            calendar="CMES" if self._venue == "GLBX" else None,
        )
        self.instruments[instrument.id] = instrument
        return instrument.id


def _records(raw: bytes, name: str) -> pl.DataFrame:
    if len(raw) % RECORD.itemsize:
        raise InvalidInput(f"expected records of {RECORD.itemsize} bytes in {name}, found one that is cut short; fetch it again")
    records = np.frombuffer(raw, RECORD)
    other = (records["rtype"] != _MBO) | (records["length"] != _WORDS)
    if other.any():
        at = int(np.flatnonzero(other)[0])
        raise InvalidInput(f"expected records of orders (type 160) alone in {name}, found type {records['rtype'][at]}")
    columns = {name: np.ascontiguousarray(records[name]) for name in _KEPT}
    columns |= {name: np.ascontiguousarray(records[name]).view(np.uint8) for name in ("action", "side")}
    price = np.where(records["price"] == _NO_PRICE, np.nan, records["price"] / _PRICES_IN_ONE)
    return pl.DataFrame({**columns, "price": price}).with_columns(pl.col("price").fill_nan(None))


def _events(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records of finished events, numbered by instrument in `event`, and the others; without F_LAST each record is an event."""
    last = (pl.col("flags") & _LAST) > 0
    event = last.cast(pl.Int64).cum_sum().over("instrument_id") - last.cast(pl.Int64)
    frame = frame.drop("event", strict=False).with_columns(event=event)
    finished = frame.select(last.cast(pl.Int64).cum_sum(reverse=True).over("instrument_id") > 0).to_series()
    if not finished.any():
        return frame.with_columns(event=pl.int_range(pl.len())), frame.clear()
    return frame.filter(finished), frame.filter(~finished).drop("event")


def _part(frame: pl.DataFrame, symbols: _Symbols, places: Places) -> Iterator[Parsed]:
    def micros(name: str) -> pl.Expr:
        return pl.when(pl.col(name) < _NO_TIME).then(pl.col(name).cast(pl.Int64, strict=False) // 1000).cast(STAMP)

    group = ["instrument_id", "event"]
    frame = frame.with_row_index("row").with_columns(
        micros("ts_recv").max().over(group).alias("available_at"), micros("ts_event").alias("when"),
        first_update=pl.col("sequence").first().over(group).cast(pl.Int64),
        last_update=pl.col("sequence").last().over(group).cast(pl.Int64),
        snapshot=(pl.col("flags") & _SNAPSHOT) > 0,
        **{name: pl.col(name).replace_strict({code: chr(code) for code in range(65, 91)}, default=None, return_dtype=pl.String)
           for name in ("action", "side")},
        size=pl.col("size").cast(pl.Float64), order_id=pl.col("order_id").cast(pl.String),
        reasons=pl.when((pl.col("flags") & _BAD_BOOK) > 0).then(pl.lit(str(Reason.BOOK_GAP))),
    )
    frame = symbols.ids(frame).with_columns(
        ts=not_after("when", "available_at").max().over(group),
        text=pl.concat_str(pl.lit("order "), "order_id", pl.lit(" action "), pl.col("action").fill_null("?"), ignore_nulls=True),
        row=pl.col("row").cast(pl.Int64),
    )
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("instrument", "when", "available_at", "action"))
    unread = [frame.filter(lacking)]
    frame = frame.filter(~lacking)
    depth, lost = _book(frame)
    trades, also_lost = _trades(frame)
    unread += [lost, also_lost]
    yield from parsed_part(
        {"depth": depth, "trades": trades}, unread, tuple(symbols.instruments.values()), places,
        ("tick, lot and multiplier are not in the file",),
    )


def _book(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    cleared = (pl.col("action") == "R").cast(pl.Int64).cum_sum().over("instrument")
    changes = frame.with_columns(cleared=cleared).filter(pl.col("action").is_in(list(_BOOK_ACTIONS)))
    placing = pl.col("action").is_in(["A", "M"])
    since = pl.when(placing).then("cleared").forward_fill().over("instrument").shift(1).over("instrument").fill_null(0)
    sides = pl.col("side").replace_strict({"B": "bid", "A": "ask"}, default=None, return_dtype=pl.String)
    changes = changes.with_columns(
        side=sides,
        action=pl.when(placing & (pl.col("cleared") > since)).then(pl.lit("reset")).otherwise(
            pl.col("action").replace_strict(_BOOK_ACTIONS, return_dtype=pl.String)
        ),
    )
    unfit = pl.col("side").is_null() | pl.col("price").is_null() | (pl.col("price") <= 0)
    return changes.filter(~unfit.fill_null(value=True)), changes.filter(unfit.fill_null(value=True))


def _trades(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    deals = frame.filter(pl.col("action") == "T").with_columns(     # the side of a trade is its aggressor's
        side=pl.col("side").replace_strict({"B": "buy", "A": "sell"}, default=None, return_dtype=pl.String),
        trade_id=pl.lit(None, dtype=pl.String),
    )
    unfit = pl.col("price").is_null() | (pl.col("price") <= 0)
    return deals.filter(~unfit), deals.filter(unfit)


def _is_dbn(sample: Sample) -> bool:
    if schema_code(sample) in PRINT_CODES:
        return False
    return sample.head.startswith(b"DBN") or (sample.head[:4] == ZSTD and ".dbn" in sample.name)


FORMATS = (
    Format(
        "databento-mbo", "Databento orders (MBO) in DBN, plain or zstandard", ("depth", "trades"),
        "A: the snapshot of ESH4 of 2023-12-24, 8,725 orders", _is_dbn, _read,
    ),
)
