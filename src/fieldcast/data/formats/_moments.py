"""Times as crypto and FX vendors write them, in UTC; and the length of the bars that they stamp."""

from __future__ import annotations

import re
import zoneinfo
from datetime import timedelta

import polars as pl

from fieldcast.data._times import from_wall
from fieldcast.data.formats.contract import Options
from fieldcast.ground import InvalidInput
from fieldcast.market import INTERVALS, STAMP

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LENGTHS: dict[str, timedelta] = {name: timedelta(**{_UNITS[name[-1]]: int(name[:-1])}) for name in INTERVALS}
_MOMENT = (
    r"^(?P<year>\d{4})[-./]?(?P<month>\d{2})[-./]?(?P<day>\d{2})"
    r"(?:[T ]?(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<part>\.\d{1,9})?)?)?"
    r" ?(?P<offset>Z|UTC|[+-]\d{2}:?\d{2})?$"
)
_IN_NAME = re.compile(r"(?:^|[_.\-])(1s|1m|5m|15m|30m|1h|4h|1d)(?=[_.\-]|$)")


def epoch(name: str) -> pl.Expr:
    """Whole seconds' thousandths, millionths or billionths since 1970, told apart by their size (1973 to 5138); else null."""
    count = pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)
    micros = (
        pl.when(count.is_between(10**11, 10**14 - 1)).then(count * 1000)
        .when(count.is_between(10**14, 10**17 - 1)).then(count)
        .when(count.is_between(10**17, 9 * 10**18)).then(count // 1000)
    )
    return micros.cast(STAMP)


def moments(text: pl.Series, zone: str) -> pl.Series:
    """Dates and times as text in UTC: by their offset, else as wall-clock times of `zone`; null where unreadable.

    The rows stand in the file's order, by which the hour that occurs twice in autumn is told apart (`from_wall`).

    Raises
    ------
    InvalidInput : there is no such zone
    """
    known_zone(zone)
    part = text.str.strip_chars().str.extract_groups(_MOMENT).struct.unnest()
    clock = pl.concat_str(
        "year", "month", "day", pl.col("hour").fill_null("00"), pl.col("minute").fill_null("00"),
        pl.col("second").fill_null("00"), pl.col("part").fill_null(".0"),
    )
    offset = pl.col("offset").replace({"Z": "+0000", "UTC": "+0000"}).str.replace(":", "", literal=True)
    local = part.select(clock.str.to_datetime("%Y%m%d%H%M%S%.f", strict=False, time_unit="us").alias("t"))["t"]
    away = part.select(
        pl.duration(
            minutes=offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(3, 2).cast(pl.Int64)
        ) * pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    ).to_series()
    known = (local - away).dt.replace_time_zone("UTC")
    return pl.DataFrame({"known": known, "local": from_wall(local.cast(pl.Datetime("us")), zone)}).select(
        pl.coalesce("known", "local").cast(STAMP)
    ).to_series()


def known_zone(zone: str) -> str:
    """The zone, if there is one of this name.

    Raises
    ------
    InvalidInput : there is none
    """
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"expected a time zone such as UTC or Europe/Athens, found {zone!r}") from None
    return zone


def interval_of(ts: pl.Series, options: Options, name: str) -> str:
    """The bars' interval: the one that was given, else the commonest step between their times, else the one in the file's name.

    Raises
    ------
    InvalidInput : none can be told, or the store has no bars of this length
    """
    if options.interval is not None:
        if options.interval not in LENGTHS:
            raise InvalidInput(f"expected an interval out of {', '.join(LENGTHS)}, found {options.interval!r}")
        return options.interval
    steps = ts.drop_nulls().unique().sort().diff().drop_nulls()
    if steps.len():
        commonest = steps.value_counts(sort=True).sort("count", ts.name or "", descending=[True, False])[0, 0]
        for interval, length in LENGTHS.items():
            if length == commonest:
                return interval
        raise InvalidInput(f"expected bars of {name} at steps of {', '.join(LENGTHS)}, found {commonest}; resample them first")
    found = _IN_NAME.search(name)
    if found is None:
        raise InvalidInput(f"expected the interval of the bars of {name}, which has too few rows to tell; give interval=")
    return found.group(1)
