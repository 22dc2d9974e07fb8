"""Session buckets: the hours of a day in which trading costs about the same.

    a calendar with sessions    opening (first 30 minutes), midday, closing (last 30 minutes, the close itself included)
    US equities, besides        pre_market from 04:00 New York, after_hours to 20:00, overnight
    other calendars, besides    outside
    24/7 and 24/5               tokyo 0-8, london 8-16, new_york 16-24, in UTC

A bucket holds its beginning and not its end. A bar that ends at `ts` is told by the moment before its end, so that the
minute that ends at the open is not the opening's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import polars as pl

from fieldcast.ground import utc
from fieldcast.market import STAMP, sessions

EDGE = timedelta(minutes=30)
_AROUND_THE_CLOCK = ("24/7", "24/5")
_US_EQUITIES = ("XNYS", "XNAS")
_PRE_MARKET_HOUR, _AFTER_HOURS_END = 4, 20


class SessionBucket(StrEnum):
    """Part of the trading day."""

    PRE_MARKET = "pre_market"
    OPENING = "opening"
    MIDDAY = "midday"
    CLOSING = "closing"
    AFTER_HOURS = "after_hours"
    OVERNIGHT = "overnight"
    OUTSIDE = "outside"
    TOKYO = "tokyo"
    LONDON = "london"
    NEW_YORK = "new_york"


BUCKETS = tuple(SessionBucket)
_CODE = {bucket: code for code, bucket in enumerate(BUCKETS)}


def bucket_codes(calendar: str, moments: np.ndarray) -> np.ndarray:
    """Which bucket each moment falls into.

    Parameters
    ----------
    calendar : name in exchange_calendars, or `24/7`, `24/5`
    moments : (n,) int64 microseconds, UTC

    Returns
    -------
    (n,) int8 places in `BUCKETS`

    Raises
    ------
    InvalidInput : the calendar is not known
    """
    moments = np.asarray(moments, np.int64)
    if calendar in _AROUND_THE_CLOCK:
        hour = (moments // 3_600_000_000) % 24
        return (_CODE[SessionBucket.TOKYO] + hour // 8).astype(np.int8)
    table = sessions(calendar)
    opens = table["open"].to_physical().to_numpy()
    closes = table["close"].to_physical().to_numpy()
    place = np.minimum(np.searchsorted(closes, moments, side="left"), closes.size - 1)
    inside = (opens[place] <= moments) & (moments <= closes[place])
    edge = int(EDGE / timedelta(microseconds=1))
    opening = inside & (moments < opens[place] + edge)
    closing = inside & ~opening & (moments >= closes[place] - edge)
    codes = np.full(moments.shape, _CODE[SessionBucket.OUTSIDE], np.int8)
    codes[inside] = _CODE[SessionBucket.MIDDAY]
    codes[opening] = _CODE[SessionBucket.OPENING]
    codes[closing] = _CODE[SessionBucket.CLOSING]
    if calendar in _US_EQUITIES:
        codes[~inside] = _extended_hours(table, moments[~inside])
    return codes


def bucket_of(calendar: str, at: datetime) -> SessionBucket:
    """The bucket of one moment; see `bucket_codes`."""
    micros = np.array([(utc(at) - datetime.fromisoformat("1970-01-01T00:00+00:00")) // timedelta(microseconds=1)])
    return BUCKETS[int(bucket_codes(calendar, micros)[0])]


def _extended_hours(table: pl.DataFrame, moments: np.ndarray) -> np.ndarray:
    """Codes of moments outside the regular hours of a US exchange."""
    local = pl.Series(moments).cast(STAMP).dt.convert_time_zone("America/New_York")
    days = pl.DataFrame({"session": local.dt.date(), "hour": local.dt.hour(), "at": pl.Series(moments).cast(STAMP)})
    joined = days.join(table.select("session", "open", "close"), on="session", how="left", maintain_order="left")
    before = (pl.col("at") < pl.col("open")) & (pl.col("hour") >= _PRE_MARKET_HOUR)
    after = (pl.col("at") > pl.col("close")) & (pl.col("hour") < _AFTER_HOURS_END)
    code = (
        pl.when(before)
        .then(_CODE[SessionBucket.PRE_MARKET])
        .when(after)
        .then(_CODE[SessionBucket.AFTER_HOURS])
        .otherwise(_CODE[SessionBucket.OVERNIGHT])
    )
    return joined.select(code.cast(pl.Int8).alias("code"))["code"].to_numpy()
