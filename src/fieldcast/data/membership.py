"""Membership of an index over time, so that a study of the past has the companies of the past, the failed ones too.

Two layouts are read: ranges (`ticker,start_date,end_date`, the end being the first day without the ticker) and changes
(`date,add,remove`, tickers joined by commas). Where both are given, ranges are the base and changes are laid over them: a change
after the last date of the ranges extends them, one inside moves a bound that differs by at most 45 days, and everything on which
the two disagree is counted and named. Tickers are those of the lists, which write a failed company by its last one (`LEHMQ`).
Source: github.com/fja05680/sp500, whose files have these layouts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from sqlalchemy import delete, select

from fieldcast.data.formats.source import Source
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.ledger import Database, tables

NEAR = timedelta(days=45)
_ONE_DAY = timedelta(days=1)
_FOREVER = date.max


@dataclass(frozen=True)
class Span:
    """A ticker's time in the index; `last` included, none = still in it."""

    ticker: str
    first: date
    last: date | None


@dataclass(frozen=True)
class Change:
    """One ticker that enters or leaves; on `day` it is in, or is no more."""

    day: date
    ticker: str
    entered: bool


@dataclass(frozen=True)
class Reconciled:
    """Ranges and changes as one list.

    Parameters
    ----------
    agreed : changes that the ranges have on the same day
    extended : changes after the ranges' last date
    moved : changes whose day differs; the changes' day was taken
    unmatched : changes inside the ranges' time of which the ranges know nothing, or of a ticker that was not (or already) in
    unlisted : bounds of the ranges, within the changes' time, that the changes do not have
    """

    spans: tuple[Span, ...]
    agreed: int
    extended: tuple[Change, ...]
    moved: tuple[Change, ...]
    unmatched: tuple[Change, ...]
    unlisted: tuple[Change, ...]

    @property
    def disagreements(self) -> int:
        return len(self.moved) + len(self.unmatched) + len(self.unlisted)


# reading -------------------------------------------------------------------------------------------------------------


def read_ranges(source: Source) -> tuple[Span, ...]:
    """`ticker,start_date,end_date`.

    Raises
    ------
    InvalidInput : other columns, a date that is none, or a ticker that is in the index twice at a time
    """
    spans = []
    for line, row in _rows(source, ("ticker", "start_date", "end_date")):
        first = _date(row["start_date"], source, line)
        end = _date(row["end_date"], source, line) if row["end_date"].strip() else None
        ticker = row["ticker"].strip().upper()
        if not ticker or (end is not None and end <= first):
            raise InvalidInput(f"expected a ticker that leaves after it entered in line {line} of {source.name}, found {row}")
        spans.append(Span(ticker, first, None if end is None else end - _ONE_DAY))
    _refuse_overlaps(spans, source.name)
    return tuple(sorted(spans, key=lambda span: (span.ticker, span.first)))


def read_changes(source: Source) -> tuple[Change, ...]:
    """`date,add,remove`, ascending; tickers of a cell are joined by commas.

    Raises
    ------
    InvalidInput : other columns, or a date that is none
    """
    changes = []
    for line, row in _rows(source, ("date", "add", "remove")):
        day = _date(row["date"], source, line)
        for field, entered in (("remove", False), ("add", True)):
            names = [name.strip().upper() for name in row[field].split(",") if name.strip()]
            changes += [Change(day, name, entered) for name in names]
    return tuple(sorted(changes, key=lambda change: (change.day, change.entered, change.ticker)))


def _rows(source: Source, columns: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    try:
        text = source.data().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"expected text in {source.name}, found bytes that are no UTF-8") from None
    table = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if tuple(table.fieldnames or ()) != columns:
            raise InvalidInput(f"expected columns {','.join(columns)} in {source.name}, found {table.fieldnames}")
        rows = list(table)
    except csv.Error as error:
        raise InvalidInput(f"expected a CSV file in {source.name}, found: {error}") from None
    if not rows:
        raise InvalidInput(f"expected rows in {source.name}, found none")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InvalidInput(f"expected {len(columns)} fields in line {line} of {source.name}, found another number")
        yield line, row


def _date(text: str, source: Source, line: int) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(f"expected a date such as 2019-01-18 in line {line} of {source.name}, found {text[:40]!r}") from None


def _refuse_overlaps(spans: list[Span], name: str) -> None:
    ordered = sorted(spans, key=lambda span: (span.ticker, span.first))
    for before, after in pairwise(ordered):
        if before.ticker == after.ticker and after.first <= (before.last or _FOREVER):
            raise InvalidInput(f"expected {after.ticker} to leave before it enters again in {name}, found {before} and {after}")


# reconciling ---------------------------------------------------------------------------------------------------------


def reconcile(ranges: Iterable[Span], changes: Iterable[Change]) -> Reconciled:
    """Lay changes over ranges; see the module's text for the rules."""
    spans = list(ranges)
    ordered = sorted(changes, key=lambda change: (change.day, change.entered, change.ticker))
    bounds = [change for span in spans for change in _bounds(span)]
    horizon = max((bound.day for bound in bounds), default=date.min)
    listed = set(ordered)
    agreed, extended, moved, unmatched = 0, [], [], []
    moved_from: set[Change] = set()
    for change in ordered:
        if change in bounds:
            agreed += 1
            continue
        near = [
            bound for bound in bounds
            if (bound.ticker, bound.entered) == (change.ticker, change.entered)
            and abs(bound.day - change.day) <= NEAR and bound not in listed
        ]
        if near:
            spans = [_moved(span, near[0], change) for span in spans]
            moved.append(change)
            moved_from.add(near[0])
        elif change.day > horizon and (after := _extended(spans, change)) is not None:
            spans = after
            extended.append(change)
        else:
            unmatched.append(change)
    first, last = (ordered[0].day, ordered[-1].day) if ordered else (date.max, date.min)
    unlisted = tuple(
        bound for bound in bounds if first.replace(month=1, day=1) <= bound.day <= last and bound not in listed | moved_from
    ) if ordered else ()
    spans.sort(key=lambda span: (span.ticker, span.first))
    return Reconciled(tuple(spans), agreed, tuple(extended), tuple(moved), tuple(unmatched), unlisted)


def _bounds(span: Span) -> list[Change]:
    left = [] if span.last is None else [Change(span.last + _ONE_DAY, span.ticker, entered=False)]
    return [Change(span.first, span.ticker, entered=True), *left]


def _moved(span: Span, bound: Change, change: Change) -> Span:
    if span.ticker != bound.ticker or bound not in _bounds(span):
        return span
    return replace(span, first=change.day) if bound.entered else replace(span, last=change.day - _ONE_DAY)


def _extended(spans: list[Span], change: Change) -> list[Span] | None:
    """The spans with a later change; none where the ticker is in already, or is not there to leave."""
    held = [span for span in spans if span.ticker == change.ticker and span.last is None]
    if change.entered:
        return None if held else [*spans, Span(change.ticker, change.day, None)]
    if not held:
        return None
    return [replace(span, last=change.day - _ONE_DAY) if span is held[0] else span for span in spans]


# the ledger ----------------------------------------------------------------------------------------------------------


def save_membership(db: Database, index: str, spans: Iterable[Span], source: str) -> int:
    """Write the whole membership of an index, in place of what was known of it; returns the number of spans.

    Raises
    ------
    InvalidInput : no span, or a ticker that is in twice at a time
    """
    held = list(spans)
    if not held:
        raise InvalidInput(f"expected members of {index}, found none")
    _refuse_overlaps(held, source)
    with db.begin(label="membership") as session:
        session.execute(delete(tables.Membership).where(tables.Membership.index == index))
        session.add_all(
            [tables.Membership(index=index, ticker=span.ticker, first=span.first, last=span.last, source=source) for span in held]
        )
    return len(held)


def import_membership(db: Database, index: str, ranges: Source, changes: Source | None = None) -> Reconciled:
    """Files into the ledger; what they disagree on is in the result.

    Raises
    ------
    InvalidInput : see `read_ranges` and `read_changes`
    """
    result = reconcile(read_ranges(ranges), read_changes(changes) if changes else ())
    names = [f"{item.name} sha256:{item.sha256[:16]}" for item in (ranges, changes) if item]
    save_membership(db, index, result.spans, ", ".join(names))
    return result


def members(db: Database, index: str, on: date) -> tuple[str, ...]:
    """Tickers that belonged to the index on a date, in order.

    Raises
    ------
    MissingData : nothing is known of the index, or nothing as early as that
    """
    with db.read() as session:
        rows = list(session.scalars(select(tables.Membership).where(tables.Membership.index == index)))
        if not rows:
            raise MissingData(f"expected members of {index} in the ledger, found none; import its membership first")
        begins = min(row.first for row in rows)
        if on < begins:
            raise MissingData(f"expected members of {index} on {on}, found none before {begins}")
        return tuple(sorted(row.ticker for row in rows if row.first <= on <= (row.last or _FOREVER)))
