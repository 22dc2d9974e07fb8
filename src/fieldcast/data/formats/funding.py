"""Funding of perpetual futures: what longs pay to shorts, as a share of the notional, at each funding time.

LEAN's `margin_interest` files have `yyyymmdd HH:MM:SS,rate` in UTC, without a header; their names hold venue and symbol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._bar_files import stem_of
from fieldcast.data.formats._moments import moments
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.market import table_of

_LINE = re.compile(r"\d{8} \d{2}:\d{2}:\d{2},[-+0-9.eE]+")


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    instrument = crypto_instrument("BINANCE", crypto_symbol(stem_of(source).upper()), options, perpetual=True)
    frame, broken = delimited(lines_of(source.data()), ["time", "rate"], ",")
    ts = moments(frame["time"], options.zone or "UTC")
    unread = frame.filter(ts.is_null())
    rows = frame.with_columns(ts.alias("ts"), number("rate").alias("paid"), instrument=pl.lit(instrument.id)).filter(
        pl.col("ts").is_not_null()
    )
    rows = rows.select("instrument", "ts", rate="paid")
    table = table_of("funding")
    rejected = pl.concat([broken, rejects(unread["row"], unread["time"])])
    yield Parsed(table.name, rows_of(table, rows), (instrument,), rejected)


def _is_funding(sample: Sample) -> bool:
    there = any("margin_interest" in part for part in sample.path.parts[-3:])
    return there and _LINE.fullmatch(sample.first_line) is not None


FORMATS = (
    Format(
        "funding-lean", "LEAN margin interest: funding rates of a Binance perpetual future", ("funding",),
        "A: BTCUSD and ADAUSDT, 2020 and 2022", _is_funding, _read, dataset="lean",
    ),
)
