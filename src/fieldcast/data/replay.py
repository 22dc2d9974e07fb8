"""Stored rows as they became known: a provider that needs no key and no network.

`replay` hands out the rows of a span in the order of `available_at`, as a live source would have delivered them, so that whatever
consumes a live source runs on history. A restated row comes twice: as it was first known, and again, with its new values, when
the restatement became known. Memory holds one day of rows at a time, and what became known later than its day.

The store says what was known at a moment, not which versions it holds; so versions are found by asking for ever earlier moments.
Of several versions of a row that became known on the row's own day (UTC) only the last is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from fieldcast.data.store import Store
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import table_of

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Event:
    """One row as it became known.

    Parameters
    ----------
    at : when (`available_at`)
    row : the table's columns by name
    restated : an earlier version of the row was delivered before
    """

    at: datetime
    table: str
    instrument: str
    row: Mapping[str, Any]
    restated: bool

    @property
    def simulated(self) -> bool:
        """True for a row of a simulated market."""
        return Reason.SIMULATED in (self.row["reasons"] or "").split(",")


def replay(
    store: Store, instruments: Sequence[str], table: str, first: date, last: date, *, dataset: str | None = None
) -> Iterator[Event]:
    """The rows with `first` ≤ ts ≤ `last` (UTC dates) in the order in which they became known; ties by instrument and key.

    Parameters
    ----------
    instruments : ids; each in one dataset, or in the one that is named
    table : such as `bars/1m`

    Raises
    ------
    InvalidInput : no table of this name, no instrument, one twice, or first after last
    MissingData, ConflictError : see `Store.read`; raised before the first row is delivered
    """
    kind = table_of(table)
    if not instruments or len(set(instruments)) != len(instruments):
        raise InvalidInput(f"expected at least one instrument, each once, found {list(instruments)}")
    if first > last:
        raise InvalidInput(f"expected first at or before last, found {first} and {last}")
    for instrument in instruments:
        store.read(instrument, table=table, first=first, last=first, dataset=dataset)
    return _delivered(store, tuple(instruments), table, (first, last), dataset, list(kind.key))


def _delivered(
    store: Store, instruments: tuple[str, ...], table: str, span: tuple[date, date], dataset: str | None, key: list[str]
) -> Iterator[Event]:
    order = ["available_at", "instrument", *(name for name in key if name != "instrument")]
    pending: list[pl.DataFrame] = []
    day = span[0]
    while day <= span[1]:
        tomorrow = datetime.combine(day, time(), tzinfo=UTC) + _DAY
        pending += [_versions(store, name, table, day, tomorrow, dataset, key) for name in instruments]
        held = pl.concat(pending).sort(order)
        due = pl.col("available_at") < tomorrow     # rows of later days cannot be known before they happen
        yield from _events(held.filter(due), table)
        pending = [held.filter(~due)]
        day += _DAY
    yield from _events(pl.concat(pending).sort(order), table)


def _versions(
    store: Store, instrument: str, table: str, day: date, tomorrow: datetime, dataset: str | None, key: list[str]
) -> pl.DataFrame:
    """Every version of a day's rows that can be told apart, with `_restated`."""
    known = store.read(instrument, table=table, first=day, last=day, dataset=dataset)
    found: list[pl.DataFrame] = []
    while True:
        newest = known["available_at"].max()
        if known.is_empty() or not isinstance(newest, datetime) or newest < tomorrow:
            break
        found.append(known.filter(pl.col("available_at") == newest))
        known = store.read(instrument, table=table, as_of=newest - _MICROSECOND, first=day, last=day, dataset=dataset)
    versions = pl.concat([*found, known])
    return versions.sort("available_at").with_columns(_restated=pl.int_range(pl.len()).over(key) > 0)


def _events(rows: pl.DataFrame, table: str) -> Iterator[Event]:
    for row in rows.iter_rows(named=True):
        restated = row.pop("_restated")
        yield Event(row["available_at"], table, row["instrument"], row, restated)
