"""Which unit each new row of an intraday table goes into: the year, or a small segment of one UTC day.

Rows stand in order of time, so that a unit's rows are found by its first and last moment: no row is looked at on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl

from fieldcast.data._footer import micros, moment
from fieldcast.data._index import Entry

LIVE_DAYS = 3  # an append of more days than this is history: it goes into the years at once


def placed(rows: pl.DataFrame, entries: Sequence[Entry]) -> list[tuple[str, pl.DataFrame]]:
    """New rows of one instrument as (period of the unit, its rows), without a copy of them.

    A day that has a segment keeps it. Other days get one where all of them are the newest stored day or later, and few.

    Parameters
    ----------
    rows : in order of `ts`; at least one
    entries : what is stored of the instrument, table and dataset
    """
    pieces: dict[str, list[pl.DataFrame]] = {}
    for day, piece in _by_days(rows, _segments(rows, entries)):
        for period, part in [(str(day), piece)] if day else _by_years(piece):
            pieces.setdefault(period, []).append(part)
    return [(period, pl.concat(parts, rechunk=False)) for period, parts in sorted(pieces.items())]


def _segments(rows: pl.DataFrame, entries: Sequence[Entry]) -> list[date]:
    """The days of the rows that are kept as segments, ascending."""
    newest = max((moment(entry.last_us).date() for entry in entries), default=None)
    is_live = newest is not None and rows["ts"][0].date() >= newest
    if not is_live and not any(entry.unit.is_segment for entry in entries):
        return []
    days = rows["ts"].dt.date().unique().sort().to_list()
    held = {entry.unit.period for entry in entries}
    return days if is_live and len(days) <= LIVE_DAYS else [day for day in days if str(day) in held]


def _by_days(rows: pl.DataFrame, days: Sequence[date]) -> Iterator[tuple[date | None, pl.DataFrame]]:
    """The rows of each of the days, and those before, between and after them (none)."""
    at = 0
    for day in days:
        start, after = _before(rows, day), _before(rows, day + timedelta(days=1))
        yield None, rows.slice(at, start - at)
        yield day, rows.slice(start, after - start)
        at = after
    yield None, rows.slice(at)


def _by_years(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    at = 0
    while at < rows.height:
        year = rows["ts"][at].year
        after = _before(rows, date(year + 1, 1, 1))
        yield f"{year:04}", rows.slice(at, after - at)
        at = after


def _before(rows: pl.DataFrame, day: date) -> int:
    """How many rows end before a UTC day begins."""
    begins = micros(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return int(rows["ts"].cast(pl.Int64).search_sorted(begins, side="left"))
