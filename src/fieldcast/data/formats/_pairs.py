"""Symbols of crypto and FX pairs in the names of files, and the instruments that they stand for."""

from __future__ import annotations

import re
from decimal import Decimal

from fieldcast.data.formats.contract import Options
from fieldcast.data.formats.text import venue_of
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, default_instrument

_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "DAI", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "UAH", "BTC", "ETH", "BNB",
)
_CRYPTO = re.compile(rf"([A-Z0-9]{{1,15}}?)[-_/]?({'|'.join(_QUOTES)})")
_CRYPTO_IN_NAME = re.compile(rf"(?:^|[_.\-])([A-Z0-9]{{1,15}}?[-/]?(?:{'|'.join(_QUOTES)}))(?=[_.\-]|$)")
_CURRENCIES = (
    "AUD", "CAD", "CHF", "CNH", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "JPY", "MXN", "NOK", "NZD", "PLN", "SEK", "SGD",
    "TRY", "USD", "XAG", "XAU", "ZAR",
)
_FX_IN_NAME = re.compile(rf"(?:^|[_.\-])({'|'.join(_CURRENCIES)})[-/]?({'|'.join(_CURRENCIES)})(?=[^A-Z]|D1|H1|H4|M\d|$)")


def crypto_symbol(name: str) -> str | None:
    """The pair in a file's name, such as `BTCUSDT` or `SOL-USD`; none where there is none."""
    found = _CRYPTO_IN_NAME.search(name)
    return None if found is None else found.group(1)


def fx_symbol(name: str) -> str | None:
    """The currency pair in a file's name as six letters; none where there is none."""
    found = _FX_IN_NAME.search(name.upper())
    return None if found is None else found.group(1) + found.group(2)


def crypto_instrument(venue: str, symbol: str | None, options: Options, *, perpetual: bool = False) -> Instrument:
    """A pair of a crypto venue, priced in its second currency; a perpetual future's symbol ends with `-PERP`.

    Raises
    ------
    InvalidInput : the symbol is missing, or its second currency is not known
    """
    if options.instrument is not None:
        return options.instrument
    parts = None if symbol is None else _CRYPTO.fullmatch(symbol.upper())
    if parts is None:
        raise InvalidInput(f"expected a pair such as BTCUSDT, found {symbol!r}; give instrument=")
    id = f"{venue_of(options.venue or venue)}:{parts.group(1)}{parts.group(2)}{'-PERP' if perpetual else ''}"
    return default_instrument(
        id, options.kind or (Kind.FUTURE if perpetual else Kind.CRYPTO), calendar="24/7", currency=parts.group(2)
    )


def fx_instrument(venue: str, symbol: str | None, options: Options) -> Instrument:
    """A currency pair, priced in its second currency, with a tick of a tenth of a pip.

    Raises
    ------
    InvalidInput : no pair
    """
    if options.instrument is not None:
        return options.instrument
    if symbol is None:
        raise InvalidInput("expected a currency pair such as EURUSD in the file's name, found none; give instrument=")
    tick = Decimal("0.001") if symbol.endswith(("JPY", "HUF")) else Decimal("0.00001")
    return default_instrument(
        f"{venue_of(options.venue or venue)}:{symbol}", options.kind or Kind.FX, currency=symbol[3:], tick=tick
    )
