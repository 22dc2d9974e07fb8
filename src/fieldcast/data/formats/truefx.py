"""FX quotes of TrueFX and of HistData.

TrueFX, with the header `timestamp,bid,ask` and the pair in the
file's name. HistData, "ASCII tick data": `20200101 170000065,bid,ask,volume` in Eastern Standard Time without daylight saving;
its volume is always 0 and means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._bar_files import stem_of
from fieldcast.data.formats._moments import moments
from fieldcast.data.formats._pairs import fx_instrument, fx_symbol
from fieldcast.data.formats._streams import Places
from fieldcast.data.formats._ticks import text_parts, tick_part
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import number

_HISTDATA = re.compile(r"\d{8} \d{9},[0-9.]+,[0-9.]+,\d+")
_EASTERN_STANDARD = "Etc/GMT+5"     # five hours behind UTC all year, which POSIX writes with a plus


def _read_truefx(source: Source, options: Options) -> Iterator[Parsed]:
    instrument = fx_instrument("TRUEFX", fx_symbol(stem_of(source)), options)
    places = Places()
    for frame, broken in text_parts(source, ("timestamp", "bid", "ask"), header=None):
        frame = frame.with_columns(
            moments(frame["timestamp"], options.zone or "UTC").alias("ts"), number("bid"), number("ask"),
            instrument=pl.lit(instrument.id),
        )
        yield from tick_part("quotes", frame, broken, (instrument,), places, ("ts", "bid", "ask"))


def _read_histdata(source: Source, options: Options) -> Iterator[Parsed]:
    instrument = fx_instrument("HISTDATA", fx_symbol(stem_of(source)), options)
    places = Places()
    for frame, broken in text_parts(source, ("time", "bid", "ask", "volume"), header=False):
        clock = frame["time"].str.replace(r"^(\d{8}) (\d{2})(\d{2})(\d{2})(\d{3})$", "${1} ${2}:${3}:${4}.${5}")
        frame = frame.with_columns(
            moments(clock, options.zone or _EASTERN_STANDARD).alias("ts"), number("bid"), number("ask"),
            instrument=pl.lit(instrument.id),
        )
        yield from tick_part("quotes", frame, broken, (instrument,), places, ("ts", "bid", "ask"))


def _is_truefx(sample: Sample) -> bool:
    return sample.first_line == "timestamp,bid,ask" and fx_symbol(sample.path.name) is not None


def _is_histdata(sample: Sample) -> bool:
    return _HISTDATA.fullmatch(sample.first_line) is not None and fx_symbol(sample.path.name) is not None


FORMATS = (
    Format(
        "truefx-quotes", "TrueFX quotes: timestamp, bid, ask (UTC)", ("quotes",), "A: USDJPY, 1,000 quotes of January 2013",
        _is_truefx, _read_truefx,
    ),
    Format(
        "histdata-quotes", "HistData quotes: date and time in Eastern Standard Time, bid, ask, 0", ("quotes",),
        "A: EURUSD, 2020-01-01", _is_histdata, _read_histdata,
    ),
)
