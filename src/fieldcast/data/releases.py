"""When a macroeconomic figure came out, where its source does not say: documented release lags, on the late side.

A file of the latest revisions tells neither when a value was first published nor what it then was. Its rows therefore carry an
assumed `available_at` (reason `availability_assumed`) that is not earlier than the usual release, and where the series is revised
the reason `latest_vintage`. Point-in-time work needs vintages (`alfred-vintages`).

Lags are days after the end of the period observed, and a time of day in New York, where the agencies publish at 08:30, 10:00 or
16:15. They cover the late end of the calendars: BLS Employment Situation (first Friday, at the latest the 10th), BLS CPI (the
10th to 18th), BEA GDP advance estimate (25th to 30th of the month after), Federal Reserve H.15 (next business day 16:15), H.6
(fourth Tuesday), DOL weekly claims (Thursday 08:30 for the week that ended on Saturday), EIA spot prices (within a week).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time

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
    """

    days: int
    clock: time = time(18)
    unit: str | None = None
    revised: bool = True


_MORNING = time(8, 30)
_DEFAULT = {
    "daily": Release(2, revised=False),
    "weekly": Release(7),
    "monthly": Release(45),
    "quarterly": Release(60),
    "annual": Release(120),
    "irregular": Release(1),
}
_SERIES = {
    "CPIAUCSL": Release(18, _MORNING, "index 1982-84 = 100, seasonally adjusted"),
    "CPILFESL": Release(18, _MORNING, "index 1982-84 = 100, seasonally adjusted"),
    "UNRATE": Release(10, _MORNING, "percent"),
    "PAYEMS": Release(10, _MORNING, "thousands of persons"),
    "SAHMREALTIME": Release(10, _MORNING, "percentage points"),
    "ICSA": Release(6, _MORNING, "persons a week"),
    "GDP": Release(30, _MORNING, "billions of dollars, annual rate"),
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


def assumed_release(day: pl.Expr, frequency: str, release: Release, now: datetime) -> pl.Expr:
    """When a figure is assumed to have come out; at the latest when the file that holds it reached us."""
    if frequency == "daily":
        out = at(day.dt.add_business_days(release.days, roll="forward"), release.clock)
    else:
        out = at(period_end(day, frequency).dt.offset_by(f"{release.days - 1}d"), release.clock)
    ts = midnight(period_end(day, frequency))
    return pl.max_horizontal(ts, pl.min_horizontal(out, pl.lit(now).cast(STAMP)))
