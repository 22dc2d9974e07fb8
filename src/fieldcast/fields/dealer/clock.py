"""How time passes for an option: by the calendar, or in sessions alone.

Quoted volatilities are by the calendar (the day count of the chain). What a line has left after some minutes depends on the
clock:

    calendar   T(t) = T − t
    sessions   T(t) = T · (1 − B(now, now + t) / B(now, expiry)),  B = minutes of the exchange's sessions between two moments

Both start from the same total variance σ²T, and so from today's prices; the second holds delta still over nights and weekends, as
in a market where nothing is thought to happen while it is closed. The truth lies between. Where no session is left before the
expiry (an AM-settled contract after the last close) the session clock falls back to the calendar for that line: something must
pass.

Sessions are those of the exchange calendar that the book's `Conventions` name; `24/7` has one a day, from midnight to midnight
UTC.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

import numpy as np

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.conventions import CALENDAR
from fieldcast.fields.priced_chain import Floats, Integers
from fieldcast.fields.pricing_chain import EPOCH
from fieldcast.ground import MissingData
from fieldcast.market import sessions

MINUTE = 60_000_000
ROUNDING = 1e-9  # of a line's time: what is nearer to its last moment has reached it


class Clock(StrEnum):
    """How time passes."""

    CALENDAR = "calendar"
    SESSIONS = "sessions"


def micros(moment: datetime) -> int:
    """µs since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@cache
def _sessions(calendar: str) -> tuple[Integers, Integers, Floats]:
    """Opens and closes (µs), and the minutes of all sessions before each."""
    table = sessions(calendar)
    opens = table["open"].dt.epoch("us").to_numpy().astype(np.int64)
    closes = table["close"].dt.epoch("us").to_numpy().astype(np.int64)
    lengths = (closes - opens) / MINUTE
    return opens, closes, np.concatenate([[0.0], np.cumsum(lengths)[:-1]])


def session_minutes(moment: Integers, calendar: str = CALENDAR) -> Floats:
    """Minutes of sessions from the calendar's first day up to each moment (µs)."""
    opens, closes, before = _sessions(calendar)
    place = np.clip(np.searchsorted(opens, moment, side="right") - 1, 0, opens.size - 1)
    inside = np.clip(np.asarray(moment) - opens[place], 0, closes[place] - opens[place]) / MINUTE
    return np.asarray(before[place] + inside, np.float64)


def share_elapsed(book: Book, minutes: Floats, clock: Clock) -> Floats:
    """(t, lines) share of each line's time that has passed after each number of minutes; 1 and more: its last moment is
    reached."""
    years = book.lines.years
    gone = minutes[:, None] / (years * book.days_a_year * 1440.0)
    gone = np.where(gone > 1.0 - ROUNDING, np.maximum(gone, 1.0), gone)
    if clock is Clock.CALENDAR:
        return np.asarray(gone)
    now = micros(book.chain.as_of)
    expiry = book.chain.expiry_ts[book.lines.expiry]
    calendar = book.conventions.calendar
    start = session_minutes(np.array([now]), calendar)[0]
    whole = session_minutes(expiry, calendar) - start
    at = session_minutes(now + np.rint(minutes * MINUTE).astype(np.int64), calendar) - start
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, at[:, None] / whole, gone)
    return np.asarray(np.where(gone >= 1.0, np.maximum(share, 1.0), np.minimum(share, np.nextafter(1.0, 0.0))))


def in_session(moment: datetime, calendar: str = CALENDAR) -> bool:
    """Whether a session is on: from its open on, up to its close."""
    opens, closes, _ = _sessions(calendar)
    now = micros(moment)
    place = int(np.searchsorted(opens, now, side="right")) - 1
    return place >= 0 and now < int(closes[place])


def session_of(moment: Integers, calendar: str = CALENDAR) -> Integers:
    """(n,) number of the session that each moment (µs) falls on: the one that is on, ends then, or was the last to end."""
    opens, closes, _ = _sessions(calendar)
    place = np.searchsorted(opens, moment, side="right") - 1
    ends = (place > 0) & (np.asarray(moment) == closes[np.maximum(place - 1, 0)])  # sessions without a night between them
    return np.asarray(place - ends, np.int64)


def next_close(moment: datetime, calendar: str = CALENDAR) -> datetime:
    """Close of the session that is on, or of the next one.

    Raises
    ------
    MissingData : the calendar ends before
    """
    return _first_after(_sessions(calendar)[1], moment, calendar)


def next_open(moment: datetime, calendar: str = CALENDAR) -> datetime:
    """Open of the next session to begin.

    Raises
    ------
    MissingData : the calendar ends before
    """
    return _first_after(_sessions(calendar)[0], moment, calendar)


def _first_after(stamps: Integers, moment: datetime, calendar: str) -> datetime:
    place = int(np.searchsorted(stamps, micros(moment), side="right"))
    if place >= stamps.size:
        raise MissingData(f"expected a session after {moment} in the calendar {calendar}, found none")
    return EPOCH + timedelta(microseconds=int(stamps[place]))
