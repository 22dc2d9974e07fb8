"""FINRA's daily short sale volume: what was sold short off the exchanges, by symbol and day.

The pipe-separated files end with a trailer: the number of records. It must equal the lines read, or the file is cut and nothing
of it is stored; a file with FINRA's own header and no trailer is refused for the same reason. Files that someone collected
(header with spaces) or rewrote (Parquet) have none, which is noted. Volumes are whole numbers until 2025 and may have decimals
since. `NA` and `NAN` are tickers.

`ts` is the close of the session (the counts are of regular trading hours); `available_at` is 18:00 New York of the day: FINRA
posts the files "no later than 6:00:00pm ET of the same day" (finra.org, Daily Short Sale Volume Files). An updated file is
another version, known when it was fetched. The files name no listing venue: without `venue=` ids begin with `USA`, the name
space of the consolidated tape.
Source: FINRA, "Regulation SHO Daily Short Sale Volume File Layout" (with ShortExemptVolume from 2011-02-28).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time

import polars as pl

from fieldcast.data._reading import table_from
from fieldcast.data.formats.contract import Format, Options, Parsed, no_rejects
from fieldcast.data.formats.frames import rejects, rows_of, session_close
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number, sound_symbol, venue_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Kind, default_instrument
from fieldcast.market.tables import SHORT_VOLUME

CALENDAR, ZONE = "XNYS", "America/New_York"
POSTED = time(18)
TAPE = "USA"
_NAMES = {
    "date": "date", "symbol": "symbol", "shortvolume": "short_volume", "shortexemptvolume": "short_exempt_volume",
    "totalvolume": "total_volume", "market": "market", "marketcenter": "market",
}
_NEEDED = ("date", "symbol", "short_volume", "total_volume", "market")
_OWN = ("Date|Symbol|ShortVolume|ShortExemptVolume|TotalVolume|Market", "Date|Symbol|ShortVolume|TotalVolume|Market")


def read(source: Source, options: Options) -> Iterator[Parsed]:
    """One file: a day of every symbol, or the days that somebody collected.

    Raises
    ------
    InvalidInput : other columns, or a trailer that is missing or counts another number of records
    """
    data = source.data()
    if data[:4] == b"PAR1":
        yield _rows(_renamed(table_from(data, source.name), source.name), no_rejects(), options, "a Parquet copy has no trailer")
        return
    lines = lines_of(data)
    header = lines[0].strip() if lines else ""
    names = [_plain(name) for name in header.split("|")]
    _refuse_columns(names, source.name)
    body, note = _body(lines[1:], source.name, own=header in _OWN)
    table, refused = delimited(body, names, "|", first=1)
    yield _rows(table, refused, options, note)


def _plain(name: str) -> str:
    key = name.strip().lower().replace(" ", "").replace("_", "")
    return _NAMES.get(key, name)


def _refuse_columns(names: list[str], name: str) -> None:
    absent = [wanted for wanted in _NEEDED if names.count(wanted) != 1]
    if absent or len(set(names)) < len(names):
        raise InvalidInput(
            f"expected FINRA's columns once each in {name}, found {', '.join(names)[:200]} (missing {', '.join(absent)})"
        )


def _renamed(table: pl.DataFrame, name: str) -> pl.DataFrame:
    names = [_plain(column) for column in table.columns]
    _refuse_columns(names, name)
    return table.rename(dict(zip(table.columns, names, strict=True))).with_row_index("row")


def _body(lines: list[str], name: str, *, own: bool) -> tuple[list[str], str]:
    """The lines of records, and what the trailer said; the count is checked here."""
    lines = [line.rstrip("\r") for line in lines]
    if lines and "|" not in lines[-1]:
        trailer = lines[-1].strip()
        records = sum(1 for line in lines[:-1] if line.strip())
        if not trailer.isdecimal() or int(trailer) != records:
            raise InvalidInput(
                f"expected as many records in {name} as its trailer says ({trailer[:20]!r}), found {records}; fetch it again"
            )
        return lines[:-1], f"{records} records, as the trailer says"
    if own:
        raise InvalidInput(
            f"expected a trailer with the number of records at the end of {name}, found none: it is cut; fetch it again"
        )
    return lines, "the file has no trailer, so that its number of records cannot be checked"


def _rows(table: pl.DataFrame, refused: pl.DataFrame, options: Options, note: str) -> Parsed:
    venue = venue_of(options.venue or TAPE)
    text = table.with_columns(pl.col("symbol", "market").cast(pl.String).str.strip_chars())
    sound = sound_symbol("symbol").fill_null(value=False) & (pl.col("market").fill_null("") != "")
    unnamed = text.filter(~sound)
    kept = text.filter(sound)
    day = _days(kept["date"])
    posted = day.dt.combine(POSTED).dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    ts = session_close(day, CALENDAR).set(day.is_null(), None)
    volumes = [name for name in ("short_volume", "short_exempt_volume", "total_volume") if name in kept.columns]
    rows = kept.select(
        "market",
        *(number(name) if kept.schema[name] == pl.String else pl.col(name).cast(pl.Float64, strict=False) for name in volumes),
        instrument=venue + ":" + pl.col("symbol"),
        reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
    ).with_columns(ts=ts, available_at=posted)
    ids = rows["instrument"].unique().sort()
    what = unnamed.select(pl.format("{}|{}", pl.col("symbol").fill_null(""), "total_volume")).to_series()
    lines = rejects(unnamed["row"], what)
    return Parsed(
        table=SHORT_VOLUME.name,
        rows=rows_of(SHORT_VOLUME, rows),
        instruments=tuple(default_instrument(id, options.kind or Kind.EQUITY) for id in ids),
        rejects=pl.concat([refused, lines]),
        notes=(note, "known from 18:00 New York of the day"),
    )


def _days(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        day = column.str.strip_chars().str.to_date("%Y%m%d", strict=False)
    elif column.dtype.is_integer():
        day = column.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    elif isinstance(column.dtype, (pl.Date, pl.Datetime)):
        day = column.cast(pl.Date)
    else:
        raise InvalidInput(f"expected dates in the column of dates, found {column.dtype}")
    return day.set(~day.dt.year().is_between(2000, 2200), None)


def _known(sample: Sample) -> bool:
    if sample.members:
        return False
    if sample.head[:4] == b"PAR1":
        return any(word in sample.name for word in ("cnms", "shvol", "finra"))
    names = {_plain(name) for name in sample.first_line.split("|")}
    return set(_NEEDED) <= names


SHORT = Format(
    "finra-short-volume",
    "FINRA daily short sale volume: pipe files with trailer, collected files, Parquet copies",
    (SHORT_VOLUME.name,),
    "A: CNMS of 2026-02-13 (11,312 symbols) and FNYX 2010 to 2021; B: decimal volumes and the layout before 2011",
    _known,
    read,
)
FORMATS = (SHORT,)
