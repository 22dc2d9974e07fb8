"""Bybit: bars of a perpetual future, and the order book of 500 levels from its history service.

Bars: `timestamp,open,high,low,close,volume`, the start of the bar in UTC, volume in the base asset.
Order book: a zip of one file with a message a line, `{"topic":"orderbook.500.XRPUSDT","type":"snapshot"|"delta","ts":…,"data":
{"s","b","a","u","seq"},"cts":…}`: `u` grows by one with each message, a snapshot (also one that starts again at 1) replaces the
book, size 0 removes a level (Bybit, v5, public orderbook). `cts` is when the matching engine made it, `ts` when the system sent
it; when it reached anyone is not in the file, so that `ts` stands as the moment it was known.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import polars as pl

from fieldcast.data.formats._bar_files import BarFile, read_bar_file
from fieldcast.data.formats._moments import epoch
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats._streams import (
    LEVELS,
    Places,
    book_rows,
    decoded,
    joined_empty,
    not_after,
    numbered_lines,
    parsed_part,
)
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument

_BOOK = pl.Struct(
    {
        "type": pl.String(), "ts": pl.Int64(), "cts": pl.Int64(),
        "data": pl.Struct({"s": pl.String(), "b": LEVELS, "a": LEVELS, "u": pl.Int64()}),
    }
)
_SENT = "known when Bybit sent it (ts): the file does not say when it was received"


def _instrument(name: str, options: Options) -> Instrument:
    return crypto_instrument("BYBIT", crypto_symbol(name), options, perpetual=True)


_BARS = BarFile(
    columns=("timestamp", "open", "high", "low", "close", "volume"), instrument=_instrument, time="timestamp",
    notes=("taken as a linear perpetual future, whose volume is in the base asset",),
)


def _read_book(source: Source, options: Options) -> Iterator[Parsed]:
    places, instruments = Places(), dict[str, Instrument]()
    for lines in numbered_lines(source):
        messages, broken = decoded(lines.with_columns(json=pl.col("text")), "json", _BOOK)
        messages = messages.unnest("data")
        for symbol in messages["s"].drop_nulls().unique().sort():
            if symbol not in instruments:
                try:
                    instruments[symbol] = crypto_instrument("BYBIT", symbol, options, perpetual=True)
                except InvalidInput:
                    continue
        if options.instrument is not None and len(instruments) > 1:
            raise InvalidInput(f"expected one symbol in {source.name} for instrument=, found {', '.join(instruments)}")
        ids = {symbol: instrument.id for symbol, instrument in instruments.items()}
        snapshot = pl.when(pl.col("type").is_in(["snapshot", "delta"])).then(pl.col("type") == "snapshot")
        messages = messages.with_columns(
            pl.col("s").replace_strict(ids, default=None, return_dtype=pl.String).alias("instrument"),
            epoch("ts").alias("available_at"), epoch("cts").alias("event"), snapshot.alias("snapshot"),
            first_update=pl.col("u"), last_update=pl.col("u"), bids=pl.col("b"), asks=pl.col("a"),
        )
        needed = ("instrument", "available_at", "snapshot", "last_update", "bids", "asks")
        lacking = pl.any_horizontal(pl.col(name).is_null() for name in needed)
        whole = messages.filter(~lacking).with_columns(ts=not_after("event", "available_at"))
        columns = ["row", "text", "instrument", "ts", "available_at", "first_update", "last_update", "snapshot", "bids", "asks"]
        rows, unfit = book_rows(joined_empty(whole.select(columns)))
        unread = [broken, messages.filter(lacking), unfit]
        yield from parsed_part({"depth": rows}, unread, tuple(instruments.values()), places, (_SENT,), reported=False)


def _is_book(sample: Sample) -> bool:
    return sample.head.startswith(b'{"topic":"orderbook.')


def _is_bars(sample: Sample) -> bool:
    here = any("bybit" in part.lower() for part in sample.path.parts[-2:])
    return here and sample.first_line == ",".join(_BARS.columns)


FORMATS = (
    Format(
        "bybit-book", "Bybit order book of 500 levels (history service)", ("depth",),
        "A: XRPUSDT, five seconds of 2024-12-01, without a gap and never crossed", _is_book, _read_book,
    ),
    Format(
        "bybit-bars", "Bybit candles of a perpetual future",
        tuple(f"bars/{interval}" for interval in ("1m", "5m", "15m", "30m", "1h", "4h", "1d")),
        "A: SOLUSDT 5m, April to July 2025", _is_bars, partial(read_bar_file, _BARS),
    ),
)
