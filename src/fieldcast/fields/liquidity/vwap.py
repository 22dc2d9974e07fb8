"""VWAP with bands: the volume-weighted mean price since an anchor, and how far trading has spread around it.

    p_i    = (high_i + low_i + close_i) / 3
    VWAP_t = sum(v_i p_i) / sum(v_i)                         i from the anchor to t
    sd_t   = sqrt( sum(v_i (p_i − VWAP_t)^2) / sum(v_i) )
    bands  = VWAP ± 1, 2, 3 sd

The anchor starts the sums again: at the open of each session, of each ISO week, at a swing, at any time that is named. A swing
is known only some bars after it turned; the VWAP from it is shown from its confirmation on, not earlier.

The sums of squares are updated as in West, Updating mean and variance estimates, Communications of the ACM 22 (1979) 532-535.
VWAP: Berkowitz, Logue & Noser, The total cost of transactions on the NYSE, Journal of Finance 43 (1988) 97-112.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import numpy as np
import polars as pl

from fieldcast.fields._rows import Flags, Floats, Rows, rows_of
from fieldcast.ground import InvalidInput, utc
from fieldcast.market import segments

SIGMAS = (1, 2, 3)


class Anchor(StrEnum):
    """Where the sums begin again."""

    SESSION = "session"
    WEEK = "week"


def weighted_bands(price: Floats, volume: Floats, restart: Flags) -> tuple[Floats, Floats]:
    """Volume-weighted mean and standard deviation of `price` since the last restart.

    Parameters
    ----------
    price, volume : (n,) known values
    restart : (n,) True in the first row of each span

    Returns
    -------
    (n,) mean and (n,) standard deviation, in prices; NaN before the first restart and before its first volume
    """
    from fieldcast.fields.liquidity import _kernels

    result = np.full((price.size, 2), np.nan)
    _kernels.weighted_bands(np.ascontiguousarray(price), np.ascontiguousarray(volume), restart, result)
    return result[:, 0], result[:, 1]


def vwap(
    bars: pl.DataFrame, anchor: Anchor | datetime, *, calendar: str = "XNYS", known_since: datetime | None = None
) -> pl.DataFrame:
    """VWAP and bands at every bar.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`; a bar without range or volume has no row in the sums
    anchor : at each session, at each week, or from one moment on (the first bar that ends after it)
    calendar : whose sessions; a bar outside them belongs to none and gets no value
    known_since : with a moment as the anchor: when that moment was known to matter (a swing's `confirmed_at`)

    Returns
    -------
    `ts`, `available_at`, `vwap`, `sd`, `lower_3` … `upper_3`; null where there is no value yet

    Raises
    ------
    InvalidInput : `known_since` stands before the anchor, or without a moment as the anchor
    """
    rows = rows_of(bars)
    stamps = rows.ts.to_physical().to_numpy()
    if isinstance(anchor, datetime):
        start = int(utc(anchor).timestamp() * 1e6)
        shown = start if known_since is None else int(utc(known_since).timestamp() * 1e6)
        if shown < start:
            raise InvalidInput(f"expected known_since at or after the anchor {anchor.isoformat()}, found {known_since}")
        span = np.where(stamps > start, 0, -1)
        visible = stamps >= shown
    elif known_since is not None:
        raise InvalidInput("expected known_since with a moment as the anchor alone; sessions and weeks are known ahead")
    else:
        place = session_of(stamps, calendar)
        span = place if anchor is Anchor.SESSION else _weeks(place, calendar)
        visible = np.ones(stamps.size, np.bool_)
    mean, deviation = _by_span(rows, span)
    mean[~visible] = deviation[~visible] = np.nan
    columns = {"vwap": mean, "sd": deviation}
    for k in SIGMAS:
        columns |= {f"lower_{k}": mean - k * deviation, f"upper_{k}": mean + k * deviation}
    known = {name: pl.Series(name, values).fill_nan(None) for name, values in columns.items()}
    return pl.DataFrame({"ts": rows.ts, "available_at": rows.available_at.cum_max(), **known})


def session_of(stamps: np.ndarray, calendar: str) -> np.ndarray:
    """Place of each bar's session in the calendar's list of sessions, −1 outside trading hours.

    Parameters
    ----------
    stamps : (n,) microseconds UTC, the end of each bar
    calendar : name in exchange_calendars

    Returns
    -------
    (n,) places; a bar belongs to the segment with start < ts ≤ end
    """
    table = segments(calendar)
    start, end = (table[name].to_physical().to_numpy() for name in ("start", "end"))
    at = np.searchsorted(end, stamps, side="left")
    inside = at < end.size
    inside[inside] = stamps[inside] > start[at[inside]]
    days = table["session"].to_physical().to_numpy()
    place = np.concatenate(([0], np.cumsum(np.diff(days) != 0)))
    return np.where(inside, place[np.minimum(at, end.size - 1)], -1)


def _weeks(place: np.ndarray, calendar: str) -> np.ndarray:
    """Number of the ISO week of each session place, −1 outside."""
    days = segments(calendar)["session"].unique(maintain_order=True).to_physical().to_numpy()
    return np.where(place >= 0, (days[np.maximum(place, 0)] + 3) // 7, -1)  # day 0 was a Thursday


def _by_span(rows: Rows, span: np.ndarray) -> tuple[Floats, Floats]:
    known = np.isfinite(rows.high) & np.isfinite(rows.low) & np.isfinite(rows.volume) & (span >= 0)
    at = np.flatnonzero(known)
    mean, deviation = np.full((2, len(rows)), np.nan)
    typical = (rows.high[at] + rows.low[at] + rows.close[at]) / 3
    restart = np.concatenate(([True], np.diff(span[at]) != 0))[: at.size]
    mean[at], deviation[at] = weighted_bands(typical, rows.volume[at], restart)
    return mean, deviation
