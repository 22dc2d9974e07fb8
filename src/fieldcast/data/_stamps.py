"""The times of a file of daily rows: which session each row is about.

A bare date names the session. A time of midnight in its own offset is a date in disguise (as Yahoo writes it). Any
other time is a moment: it is taken to the calendar's zone, and its date there is the session.
"""

from __future__ import annotations

from datetime import time

import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import sessions

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%b-%Y", "%b %d, %Y")
ZONED = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|[+-]\d{2}:?\d{2}|UTC)$"
YEARS = (1800, 2200)  # that a calendar can speak of
NAIVE = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)$"


def session_dates(column: pl.Series, calendar: str, date_format: str | None, name: str) -> pl.Series:
    """The session date of each row; null where the text cannot be read.

    Parameters
    ----------
    column : dates, datetimes or text
    date_format : strptime format of text dates; none = the usual ones are tried

    Raises
    ------
    InvalidInput : times without a zone, zones that do not belong together, or dates that can be read in two ways
    """
    day = _session_dates(column, calendar, date_format, name)
    return day.set(~day.dt.year().is_between(*YEARS), None)


def _session_dates(column: pl.Series, calendar: str, date_format: str | None, name: str) -> pl.Series:
    if column.dtype == pl.Date:
        return column
    if isinstance(column.dtype, pl.Datetime):
        return _typed(column, calendar, name)
    if column.dtype.is_integer():
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        raise InvalidInput(f"expected dates, times or text in the time column of {name}, found {column.dtype}")
    text = column.str.strip_chars()
    if date_format is not None:
        return text.str.to_date(date_format, strict=False)
    zoned, naive = text.str.contains(ZONED), text.str.contains(NAIVE)
    if zoned.any():
        others = text.filter(~zoned & text.is_not_null() & (naive | _plain(text).is_not_null()))
        if others.len():
            raise InvalidInput(
                f"expected every time of {name} with its zone, found a mixture: {text.filter(zoned)[0]} and {others[0]}"
            )
        return _zoned(text, calendar, name)
    if naive.any():
        return _naive(text, name)
    return _plain(text)


def _plain(text: pl.Series) -> pl.Series:
    """Text dates in the one usual format that reads the most of them."""
    read = {form: text.str.to_date(form, strict=False) for form in _DATES}
    best = max(_DATES, key=lambda form: read[form].len() - read[form].null_count())
    most = read[best].null_count()
    rivals = [form for form in _DATES if read[form].null_count() == most and not read[form].equals(read[best])]
    if most < text.len() and rivals:
        raise InvalidInput(
            f"expected dates that can be read in one way, found {text.drop_nulls()[0]}, which fits {best} and "
            f"{' and '.join(rivals)}; give date_format="
        )
    return read[best]


def _naive(text: pl.Series, name: str) -> pl.Series:
    parts = text.str.extract_groups(NAIVE)
    frame = pl.DataFrame({"day": parts.struct.field("1"), "time": parts.struct.field("2")})
    if not frame["time"].drop_nulls().str.contains(r"^00:00(:00(\.0+)?)?$").all():
        found = text.filter(text.str.contains(NAIVE))[0]
        raise InvalidInput(f"expected times of {name} with their zone, or bare dates, found the naive {found}")
    return frame["day"].str.to_date("%Y-%m-%d", strict=False)


def _zoned(text: pl.Series, calendar: str, name: str) -> pl.Series:
    parts = text.str.extract_groups(ZONED)
    offset = parts.struct.field("3").replace({"Z": "+00:00", "UTC": "+00:00"}).str.replace(":", "")
    clock = parts.struct.field("2").str.replace(r"^(\d{2}:\d{2})$", "${1}:00")
    moment = (parts.struct.field("1") + "T" + clock + offset).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us"
    )
    _refuse_mixed_offsets(moment, offset, calendar, name)
    if clock.drop_nulls().str.contains(r"^00:00:00(\.0+)?$").all():
        return parts.struct.field("1").str.to_date("%Y-%m-%d", strict=False)
    return moment.dt.convert_time_zone(zone_of(calendar)).dt.date()


def _refuse_mixed_offsets(moment: pl.Series, offset: pl.Series, calendar: str, name: str) -> None:
    """Several offsets are one zone's summer and winter time only where they are those of the calendar's zone."""
    offsets = offset.drop_nulls().unique().sort().to_list()
    if len(offsets) < 2:
        return
    local = moment.dt.convert_time_zone(zone_of(calendar)).dt.to_string("%z")
    if not (local == offset).fill_null(value=True).all():
        raise InvalidInput(
            f"expected the times of {name} in one zone, found offsets {', '.join(offsets)}, which are not those of "
            f"{zone_of(calendar)}; split the file, or choose the calendar of its exchange"
        )


def _typed(column: pl.Series, calendar: str, name: str) -> pl.Series:
    dtype = column.dtype
    assert isinstance(dtype, pl.Datetime)
    if (column.dt.time().drop_nulls() == time(0)).all():
        return column.dt.date()
    if dtype.time_zone is None:
        raise InvalidInput(f"expected times of {name} with their zone, or bare dates, found the naive {column[0]}")
    return column.dt.convert_time_zone(zone_of(calendar)).dt.date()


def zone_of(calendar: str) -> str:
    """The calendar's own time zone.

    Raises
    ------
    InvalidInput : no such calendar
    """
    import exchange_calendars

    sessions(calendar)  # which refuses a name that is none
    return str(exchange_calendars.get_calendar(calendar).tz)
