"""Bitfinex candles: the close stands before the high and the low.

Bitfinex, REST v2 candles: `[MTS, OPEN, CLOSE, HIGH, LOW, VOLUME]`. A minute without a trade has no candle, and none is made.
"""

from __future__ import annotations

from functools import partial

from fieldcast.data.formats._bar_files import BarFile, read_bar_file
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats.contract import Format, Options
from fieldcast.data.formats.source import Sample
from fieldcast.market import Instrument


def _instrument(name: str, options: Options) -> Instrument:
    return crypto_instrument("BITFINEX", crypto_symbol(name), options)


_CANDLES = BarFile(
    columns=("timestamp_ms", "open", "close", "high", "low", "volume"), instrument=_instrument, time="timestamp_ms",
    aliases={"timestamp": "timestamp_ms", "mts": "timestamp_ms"},
    notes=("minutes without a trade are absent, as Bitfinex gives them",),
)


def _is_candles(sample: Sample) -> bool:
    return sample.first_line == ",".join(_CANDLES.columns)


FORMATS = (
    Format(
        "bitfinex-candles", "Bitfinex candles: time, open, close, high, low, volume",
        tuple(f"bars/{interval}" for interval in ("1m", "5m", "15m", "30m", "1h", "1d")),
        "A: BTCUSD and ETHUSD 1m, January to April 2019", _is_candles, partial(read_bar_file, _CANDLES),
    ),
)
