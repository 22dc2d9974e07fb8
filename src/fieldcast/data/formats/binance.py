"""Bars of Binance: klines as its archive and its REST service give them, and two exports that other tools made of them.

A kline has twelve columns (Binance, public data: `Open time, Open, High, Low, Close, Volume, Close time, Quote asset volume,
Number of trades, Taker buy base asset volume, Taker buy quote asset volume, Ignore`), with or without a header; times of the
spot archive are milliseconds until the end of 2024 and microseconds since. A halt of the exchange leaves bars out.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial

from fieldcast.data.formats._bar_files import BarFile, read_bar_file
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats.contract import Format, Options
from fieldcast.data.formats.source import Sample
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
        _is_klines, partial(read_bar_file, _KLINES),
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
