"""Words for the figures of the regime: which bucket the market is in.

    VIX            low < 15 ≤ normal < 20 ≤ elevated < 30 ≤ crisis
    volatility     thirds of the instrument's own last 252 values: low < 1/3 ≤ medium < 2/3 ≤ high
    structure      the largest soft membership: trend up, trend down, rotation (mean reversion), chop (expansion)
    market hours   pre-market from 04:00, regular, after hours to 20:00, overnight; closed on a day without a session
    trading desk   for markets that never close: Tokyo 0-8, London 8-16, New York 16-24, in UTC
    activity       volume against the usual: busy from 1.2 times on, quiet up to 0.8
    correlation    with the market: strong ≥ .7 > mild ≥ .3 > none > −.3 ≥ inverse > −.7 ≥ strongly inverse

A word is a name for a range of a figure that stands beside it; nothing computes with the word. The bounds are conventions of
long standing among traders (those of VIX and correlation) or thirds by definition; none of them was fitted to anything.
Market hours are those of US equities; a half-day ends its regular hours early, and its after hours begin then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from math import isfinite
from zoneinfo import ZoneInfo

import polars as pl

from fieldcast.fields.vocabulary import Activity, CorrelationLevel, MarketHours, Structure, TradingDesk, VixLevel, VolatilityLevel
from fieldcast.ground import InvalidInput, utc
from fieldcast.market import sessions

VIX_BOUNDS = (15.0, 20.0, 30.0)
THIRDS = (1 / 3, 2 / 3)
BUSY, QUIET = 1.2, 0.8
CORRELATION_BOUNDS = (0.7, 0.3)
US_EQUITIES = ("XNYS", "XNAS")
HOURS_KNOWN = (*US_EQUITIES, "24/7")
NEW_YORK = ZoneInfo("America/New_York")
PRE_MARKET, AFTER_HOURS = time(4), time(20)

_STRUCTURES = {
    "trend_up": Structure.TREND_UP, "trend_down": Structure.TREND_DOWN,
    "mean_revert": Structure.ROTATION, "expansion": Structure.CHOP,
}  # fmt: skip


def vix_level(vix: float) -> VixLevel:
    """Bucket of a VIX close, in index points."""
    _positive("a VIX close", vix)
    low, normal, elevated = VIX_BOUNDS
    if vix < low:
        return VixLevel.LOW
    if vix < normal:
        return VixLevel.NORMAL
    return VixLevel.ELEVATED if vix < elevated else VixLevel.CRISIS


def volatility_level(rank: float) -> VolatilityLevel:
    """Bucket of `regime.volatility_rank`, 0 … 1."""
    if not 0 <= rank <= 1:
        raise InvalidInput(f"expected a rank from 0 to 1, found {rank}")
    if rank < THIRDS[0]:
        return VolatilityLevel.LOW
    return VolatilityLevel.MEDIUM if rank < THIRDS[1] else VolatilityLevel.HIGH


def structure(memberships: Mapping[str, float]) -> Structure:
    """The largest of the four soft memberships; of equal ones the first in the order trend up, down, rotation, chop."""
    missing = _STRUCTURES.keys() - memberships.keys()
    if missing:
        raise InvalidInput(f"expected the memberships {', '.join(_STRUCTURES)}, found none for {', '.join(sorted(missing))}")
    return _STRUCTURES[max(_STRUCTURES, key=lambda name: memberships[name])]


def activity(ratio: float) -> Activity:
    """Bucket of volume divided by what is usual."""
    if not (isfinite(ratio) and ratio >= 0):
        raise InvalidInput(f"expected a volume ratio of 0 or more, found {ratio}")
    if ratio >= BUSY:
        return Activity.BUSY
    return Activity.QUIET if ratio <= QUIET else Activity.USUAL


def correlation_level(correlation: float) -> CorrelationLevel:
    """Bucket of a correlation with the market, −1 … 1."""
    if not -1 <= correlation <= 1:
        raise InvalidInput(f"expected a correlation from -1 to 1, found {correlation}")
    strong, mild = CORRELATION_BOUNDS
    if correlation >= mild:
        return CorrelationLevel.STRONG if correlation >= strong else CorrelationLevel.MILD
    if correlation > -mild:
        return CorrelationLevel.NONE
    return CorrelationLevel.INVERSE if correlation > -strong else CorrelationLevel.STRONGLY_INVERSE


def market_hours(calendar: str, at: datetime) -> MarketHours:
    """Which part of the trading day `at` falls into.

    Parameters
    ----------
    calendar : of US equities (their hours before and after the session are known), or one that never closes
    at : time with its zone

    Raises
    ------
    InvalidInput : a calendar whose extended hours are not known here, or a time without its zone
    """
    at = utc(at)
    if calendar == "24/7":
        return MarketHours.REGULAR
    if calendar not in US_EQUITIES:
        raise InvalidInput(
            f"expected a calendar of US equities or 24/7, found {calendar!r}: its extended hours are not known here"
        )
    local = at.astimezone(NEW_YORK)
    day = sessions(calendar).filter(pl.col("session") == local.date())
    if day.is_empty():
        return MarketHours.CLOSED
    opens, closes = day["open"][0], day["close"][0]
    if opens <= at < closes:
        return MarketHours.REGULAR
    if at < opens:
        return MarketHours.PRE_MARKET if local.time() >= PRE_MARKET else MarketHours.OVERNIGHT
    return MarketHours.AFTER_HOURS if local.time() < AFTER_HOURS else MarketHours.OVERNIGHT


def trading_desk(at: datetime) -> TradingDesk:
    """Which desk's day it is in a market that never closes: Tokyo 0-8, London 8-16, New York 16-24 UTC."""
    return (TradingDesk.TOKYO, TradingDesk.LONDON, TradingDesk.NEW_YORK)[utc(at).hour // 8]


def _positive(what: str, value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise InvalidInput(f"expected {what} above zero, found {value}")
