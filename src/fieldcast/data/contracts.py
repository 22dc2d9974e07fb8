"""Dated futures contracts: their ids, and when they expire.

An id is `VENUE:ROOT.YYYYM` with the usual letter of the delivery month, such as `XCME:ES.2024H` (March 2024): the year in full,
because a letter and one digit come round again every ten years. The continuous series of a root is `XCME:ES`.

Expiry rules are those of the exchange's rulebook for each root; a business day is a session of the New York Stock Exchange's
calendar, whose full-day holidays were those on which NYMEX, COMEX and CBOT published no settlement. Each rule is held to known
last trading days in tests/data/test_futures.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.market import sessions

MONTH_LETTERS = "FGHJKMNQUVXZ"
_ID = re.compile(r"(?P<root>[A-Z0-9]{2,12}:[A-Z0-9]{1,8})\.(?P<year>\d{4})(?P<month>[FGHJKMNQUVXZ])")
_BUSINESS = "XNYS"


@dataclass(frozen=True, order=True)
class Contract:
    """One dated contract; contracts of a root sort by delivery month.

    Parameters
    ----------
    root : id of the continuous series, such as `XCME:ES`
    year, month : of delivery
    expiry : last trading day
    """

    root: str
    year: int
    month: int
    expiry: date

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise InvalidInput(f"expected a contract such as XCME:ES.2024H, found {self.id!r}")

    @property
    def id(self) -> str:
        letter = MONTH_LETTERS[self.month - 1] if 1 <= self.month <= 12 else "?"
        return f"{self.root}.{self.year:04d}{letter}"


def contract(id: str, expiry: date | None = None) -> Contract:
    """The contract with this id.

    Parameters
    ----------
    expiry : last trading day; none = by the rule of its root

    Raises
    ------
    InvalidInput : the id is not that of a dated contract, or its root has no rule and no expiry was given
    """
    match = _ID.fullmatch(id)
    if match is None:
        raise InvalidInput(f"expected a contract id such as XCME:ES.2024H, found {id!r}")
    year, month = int(match["year"]), MONTH_LETTERS.index(match["month"]) + 1
    return Contract(match["root"], year, month, last_trading_day(match["root"], year, month) if expiry is None else expiry)


def contracts(root: str, first: date, last: date) -> tuple[Contract, ...]:
    """The contracts of a root that expire between two dates, in order.

    Raises
    ------
    InvalidInput : the root has no rule
    """
    rule = _rule(root)
    found = []
    for year in range(first.year, last.year + 2):
        for month in rule.months:
            made = Contract(root, year, month, rule.expiry(year, month))
            if first <= made.expiry <= last:
                found.append(made)
    return tuple(sorted(found))


def last_trading_day(root: str, year: int, month: int) -> date:
    """When a contract of a known root trades for the last time.

    Raises
    ------
    InvalidInput : the root has no rule, or no contract for that month
    """
    rule = _rule(root)
    if month not in rule.months:
        raise InvalidInput(f"expected a delivery month of {root} out of {rule.months}, found {month}")
    return rule.expiry(year, month)


# rules --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Delivery months of a root, its last trading day by year and month, and the rulebook's words."""

    months: tuple[int, ...]
    expiry: Callable[[int, int], date]
    words: str


@lru_cache(maxsize=1)
def _business_days() -> NDArray[np.datetime64]:
    return sessions(_BUSINESS)["session"].to_numpy().astype("datetime64[D]")


def business_day(day: date, days: int) -> date:
    """The business day `days` after `day` (before it, where negative); 0 = `day` itself, or the last one before it.

    Raises
    ------
    InvalidInput : beyond the calendar
    """
    known = _business_days()
    place = int(np.searchsorted(known, np.datetime64(day), side="right")) - 1 + days
    if day > known[-1].astype(object) or not 0 <= place < known.size:
        raise InvalidInput(f"expected a day within the sessions of {_BUSINESS}, {known[0]} to {known[-1]}, found {day}")
    found: date = known[place].astype(object)
    return found


def _nth_weekday(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))


def _month_end(year: int, month: int) -> date:
    """The last business day of a month."""
    return business_day((date(year, month, 28) + timedelta(4)).replace(day=1) - timedelta(1), 0)


def _third_friday(year: int, month: int) -> date:
    return business_day(_nth_weekday(year, month, 4, 3), 0)


def _crude_oil(year: int, month: int) -> date:
    before = date(year, month, 1) - timedelta(1)
    return business_day(before.replace(day=25), -3)


def _natural_gas(year: int, month: int) -> date:
    return business_day(date(year, month, 1) - timedelta(1), -2)


def _third_last(year: int, month: int) -> date:
    return business_day(_month_end(year, month), -2)


def _treasury(year: int, month: int) -> date:
    return business_day(_month_end(year, month), -7)


def _currency(year: int, month: int) -> date:
    third_wednesday = _nth_weekday(year, month, 2, 3)
    return business_day(third_wednesday - timedelta(1), -1)


_QUARTERS = (3, 6, 9, 12)
_ALL = tuple(range(1, 13))
_INDEX = Rule(_QUARTERS, _third_friday, "third Friday of the contract month; the business day before where it is a holiday")
RULES: dict[str, Rule] = {
    **{f"XCME:{root}": _INDEX for root in ("ES", "NQ", "RTY", "MES", "MNQ", "M2K")},
    **{f"XCBT:{root}": _INDEX for root in ("YM", "MYM")},
    "XNYM:CL": Rule(
        _ALL, _crude_oil, "three business days before the 25th of the month before delivery; four where the 25th is none"
    ),
    "XNYM:NG": Rule(_ALL, _natural_gas, "third last business day of the month before delivery"),
    "XCEC:GC": Rule((2, 4, 6, 8, 10, 12), _third_last, "third last business day of the delivery month"),
    "XCEC:SI": Rule((3, 5, 7, 9, 12), _third_last, "third last business day of the delivery month"),
    **{
        f"XCBT:{root}": Rule(_QUARTERS, _treasury, "seventh business day before the last business day of the delivery month")
        for root in ("ZN", "ZB")
    },
    **{
        f"XCME:{root}": Rule(_QUARTERS, _currency, "second business day before the third Wednesday of the contract month")
        for root in ("6E", "6B", "6J", "6A")
    },
}


def _rule(root: str) -> Rule:
    if root not in RULES:
        raise InvalidInput(f"expected a root out of {', '.join(RULES)}, found {root!r}; give its contracts with their expiries")
    return RULES[root]


def ordered(given: Iterable[Contract]) -> tuple[Contract, ...]:
    """Contracts of one root by expiry.

    Raises
    ------
    InvalidInput : none, several roots, or two that expire on the same day
    """
    found = tuple(sorted(given, key=lambda item: item.expiry))
    if not found or len({item.root for item in found}) != 1:
        raise InvalidInput(f"expected contracts of one root, found {sorted({item.root for item in found})}")
    if len({item.expiry for item in found}) != len(found) or len({item.id for item in found}) != len(found):
        raise InvalidInput(f"expected contracts that expire on different days, found {[item.id for item in found]}")
    return found
