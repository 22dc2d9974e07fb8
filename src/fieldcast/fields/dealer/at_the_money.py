"""Volatility at the money forward, one for each expiry: what expected moves and a day's sigma are both made of.

With k = ln(K / S) − b T of each strike K (spot S, carry b, years T), total variance σ²T is linear in k between the two strikes
around the forward, k₁ ≤ 0 ≤ k₂:

    σ² = σ₁² (1 − w) + σ₂² w,   w = −k₁ / (k₂ − k₁)

Where no strike stands on one side the volatility is unknown: the last strike's own says nothing of the forward, which may be
many deviations away.
"""

from __future__ import annotations

import numpy as np

from fieldcast.fields.priced_chain import Floats, Integers, PricedChain
from fieldcast.ground import Reason

AT = 1e-12  # of k: a strike at the forward, but for rounding


def volatilities(spot: float, strike: Floats, years: Floats, carry: Floats, sigma: Floats, first: Integers) -> Floats:
    """Volatility a year at the money forward of each expiry, NaN where no strike stands on one side of it.

    Parameters
    ----------
    spot : price of the underlying
    strike, years, carry, sigma : (n,) by expiry, in each by strike, ascending (a strike may stand there several times)
    first : (m,) first row of each expiry

    Returns
    -------
    (m,)
    """
    k = np.log(strike / spot) - carry * years
    k = np.where(np.abs(k) < AT, 0.0, k)
    size = np.diff(np.append(first, k.size))
    place = np.repeat(np.arange(first.size), size)
    above = first + np.bincount(place[k < 0], minlength=first.size)  # first strike at or above the forward
    high = np.minimum(above, k.size - 1)
    known = (above < first + size) & ((above > first) | (k[high] == 0))
    low = np.where(k[high] == 0, high, np.maximum(above - 1, 0))
    gap = k[high] - k[low]
    part = np.clip(np.where(gap > 0, -k[low] / np.where(gap > 0, gap, 1.0), 0.0), 0.0, 1.0)
    variance = sigma[low] ** 2 * (1 - part) + sigma[high] ** 2 * part
    return np.where(known, np.sqrt(variance), np.nan)


def at_the_money(chain: PricedChain, days: float, days_a_year: float = 365.0) -> float | None:
    """Volatility a year at the money forward, of the expiry nearest to `days` that has strikes on both sides of it.

    Parameters
    ----------
    chain : contracts in any order
    days : calendar days

    Returns
    -------
    None where no expiry has them
    """
    order = np.lexsort((chain.strike, chain.years))
    years = chain.years[order]
    first = np.flatnonzero(np.diff(years, prepend=-1.0))
    found = volatilities(chain.spot, chain.strike[order], years, chain.carry[order], chain.sigma[order], first)
    away = np.where(np.isfinite(found), np.abs(years[first] - days / days_a_year), np.inf)
    if not np.isfinite(away).any():
        return None
    return float(found[int(np.argmin(away))])


def live_contracts(chain: PricedChain) -> int:
    """Contracts of the snapshot that had not expired, those that could not be priced among them: what coverage is a share of."""
    return len(chain) + sum(count for reason, count in chain.dropped.items() if reason is not Reason.EXPIRED)
