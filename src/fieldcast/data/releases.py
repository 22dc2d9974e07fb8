"""When a macroeconomic figure came out, where its source does not say: documented release lags, on the late side.

A file of the latest revisions tells neither when a value was first published nor what it then was. Its rows therefore carry an
assumed `available_at` (reason `availability_assumed`) that is not earlier than the usual release, and where the series is revised
the reason `latest_vintage`. Point-in-time work needs vintages (`alfred-vintages`).

Lags are days after the end of the period observed, and a time of day in New York, where the agencies publish at 08:30, 10:00 or
16:15; a moment that falls on a weekend or a federal holiday is that of the next business day. They cover the late end of the
calendars: BLS Employment Situation (first Friday, at the latest the 10th), BLS CPI (the 10th to 18th), BEA GDP advance estimate
(25th to 30th of the month after), Federal Reserve H.15 (next business day 16:15), H.6 (fourth Tuesday), DOL weekly claims
(Thursday 08:30 for the week that ended on Saturday), EIA spot prices (within a week). Monthly averages of daily rates come on the
first business day of the next month at the earliest, and are taken as known on its third day or the business day after it.

When the government was shut down in the winter of 1995, the autumn of 2013, the winter of 2018 and the autumn of 2025, figures
came later; `_LATE` has those of the series named here (BLS, "Revised news release dates following the 2025 lapse in
appropriations" and its 2013 and 1996 archives of news releases; BEA, archives of GDP news releases). Of every other series,
and of any lapse since, the moment stays the usual one and may be too early: it is an assumption, and the rows say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache

import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

ZONE = "America/New_York"
FREQUENCIES = ("daily", "weekly", "monthly", "quarterly", "annual", "irregular")


@dataclass(frozen=True)
class Release:
    """How late a figure is.

    Parameters
    ----------
    days : after the period's end; of a daily series business days after the day observed
    clock : New York
    unit : of the values; none = not known
    revised : what was first published is changed later
    late : day of a figure → when it came out, where that was later than usual
    """

    days: int
    clock: time = time(18)
    unit: str | None = None
    revised: bool = True
    late: Mapping[date, date] = field(default_factory=dict)


_MORNING = time(8, 30)
_DEFAULT = {
    "daily": Release(2, revised=False),
    "weekly": Release(7),
    "monthly": Release(45),
    "quarterly": Release(60),
    "annual": Release(120),
    "irregular": Release(1),
}
_LATE: dict[str, dict[date, date]] = {
    "cpi": {
        date(1995, 12, 1): date(1996, 2, 1), date(1996, 1, 1): date(1996, 2, 28),
        date(2013, 9, 1): date(2013, 10, 30), date(2013, 10, 1): date(2013, 11, 20),
        date(2025, 9, 1): date(2025, 10, 24), date(2025, 10, 1): date(2025, 12, 18), date(2025, 11, 1): date(2025, 12, 18),
    },
    "employment": {
        date(1995, 12, 1): date(1996, 1, 19), date(2013, 9, 1): date(2013, 10, 22),
        date(2025, 9, 1): date(2025, 11, 20), date(2025, 10, 1): date(2025, 12, 16), date(2025, 11, 1): date(2025, 12, 16),
        date(2026, 1, 1): date(2026, 2, 11),
    },
    "claims": {date(2025, 9, 27) + timedelta(weeks=week): date(2025, 11, 20) for week in range(7)},
    "gdp": {
        date(1995, 10, 1): date(1996, 2, 23), date(2013, 7, 1): date(2013, 11, 7), date(2018, 10, 1): date(2019, 2, 28),
        date(2025, 7, 1): date(2025, 12, 23), date(2025, 10, 1): date(2026, 2, 20),
    },
}
_SERIES = {
    "CPIAUCSL": Release(18, _MORNING, "index 1982-84 = 100, seasonally adjusted", late=_LATE["cpi"]),
    "CPILFESL": Release(18, _MORNING, "index 1982-84 = 100, seasonally adjusted", late=_LATE["cpi"]),
    "UNRATE": Release(10, _MORNING, "percent", late=_LATE["employment"]),
    "PAYEMS": Release(10, _MORNING, "thousands of persons", late=_LATE["employment"]),
    "SAHMREALTIME": Release(10, _MORNING, "percentage points", late=_LATE["employment"]),
    "ICSA": Release(6, _MORNING, "persons a week", late=_LATE["claims"]),
    "GDP": Release(30, _MORNING, "billions of dollars, annual rate", late=_LATE["gdp"]),
    "M2SL": Release(28, time(13), "billions of dollars"),
    "FEDFUNDS": Release(3, time(18), "percent", revised=False),
    "T10Y2YM": Release(3, time(18), "percentage points", revised=False),
    "T10Y3MM": Release(3, time(18), "percentage points", revised=False),
    "DGS10": Release(1, time(18), "percent", revised=False),
    "VIXCLS": Release(1, time(18), "index points", revised=False),
    "NASDAQCOM": Release(1, time(18), "index points", revised=False),
    "DCOILBRENTEU": Release(7, time(18), "dollars a barrel", revised=False),
    "DCOILWTICO": Release(7, time(18), "dollars a barrel", revised=False),
}


def release_of(series: str, frequency: str) -> Release:
    """The lag of a series by its FRED id, or the usual one of its frequency."""
    return _SERIES.get(series, _DEFAULT[frequency])


def unit_of(series: str) -> str | None:
    """The unit of a series by its FRED id, where it is known."""
    return _SERIES[series].unit if series in _SERIES else None


def frequency_of(days: pl.Series, name: str) -> str:
    """How often a series is observed, by the steps between its dates.

    Raises
    ------
    InvalidInput : fewer than two dates
    """
    steps = days.drop_nulls().unique().sort().diff().drop_nulls().dt.total_days()
    if steps.is_empty():
        raise InvalidInput(f"expected at least two dates in {name} to tell how often it is observed, found {days.len()} rows")
    usual = float(steps.median())  # type: ignore[arg-type]
    same = float(((steps - usual).abs() <= max(3.0, 0.1 * usual)).mean())  # type: ignore[arg-type]
    spans = {"daily": (1, 4), "weekly": (6, 8), "monthly": (28, 31), "quarterly": (89, 93), "annual": (364, 367)}
    for frequency, (low, high) in spans.items():
        if low <= usual <= high and same > 0.5:
            return frequency
    return "irregular"


def period_end(day: pl.Expr, frequency: str) -> pl.Expr:
    """The end of the period that a date stands for, as a date: FRED dates months and longer by their first day.

    A day and a week (which FRED dates by its last day) end with that day; an irregular figure holds from its date on.
    """
    steps = {"daily": "1d", "weekly": "1d", "monthly": "1mo", "quarterly": "3mo", "annual": "1y"}
    return day if frequency == "irregular" else day.dt.offset_by(steps[frequency])


def midnight(day: pl.Expr) -> pl.Expr:
    """The beginning of a day in New York, in UTC."""
    return at(day, time(0))


def at(day: pl.Expr, clock: time) -> pl.Expr:
    """A time of a day in New York, in UTC."""
    local = day.dt.combine(clock).dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC").cast(STAMP)


@cache
def federal_holidays() -> tuple[date, ...]:
    """Days on which federal offices are closed, 1800 to 2200, as today's law has them (5 U.S.C. 6103); a holiday on a Saturday is
    kept on the Friday before, one on a Sunday on the Monday after. Of years before a holiday was introduced it is kept too."""
    found = []
    for year in range(1800, 2201):
        for month, day in ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25)):
            fixed = date(year, month, day)
            found += [fixed, fixed + timedelta(days={5: -1, 6: 1}.get(fixed.weekday(), 0))]
        for month, weekday, place in ((1, 0, 3), (2, 0, 3), (9, 0, 1), (10, 0, 2), (11, 3, 4)):
            first = date(year, month, 1)
            found.append(first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (place - 1)))
        last = date(year, 5, 31)
        found.append(last - timedelta(days=last.weekday()))
    return tuple(sorted(set(found)))


def assumed_release(day: pl.Expr, frequency: str, release: Release, now: datetime) -> pl.Expr:
    """When a figure is assumed to have come out: on a business day, and at the latest when the file that holds it reached us."""
    if frequency == "daily":
        days, first = release.days, day
    else:
        days, first = 0, period_end(day, frequency).dt.offset_by(f"{release.days - 1}d")
    out = at(first.dt.add_business_days(days, holidays=federal_holidays(), roll="forward"), release.clock)
    if release.late:
        late = day.replace_strict(dict(release.late), default=None, return_dtype=pl.Date)
        out = pl.max_horizontal(out, at(late, release.clock))
    ts = midnight(period_end(day, frequency))
    return pl.max_horizontal(ts, pl.min_horizontal(out, pl.lit(now).cast(STAMP)))
