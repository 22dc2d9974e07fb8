"""Small files of Binance data as the NautilusTrader project ships them: changes of a futures book, quotes, trades.

Book: `symbol,timestamp,first_update_id,last_update_id,side,update_type,price,qty,pu` (Binance's history of futures books), where
`snap` rows are a snapshot and `set` rows changes after the number `pu`. Quotes and trades: Parquet with `timestamp` and the
columns below. Nothing says when a row was received: it counts as known at its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import polars as pl

from fieldcast.data.formats._bar_files import stem_of
from fieldcast.data.formats._moments import epoch
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats._streams import Places
from fieldcast.data.formats._ticks import text_parts, tick_part
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import number
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP, Instrument

_BOOK = ("symbol", "timestamp", "first_update_id", "last_update_id", "side", "update_type", "price", "qty", "pu")
_PARTS = 200_000
Convert = Callable[[pl.DataFrame], pl.DataFrame]


def _read_book(source: Source, options: Options) -> Iterator[Parsed]:
    places, instruments = Places(), dict[str, Instrument]()
    for frame, broken in text_parts(source, _BOOK, header=True):
        for symbol in frame["symbol"].unique().sort():
            if symbol not in instruments:
                try:
                    instruments[symbol] = crypto_instrument("BINANCE", symbol, options, perpetual=True)
                except InvalidInput:
                    continue
        if options.instrument is not None and len(instruments) > 1:
            raise InvalidInput(f"expected one symbol in {source.name} for instrument=, found {', '.join(instruments)}")
        ids = {symbol: instrument.id for symbol, instrument in instruments.items()}
        kind = pl.when(pl.col("update_type").is_in(["snap", "set"])).then(pl.col("update_type") == "snap")
        before = pl.col("pu").cast(pl.Int64, strict=False)
        price, size = number("price"), number("qty")
        frame = frame.with_columns(
            pl.col("symbol").replace_strict(ids, default=None, return_dtype=pl.String).alias("instrument"),
            epoch("timestamp").alias("ts"), kind.alias("snapshot"),
            pl.col("side").replace_strict({"b": "bid", "a": "ask"}, default=None, return_dtype=pl.String),
            pl.when(price.is_finite() & (price > 0)).then(price).alias("price"),
            pl.when(size.is_finite() & (size >= 0)).then(size).alias("size"),
            pl.col("last_update_id").cast(pl.Int64, strict=False).alias("last_update"),
            first_update=pl.when(~kind & (before >= 0)).then(before + 1).when(~kind).then(
                pl.col("first_update_id").cast(pl.Int64, strict=False)
            ),
        )
        needed = ("instrument", "ts", "snapshot", "side", "price", "size", "last_update")
        frame = _whole_messages(frame, needed)
        yield from tick_part("depth", frame, broken, tuple(instruments.values()), places, needed)


def _whole_messages(frame: pl.DataFrame, needed: tuple[str, ...]) -> pl.DataFrame:
    """Rows of a message in which one level cannot be read count as unread, all of them."""
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in needed)
    spoilt = lacking.any().over("symbol", "timestamp", "last_update_id")
    return frame.with_columns(pl.when(~spoilt).then("price").alias("price"))


def _read_parquet(table: str, columns: dict[str, str], convert: Convert, source: Source, options: Options) -> Iterator[Parsed]:
    import pyarrow
    import pyarrow.parquet

    instrument = crypto_instrument("BINANCE", crypto_symbol(stem_of(source).upper()), options)
    places, first = Places(), 0
    try:
        with pyarrow.parquet.ParquetFile(source.path) as file:
            for batch in file.iter_batches(_PARTS, columns=list(columns)):
                batch.validate(full=True)
                # each column by itself and of a plain type: what a damaged file names is not to be trusted any further
                frame = pl.DataFrame(
                    {name: pl.Series(batch.column(name).cast(pyarrow.type_for_alias(kind))) for name, kind in columns.items()}
                )
                rows = pl.int_range(first, first + frame.height, dtype=pl.Int64, eager=True)
                first += frame.height
                micros = frame["timestamp"].cast(pl.Int64)      # polars panics over the words of a date that no calendar has
                frame = frame.with_columns(pl.when(micros.is_between(*_EVER)).then("timestamp").alias("timestamp"))
                said = pl.coalesce(pl.col("timestamp").cast(pl.String), micros.cast(pl.String)).alias("timestamp")
                frame = frame.with_columns(
                    rows.alias("row"),
                    pl.concat_str(said, pl.exclude("timestamp").cast(pl.String), separator=",", ignore_nulls=True).alias("text"),
                    pl.col("timestamp").dt.replace_time_zone("UTC").cast(STAMP).alias("ts"), instrument=pl.lit(instrument.id),
                )
                yield from tick_part(table, convert(frame), frame.clear(), (instrument,), places, ("ts",))
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"expected {table} of Binance in {source.name}, found: {str(error)[:200]}") from None


_EVER = (-62_135_596_800_000_000, 253_402_300_799_999_999)       # microseconds: years 1 to 9999
_QUOTES = {"timestamp": "timestamp[us]", "bid": "double", "ask": "double", "bid_size": "double", "ask_size": "double"}
_TRADES = {"timestamp": "timestamp[us]", "trade_id": "int64", "price": "double", "quantity": "double", "buyer_maker": "string"}


def _trades(frame: pl.DataFrame) -> pl.DataFrame:
    makers = {"True": "sell", "true": "sell", "False": "buy", "false": "buy"}       # the buyer was resting: a seller came
    return frame.with_columns(
        pl.col("quantity").alias("size"), pl.col("trade_id").cast(pl.String),
        side=pl.col("buyer_maker").replace_strict(makers, default=None, return_dtype=pl.String),
    )


def _is_book(sample: Sample) -> bool:
    return sample.first_line == ",".join(_BOOK)


def _is_parquet(what: str) -> Callable[[Sample], bool]:
    return lambda sample: sample.head.startswith(b"PAR1") and "binance" in sample.name and f"-{what}" in sample.name


FORMATS = (
    Format(
        "nautilus-book", "Binance futures book, snapshots and changes, as CSV", ("depth",),
        "A: BTCUSDT, 100 levels of a snapshot and 100 changes of 2022-11-01", _is_book, _read_book,
    ),
    Format(
        "nautilus-quotes", "Binance quotes as Parquet", ("quotes",), "A: BTCUSDT, 450 quotes of 2021-01-08",
        _is_parquet("quotes"), partial(_read_parquet, "quotes", _QUOTES, lambda frame: frame),
    ),
    Format(
        "nautilus-trades", "Binance trades as Parquet", ("trades",), "A: BTCUSDT, 2,001 trades of 2021-01-08",
        _is_parquet("trades"), partial(_read_parquet, "trades", _TRADES, _trades),
    ),
)
