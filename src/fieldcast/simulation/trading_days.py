"""The trading day of each bar, and when a bar began, read off its end, its instrument and its neighbours.

    crypto, and whatever else trades around the clock      the UTC day
    currencies                                             17:00 to 17:00 New York, under the date on which the day ends;
                                                           the weekend belongs to Monday
    an exchange whose sessions lie within one local date   that date, hours before the open and after the close included
    an exchange whose sessions begin the evening before    the session of its calendar: from its open to the next session's;
                                                           a pause goes to the day that it follows until the local midnight

A bar belongs to the day that holds its middle, counted back from its end by half the shortest step between the instrument's
bars, half a day at most. So a day's bar has its date whether it is stamped with the close or with the midnight after.

Where the length of the bars is not given it is the commonest step. An intraday bar begins a length before its end. A daily or
longer one begins with the first session of its calendar in that time, but where all bars end at midnight UTC: those are of UTC
days. No bar begins before the one before it ended.
Sources: the hours of exchanges are those of exchange_calendars (`market.sessions`); the day of the currency market ends at 17:00
New York (Bank for International Settlements, Triennial Survey, explanatory notes; CME, FX trading hours).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, sessions, time_zone

Integers = NDArray[np.int64]
DAY_US = 86_400_000_000
_LONG_US = DAY_US // 2  # bars of this length or more are of whole sessions
_AROUND_THE_CLOCK = ("24/7", "24/5")
_NEW_YORK = "America/New_York"
_WITHIN_A_DATE = {"XNYS": _NEW_YORK, "XNAS": _NEW_YORK}  # known without their calendar, which takes a second to load
_FX_HOUR = 17
_LOOKED_AT = 20_000  # steps between bars from which the commonest is told
_EPOCH = date(1970, 1, 1).toordinal()
_MICRO = timedelta(microseconds=1)
_SATURDAY, _SUNDAY, _MONDAY = 5, 6, 0


def trading_days(
    instruments: Sequence[Instrument], ts: Integers, known: NDArray[np.bool_] | None, calendar: str | None = None, *,
    shortest: int | None = None,
) -> Integers:  # fmt: skip
    """The day of each bar of a clock that instruments share.

    Parameters
    ----------
    ts : (T,) ends of bars, microseconds UTC, ascending
    known : (N, T) True where the instrument has a bar; None: everywhere
    calendar : whose days count for all; None: each bar has the day of the instruments that have it
    shortest : step between two ends, where it has been found before

    Returns
    -------
    (T,) days since 1970-01-01, ascending

    Raises
    ------
    InvalidInput : instruments of one bar, or of bars that follow each other, have days that do not fit each other, or a bar lies
        outside the years of its calendar
    """
    if len(instruments) == 1 and (known is None or known.all()):
        return days_of(instruments[0], ts, calendar, shortest)
    if known is None:
        known = np.ones((len(instruments), ts.size), dtype=np.bool_)
    days = np.full(ts.size, -(2**62), dtype=np.int64)
    owner = np.full(ts.size, -1, dtype=np.int64)
    for n, instrument in enumerate(instruments):
        at = np.flatnonzero(known[n])
        if not at.size:
            continue
        own = days_of(instrument, ts[at], calendar)
        clash = at[(owner[at] >= 0) & (days[at] != own)]
        if clash.size:
            t = int(clash[0])
            raise _disagreement(instruments[owner[t]], days[t], instrument, own[np.searchsorted(at, t)], int(ts[t]))
        days[at], owner[at] = own, n
    empty = owner < 0
    if empty.all():
        return days_of(instruments[0], ts, calendar)
    if empty.any():  # a bar of nobody: the day goes on, and the first one begins with the first that is known
        place = np.maximum.accumulate(np.where(empty, -1, np.arange(ts.size)))
        days = np.where(place >= 0, days[np.maximum(place, 0)], days[np.argmin(empty)])
    back = np.flatnonzero(np.diff(days) < 0)
    if back.size:
        t = int(back[0]) + 1
        raise _disagreement(instruments[owner[t - 1]], days[t - 1], instruments[owner[t]], days[t], int(ts[t]))
    return days


def days_of(instrument: Instrument, ts: Integers, calendar: str | None = None, shortest: int | None = None) -> Integers:
    """The days (since 1970-01-01) of one instrument's bars with these ends, microseconds UTC, ascending.

    shortest : step between two of them, where it has been found before
    """
    step = _shortest_step(ts) if shortest is None or ts.size < 2 else shortest
    reach = max(min(step, DAY_US) // 2, 1)
    ends = (int(ts[0]) - reach, int(ts[-1]) - reach)
    if calendar is None and instrument.kind is Kind.FX:
        return _between(ts, reach, *_starts(_NEW_YORK, _FX_HOUR, *_years(*ends)))
    name = calendar or instrument.calendar
    if name in _AROUND_THE_CLOCK:
        dates = np.arange(ends[0] // DAY_US, ends[1] // DAY_US + 1)
        return _between(ts, reach, dates * DAY_US, dates)
    zone = _WITHIN_A_DATE.get(name) or _zone_within_a_date(name)
    if zone is not None:
        return _between(ts, reach, *_starts(zone, 0, *_years(*ends)))
    starts, labels = _session_starts(name)
    outside = (ts < starts[0] + reach) | (ts >= starts[-1] + reach)
    if outside.any():
        strange = int(ts[np.argmax(outside)])
        raise InvalidInput(
            f"expected bars of {instrument.id} within the sessions of {name}, {_day(labels[0])} to {_day(labels[-2])}, found one "
            f"that ends at {_moment(strange)}"
        )
    return _between(ts, reach, starts, labels)


def begins(instrument: Instrument, ts: Integers, length_us: int | None = None) -> Integers:
    """When one instrument's bars with these ends began; microseconds UTC. `length_us`: of a bar; None: told from the steps."""
    length = commonest_step(ts) if length_us is None else length_us
    least: Integers = ts - length
    np.maximum(least[1:], ts[:-1], out=least[1:])
    name = instrument.calendar
    whole = length_us is None and length >= _LONG_US
    if not whole or instrument.kind is Kind.FX or name in _AROUND_THE_CLOCK or not (ts % DAY_US).any():
        return least
    opens = sessions(name)["open"].dt.epoch("us").to_numpy()
    first = np.append(opens, np.iinfo(np.int64).max)[np.searchsorted(opens, least, side="left")]
    return np.where(first < ts, first, least).astype(np.int64)


def currency_nights(first: int, last: int) -> tuple[Integers, Integers]:
    """(ends, nights) of the currency market's days that end within [first, last]: microseconds, calendar days until the next."""
    starts, labels = _starts(_NEW_YORK, _FX_HOUR, *_years(first, last + 7 * DAY_US))
    ends, nights = starts[1:], np.diff(labels)
    inside = (ends >= first) & (ends <= last)
    return ends[inside], nights[inside]


def commonest_step(ts: Integers) -> int:
    """The step that most often lies between two stamps; the shortest of several, 0 for a single stamp."""
    if ts.size < 2:
        return 0
    found = np.diff(ts[: _LOOKED_AT + 1])
    if (found == found[0]).all():
        return int(found[0])
    steps, counts = np.unique(found, return_counts=True)
    return int(steps[np.argmax(counts)])


def _shortest_step(ts: Integers) -> int:
    """In blocks that stay in the cache; 2 for a single stamp."""
    blocks = range(0, ts.size - 1, _LOOKED_AT)
    return min((int(np.diff(ts[start : start + _LOOKED_AT + 1]).min()) for start in blocks), default=2)


def _between(ts: Integers, reach: int, starts: Integers, labels: Integers) -> Integers:
    """The label of each moment `reach` before a stamp: that of the last start at or before it."""
    at = np.searchsorted(ts, starts + reach, side="left")  # few starts, many stamps
    counts = np.diff(np.append(at, ts.size))
    days: Integers = np.repeat(labels, counts)
    return days


def _years(first: int, last: int) -> tuple[int, int]:
    return (_date(first - 2 * DAY_US).year, _date(last + 2 * DAY_US).year)


def _starts(zone: str, hour: int, first: int, last: int) -> tuple[Integers, Integers]:
    parts = [_starts_of_year(zone, hour, year) for year in range(first, last + 1)]
    return np.concatenate([starts for starts, _ in parts]), np.concatenate([labels for _, labels in parts])


@lru_cache(maxsize=512)
def _starts_of_year(zone: str, hour: int, year: int) -> tuple[Integers, Integers]:
    """(starts, days) of a year's days: of dates in a zone (hour 0), or of the currency market's."""
    where, starts, labels = ZoneInfo(zone), [], []
    day, end = date(year, 1, 1), date(year + 1, 1, 1)
    while day < end:
        weekday = day.weekday()
        if not hour or weekday not in (_SUNDAY, _MONDAY):  # the weekend is Monday's, which so begins on Friday
            eve = day - timedelta(days=1) if hour else day
            starts.append((datetime(eve.year, eve.month, eve.day, hour, tzinfo=where) - _ZERO) // _MICRO)
            labels.append(day.toordinal() - _EPOCH + (2 if hour and weekday == _SATURDAY else 0))
        day += timedelta(days=1)
    return np.array(starts, dtype=np.int64), np.array(labels, dtype=np.int64)


_ZERO = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))


@lru_cache(maxsize=16)
def _zone_within_a_date(calendar: str) -> str | None:
    """The zone of a calendar whose sessions each open and close on their own date there; None where they do not."""
    import polars as pl

    zone = time_zone(calendar)
    local = sessions(calendar).select(
        "session",
        opens=pl.col("open").dt.convert_time_zone(zone).dt.date(),
        closes=(pl.col("close") - _MICRO).dt.convert_time_zone(zone).dt.date(),
    )
    inside = local.select(((pl.col("opens") == pl.col("session")) & (pl.col("closes") == pl.col("session"))).all()).item()
    return zone if inside else None


@lru_cache(maxsize=16)
def _session_starts(calendar: str) -> tuple[Integers, Integers]:
    """Where each session's day begins, and its date; one row more ends the last."""
    table, zone = sessions(calendar), ZoneInfo(time_zone(calendar))
    opens, closes = (table[name].dt.epoch("us").to_numpy() for name in ("open", "close"))
    starts = opens.copy()
    for row in np.flatnonzero(opens[1:] > closes[:-1]) + 1:
        next_day = (_ZERO + int(closes[row - 1] - 1) * _MICRO).astimezone(zone).date() + timedelta(days=1)
        midnight = (datetime(next_day.year, next_day.month, next_day.day, tzinfo=zone) - _ZERO) // _MICRO
        starts[row] = min(opens[row], midnight)
    labels = table["session"].to_physical().to_numpy().astype(np.int64)
    return np.append(starts, closes[-1]).astype(np.int64), np.append(labels, labels[-1])


def _disagreement(one: Instrument, day: int, other: Instrument, its_day: int, ts: int) -> InvalidInput:
    return InvalidInput(
        f"expected instruments that agree on the trading day, found {one.id} on {_day(day)} and {other.id} on {_day(its_day)} "
        f"by the bar that ends at {_moment(ts)}; say whose days count, such as calendar = \"{one.calendar}\" under [data] of the "
        "plan (calendar= of Market.of), or play them apart"
    )


def _day(day: int) -> date:
    return date.fromordinal(_EPOCH + int(day))


def _date(moment: int) -> datetime:
    return _ZERO + moment * _MICRO


def _moment(ts: int) -> str:
    return f"{_date(ts):%Y-%m-%d %H:%M} UTC"
