"""Every format that Fieldcast reads, in the order in which a file is tried."""

from __future__ import annotations

from collections.abc import Mapping

from fieldcast.data.formats import (
    binance,
    binance_stream,
    bitfinex,
    bybit,
    cboe,
    databento,
    databento_prints,
    datashop,
    events_table,
    finra,
    fred,
    funding,
    fxcm,
    hyperliquid,
    lean,
    massive,
    metatrader,
    nautilus,
    news,
    oanda,
    priced,
    table,
    tardis,
    tiingo_crypto,
    treasury,
    truefx,
    yahoo_chain,
)
from fieldcast.data.formats.contract import Format
from fieldcast.data.formats.source import Source
from fieldcast.ground import InvalidInput

# Each module of formats has its own tuple FORMATS; the most particular module first, `table` (any CSV with a time and a
# close) last.
_MODULES = (
    lean,
    binance,
    bitfinex,
    tiingo_crypto,
    metatrader,
    fxcm,
    funding,
    yahoo_chain,
    cboe,
    finra,
    binance_stream,
    treasury,
    fred,
    news,
    bybit,
    hyperliquid,
    truefx,
    tardis,
    events_table,
    databento_prints,
    databento,
    massive,
    datashop,
    nautilus,
    oanda,
    priced,
    table,
)
FORMATS: Mapping[str, Format] = {format.name: format for module in _MODULES for format in module.FORMATS}


def format_of(name: str) -> Format:
    """The format with this name.

    Raises
    ------
    InvalidInput : there is none
    """
    if name not in FORMATS:
        raise InvalidInput(f"expected a format out of {', '.join(FORMATS)}, found {name!r}")
    return FORMATS[name]


def recognise(source: Source) -> Format:
    """The first format that knows the file by its name and first bytes.

    Raises
    ------
    InvalidInput : none does
    """
    sample = source.sample()
    for format in FORMATS.values():
        if format.recognises(sample):
            return format
    raise InvalidInput(f"expected a file of a known format, found {source.name}; name one with format=: {', '.join(FORMATS)}")
