"""Binance's streams as hftbacktest records them: `receipt in nanoseconds, space, JSON` on each line.

`<symbol>@depth…` are changes of the book with the first and last number (`U`, `u`) of what they sum up, `lastUpdateId` marks
the snapshot that REST gave, `@bookTicker` the best bid and ask, `@trade` a trade. On the futures exchange a change also names
the last number before it (`pu`), and its own first number does not follow on it: there `pu + 1` stands as the first number, so
that one rule holds for both (Binance, "How to manage a local order book correctly").

Every row became known at its receipt. The receiver's clock may be behind the exchange's, as it is by 1.27 s in the file this is
proved on: an event cannot have ended after it was received, so that `ts` is then the receipt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from fieldcast.data.formats._bar_files import stem_of
from fieldcast.data.formats._moments import epoch
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats._streams import (
    CLOCK_NOTE,
    LEVELS,
    Places,
    book_rows,
    decoded,
    joined_empty,
    not_after,
    numbered_lines,
    parsed_part,
    received,
)
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument

_KIND = r'^\{"stream":"[^"@]{1,40}@([A-Za-z]+)'
_INT, _TEXT = pl.Int64(), pl.String()


def _data(**fields: pl.DataType) -> pl.Struct:
    return pl.Struct({"data": pl.Struct(fields)})


_DEPTH = _data(E=_INT, s=_TEXT, U=_INT, u=_INT, pu=_INT, b=LEVELS, a=LEVELS)
_TICKER = _data(E=_INT, s=_TEXT, b=_TEXT, B=_TEXT, a=_TEXT, A=_TEXT)
_TRADE = _data(E=_INT, s=_TEXT, t=_INT, p=_TEXT, q=_TEXT, T=_INT, m=pl.Boolean())
_SNAPSHOT = pl.Struct({"lastUpdateId": _INT, "bids": LEVELS, "asks": LEVELS})


@dataclass
class _Reader:
    """What is known of the file so far."""

    options: Options
    name: str
    places: Places = field(default_factory=Places)
    instruments: dict[str, Instrument] = field(default_factory=dict)     # symbol → instrument
    perpetual: bool | None = None
    other: dict[str, None] = field(default_factory=dict)                 # streams that no table has

    def ids(self, symbols: pl.Series) -> pl.Expr:
        """Symbol → id, for the column `s`; a symbol that can be none is null."""
        for symbol in symbols.drop_nulls().unique().sort().to_list():
            if symbol not in self.instruments:
                try:
                    found = crypto_instrument("BINANCE", symbol, self.options, perpetual=bool(self.perpetual))
                except InvalidInput:
                    continue
                self.instruments[symbol] = found
        if self.options.instrument is not None and len(self.instruments) > 1:
            raise InvalidInput(f"expected one symbol in {self.name} for instrument=, found {', '.join(self.instruments)}")
        ids = {symbol: instrument.id for symbol, instrument in self.instruments.items()}
        return pl.col("s").replace_strict(ids, default=None, return_dtype=pl.String)

    def only(self) -> str:
        """Of whom a snapshot speaks, which does not say it itself."""
        if not self.instruments:
            self.ids(pl.Series([crypto_symbol(self.name.upper())], dtype=pl.String))
        if len(self.instruments) != 1:
            raise InvalidInput(
                f"expected the changes of one symbol around the snapshot of {self.name}, found "
                f"{', '.join(self.instruments) or 'none'}; split the file by symbol, or give instrument="
            )
        return next(iter(self.instruments.values())).id


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    reader = _Reader(options, stem_of(source))
    for lines in numbered_lines(source):
        yield from _part(lines, reader)


def _part(lines: pl.DataFrame, reader: _Reader) -> Iterator[Parsed]:
    split = pl.col("text").str.splitn(" ", 2).struct.rename_fields(["receipt", "json"])
    lines = lines.with_columns(split.alias("parts")).unnest("parts").with_columns(received("receipt").alias("available_at"))
    kind = pl.when(pl.col("json").str.starts_with('{"lastUpdateId"')).then(pl.lit("snapshot")).otherwise(
        pl.col("json").str.extract(_KIND)
    )
    lines = lines.with_columns(kind=kind)
    known = pl.col("available_at").is_not_null() & pl.col("kind").is_not_null()
    unread = [lines.filter(~known)]
    lines = lines.filter(known)
    of_kind = {name: lines.filter(pl.col("kind") == name).drop("kind", "receipt") for name in
               ("depth", "snapshot", "bookTicker", "trade")}
    reader.other |= dict.fromkeys(lines.filter(~pl.col("kind").is_in(list(of_kind)))["kind"].unique().sort())
    tables = {}
    for table, rows, lost in (_depth(of_kind, reader), _quotes(of_kind, reader), _trades(of_kind, reader)):
        tables[table] = rows
        unread += lost
    notes = [CLOCK_NOTE]
    if reader.other:
        notes.append(f"streams that are not stored: {', '.join(reader.other)}")
    yield from parsed_part(tables, unread, tuple(reader.instruments.values()), reader.places, tuple(notes))


def _depth(of_kind: dict[str, pl.DataFrame], reader: _Reader) -> tuple[str, pl.DataFrame, list[pl.DataFrame]]:
    changes, broken = decoded(of_kind["depth"], "json", _DEPTH)
    changes = changes.unnest("data")
    if reader.perpetual is None and changes.height:
        reader.perpetual = changes["pu"].is_not_null().any()
    changes = changes.with_columns(
        reader.ids(changes["s"]).alias("instrument"), epoch("E").alias("event"),
        first_update=pl.when(pl.col("pu").is_not_null()).then(pl.col("pu") + 1).otherwise("U"), last_update=pl.col("u"),
        snapshot=pl.lit(value=False), bids=pl.col("b"), asks=pl.col("a"),
    )
    snapshots, also_broken = decoded(of_kind["snapshot"], "json", _SNAPSHOT)
    if snapshots.height:
        snapshots = snapshots.with_columns(
            instrument=pl.lit(reader.only()), event=pl.col("available_at"), first_update=pl.lit(None, dtype=pl.Int64),
            last_update=pl.col("lastUpdateId"), snapshot=pl.lit(value=True),
        )
        changes = pl.concat([changes.select(_MESSAGE), snapshots.select(_MESSAGE)]).sort("row")
    needed = ["instrument", "event", "last_update", "bids", "asks"]
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in needed) | (
        ~pl.col("snapshot") & pl.col("first_update").is_null()
    )
    whole = changes.filter(~lacking).with_columns(ts=not_after("event", "available_at"))
    rows, unfit = book_rows(joined_empty(whole).select(*_MESSAGE, "ts"))
    return "depth", rows, [broken, also_broken, changes.filter(lacking), unfit]


_MESSAGE = ["row", "text", "instrument", "event", "available_at", "first_update", "last_update", "snapshot", "bids", "asks"]


def _quotes(of_kind: dict[str, pl.DataFrame], reader: _Reader) -> tuple[str, pl.DataFrame, list[pl.DataFrame]]:
    ticks, broken = decoded(of_kind["bookTicker"], "json", _TICKER)
    ticks = ticks.unnest("data")
    ticks = ticks.with_columns(
        reader.ids(ticks["s"]).alias("instrument"), epoch("E").alias("event"),
        *(pl.col(theirs).cast(pl.Float64, strict=False).alias(ours)
          for theirs, ours in (("b", "bid"), ("B", "bid_size"), ("a", "ask"), ("A", "ask_size"))),
    )
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("instrument", "bid", "ask"))
    rows = ticks.filter(~lacking).with_columns(ts=not_after("event", "available_at"))
    return "quotes", rows, [broken, ticks.filter(lacking)]


def _trades(of_kind: dict[str, pl.DataFrame], reader: _Reader) -> tuple[str, pl.DataFrame, list[pl.DataFrame]]:
    deals, broken = decoded(of_kind["trade"], "json", _TRADE)
    deals = deals.unnest("data")
    deals = deals.with_columns(
        reader.ids(deals["s"]).alias("instrument"), epoch("T").alias("event"),
        price=pl.col("p").cast(pl.Float64, strict=False), size=pl.col("q").cast(pl.Float64, strict=False),
        side=pl.when("m").then(pl.lit("sell")).when(~pl.col("m")).then(pl.lit("buy")),     # m: the buyer was resting
        trade_id=pl.col("t").cast(pl.String),
    )
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("instrument", "event", "price", "size"))
    rows = deals.filter(~lacking).with_columns(ts=not_after("event", "available_at"))
    return "trades", rows, [broken, deals.filter(lacking)]


def _is_stream(sample: Sample) -> bool:
    receipt, _, json = sample.first_line.partition(" ")
    return len(receipt) == 19 and receipt.isdigit() and json.startswith(('{"stream":"', '{"lastUpdateId"'))


FORMATS = (
    Format(
        "binance-stream", "Binance streams as recorded by hftbacktest: book changes and snapshots, best quotes, trades",
        ("depth", "quotes", "trades"),
        "A: BTCUSDT spot, six minutes of 2024-08-08: 3,451 changes of the book, none crossed after the snapshot",
        _is_stream, _read,
    ),
)
