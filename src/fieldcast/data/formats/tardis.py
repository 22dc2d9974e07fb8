"""Tardis.dev's downloadable CSV files: changes of the book, trades, quotes and snapshots of the best levels.

Each begins with `exchange,symbol,timestamp,local_timestamp`, both times in microseconds: that of the exchange, and that of the
receipt, at which the row became known. Amounts are in the exchange's own unit (contracts or US dollars at some). Of the changes,
`is_snapshot` rows replace the book and amount 0 removes a level. The changes carry no number of the exchange: the row after one
that could not be read carries the reason `book_gap`, so that the book counts as unknown until its next snapshot.
Source: docs.tardis.dev, "Downloadable CSV files".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import polars as pl

from fieldcast.data.formats._moments import epoch
from fieldcast.data.formats._streams import CLOCK_NOTE, Places, not_after
from fieldcast.data.formats._ticks import text_parts, tick_part
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import number, sound_symbol, venue_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, default_instrument

_HEAD = ("exchange", "symbol", "timestamp", "local_timestamp")
_CHANGES = (*_HEAD, "is_snapshot", "side", "price", "amount")
_TRADES = (*_HEAD, "id", "side", "price", "amount")
_QUOTES = (*_HEAD, "ask_amount", "ask_price", "bid_price", "bid_amount")
_SPOT = ("binance", "coinbase", "kraken", "bitstamp", "bitfinex", "gemini", "okex", "okx", "huobi", "bybit-spot", "upbit")
_VENUES = {"binance-futures": "BINANCE", "binance-delivery": "BINANCE", "huobi-dm-swap": "HUOBISWAP"}
_BINANCE_DATED = re.compile(r"[A-Z0-9]+_\d{6}")      # a contract that expires, such as BTCUSDT_210326
_CURRENCY = re.compile(r"(USDT|USDC|BUSD|USD|EUR|BTC)(?=[-_.]|$)")
_UNITS = "sizes are in the exchange's own unit, which may be contracts"

Convert = Callable[[pl.DataFrame], pl.DataFrame]


def _read(
    columns: tuple[str, ...] | None, table: str, convert: Convert, needed: tuple[str, ...], source: Source, options: Options
) -> Iterator[Parsed]:
    if columns is None:
        columns = tuple(source.sample().first_line.split(","))
        levels = (len(columns) - len(_HEAD)) // 4
        if columns != _snapshot_columns(levels) or not levels:
            found = ", ".join(columns)[:200]
            raise InvalidInput(f"expected columns {', '.join(_snapshot_columns(1))} … in {source.name}, found {found}")
    places, instruments, lost = Places(), dict[tuple[str, str], Instrument](), dict[str, int]()
    for frame, broken in text_parts(source, columns, header=True):
        _describe(frame, instruments, options, source.name)
        names = pl.DataFrame(
            [(exchange, symbol, instrument.id) for (exchange, symbol), instrument in instruments.items()],
            schema={"exchange": pl.String, "symbol": pl.String, "instrument": pl.String}, orient="row",
        )
        frame = frame.join(names, on=["exchange", "symbol"], how="left", maintain_order="left").with_columns(
            epoch("local_timestamp").alias("available_at"), epoch("timestamp").alias("event")
        )
        frame = convert(frame.with_columns(ts=not_after("event", "available_at")))
        used = (*needed, "instrument", "event", "available_at")
        if table == "depth":
            frame = _torn(frame, broken, used, lost)
        yield from tick_part(
            table, frame, broken, tuple(instruments.values()), places, used, reported=True, notes=(CLOCK_NOTE, _UNITS)
        )


def _snapshot_columns(levels: int) -> tuple[str, ...]:
    """The header of snapshots of so many levels."""
    sides = (f"{side}s[{level}].{value}" for level in range(levels) for side in ("ask", "bid") for value in ("price", "amount"))
    return (*_HEAD, *sides)


def _torn(frame: pl.DataFrame, broken: pl.DataFrame, needed: tuple[str, ...], lost: dict[str, int]) -> pl.DataFrame:
    """With `reasons`: `book_gap` on the first sound row of each instrument after rows that could not be read.

    lost : instrument → rows of the source that were unreadable before its newest sound row; brought up to date
    """
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in needed)
    bad = pl.concat([broken["row"], frame.filter(lacking)["row"]]).unique().sort()
    total = lost.get("", 0)
    before = bad.search_sorted(frame["row"], side="left").cast(pl.Int64) + total
    sound = frame.with_columns(before.alias("before")).with_columns(
        known=pl.when(~lacking).then("before").forward_fill().over("instrument").shift(1).over("instrument")
    )
    old = pl.col("instrument").replace_strict(lost, default=0, return_dtype=pl.Int64)
    torn = ~lacking & (pl.col("before") > pl.coalesce("known", old))
    sound = sound.with_columns(reasons=pl.when(torn).then(pl.lit(str(Reason.BOOK_GAP))))
    newest = sound.filter(~lacking).group_by("instrument").agg(pl.col("before").max())
    lost |= dict(newest.iter_rows())
    lost[""] = total + bad.len()
    return sound


def _describe(frame: pl.DataFrame, known: dict[tuple[str, str], Instrument], options: Options, name: str) -> None:
    """Add the instruments of a part to those that are known."""
    pairs = frame.filter(sound_symbol("symbol") & pl.col("exchange").str.contains(r"^[a-z0-9-]{2,32}$"))
    for exchange, symbol in pairs.select("exchange", "symbol").unique(maintain_order=True).iter_rows():
        if (exchange, symbol) in known:
            continue
        venue = _VENUES.get(exchange) or exchange.replace("-", "").upper()[:12]
        quoted = _CURRENCY.search(symbol.upper())
        usual = default_instrument(
            f"{venue_of(options.venue or venue)}:{_id_symbol(exchange, symbol)}",
            options.kind or (Kind.CRYPTO if exchange in _SPOT else Kind.FUTURE), calendar="24/7",
            currency="USD" if quoted is None else quoted.group(1),
        )
        known[exchange, symbol] = options.instrument or usual
    if options.instrument is not None and len(known) > 1:
        raise InvalidInput(f"expected one symbol in {name} for instrument=, found {', '.join(symbol for _, symbol in known)}")


def _id_symbol(exchange: str, symbol: str) -> str:
    """The symbol of the id: Binance's perpetual futures end with `-PERP`, as in every other reader, and never share an id with
    the spot pair."""
    if _VENUES.get(exchange) != "BINANCE" or _BINANCE_DATED.fullmatch(symbol.upper()):
        return symbol
    return f"{symbol.upper().removesuffix('_PERP')}-PERP"


def _changes(frame: pl.DataFrame) -> pl.DataFrame:
    flags = {"true": True, "false": False}
    price, size = number("price"), number("amount")
    return frame.with_columns(
        pl.when(price.is_finite() & (price > 0)).then(price).alias("price"),
        pl.when(size.is_finite() & (size >= 0)).then(size).alias("size"),
        pl.when(pl.col("side").is_in(["bid", "ask"])).then("side").alias("side"),
        snapshot=pl.col("is_snapshot").replace_strict(flags, default=None, return_dtype=pl.Boolean),
    )


def _trades(frame: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("side").is_in(["buy", "sell"])       # the exchange may leave it unknown
    return frame.with_columns(
        number("price"), number("amount").alias("size"), pl.when(known).then("side").alias("side"),
        trade_id=pl.when(pl.col("id") != "").then("id"),
    )


def _quotes(frame: pl.DataFrame) -> pl.DataFrame:
    pairs = {"bid": "bid_price", "ask": "ask_price", "bid_size": "bid_amount", "ask_size": "ask_amount"}
    return frame.with_columns(number(theirs).alias(ours) for ours, theirs in pairs.items())


def _snapshots(frame: pl.DataFrame) -> pl.DataFrame:
    """A row for each level of each snapshot, bids before asks; a level that is empty is none."""
    sides = []
    for place, side in enumerate(("bid", "ask")):
        levels = sum(name.startswith("asks[") for name in frame.columns) // 2
        for level in range(levels):
            price, amount = f"{side}s[{level}].price", f"{side}s[{level}].amount"
            there = (pl.col(price) != "") | (pl.col(amount) != "")
            sides.append(
                frame.filter(there).select(
                    "row", "text", "instrument", "ts", "event", "available_at", number(price).alias("price"),
                    number(amount).alias("size"), pl.lit(side).alias("side"), pl.lit(value=True).alias("snapshot"),
                    pl.lit(place * levels + level).alias("order"),
                )
            )
    return pl.concat(sides).sort("row", "order")


def _is(columns: tuple[str, ...]) -> Callable[[Sample], bool]:
    return lambda sample: sample.first_line == ",".join(columns)


def _is_snapshots(sample: Sample) -> bool:
    return sample.first_line.startswith(",".join((*_HEAD, "asks[0].price,asks[0].amount,bids[0].price,bids[0].amount")))


_DOC = "docs.tardis.dev, Downloadable CSV files"
FORMATS = (
    Format(
        "tardis-changes", "Tardis incremental_book_L2: changes of the book", ("depth",),
        f"B: {_DOC}; the first 15 rows of a Deribit file", _is(_CHANGES),
        partial(_read, _CHANGES, "depth", _changes, ("snapshot", "side", "price", "size")),
    ),
    Format(
        "tardis-snapshots", "Tardis book_snapshot_5 and _25: the best levels", ("depth",),
        f"B: {_DOC}; the first 10 rows of two Binance futures files", _is_snapshots,
        partial(_read, None, "depth", _snapshots, ("side", "price", "size")),
    ),
    Format(
        "tardis-trades", "Tardis trades", ("trades",), f"B: {_DOC}; the first 10 rows of a BitMEX file", _is(_TRADES),
        partial(_read, _TRADES, "trades", _trades, ("price", "size")),
    ),
    Format(
        "tardis-quotes", "Tardis quotes: best bid and ask", ("quotes",), f"B: {_DOC}; the first 10 rows of a Huobi file",
        _is(_QUOTES), partial(_read, _QUOTES, "quotes", _quotes, ()),
    ),
)
