"""Which options a simulated market lists, and since when: expiries by the habits of real exchanges, strikes by spacing rules.

An expiry is listed a fixed time ahead and stays until it expires: dailies (every session), weeklies (Fridays), monthlies (third
Fridays), the quarterly cycle (third Fridays of March, June, September and December, a year ahead), last sessions of quarters, and
long-dated ones (third Fridays of one month, years ahead). A Friday without a session means the session before. Index options
settle against the opening (AM, root as the underlying) in their monthlies and long-dated ones and at the close (PM, root with
W) in all others; both exist on third Fridays. Options on shares all settle at the close.

Strikes are multiples of a step out of 1, 2.5, 5 times a power of ten: the smallest that is at least `least_step` of the spot and
brings no more than `near_strikes` between the `near` standard deviations to expiry on both sides; beyond that every fifth, out to
`far_down` and `far_up`. A strike once listed is never taken away: the ladder grows as the spot moves.

Sources: Cboe, specifications of SPX and SPXW options; OCC and Cboe, rules for strike intervals and the quarterly cycle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from fieldcast.data.chains import LARGEST_STRIKE
from fieldcast.ground import InvalidInput

_QUARTERLY = (3, 6, 9, 12)
_YEAR = 365.25


@dataclass(frozen=True)
class ListingRules:
    """What is listed.

    Parameters
    ----------
    dailies : sessions ahead at which every session gets an expiry; 0 for none
    weeklies : weeks ahead at which each Friday gets one; 0 for none
    monthlies : months ahead of each third Friday
    quarter_ends : listed a year ahead or not
    long_years, long_month : years ahead of the third Friday of one month; 0 years for none
    morning_settled : monthlies, quarterly cycle and long-dated ones settle against the opening (index options)
    least_step : of the spot
    near, near_strikes : standard deviations on each side with the finest step, and how many strikes they may hold at most
    far_down, far_up : standard deviations to the lowest and to the highest strike
    """

    dailies: int = 0
    weeklies: int = 6
    monthlies: int = 3
    quarter_ends: bool = False
    long_years: int = 2
    long_month: int = 1
    morning_settled: bool = False
    least_step: float = 0.005
    near: float = 2.0
    near_strikes: int = 40
    far_down: float = 5.0
    far_up: float = 4.0

    def __post_init__(self) -> None:
        if min(self.dailies, self.weeklies, self.long_years) < 0 or self.monthlies < 1 or not 1 <= self.long_month <= 12:
            raise InvalidInput("expected counts at or above zero, at least one month of monthlies and a month out of 1 to 12")
        if not (0 < self.least_step < 0.2 and 0 < self.near <= min(self.far_down, self.far_up) and self.near_strikes >= 3):
            raise InvalidInput("expected least_step in (0, 0.2), near at or below both fars, and at least 3 near strikes")


INDEX_LISTINGS = ListingRules(
    dailies=10, weeklies=8, monthlies=6, quarter_ends=True, long_years=2, long_month=12, morning_settled=True, least_step=0.001,
)  # fmt: skip
EQUITY_LISTINGS = ListingRules()


@dataclass(frozen=True, order=True)
class Expiry:
    """One series of contracts: last date, settlement (`AM` or `PM`), and the date from which it is listed."""

    day: date
    settlement: str
    listed: date


def expiries(rules: ListingRules, days: list[date], first: date, last: date) -> list[Expiry]:
    """Every expiry that is listed at some time between two dates and has not expired before the first, ascending.

    Parameters
    ----------
    days : sessions of the calendar, ascending, from before `first`; beyond the last of them every Friday counts as one
    """
    found: dict[tuple[date, str], date] = {}

    def add(day: date, settlement: str, listed: date) -> None:
        if day >= first and listed <= last:
            found[day, settlement] = min(listed, found.get((day, settlement), listed))

    morning = "AM" if rules.morning_settled else "PM"
    reach = last + timedelta(days=round(_YEAR * (rules.long_years + 1)) + 40)
    held = np.array(days, dtype="datetime64[D]")

    def session(day: date) -> date:
        place = int(np.searchsorted(held, np.datetime64(day), side="right")) - 1
        return day if day > days[-1] else days[place]

    begin = int(np.searchsorted(held, np.datetime64(first)))
    end = int(np.searchsorted(held, np.datetime64(last), side="right"))
    for place in range(begin, min(end + rules.dailies, len(days)) if rules.dailies else begin):
        add(days[place], "PM", days[max(0, place - rules.dailies)])
    friday = first + timedelta(days=(4 - first.weekday()) % 7)
    while rules.weeklies and friday <= last + timedelta(weeks=rules.weeklies):
        add(session(friday), "PM", friday - timedelta(weeks=rules.weeklies))
        friday += timedelta(weeks=1)
    year, month = first.year, first.month
    while date(year, month, 1) <= reach:
        third = third_friday(year, month)
        add(session(third), morning, third - timedelta(days=round(_YEAR / 12 * rules.monthlies)))
        if month in _QUARTERLY:
            add(session(third), morning, third - timedelta(days=365))
            if rules.quarter_ends:
                ending = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
                ending -= timedelta(days=max(0, ending.weekday() - 4))
                add(session(ending), "PM", ending - timedelta(days=365))
        if month == rules.long_month and rules.long_years:
            add(session(third), morning, third - timedelta(days=round(_YEAR * rules.long_years)))
        year, month = year + month // 12, month % 12 + 1
    return sorted(Expiry(day, settlement, listed) for (day, settlement), listed in found.items())


def third_friday(year: int, month: int) -> date:
    """The third Friday of a month."""
    start = date(year, month, 1)
    return start + timedelta(days=(4 - start.weekday()) % 7 + 14)


def nice_step(least: float) -> float:
    """The smallest of 1, 2.5, 5 times a power of ten that is at least `least`, and at least a cent."""
    power = 10.0 ** math.floor(math.log10(max(least, 0.01)) + 1e-12)
    return next(power * part for part in (1.0, 2.5, 5.0, 10.0) if power * part >= least * (1 - 1e-12))


def ladder(rules: ListingRules, spot: float, deviation: float) -> NDArray[np.int64]:
    """Strikes in thousandths that the rules list, ascending.

    Parameters
    ----------
    spot : price of the underlying
    deviation : standard deviation of the log price to expiry
    """
    low, high = spot * math.exp(-rules.near * deviation), spot * math.exp(rules.near * deviation)
    step = round(1000 * nice_step(max(rules.least_step * spot, (high - low) / rules.near_strikes)))
    near = _multiples(step, 1000 * low - step, 1000 * high + step)
    down, up = spot * math.exp(-rules.far_down * deviation), spot * math.exp(rules.far_up * deviation)
    far = _multiples(5 * step, 1000 * down - step, 1000 * up + step)
    return np.union1d(near, far)


def _multiples(step: int, low: float, high: float) -> NDArray[np.int64]:
    first, last = max(1, math.ceil(low / step)), min(math.floor(high / step), math.floor(1000 * LARGEST_STRIKE / step))
    return np.arange(first, last + 1, dtype=np.int64) * step
