"""Option trades of Cboe DataShop: CSV, plain or in a zip, with the best bid and offer and the underlying's quote beside each.

    underlying_symbol,quote_datetime,sequence_number,root,expiration,strike,option_type,exchange_id,trade_size,trade_price,
    trade_condition_id,canceled_trade_condition_id,best_bid,best_ask[,trade_iv,trade_delta],underlying_bid,underlying_ask,…

Times are those of New York; a print counts as known then. After the named fields follow the quotes of each exchange (empty since
June 2022), which are passed over, as are the vendor's own volatility and delta. Trade conditions 40 to 44 are cancels, which take
back an earlier print; a `canceled_trade_condition_id` other than 0 marks a print that was cancelled, the file does not say when.
A best ask, or an underlying's quote, of 0 is none.
Source: Cboe DataShop, Option Trades (fields and their order). That 40 to 44 are cancels is how published readers of these files
take them.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._moments import moments
from fieldcast.data.formats._prints import Contracts, print_parts, quoted_parts
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import number
from fieldcast.ground import InvalidInput
from fieldcast.market.tables import OPTION_TRADES

_NEEDED = (
    "quote_datetime", "sequence_number", "root", "expiration", "strike", "option_type", "exchange_id", "trade_size",
    "trade_price", "trade_condition_id", "canceled_trade_condition_id", "best_bid", "best_ask", "underlying_bid",
    "underlying_ask",
)
_CANCELS = ["40", "41", "42", "43", "44"]
_ZONE = "America/New_York"
_NONE = ["", "0"]


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    yield from print_parts(lambda: _parts(source), Contracts(options, source.name))


def _parts(source: Source) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    def header(names: list[str]) -> list[str]:
        names = [name.lower().replace(" ", "_") for name in names]
        absent = [name for name in _NEEDED if names.count(name) != 1]
        if absent:
            raise InvalidInput(f"expected DataShop's columns of trades once each in {source.name}, missing {', '.join(absent)}")
        return names[: max(names.index(name) for name in _NEEDED) + 1]

    for frame, broken in quoted_parts(source, header):
        ts = moments(frame["quote_datetime"], _ZONE)
        thousandths = (pl.col("strike").cast(pl.Float64, strict=False) * 1000).round().cast(pl.Int64, strict=False)
        day = pl.col("expiration").str.to_date("%Y-%m-%d", strict=False).dt.strftime("%y%m%d")
        yield frame.with_columns(ts=ts, available_at=ts).select(
            "row",
            "text",
            "ts",
            "available_at",
            price=number("trade_price"),
            size=number("trade_size"),
            exchange=pl.col("exchange_id").replace("", None),
            conditions=pl.col("trade_condition_id").replace("", None),
            bid=number("best_bid"),
            ask=_above_zero("best_ask"),
            underlying_bid=_above_zero("underlying_bid"),
            underlying_ask=_above_zero("underlying_ask"),
            contract=pl.concat_str("root", day, pl.col("option_type").str.slice(0, 1), thousandths.cast(pl.String).str.zfill(8)),
            cancel=pl.col("trade_condition_id").is_in(_CANCELS),
            taken_back=~pl.col("canceled_trade_condition_id").is_in(_NONE),
        ), broken


def _above_zero(name: str) -> pl.Expr:
    value = number(name)
    return pl.when(value != 0).then(value).alias(name)


def _knows(sample: Sample) -> bool:
    names = {name.strip().strip('"').lower().replace(" ", "_") for name in sample.first_line.split(",")}
    return {"canceled_trade_condition_id", "trade_condition_id", "quote_datetime", "root"} <= names


FORMATS = (
    Format(
        "datashop-option-trades", "Cboe DataShop option trades with the best quotes beside them", (OPTION_TRADES.name,),
        "B: Cboe DataShop, Option Trades (list of fields)", _knows, _read,
    ),
)
