"""Tiingo's crypto bars: a composite of venues, start of the bar in UTC, prices with the noise of floating point as they come."""

from __future__ import annotations

from functools import partial

from fieldcast.data.formats._bar_files import BarFile, read_bar_file
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats.contract import Format, Options
from fieldcast.data.formats.source import Sample
from fieldcast.market import Instrument


def _instrument(name: str, options: Options) -> Instrument:
    return crypto_instrument("TIINGO", crypto_symbol(name), options)


_BARS = BarFile(
    columns=("date", "Open", "High", "Low", "Close", "Volume", "Volumenotional", "Tradesdone"),
    instrument=_instrument,
    time="date",
    volume="Volume",
    names={"open": "Open", "high": "High", "low": "Low", "close": "Close"},
    notes=("a composite of several venues: no order could have been filled at exactly these prices",),
)


def _is_bars(sample: Sample) -> bool:
    return sample.first_line == ",".join(_BARS.columns)


FORMATS = (
    Format(
        "tiingo-crypto", "Tiingo crypto bars with notional volume and number of trades",
        tuple(f"bars/{interval}" for interval in ("1m", "5m", "15m", "30m", "1h", "1d")),
        "A: SOL-USD 1m, four days of March 2026", _is_bars, partial(read_bar_file, _BARS),
    ),
)
