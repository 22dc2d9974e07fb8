"""Yahoo's option chain as yfinance writes it, all expiries of an underlying in one CSV.

The file does not say when it was taken: the newest trade in it stands in for `ts` (the snapshot is no older). Its quotes and
volatilities may be of any later moment, so that its rows count as known from when the file reached Fieldcast, and say
`availability_assumed`. Its `days_to_expire` is one too low (-1 on the last day) and is not used: the expiry is in the symbol and
in `expirationDate`. `impliedVolatility` 1e-05 is Yahoo's floor where it has none; an empty volume or open interest is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data._times import moments
from fieldcast.data.formats.chain import chain_rows
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.ground import InvalidInput, Reason

_NEEDED = (
    "contractSymbol", "lastTradeDate", "strike", "lastPrice", "bid", "ask", "volume", "openInterest", "impliedVolatility",
    "contractSize", "optionType", "expirationDate", "underlyingPrice",
)
_MISSING = ("nan", "NaN", "None")


def read(source: Source, options: Options) -> Iterator[Parsed]:
    """One snapshot.

    Raises
    ------
    InvalidInput : columns are missing, or no trade says when it was taken
    """
    lines = lines_of(source.data())
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    absent = [name for name in _NEEDED if names.count(name) != 1]
    if absent or len(set(names)) < len(names):
        raise InvalidInput(f"expected the columns of a yfinance chain once each in {source.name}, missing {', '.join(absent)}")
    table, refused = delimited(lines[1:], names, ",")
    last_ts = moments(table["lastTradeDate"], "UTC", None, source.name)
    ts = last_ts.max()
    if ts is None:
        raise InvalidInput(f"expected the times of trades in {source.name}, which tell when it was taken, found none")
    odd_size = table.filter(pl.col("contractSize") != "REGULAR")
    quotes = table.with_columns(last_ts=last_ts).filter(pl.col("contractSize") == "REGULAR").select(
        "row",
        "last_ts",
        contract=pl.col("contractSymbol").str.strip_chars(),
        expiration=pl.col("expirationDate").str.strip_chars().str.to_date("%Y-%m-%d", strict=False),
        strike=number("strike"),
        right=pl.col("optionType").str.strip_chars(),
        last=number("lastPrice", *_MISSING),
        bid=number("bid", *_MISSING),
        ask=number("ask", *_MISSING),
        iv=number("impliedVolatility", *_MISSING),
        volume=number("volume", *_MISSING),
        open_interest=number("openInterest", *_MISSING),
        underlying_price=number("underlyingPrice", *_MISSING),
    )
    sizes = rejects(odd_size["row"], odd_size["contractSymbol"], Reason.VALUE_MISSING)  # its multiplier is unknown
    yield chain_rows(
        quotes, [refused, sizes], options, source.name, ts=ts, availability="assumed", available_at=options.now  # type: ignore[arg-type]
    )


CHAIN = Format(
    "yahoo-chain",
    "Yahoo option chain as yfinance writes it, with expiration, type and underlying price",
    ("chains",),
    "A: AAPL, NVDA, QQQ and SPY (twice) of February 2026",
    lambda sample: _known(sample),
    read,
)
FORMATS = (CHAIN,)


def _known(sample: Sample) -> bool:
    return not sample.members and {"contractSymbol", "impliedVolatility", "expirationDate"} <= set(sample.first_line.split(","))
