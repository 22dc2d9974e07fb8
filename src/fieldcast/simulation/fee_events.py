"""Fees and margins that change while a run goes on: dated terms of an instrument as events.

    section 31, activity fee    at midnight New York of the day from which a notice states the rate, for shares and funds in
                                dollars on the US exchanges' calendars; the first one at the start of the run
Figures finer than the units of the run are rounded up, as fees are everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from zoneinfo import ZoneInfo

import numpy as np

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.event_table import (
    NONE,
    RATE_PLACES,
    EventKind,
    EventTable,
    Term,
    empty,
    make,
    merged,
    micros,
    scaled_decimal,
)
from fieldcast.simulation.units import Units
from fieldcast.trading.costs.regulatory import section_31_rate, trading_activity_fee

_NEW_YORK = ZoneInfo("America/New_York")
_CALENDARS = ("XNYS", "XNAS")
_EIGHT = 8


def regulatory_events(instruments: Sequence[Instrument], currencies: Sequence[str], first: int, last: int) -> EventTable:
    """Section 31 and activity fees at the rates of each day of the run.

    Raises
    ------
    MissingData : the rates of a day of the run are not on record
    """
    ids = [instrument.id for instrument in instruments]
    shares = [place for place, one in enumerate(instruments)
              if one.kind in (Kind.EQUITY, Kind.ETF) and one.currency == "USD" and one.calendar in _CALENDARS]  # fmt: skip
    found, known = [empty(ids, currencies)], None
    for day in _days(first, last) if shares else ():
        rate, most = trading_activity_fee(day)
        values = {Term.SECTION_31: section_31_rate(day), Term.ACTIVITY_RATE: rate, Term.ACTIVITY_MOST: most}
        if values == known:
            continue
        moment = first if known is None else micros(datetime(day.year, day.month, day.day, tzinfo=_NEW_YORK))
        known = values
        for term, value in values.items():
            steps = NONE if value is None else scaled_decimal(value, RATE_PLACES, f"the {term.name.lower()} of {day}")
            found += [make(ids, currencies, EventKind.TERMS, np.array([moment]), instrument=place, a=int(term), b=steps)
                      for place in shares]  # fmt: skip
    return merged(found)


def terms_in_units(term: int, value: int, units: Units, n: int) -> tuple[int, int]:
    """(column of the instrument, value) of a term as the kernels take it."""
    from fieldcast.simulation import _kernels_fill as f
    from fieldcast.simulation import _state as s

    column = {
        Term.SECTION_31: s.I_FEES + f.FEE_SECTION_31, Term.ACTIVITY_RATE: s.I_FEES + f.FEE_ACTIVITY_RATE,
        Term.ACTIVITY_MOST: s.I_FEES + f.FEE_ACTIVITY_MOST, Term.INITIAL: s.I_INITIAL_LOT, Term.MAINTENANCE: s.I_MAINTENANCE_LOT,
    }[Term(term)]  # fmt: skip
    if value == NONE:
        return column, -1
    exact = Decimal(value).scaleb(-RATE_PLACES)
    each = {
        Term.SECTION_31: exact.scaleb(_EIGHT),
        Term.ACTIVITY_RATE: (exact * units.lot[n]).scaleb(units.cash_decimals + _EIGHT),
        Term.ACTIVITY_MOST: exact.scaleb(units.cash_decimals),
    }.get(Term(term), (exact * units.lot[n]).scaleb(units.cash_decimals))
    return column, int(each.to_integral_value(rounding=ROUND_CEILING))


def _days(first: int, last: int) -> Iterable[date]:
    start, end = (datetime.fromtimestamp(moment // 10**6, tz=_NEW_YORK).date() for moment in (first, last))
    return (start + timedelta(days=step) for step in range((end - start).days + 1))
