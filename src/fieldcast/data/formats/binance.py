"""Bars of Binance: klines as its archive and its REST service give them, and two exports that other tools made of them.

A kline has twelve columns (Binance, public data: `Open time, Open, High, Low, Close, Volume, Close time, Quote asset volume,
Number of trades, Taker buy base asset volume, Taker buy quote asset volume, Ignore`), with or without a header; times of the
spot archive are milliseconds until the end of 2024 and microseconds since. A halt of the exchange leaves bars out.

The futures archive has the same columns under a header of its own, which no spot file of the archive has, and lies in folders
`futures/um` and `futures/cm`: either makes a file one of the perpetual future, `BINANCE:<pair>-PERP`, never of the spot pair. On
`cm` the volume counts contracts, and the volume in the base asset stands in the column of the quote volume (Binance, COIN-M
futures, "Kline/Candlestick Data"). Klines of mark, index and premium prices are no trades and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise

from fieldcast.data.formats._bar_files import BarFile, read_bar_file, stem_of
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument

_KLINE = re.compile(r"\d{13}(\d{3})?(,[0-9.]+){5},\d{13}(\d{3})?,[0-9.]+,\d+(,[0-9.]+){3}")


def _instrument(name: str, options: Options) -> Instrument:
    return crypto_instrument("BINANCE", crypto_symbol(name), options)


_KLINES = BarFile(
    columns=(
        "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count", "taker_buy_volume",
        "taker_buy_quote_volume", "ignore",
    ),
    instrument=_instrument,
    time="open_time",
    aliases={"open_time_ms": "open_time", "close_time_ms": "close_time"},
)
_EXPORT = BarFile(columns=("timestamp", "open", "high", "low", "close", "volume"), instrument=_instrument, time="timestamp")
_CLOSED = BarFile(
    columns=("open", "high", "low", "close", "volume", "quote_volume", "trades", "close_datetime"),
    instrument=_instrument,
    time="close_datetime",
    ends=True,
    slack=timedelta(milliseconds=1),    # a kline's close time is the last millisecond before its end
)


_FUTURES_HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume"
_DATED = re.compile(r"_\d{6}(?=[-_.]|$)")      # a contract that expires, such as BTCUSDT_230630
_UNTRADED = frozenset({"markPriceKlines", "indexPriceKlines", "premiumIndexKlines"})


def _perpetual(name: str, options: Options) -> Instrument:
    if options.instrument is None and _DATED.search(name):
        raise InvalidInput(f"expected klines of a perpetual future, found {name}, of a contract that expires; give instrument=")
    return crypto_instrument("BINANCE", crypto_symbol(name), options, perpetual=True)


def _market(source: Source) -> str | None:
    """`um` or `cm` of a file of the futures archive; none of another."""
    parts = source.path.parts
    for market in ("um", "cm"):
        if ("futures", market) in pairwise(parts):
            return market
    if "_PERP" in stem_of(source):      # only COIN-M names them so
        return "cm"
    return "um" if source.sample().first_line.startswith(_FUTURES_HEADER) else None


def _read_klines(source: Source, options: Options) -> Iterator[Parsed]:
    untraded = _UNTRADED & set(source.path.parts)
    if untraded:
        raise InvalidInput(f"expected klines of trades, found {source.name} of {', '.join(untraded)}, where nothing was traded")
    market = _market(source)
    layout = _KLINES if market is None else replace(_KLINES, instrument=_perpetual)
    if market == "cm":
        layout = replace(layout, volume="quote_volume")
    yield from read_bar_file(layout, source, options)


def _is_klines(sample: Sample) -> bool:
    line = sample.first_line
    return line.startswith(("open_time_ms,open,high,low,close,volume,close", "open_time,open,high,low,close,volume,close")) or (
        _KLINE.fullmatch(line) is not None
    )


def _is_export(sample: Sample) -> bool:
    here = any("binance" in part.lower() for part in sample.path.parts[-2:])
    return here and sample.first_line == ",".join(_EXPORT.columns)


def _is_closed(sample: Sample) -> bool:
    return sample.first_line == ",".join(_CLOSED.columns)


_TABLES = tuple(f"bars/{interval}" for interval in ("1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"))
FORMATS = (
    Format(
        "binance-klines", "Binance klines, 12 columns, with or without a header, of the archive or the REST service", _TABLES,
        "A: BTC, ETH and SOL against USDT, 15 minutes to a day, 2017 to 2026, with the halt of 2023-03-24",
        _is_klines, _read_klines,
    ),
    Format(
        "binance-closed", "Binance bars with trades, stamped with their close", _TABLES,
        "A: BTCUSDT 1m, December 2024, equal to the hourly klines", _is_closed, partial(read_bar_file, _CLOSED),
    ),
    Format(
        "binance-export", "Binance bars as timestamp, open, high, low, close, volume (UTC, start of the bar)", _TABLES,
        "A: BTCUSDT and ETHUSDT 1m, March 2025, equal to the hourly klines", _is_export, partial(read_bar_file, _EXPORT),
    ),
)
