"""FXCM minute bars of one side of the market: a file for the bid, its sibling for the ask.

Both together are the quote bars of a pair. The sibling (`…bid…` / `…ask…` in the same folder) is read with the file that is
named; where there is none, the other side is null, as it is in a minute that only one of the two has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._bar_files import stem_of
from fieldcast.data.formats._moments import LENGTHS, interval_of, moments
from fieldcast.data.formats._pairs import fx_instrument, fx_symbol
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.ground import InvalidInput
from fieldcast.market import DAILY, PRICES, table_of

_COLUMNS = ["timestamp", *PRICES]
_SIDE = re.compile(r"(?<![a-zA-Z])(bid|ask)(?![a-zA-Z])", re.IGNORECASE)
_OTHER = {"bid": "ask", "ask": "bid"}


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    side = _side(source.name)
    instrument = fx_instrument("FXCM", fx_symbol(stem_of(source)), options)
    bars, broken = _one_side(source, side, options)
    start, end = _SIDE.search(source.name).span()    # type: ignore[union-attr]
    twin = source.path.with_name(source.name[:start] + _OTHER[side] + source.name[end:])
    notes = []
    if twin.is_file():
        other = Source(twin)
        theirs, also_broken = _one_side(other, _OTHER[side], options)
        bars = _together(bars, theirs)
        broken = pl.concat([broken, also_broken])
        notes.append(f"read together with {twin.name} sha256:{other.sha256}")
    else:
        notes.append(f"there is no {twin.name} beside {source.name}: the {_OTHER[side]} is null")
    interval = interval_of(bars["time"], options, source.name)
    if f"bars/{interval}" == DAILY:
        raise InvalidInput(f"expected intraday bars in {source.name}, found daily ones, whose session they do not tell")
    table = table_of(f"quote_bars/{interval}")
    frame = bars.with_columns(ts=pl.col("time") + LENGTHS[interval], instrument=pl.lit(instrument.id))
    yield Parsed(table.name, rows_of(table, frame), (instrument,), broken, notes=tuple(notes))


def _side(name: str) -> str:
    found = _SIDE.findall(name)
    if len(found) != 1:
        raise InvalidInput(f"expected bid or ask once in the name of the file, found {name}; rename it")
    return str(found[0]).lower()


def _one_side(source: Source, side: str, options: Options) -> tuple[pl.DataFrame, pl.DataFrame]:
    lines = lines_of(source.data())
    headed = bool(lines) and lines[0].lower() == ",".join(_COLUMNS)
    frame, broken = delimited(lines[int(headed):], _COLUMNS, ",", int(headed))
    time = moments(frame["timestamp"], options.zone or "UTC")
    unread = frame.filter(time.is_null())
    bars = frame.with_columns(time=time).filter(pl.col("time").is_not_null())
    return (
        bars.select("time", *(number(name).alias(f"{side}_{name}") for name in PRICES)),
        pl.concat([broken, rejects(unread["row"], unread["timestamp"])]),
    )


def _together(bars: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """Bid and ask of each time; of a time that a side has twice, the n-th rows belong together."""
    numbered = [frame.with_columns(copy=pl.int_range(pl.len()).over("time")) for frame in (bars, theirs)]
    return numbered[0].join(numbered[1], on=["time", "copy"], how="full", coalesce=True, maintain_order="left_right").drop("copy")


def _is_side(sample: Sample) -> bool:
    named = _SIDE.search(sample.path.name) is not None and fx_symbol(sample.path.name) is not None
    return named and sample.first_line.lower() == ",".join(_COLUMNS)


FORMATS = (
    Format(
        "fxcm-bars", "FXCM bars of the bid or the ask, read with the file of the other side beside it",
        ("quote_bars/1m", "quote_bars/5m", "quote_bars/1h"), "A: GBPUSD 1m, both sides, February 2012",
        _is_side, _read,
    ),
)
