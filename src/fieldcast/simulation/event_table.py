"""What happens to an account by itself: one table of events in order of time, all numbers exact.

An event is a row of integers. Prices and amounts a unit are in steps of 1e-8, rates in steps of 1e-12; what a column means
depends on the kind:

    kind           instrument  other       currency  a              b            c              d            e
    RATE           -           -           of it     numerator      denominator  -              -            -
    SETTLE         future      -           -         price | NONE   -            -              -            -
    FUNDING        perpetual   -           -         rate           mark | NONE  -              -            -
    ASSIGN         option      underlying  -         gain a unit    strike       1 call -1 put  1 long too   lots | lot
    EXPIRE_FUTURE  future      -           -         price | NONE   -            -              -            -
    EXPIRE_OPTION  option      underlying  -         price | NONE*  strike       1 call -1 put  1 physical   lots | lot
    ROLL           old         new         -         old price      new price      old volume     new volume     -
    BORROW         of it       -           -         rate a year    days         days a year    collateral   step
    INTEREST       -           0: less     of it     debit rate     credit rate  days           days a year  free of credit
    CONVERT        -           -> currency <- from   amount | NONE  numerator      denominator    fee share      least fee
    DIVIDEND       of it       -           paid in   amount a unit  withheld     -              -            -
    SPLIT          of it       -           -         new            for old      -              -            -
    DELIST         of it       -           -         price          -            -              -            -
    TERMS          of it       -           -         which (Term)   value        -              -            -

* or UNKNOWN: the underlying has no price of that day; a run that holds the option then stops.

Events of one moment happen in the order of this list: rates are known first, positions are settled, expire and are rolled before
a night's borrow and interest are charged on what is left, and a dividend is paid on the shares as held before a split.

An event counts in the run as soon as its moment has passed: before the orders of a bar are matched where it came by the bar's
open, after them where it came within the bar. (Within a bar nobody can say which of an event and a fill came first.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import IntEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP, Instrument

PRICE_PLACES = 8
RATE_PLACES = 12
UNKNOWN = -(2**63) + 1  # in place of a price that should be an instrument's last known one, and is too old for it
NONE = -(2**63)         # in place of a price: the instrument's last known one; in place of an amount: all of it
_LARGEST = 2**63 - 1
_EXACT_FLOAT = 2.0**52
_WIDE = Context(prec=60)
COLUMNS = ("a", "b", "c", "d", "e")
Integers = NDArray[np.int64]


class EventKind(IntEnum):
    """Kinds of events, in the order in which those of one moment happen."""

    RATE = 0
    SETTLE = 1
    FUNDING = 2
    ASSIGN = 3
    EXPIRE_FUTURE = 4
    EXPIRE_OPTION = 5
    ROLL = 6
    BORROW = 7
    INTEREST = 8
    CONVERT = 9
    DIVIDEND = 10
    SPLIT = 11
    DELIST = 12
    TERMS = 13


class Term(IntEnum):
    """What an event of kind TERMS changes; its value is in steps of 1e-12, NONE = no bound."""

    SECTION_31 = 0  # of the value of a sale
    ACTIVITY_RATE = 1  # currency units a unit sold
    ACTIVITY_MOST = 2  # currency units a sale
    INITIAL = 3  # margin, currency units a unit
    MAINTENANCE = 4


@dataclass(frozen=True)
class EventTable:
    """Events of a run in order of time.

    Parameters
    ----------
    instruments, currencies : what the columns `instrument`, `other` and `currency` point into; -1 points to none
    ts : (E,) microseconds since 1970, UTC, ascending
    kind, instrument, other, currency, a, b, c, d, e : (E,) int64; see the module

    Raises
    ------
    InvalidInput : columns of different length or type, events out of order, an unknown kind, or one that points to nothing
    """

    instruments: tuple[str, ...]
    currencies: tuple[str, ...]
    ts: Integers
    kind: Integers
    instrument: Integers
    other: Integers
    currency: Integers
    a: Integers
    b: Integers
    c: Integers
    d: Integers
    e: Integers

    def __post_init__(self) -> None:
        shapes = {name: (column.dtype, column.shape) for name, column in self.columns().items()}
        if len(set(shapes.values())) != 1 or self.ts.dtype != np.int64 or self.ts.ndim != 1:
            raise InvalidInput(f"expected columns of int64 with one length, found {shapes}")
        if not len(self):
            return
        if (np.diff(self.ts) < 0).any() or ((np.diff(self.ts) == 0) & (np.diff(self.kind) < 0)).any():
            place = int(np.flatnonzero((np.diff(self.ts) < 0) | ((np.diff(self.ts) == 0) & (np.diff(self.kind) < 0)))[0]) + 1
            raise InvalidInput(f"expected events in order of time and kind, found event {place} before the one that precedes it")
        if self.kind.min() < 0 or self.kind.max() >= len(EventKind):
            raise InvalidInput(f"expected kinds from 0 to {len(EventKind) - 1}, found {self.kind.min()} and {self.kind.max()}")
        reach = {"instrument": len(self.instruments), "other": max(len(self.instruments), len(self.currencies)),
                 "currency": len(self.currencies)}  # fmt: skip
        for name, count in reach.items():
            column = getattr(self, name)
            if column.min() < -1 or column.max() >= count:
                raise InvalidInput(f"expected {name} from -1 to {count - 1}, found {column.min()} to {column.max()}")

    def __len__(self) -> int:
        return int(self.ts.size)

    def columns(self) -> dict[str, Integers]:
        """The columns by name."""
        names = ("ts", "kind", "instrument", "other", "currency", *COLUMNS)
        return {name: getattr(self, name) for name in names}

    def frame(self) -> pl.DataFrame:
        """The table with names in place of numbers, for a person to read."""
        named = dict(enumerate(self.instruments))
        coins = dict(enumerate(self.currencies))
        kinds = [EventKind(kind).name.lower() for kind in self.kind]
        converts = self.kind == EventKind.CONVERT
        return pl.DataFrame(
            {
                "ts": pl.Series(self.ts).cast(STAMP),
                "kind": pl.Series(kinds, dtype=pl.String),
                "instrument": pl.Series([named.get(int(place)) for place in self.instrument], dtype=pl.String),
                "other": pl.Series(
                    [(coins if convert else named).get(int(place)) for place, convert in zip(self.other, converts, strict=True)],
                    dtype=pl.String,
                ),
                "currency": pl.Series([coins.get(int(place)) for place in self.currency], dtype=pl.String),
                **{name: pl.Series(getattr(self, name)) for name in COLUMNS},
            }
        )

    def between(self, first: int, last: int) -> EventTable:
        """The events with first <= ts <= last."""
        start, stop = np.searchsorted(self.ts, first, side="left"), np.searchsorted(self.ts, last, side="right")
        return EventTable(
            self.instruments, self.currencies, **{name: column[start:stop] for name, column in self.columns().items()}
        )


def make(
    instruments: Sequence[str],
    currencies: Sequence[str],
    kind: EventKind,
    ts: Integers,
    **columns: Integers | int,
) -> EventTable:
    """A table of events of one kind, sorted by time and instrument.

    Parameters
    ----------
    ts : (E,)
    columns : (E,) or one number for all; those not given are 0, and those that point to something -1

    Raises
    ------
    InvalidInput : see `EventTable`
    """
    full: dict[str, Integers] = {}
    for name in ("instrument", "other", "currency", *COLUMNS):
        value = columns.get(name, -1 if name in ("instrument", "other", "currency") else 0)
        full[name] = np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=np.int64), ts.shape))
    order = np.lexsort((full["other"], full["instrument"], full["currency"], ts))
    return EventTable(
        tuple(instruments), tuple(currencies), ts=ts[order].astype(np.int64),
        kind=np.full(ts.size, int(kind), dtype=np.int64), **{name: column[order] for name, column in full.items()},
    )  # fmt: skip


def empty(instruments: Sequence[str], currencies: Sequence[str]) -> EventTable:
    """A table without events."""
    return make(instruments, currencies, EventKind.RATE, np.empty(0, dtype=np.int64))


def merged(tables: Iterable[EventTable]) -> EventTable:
    """One table out of several, in order of time and kind.

    Raises
    ------
    InvalidInput : none, or tables of other instruments or currencies
    """
    parts = list(tables)
    if not parts or len({(part.instruments, part.currencies) for part in parts}) != 1:
        raise InvalidInput("expected tables of events of the same instruments and currencies")
    columns = {name: np.concatenate([part.columns()[name] for part in parts]) for name in parts[0].columns()}
    order = np.lexsort((columns["other"], columns["instrument"], columns["currency"], columns["kind"], columns["ts"]))
    return EventTable(
        parts[0].instruments, parts[0].currencies, **{name: column[order] for name, column in columns.items()}
    )


def scaled(values: object, places: int, label: str) -> Integers:
    """Numbers as integers in steps of 10^-places, half to even.

    Raises
    ------
    InvalidInput : a value is not finite, or has more digits than an integer of this step can hold exactly
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise InvalidInput(f"expected finite numbers as {label}, found {numbers[~np.isfinite(numbers)][0]}")
    steps = numbers * 10.0**places
    if steps.size and np.abs(steps).max() > _EXACT_FLOAT:
        raise InvalidInput(f"expected {label} of at most {_EXACT_FLOAT / 10.0**places:.0f}, found {np.abs(numbers).max()}")
    return np.rint(steps).astype(np.int64)


def scaled_decimal(value: Decimal, places: int, label: str) -> int:
    """A decimal as an integer in steps of 10^-places, exact.

    Raises
    ------
    InvalidInput : it is not finite, has more places, or does not fit in 63 bits
    """
    if not value.is_finite():
        raise InvalidInput(f"expected a finite number as {label}, found {value}")
    steps = value.scaleb(places, context=_WIDE)
    if steps != steps.to_integral_value() or abs(steps) > _LARGEST:
        raise InvalidInput(f"expected {label} with at most {places} decimal places, found {value}")
    return int(steps)


def places_of(instruments: Sequence[Instrument], ids: pl.Series, table: str) -> Integers:
    """Where each id stands among the run's instruments.

    Raises
    ------
    InvalidInput : one is not among them
    """
    known = {instrument.id: place for place, instrument in enumerate(instruments)}
    strangers = sorted({str(id) for id in ids.unique()} - set(known))
    if strangers:
        raise InvalidInput(
            f"expected {table} of the run's instruments ({', '.join(list(known)[:5])}{' ...' if len(known) > 5 else ''}), found "
            f"{', '.join(strangers[:5])}; leave out those rows, or list the instrument"
        )
    return np.array([known[id] for id in ids], dtype=np.int64)


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
