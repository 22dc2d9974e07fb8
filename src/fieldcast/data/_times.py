"""The times of a file of intraday rows: the moment of each in UTC, and how far apart the rows are.

Times carry their zone or are told one; Unix times are told apart by their digits. What can be read in two ways is refused.
"""

from __future__ import annotations

from datetime import time

import polars as pl

from fieldcast.data._stamps import NAIVE, YEARS, ZONED
from fieldcast.ground import InvalidInput

_SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600}
_WALL = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M:%S%.f", "%m/%d/%Y %H:%M", "%Y%m%d %H:%M:%S%.f", "%Y%m%d %H:%M",
         "%d.%m.%Y %H:%M:%S%.f", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S%.f", "%d/%m/%Y %H:%M")
_EPOCH = {10: 1_000_000, 13: 1_000, 16: 1}  # digits → microseconds of one step
_DAY_SECONDS = 20 * 3600  # rows further apart than this are days
_JITTER = 60_000_000  # µs that rows may stand out of order without being of another hour
_ENOUGH = 100_000  # rows that tell how far apart the rows are


def seconds_of(interval: str) -> int:
    """The length of an intraday bar.

    Raises
    ------
    InvalidInput : another interval
    """
    if interval not in _SECONDS:
        raise InvalidInput(f"expected an interval out of 1d, {', '.join(_SECONDS)}, found {interval!r}")
    return _SECONDS[interval]


def moments(
    column: pl.Series, zone: str | None, date_format: str | None, name: str, owners: pl.Series | None = None
) -> pl.Series:
    """The moment of each row in UTC; null where the text cannot be read.

    Parameters
    ----------
    column : datetimes, Unix times (10 digits seconds, 13 milliseconds, 16 microseconds) or text
    zone : of times that carry none
    date_format : strptime format of text; none = the usual ones are tried
    owners : whose row each is, where the rows of several stand in one file; the order of each tells its doubled hour

    Raises
    ------
    InvalidInput : times without a zone where none is given, or that can be read in two ways
    """
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            return _to_utc(column.cast(pl.Datetime("us")), zone, name, owners)
        return _within(column.cast(pl.Datetime("us", column.dtype.time_zone)).dt.convert_time_zone("UTC"))
    if column.dtype.is_integer():
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        raise InvalidInput(f"expected times or text in the time column of {name}, found {column.dtype}")
    text = column.str.strip_chars()
    digits = text.str.contains(r"^\d{10}(\d{3}|\d{6})?$")
    if digits.sum() * 2 > len(text):
        return _epochs(text.set(~digits.fill_null(value=False), None))
    zoned, naive = text.str.contains(ZONED), text.str.contains(NAIVE)
    if date_format is not None:
        return _formatted(text, date_format, zone, name, owners)
    if zoned.any():
        if (naive & ~zoned).any():
            found = f"{text.filter(zoned)[0]} and {text.filter(naive)[0]}"
            raise InvalidInput(f"expected every time of {name} with its zone, found a mixture: {found}")
        return _offset_moments(text)
    return _to_utc(_wall_clock(text), zone, name, owners)


def _formatted(text: pl.Series, date_format: str, zone: str | None, name: str, owners: pl.Series | None) -> pl.Series:
    try:
        read = text.str.to_datetime(date_format, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"expected a strptime format of date and time, found {date_format!r}: {error}") from None
    dtype = read.dtype
    assert isinstance(dtype, pl.Datetime)
    return _to_utc(read, zone, name, owners) if dtype.time_zone is None else _within(read.dt.convert_time_zone("UTC"))


def _epochs(text: pl.Series) -> pl.Series:
    steps = text.str.len_chars().replace_strict(_EPOCH, default=None, return_dtype=pl.Int64)
    micros = text.cast(pl.Int64, strict=False) * steps
    return _within(micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def _offset_moments(text: pl.Series) -> pl.Series:
    parts = text.str.extract_groups(ZONED)
    offset = parts.struct.field("3").replace({"Z": "+00:00", "UTC": "+00:00"}).str.replace(":", "")
    clock = parts.struct.field("2").str.replace(r"^(\d{2}:\d{2})$", "${1}:00")
    joined = parts.struct.field("1") + "T" + clock + offset
    return _within(joined.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us"))


def _wall_clock(text: pl.Series) -> pl.Series:
    """Text in the one usual form that reads the most of it."""
    text = text.str.replace("T", " ", literal=True)
    read = {form: text.str.to_datetime(form, strict=False, time_unit="us") for form in _WALL}
    best = max(_WALL, key=lambda form: read[form].len() - read[form].null_count())
    most = read[best].null_count()
    rivals = [form for form in _WALL if read[form].null_count() == most and not read[form].equals(read[best])]
    if most < text.len() and rivals:
        raise InvalidInput(
            f"expected times that can be read in one way, found {text.drop_nulls()[0]}, which fits {best} and "
            f"{' and '.join(rivals)}; give date_format="
        )
    return read[best]


def _to_utc(wall: pl.Series, zone: str | None, name: str, owners: pl.Series | None) -> pl.Series:
    """Wall-clock times of a zone; see `from_wall`."""
    if zone is None:
        found = wall.drop_nulls()
        first = found[0] if found.len() else "none that can be read"
        raise InvalidInput(f"expected times of {name} with their zone, found the naive {first}; say which with zone=")
    try:
        return from_wall(_within(wall), zone, owners)
    except pl.exceptions.PolarsError:
        raise InvalidInput(f"expected the name of a time zone such as America/New_York, found {zone!r}") from None


def from_wall(wall: pl.Series, zone: str, owners: pl.Series | None = None) -> pl.Series:
    """Wall-clock times of a zone in UTC; one that does not occur in spring is null.

    In the hour that occurs twice in autumn the order of an owner's rows tells which is meant: where its clock steps back once
    (by more than a minute), what stands before the step is the earlier hour and what follows it the later one (the other way
    round in a file with the newest row first); else a time that stands twice is first the earlier and then the later one.
    Without either, as in rows of one of the two hours alone, it is the earlier.

    Parameters
    ----------
    wall : datetimes without a zone, in the file's order
    zone : name of the time zone
    owners : whose row each is; none = all are of one
    """
    earlier, later = (wall.dt.replace_time_zone(zone, ambiguous=choice, non_existent="null") for choice in ("earliest", "latest"))
    ambiguous = (earlier != later).fill_null(value=False)
    if ambiguous.any():
        who = pl.Series("owner", [""], dtype=pl.String).new_from_index(0, wall.len()) if owners is None else owners.alias("owner")
        rows = pl.DataFrame([wall.alias("wall"), who]).with_row_index("row")
        known = pl.col("wall").drop_nulls()
        rows = rows.with_columns(falling=(known.first() > known.last()).over("owner").fill_null(value=False))
        rows = rows.filter(ambiguous).with_columns(day=pl.col("wall").dt.date())
        autumn, falling = ["owner", "day"], pl.col("falling")
        step = pl.col("wall").diff().over(autumn).dt.total_microseconds()
        rows = rows.with_columns(turn=(pl.when(falling).then(step > _JITTER).otherwise(step < -_JITTER)).fill_null(value=False))
        passed = pl.col("turn").cum_sum().over(autumn) > 0
        second = pl.int_range(pl.len()).over(*autumn, "wall") == pl.when(falling).then(0).otherwise(1)
        chosen = rows.select(
            "row",
            late=pl.when(pl.col("turn").sum().over(autumn) == 1).then(passed != falling)
            .otherwise((pl.len().over(*autumn, "wall") == 2) & second),
        ).filter("late")["row"]
        at_late = pl.Series([False], dtype=pl.Boolean).new_from_index(0, wall.len()).scatter(chosen, values=True)
        earlier = later.zip_with(at_late, earlier)
    return earlier.dt.convert_time_zone("UTC")


def _within(times: pl.Series) -> pl.Series:
    """Times of years that a calendar can speak of; others are null."""
    return times.set(~times.dt.year().is_between(*YEARS), None)


def interval_of(column: pl.Series, date_format: str | None, name: str) -> str:
    """How far apart the rows are: `1d` for dates, else the step that most neighbours have.

    Raises
    ------
    InvalidInput : the steps do not say
    """
    column = column.head(_ENOUGH)
    if column.dtype == pl.Date:
        return "1d"
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        clock = date_format is not None and any(part in date_format for part in ("%H", "%I", "%T", "%R", "%k", "%l", "%s"))
        timed = text.str.contains(r"\d:\d").sum() if date_format is None else len(text) * clock
        epochs = text.str.contains(r"^\d{10}(\d{3}|\d{6})?$").sum()
        if 2 * max(timed, epochs) <= len(text):
            return "1d"
        clocks = text.str.extract(r"[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)").drop_nulls()
        if epochs == 0 and clocks.len() and clocks.str.contains(r"^00:00(:00(\.0+)?)?$").all():
            return "1d"
    elif isinstance(column.dtype, pl.Datetime) and (column.dt.time().drop_nulls() == time(0)).all():
        return "1d"
    times = moments(column, "UTC", date_format, name).drop_nulls().unique().sort()
    steps = times.diff().drop_nulls().dt.total_seconds()
    if steps.is_empty():
        raise InvalidInput(f"expected at least two times in {name} to tell how long its bars are; give interval=")
    if float(steps.median()) >= _DAY_SECONDS:  # type: ignore[arg-type]
        return "1d"
    usual = int(steps.mode().min())  # type: ignore[arg-type]
    named = {length: label for label, length in _SECONDS.items()}
    if usual not in named or float((steps == usual).mean()) < 0.5:  # type: ignore[arg-type]
        raise InvalidInput(
            f"expected bars of {', '.join(_SECONDS)} in {name}, found steps of {usual} s in "
            f"{float((steps == usual).mean()):.0%} of the rows; give interval="  # type: ignore[arg-type]
        )
    return named[usual]
