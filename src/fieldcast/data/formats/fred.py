"""FRED's CSV (latest revisions) and ALFRED's vintages, into table `macro`.

`ts` is the end of the period observed, in New York. A FRED graph file has one date and one or more series; `.` is a missing
observation. It holds what is known today: see `data.releases` for what its `available_at` can mean.

ALFRED tells when each value came out. Two of its layouts are read: a column for each vintage (`GDP_20240125`), and a row for each
value with the days on which it was current (`realtime_start`, `realtime_end`). A vintage has a day and no time of day: a value
counts as known when that day has ended in New York. A value that a later vintage repeats is stored once.
Source: ALFRED, "Download Data Help" (output types); FRED API, fred/series/observations (`realtime_start`, `output_type`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from fieldcast.data._reading import guessed
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.data.lineage import Availability
from fieldcast.data.releases import assumed_release, frequency_of, midnight, period_end, release_of, unit_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Kind, default_instrument
from fieldcast.market.tables import MACRO

VENUE = "FRED"
_DATES = ("date", "observation_date", "period_start_date")
_ID = re.compile(r"[A-Z][A-Z0-9_]{1,31}")
_VINTAGE = re.compile(r"([A-Z][A-Z0-9_]{0,24})_(\d{8})")
_MISSING = (".", "#N/A", "NaN", "nan")


def read_fred(source: Source, options: Options) -> Iterator[Parsed]:
    """Latest revisions, a part for each series.

    Raises
    ------
    InvalidInput : other columns, or a series with fewer than two dates
    """
    table, names, refused = _table(source)
    if len(names) < 2 or names[0].lower() not in _DATES or not all(_ID.fullmatch(name) for name in names[1:]):
        raise InvalidInput(f"expected a date and FRED series in {source.name}, found the columns {', '.join(names)}")
    day = _days(table[names[0]])
    for place, series in enumerate(names[1:]):
        rows = table.with_columns(day=day, value=number(series, *_MISSING), text=pl.col(series).str.strip_chars())
        missing = rows.filter(pl.col("text").is_in(["", *_MISSING]))
        rows = rows.filter(~pl.col("text").is_in(["", *_MISSING]))
        frequency = frequency_of(day, f"{series} of {source.name}")
        release = release_of(series, frequency)
        reasons = [Reason.AVAILABILITY_ASSUMED, *([Reason.LATEST_VINTAGE] if release.revised else [])]
        yield macro_part(
            rows.select(
                instrument=pl.lit(f"{VENUE}:{series}"),
                ts=midnight(period_end(pl.col("day"), frequency)),
                available_at=assumed_release(pl.col("day"), frequency, release, options.now),
                value="value",
                unit=pl.lit(unit_of(series), dtype=pl.String),
                reasons=pl.lit(",".join(sorted(reasons))),
            ),
            refused if place == 0 else refused.clear(),
            notes=(f"{series}: {frequency}, {missing.height} observations missing in the source",),
        )


def read_alfred(source: Source, options: Options) -> Iterator[Parsed]:
    """Every vintage of one series.

    Raises
    ------
    InvalidInput : neither layout, several series, or one whose id nobody says
    """
    table, names, refused = _table(source)
    wide = {name: _VINTAGE.fullmatch(name) for name in names[1:]}
    if names[1:] and names[0].lower() in _DATES and all(wide.values()):
        series = {found[1] for found in wide.values() if found}
        if len(series) > 1:
            raise InvalidInput(f"expected vintages of one series in {source.name}, found {', '.join(sorted(series))}")
        long = _unpivoted(table, names, source.name)
        name = series.pop()
    else:
        long, name = _periods(table, names, options, source.name)
    yield _vintages(long, name, refused, source.name)


def _table(source: Source) -> tuple[pl.DataFrame, list[str], pl.DataFrame]:
    lines = lines_of(source.data())
    separator = "\t" if lines and "\t" in lines[0] else ","
    names = [name.strip().strip('"') for name in lines[0].split(separator)] if lines else []
    if not {name.lower() for name in names} & set(_DATES) or len(set(names)) < len(names):
        raise InvalidInput(f"expected a header of FRED in {source.name}, found {', '.join(names)[:200] or 'nothing'}")
    table, refused = delimited(lines[1:], names, separator, first=1)
    return table, names, refused


def _days(text: pl.Series) -> pl.Series:
    """Dates as FRED (ISO) and its American copies (month first) write them."""
    text = text.str.strip_chars().str.strip_chars('"')
    read = [text.str.to_date(form, strict=False) for form in ("%Y-%m-%d", "%m/%d/%Y")]
    day = pl.select(pl.coalesce(read)).to_series().alias("day")
    return day.set(~day.dt.year().is_between(1600, 2200), None)


def macro_part(
    rows: pl.DataFrame, refused: pl.DataFrame, *, availability: Availability = "assumed", notes: tuple[str, ...] = ()
) -> Parsed:
    """Rows of one or more series as a part of an import."""
    ids = rows["instrument"].unique().sort()
    return Parsed(
        table=MACRO.name,
        rows=rows_of(MACRO, rows),
        instruments=tuple(default_instrument(id, Kind.RATE) for id in ids),
        rejects=refused,
        available_at=availability,
        notes=notes,
    )


# vintages -----------------------------------------------------------------------------------------------------------


def _unpivoted(table: pl.DataFrame, names: list[str], name: str) -> pl.DataFrame:
    long = table.select("row", *names).unpivot(index=["row", names[0]], variable_name="column", value_name="text")
    vintage = pl.col("column").str.slice(-8).str.to_date("%Y%m%d", strict=False)
    return long.with_columns(vintage=vintage, day=_days(long[names[0]]))


def _periods(table: pl.DataFrame, names: list[str], options: Options, name: str) -> tuple[pl.DataFrame, str]:
    lower = {column.lower(): column for column in names}
    date = next((lower[key] for key in _DATES if key in lower), None)
    start = lower.get("realtime_start") or lower.get("realtime_start_date")
    known = {"realtime_start", "realtime_start_date", "realtime_end", "realtime_end_date", "series_id", "value", *_DATES}
    others = [column for column in names if column.lower() not in known]
    value = lower.get("value") or (others[0] if len(others) == 1 else None)
    if date is None or start is None or value is None:
        raise InvalidInput(f"expected a date, realtime_start and a value in {name}, found {', '.join(names)}")
    if "series_id" in lower:
        found = table[lower["series_id"]].str.strip_chars().unique()
        series = found[0] if found.len() == 1 else None
    elif value.lower() != "value":
        series = value
    else:
        series = options.instrument.symbol if options.instrument is not None else None
    if series is None or not _ID.fullmatch(series):
        raise InvalidInput(f"expected to be told of which series {name} is; give instrument=FRED:..., such as FRED:GDP")
    frame = pl.DataFrame({"row": table["row"], "day": _days(table[date]), "vintage": _days(table[start]), "text": table[value]})
    return frame, series


def _vintages(long: pl.DataFrame, series: str, refused: pl.DataFrame, name: str) -> Parsed:
    long = long.with_columns(text=pl.col("text").str.strip_chars()).filter(~pl.col("text").is_in(["", *_MISSING]))
    undated = long.filter(pl.col("vintage").is_null())
    dated = long.filter(pl.col("vintage").is_not_null()).with_columns(value=number("text"))
    long = dated.sort("day", "vintage", maintain_order=True)
    repeats = (pl.col("value") == pl.col("value").shift(1).over("day")).fill_null(value=False)
    kept = long.filter(~repeats)
    frequency = frequency_of(long["day"], f"{series} of {name}")
    rows = kept.select(
        instrument=pl.lit(f"{VENUE}:{series}"),
        ts=midnight(period_end(pl.col("day"), frequency)),
        available_at=midnight(pl.col("vintage").dt.offset_by("1d")),
        value="value",
        unit=pl.lit(unit_of(series), dtype=pl.String),
    )
    vintages = long["vintage"].n_unique()
    return macro_part(
        rows,
        pl.concat([refused, rejects(undated["row"], undated["text"])]),
        availability="reported",
        notes=(f"{series}: {frequency}, {vintages} vintages, {long.height - kept.height} values repeated by a later vintage",),
    )


# formats ------------------------------------------------------------------------------------------------------------


def _names(sample: Sample) -> list[str]:
    separator = "\t" if "\t" in sample.first_line else ","
    return [] if sample.members else [name.strip().strip('"') for name in sample.first_line.split(separator)]


def _is_fred(sample: Sample) -> bool:
    """FRED's own header; a column `Date` could head a table of anything, so that its series must be one that is known."""
    names = _names(sample)
    if len(names) < 2 or "close" in guessed(sample.first_line) or not all(_ID.fullmatch(name) for name in names[1:]):
        return False
    if names[0] == "observation_date" or (names[0] == "DATE" and len(names) == 2):
        return True
    return names[0].lower() in _DATES and all(unit_of(name) is not None for name in names[1:])


def _is_alfred(sample: Sample) -> bool:
    names = _names(sample)
    lower = {name.lower() for name in names}
    periods = bool(lower & {"realtime_start", "realtime_start_date"}) and bool(lower & set(_DATES))
    wide = len(names) >= 2 and names[0].lower() in _DATES and all(_VINTAGE.fullmatch(name) for name in names[1:])
    return periods or wide


FRED = Format(
    "fred-series",
    "FRED series as downloaded: latest revisions",
    (MACRO.name,),
    "A: fourteen series of October 2024 (daily to quarterly); core CPI and WTI as the package arch ships them",
    _is_fred,
    read_fred,
)
ALFRED = Format(
    "alfred-vintages",
    "ALFRED vintages: a column for each vintage, or a row for each real-time period",
    (MACRO.name,),
    "B: ALFRED download help and FRED API documentation",
    _is_alfred,
    read_alfred,
    dataset="fred-vintages",
)
FORMATS = (ALFRED, FRED)
