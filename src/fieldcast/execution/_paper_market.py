"""What the paper broker knows of a session at a moment: when it opens, its open, or that the bar never came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
from typing import Final

import polars as pl

from fieldcast.execution.broker import MarketData
from fieldcast.ground import MissingData, Reason
from fieldcast.market import has_reason, sessions
from fieldcast.simulation import OpeningPrint


class Passed(Enum):
    PASSED = "the session has passed, and its bar is missing"


PASSED: Final = Passed.PASSED


@dataclass(frozen=True, slots=True)
class Hours:
    """One session of a calendar.

    Parameters
    ----------
    opened_at : its open
    as_of : its decision time; a bar that ends later is none of its
    overdue_at : decision time of the session after it; from then on nothing waits for its bar
    """

    opened_at: datetime
    as_of: datetime
    overdue_at: datetime


@lru_cache(maxsize=4096)
def hours_of(calendar: str, session: date) -> Hours | None:
    """The session of this day; None where the calendar has none."""
    rows = sessions(calendar).filter(pl.col("session") >= session).head(2)
    if rows.is_empty() or rows["session"][0] != session:
        return None
    return Hours(rows["open"][0], rows["as_of"][0], rows["as_of"][-1])


def opening_of(
    market: MarketData, instrument: str, session: date, hours: Hours | None, now: datetime
) -> OpeningPrint | Passed | None:
    """The open of a session as known at `now`; None while there is none yet.

    hours : of that session; None, where there is no such session, counts as passed
    """
    if hours is None:
        return PASSED
    if hours.opened_at >= now:
        return None
    try:
        bars = market.read(instrument, as_of=now, first=session)
    except MissingData:
        return None
    later = bars.filter(pl.col("ts") > hours.opened_at).sort("ts")
    if later.is_empty():
        return None
    row = later.select("ts", "open", "volume", synthetic=has_reason(Reason.OPEN_SYNTHETIC)).row(0, named=True)
    if row["ts"] > hours.as_of:
        return PASSED
    return OpeningPrint(
        instrument=instrument,
        session=session,
        opened_at=hours.opened_at,
        bar_ts=row["ts"],
        price=row["open"],
        trusted=not row["synthetic"],
        volume=row["volume"],
    )
