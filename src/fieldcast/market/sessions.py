"""Trading sessions by calendar: when each one closes, and when a decision about it may be made.

A daily decision about a session is made 30 minutes after its close: by then every daily figure of that session is out. (The
S&P 500 ends at 16:00 New York, VIX is final at 16:15; a join at 16:00 sharp would have to use yesterday's VIX.)
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

import polars as pl

from fieldcast.ground import InvalidInput, utc

DECISION_DELAY = timedelta(minutes=30)
FIRST_SESSION = "1950-01-01"


@lru_cache(maxsize=16)
def sessions(calendar: str) -> pl.DataFrame:
    """Every session of `calendar` from 1950 (or its first) to about a year ahead.

    Returns
    -------
    `session` (Date), `open` and `close` (UTC, microseconds), `as_of` = close + 30 minutes; ascending
    """
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        schedule = exchange_calendars.get_calendar(calendar, start=FIRST_SESSION).schedule
    except InvalidCalendarName:
        raise InvalidInput(f"expected the name of a known calendar such as XNYS or 24/7, found {calendar!r}") from None
    except ValueError:      # its holidays are recorded from a later year on
        bound = exchange_calendars.get_calendar(calendar).bound_min()
        schedule = exchange_calendars.get_calendar(calendar, start=bound).schedule
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


def sessions_between(calendar: str, first: date, last: date) -> pl.DataFrame:
    """Sessions of `calendar` with `first` ≤ session ≤ `last`; columns as in `sessions`."""
    return sessions(calendar).filter(pl.col("session").is_between(first, last))


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
