"""Trading sessions by calendar: when each one closes, and when a decision about it may be made.

A daily decision about a session is made 30 minutes after its close: by then every daily figure of that session is out. (The
S&P 500 ends at 16:00 New York, VIX is final at 16:15; a join at 16:00 sharp would have to use yesterday's VIX.)
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, utc

DECISION_DELAY = timedelta(minutes=30)
BAR_LATENCY = timedelta(seconds=1)  # from the end of an intraday bar until it has arrived and a decision about it is made
_SHORTEST_DAY = timedelta(hours=12)  # daily bars lie further apart than this, intraday bars of one session nearer
FIRST_SESSION = "1950-01-01"


@lru_cache(maxsize=16)
def sessions(calendar: str) -> pl.DataFrame:
    """Every session of `calendar` from 1950 (or its first) to about a year ahead.

    Returns
    -------
    `session` (Date), `open` and `close` (UTC, microseconds), `as_of` = close + 30 minutes; ascending
    """
    schedule = _schedule(calendar)
    stamp = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        {
            "session": schedule.index.to_numpy(),
            "open": schedule["open"].dt.tz_localize(None).to_numpy(),
            "close": schedule["close"].dt.tz_localize(None).to_numpy(),
        }
    ).select(
        pl.col("session").cast(pl.Date),
        pl.col("open").dt.replace_time_zone("UTC").cast(stamp),
        pl.col("close").dt.replace_time_zone("UTC").cast(stamp),
    ).with_columns(as_of=pl.col("close") + DECISION_DELAY)


@lru_cache(maxsize=16)
def _schedule(calendar: str) -> Any:
    """The calendar's pandas table of sessions: open, break_start, break_end, close."""
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        return exchange_calendars.get_calendar(calendar, start=FIRST_SESSION).schedule
    except InvalidCalendarName:
        raise InvalidInput(f"expected the name of a known calendar such as XNYS or 24/7, found {calendar!r}") from None
    except ValueError:      # its holidays are recorded from a later year on
        bound = exchange_calendars.get_calendar(calendar).bound_min()
        return exchange_calendars.get_calendar(calendar, start=bound).schedule


@lru_cache(maxsize=16)
def time_zone(calendar: str) -> str:
    """Name of the zone in which a calendar's exchange keeps its hours, such as America/New_York; UTC for 24/7."""
    _schedule(calendar)  # refuses a name that is no calendar
    import exchange_calendars

    return str(exchange_calendars.get_calendar(calendar).tz)


_HALTED = {"CMES": ("America/Chicago", 16, 17), "us_futures": ("America/New_York", 17, 18)}


@lru_cache(maxsize=16)
def segments(calendar: str) -> pl.DataFrame:
    """The stretches of each session in which trading goes on: one, or two around a midday break.

    CME Globex closes its books at 17:00 Chicago and halts from 16:00 (cmegroup.com, Globex trading hours); exchange_calendars
    lets the session run through that hour, so that it is cut off here. A session that ends early has no such hour.

    Returns
    -------
    `session` (Date), `start` and `end` (UTC, microseconds); ascending
    """
    table = sessions(calendar).select("session", start="open", end="close")
    if calendar in _HALTED:
        zone, halt, close = _HALTED[calendar]
        ends_late = pl.col("end").dt.convert_time_zone(zone).dt.hour() == close
        table = table.with_columns(end=pl.when(ends_late).then(pl.col("end") - pl.duration(hours=close - halt)).otherwise("end"))
    breaks = _schedule(calendar)[["break_start", "break_end"]].dropna()
    if breaks.empty:
        return table
    stamp = pl.Datetime("us", "UTC")
    pauses = pl.DataFrame(
        {
            "session": breaks.index.to_numpy(),
            "pause": breaks["break_start"].dt.tz_localize(None).to_numpy(),
            "resume": breaks["break_end"].dt.tz_localize(None).to_numpy(),
        }
    ).select(
        pl.col("session").cast(pl.Date), pl.col("pause", "resume").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(stamp)
    )
    both = table.join(pauses, on="session", how="left")
    morning = both.select("session", "start", end=pl.coalesce("pause", "end"))
    afternoon = both.filter(pl.col("resume").is_not_null()).select("session", start="resume", end="end")
    return pl.concat([morning, afternoon]).sort("start")


def sessions_between(calendar: str, first: date, last: date) -> pl.DataFrame:
    """Sessions of `calendar` with `first` ≤ session ≤ `last`; columns as in `sessions`."""
    return sessions(calendar).filter(pl.col("session").is_between(first, last))


def decision_delay(ts: NDArray[np.int64]) -> timedelta:
    """From a bar's end until a decision about it is made: 30 minutes after a session, one second after an intraday bar.

    Parameters
    ----------
    ts : (n,) ends of the bars, microseconds, ascending; bars of which two lie less than 12 hours apart are intraday ones
    """
    intraday = len(ts) > 1 and int((ts[1:] - ts[:-1]).min()) < _SHORTEST_DAY // timedelta(microseconds=1)
    return BAR_LATENCY if intraday else DECISION_DELAY


@lru_cache(maxsize=16)
def sessions_per_year(calendar: str) -> int:
    """Sessions in a year, on average over 2001 to 2020: 252 on XNYS, 365 on 24/7."""
    return round(sessions_between(calendar, date(2001, 1, 1), date(2020, 12, 31)).height / 20)


def next_session(calendar: str, session: date, n: int = 1) -> dict[str, datetime | date]:
    """The n-th session after `session`: its date, open, close and as_of."""
    if n < 1:
        raise InvalidInput(f"expected n of at least 1, found {n}")
    later = sessions(calendar).filter(pl.col("session") > session)
    if later.height < n:
        raise InvalidInput(f"expected at least {n} sessions of {calendar} after {session}, found {later.height}")
    return later.row(n - 1, named=True)


def last_session(calendar: str, as_of: datetime) -> dict[str, datetime | date]:
    """The newest session of `calendar` whose decision time is not after `as_of`."""
    done = sessions(calendar).filter(pl.col("as_of") <= utc(as_of))
    if done.is_empty():
        raise InvalidInput(f"expected a moment after the first session of {calendar}, found {as_of.isoformat()}")
    return done.row(-1, named=True)
