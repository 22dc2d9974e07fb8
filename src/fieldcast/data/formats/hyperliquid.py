"""Hyperliquid's streams as hftbacktest records them: `receipt in nanoseconds, space, JSON` on each line.

`l2Book` is the whole visible book of 20 levels a side each time (`levels`: bids, then asks), `trades` a list of trades, in which
side B is a buying aggressor and A a selling one (Hyperliquid, websocket subscriptions). The first list of trades repeats trades
from before the subscription: they happened then, and were known here at their receipt.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._moments import epoch
from fieldcast.data.formats._streams import (
    CLOCK_NOTE,
    Places,
    book_rows,
    decoded,
    not_after,
    numbered_lines,
    parsed_part,
    received,
)
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import sound_symbol, venue_of
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, default_instrument

_TEXT, _INT = pl.String(), pl.Int64()
_SIDES = pl.List(pl.List(pl.Struct({"px": _TEXT, "sz": _TEXT})))
_BOOK = pl.Struct({"data": pl.Struct({"coin": _TEXT, "time": _INT, "levels": _SIDES})})
_TRADE = pl.Struct({"coin": _TEXT, "side": _TEXT, "px": _TEXT, "sz": _TEXT, "time": _INT, "tid": _INT})
_TRADES = pl.Struct({"data": pl.List(_TRADE)})


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    places, instruments = Places(), dict[str, Instrument]()
    for lines in numbered_lines(source):
        split = pl.col("text").str.splitn(" ", 2).struct.rename_fields(["receipt", "json"])
        lines = lines.with_columns(split.alias("parts")).unnest("parts").with_columns(
            received("receipt").alias("available_at"), kind=pl.col("json").str.extract(r'^\{"channel":"(l2Book|trades)"')
        )
        known = pl.col("available_at").is_not_null() & pl.col("kind").is_not_null()
        parts = {kind: lines.filter(known & (pl.col("kind") == kind)).drop("kind", "receipt") for kind in ("l2Book", "trades")}
        books, broken = decoded(parts["l2Book"], "json", _BOOK)
        deals, also_broken = decoded(parts["trades"], "json", _TRADES)
        books = books.unnest("data")
        deals = deals.explode("data", empty_as_null=False, keep_nulls=True).unnest("data")
        ids = _ids(pl.concat([books["coin"], deals["coin"]]), instruments, options, source.name)
        depth, lost = _depth(books, ids)
        trades, also_lost = _trades(deals, ids)
        unread = [lines.filter(~known), broken, also_broken, lost, also_lost.unique("row", maintain_order=True)]
        yield from parsed_part({"depth": depth, "trades": trades}, unread, tuple(instruments.values()), places, (CLOCK_NOTE,))


def _ids(coins: pl.Series, instruments: dict[str, Instrument], options: Options, name: str) -> pl.Expr:
    """Coin → id of its perpetual future, which is priced in US dollars."""
    found = pl.DataFrame({"coin": coins.unique().sort()}).filter(sound_symbol("coin"))["coin"]
    for coin in found:
        if coin not in instruments:
            id = f"{venue_of(options.venue or 'HYPERLIQUID')}:{coin[:27]}-PERP"
            usual = default_instrument(id, options.kind or Kind.FUTURE, calendar="24/7", currency="USD")
            instruments[coin] = options.instrument or usual
    if options.instrument is not None and len(instruments) > 1:
        raise InvalidInput(f"expected one coin in {name} for instrument=, found {', '.join(instruments)}")
    ids = {coin: instrument.id for coin, instrument in instruments.items()}
    return pl.col("coin").replace_strict(ids, default=None, return_dtype=pl.String)


def _depth(books: pl.DataFrame, ids: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    two = pl.col("levels").list.len() == 2
    pairs = pl.element().struct.field("px", "sz")
    sides = [
        pl.col("levels").list.get(side, null_on_oob=True).list.eval(pl.concat_list(pairs)).alias(name)
        for side, name in enumerate(("bids", "asks"))
    ]
    books = books.with_columns(
        ids.alias("instrument"), epoch("time").alias("event"), *sides, snapshot=pl.lit(value=True),
    )
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("instrument", "event", "bids", "asks")) | ~two
    whole = books.filter(~lacking.fill_null(value=True)).with_columns(ts=not_after("event", "available_at"))
    rows, unfit = book_rows(whole.select("row", "text", "instrument", "ts", "available_at", "snapshot", "bids", "asks"))
    return rows, pl.concat([books.filter(lacking.fill_null(value=True)).select("row", "text"), unfit])


def _trades(deals: pl.DataFrame, ids: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    deals = deals.with_columns(
        ids.alias("instrument"), epoch("time").alias("event"),
        price=pl.col("px").cast(pl.Float64, strict=False), size=pl.col("sz").cast(pl.Float64, strict=False),
        side=pl.col("side").replace_strict({"B": "buy", "A": "sell"}, default=None, return_dtype=pl.String),
        trade_id=pl.col("tid").cast(pl.String),
    )
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("instrument", "event", "price", "size"))
    rows = deals.filter(~lacking).with_columns(ts=not_after("event", "available_at"))
    return rows, deals.filter(lacking).select("row", "text")


def _is_stream(sample: Sample) -> bool:
    receipt, _, json = sample.first_line.partition(" ")
    return len(receipt) == 19 and receipt.isdigit() and json.startswith(('{"channel":"l2Book"', '{"channel":"trades"'))


FORMATS = (
    Format(
        "hyperliquid-stream", "Hyperliquid streams as recorded by hftbacktest: whole books of 20 levels, trades",
        ("depth", "trades"), "A: BTC, 26 seconds of 2025-01-26", _is_stream, _read,
    ),
)
