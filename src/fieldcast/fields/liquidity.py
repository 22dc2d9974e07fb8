"""Liquidity: where volume was done, where price turned, how much a trade moves the price.

Volume profile of the last 60 sessions. Each bar's volume is spread evenly over low … high (its close alone would put a
session's whole volume at one price) into 50 equal bins between the window's lowest low and highest high:

    POC   centre of the bin with most volume (of a run of equal bins: the middle one)
    area  from the POC outward, always the heavier neighbour, until 70 % of the volume is inside: VAL … VAH
    VWAP  sum(volume · (high + low + close) / 3) / sum(volume) over the same window
    nodes runs of bins with at least 1.5 (HVN) or, between them, at most 0.5 (LVN) of the mean bin's volume

Swings are fractals: a high above the 3 bars before it and not below the 3 after it. It is known only 3 bars later, and
no column shows it earlier; one older than 60 bars is forgotten. The anchored VWAP starts at the bar of that swing.

Amihud's illiquidity is the mean over 20 sessions of |log return| per billion units of close × volume. For an index the
volume is shares of its members and the close is an index level, so the unit is no currency: compare an index with its
own past (`amihud_ratio`), never with another instrument.

Gaps: `gap` = log(open / previous close), unknown where the open is no real print; `gap_below` and `gap_above` are the
prices at which the nearest gap between two bars' ranges, not yet traded through in 60 bars, would be filled.

Sources: Steidlmayer & Koy, Markets and Market Logic (1986) for profile and value area; Williams, Trading Chaos (1995)
for the fractal; Amihud, Illiquidity and stock returns, J. Financial Markets 5 (2002) 31-56.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows, by_stretch, rows_of
from fieldcast.fields.columns import FieldColumn
from fieldcast.ground import InvalidInput

WINDOW = 60  # sessions in the profile, and how long a swing or a gap is remembered
BINS = 50
SHARE = 0.70  # of the volume inside the value area
SWING = 3  # bars on each side of a swing
AMIHUD, AMIHUD_LONG = 20, 250
AMIHUD_SCALE = 1e9

PROFILE_SOURCE = "Steidlmayer & Koy (1986)"
SWING_SOURCE = "Williams (1995)"
AMIHUD_SOURCE = "Amihud (2002)"
OWN = "fields/liquidity.py"

_BARS = ("high", "low", "close", "volume")
_PROFILE = ("poc", "val", "vah", "value_area_share", "vwap", "hvn_above", "hvn_below", "lvn_above", "lvn_below")


def volume_profile(
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    *,
    window: int = WINDOW,
    bins: int = BINS,
    share: float = SHARE,
) -> dict[str, Floats]:
    """The volume profile of the last `window` bars, at every bar.

    Parameters
    ----------
    high, low, close, volume : (n,) known values, ascending in time
    window : bars in a profile
    bins : equal price bins between the window's lowest low and highest high
    share : of the volume that the value area must hold

    Returns
    -------
    (n,) arrays: poc, val, vah, vwap, hvn_above, hvn_below, lvn_above, lvn_below (prices) and value_area_share (0 … 1);
    NaN before row window − 1, where nothing was traded in the window, and where there is no such node

    Raises
    ------
    InvalidInput : the arrays differ in length, or a value is not finite
    """
    from fieldcast.fields import _kernels

    high, low, close, volume = arrays = [np.ascontiguousarray(item, np.float64) for item in (high, low, close, volume)]
    if len({item.shape for item in arrays}) != 1 or not all(np.isfinite(item).all() for item in arrays):
        raise InvalidInput("expected four arrays of one length with finite values; leave unknown bars out")
    if window < 1 or bins < 2 or not 0 < share <= 1:
        raise InvalidInput(f"expected window ≥ 1, bins ≥ 2 and 0 < share ≤ 1, found {window}, {bins} and {share}")
    result = np.full((high.size, _kernels.WIDTH), np.nan)
    _kernels.volume_profiles(high, low, close, volume, window, share, np.empty(bins), result)
    return {name: result[:, column] for column, name in enumerate(_PROFILE)}


def swings(bars: pl.DataFrame, *, left: int = SWING, right: int = SWING) -> pl.DataFrame:
    """Every confirmed swing.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`
    left, right : bars on each side that a swing high must top (strictly before it, at least equal after it)

    Returns
    -------
    `ts` (of the turning bar), `kind` (high or low), `price`, `confirmed_at` (ts of the bar `right` bars later, when it
    was first known); ordered by confirmed_at
    """
    rows = rows_of(bars)
    tables = []
    for kind, prices in (("high", rows.high), ("low", rows.low)):
        at = _pivots(prices if kind == "high" else -prices, left, right)
        tables.append(
            pl.DataFrame(
                {
                    "ts": rows.ts.gather(at),
                    "kind": pl.Series([kind] * at.size, dtype=pl.String),
                    "price": prices[at],
                    "confirmed_at": rows.ts.gather(at + right),
                }
            )
        )
    return pl.concat(tables).sort("confirmed_at", "kind")


def _pivots(values: Floats, left: int, right: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rows that top the `left` rows before them and are not topped by the `right` after; unknown rows never count."""
    if left < 1 or right < 1:
        raise InvalidInput(f"expected at least one bar on each side of a swing, found {left} and {right}")
    if values.size <= left + right:
        return np.empty(0, dtype=np.int64)
    around = sliding_window_view(values, left + right + 1)
    middle = around[:, left]
    turns = (middle > around[:, :left].max(axis=1)) & (middle >= around[:, left + 1 :].max(axis=1))
    return np.flatnonzero(turns) + left


def _last_swing(values: Floats) -> tuple[Floats, Floats]:
    """Price and age of the last swing high of `values` that was confirmed at each row and is not forgotten."""
    at = _pivots(values, SWING, SWING)
    row = np.arange(values.size)
    last = np.full(values.size, -1, dtype=np.int64)
    last[at + SWING] = at
    last = np.maximum.accumulate(last)
    fresh = (last >= 0) & (row - last <= WINDOW)
    return np.where(fresh, values[last], np.nan), np.where(fresh, row - last, np.nan)


def _anchored_vwap(rows: Rows, age: Floats) -> Floats:
    """Volume-weighted price from `age` bars ago to now."""
    traded = np.concatenate(([0.0], np.cumsum(rows.volume)))
    value = np.concatenate(([0.0], np.cumsum(rows.volume * (rows.high + rows.low + rows.close) / 3)))
    known = np.isfinite(age)
    now = np.flatnonzero(known)
    start = now - age[known].astype(np.int64)
    volume = traded[now + 1] - traded[start]
    result = np.full(len(rows), np.nan)
    np.divide(value[now + 1] - value[start], volume, out=volume, where=volume > 0)
    result[known] = np.where(traded[now + 1] > traded[start], volume, np.nan)
    return result


def _open_gaps(near: Floats, far: Floats) -> Floats:
    """Fill price of the newest gap up (`near` = low, `far` = high) of the last WINDOW bars that is still open."""
    result = np.full(near.size, np.nan)
    for row in np.flatnonzero(near[1:] > far[:-1]) + 1:
        fill = far[row - 1]
        still_open = np.minimum.accumulate(near[row : row + WINDOW]) > fill
        result[row : row + WINDOW][still_open] = fill  # a newer open gap lies nearer, and overwrites
    return result


def _profile_columns(rows: Rows) -> dict[str, Floats]:
    profile = volume_profile(rows.high, rows.low, rows.close, rows.volume)
    profile["value_area_position"] = (rows.close - profile["val"]) / _positive(profile["vah"] - profile["val"])
    for name in ("poc", "val", "vah", "vwap"):
        profile[f"{name}_distance"] = np.log(rows.close / profile[name])
    for side, values in (("high", rows.high), ("low", -rows.low)):
        profile[f"anchored_vwap_{side}"] = _anchored_vwap(rows, _last_swing(values)[1])
    return profile


def _structure_columns(rows: Rows) -> dict[str, Floats]:
    high, high_age = _last_swing(rows.high)
    low, low_age = _last_swing(-rows.low)
    return {
        "swing_high": high,
        "swing_low": -low,
        "swing_high_age": high_age,
        "swing_low_age": low_age,
        "swing_high_distance": np.log(rows.close / high),
        "swing_low_distance": np.log(rows.close / -low),
        "gap_below": _open_gaps(rows.low, rows.high),
        "gap_above": -_open_gaps(-rows.high, -rows.low),
    }


def _amihud_columns(rows: Rows) -> dict[str, Floats]:
    traded = rows.close * rows.volume / AMIHUD_SCALE
    moved = np.abs(np.diff(np.log(rows.close), prepend=np.nan))
    known = np.isfinite(moved) & (traded > 0)  # a session without trading has no price impact to measure
    impact = np.where(known, moved / np.where(known, traded, 1.0), 0.0)
    short = _window_sum(impact, AMIHUD) / _positive(_window_sum(known.astype(np.float64), AMIHUD))
    long = _window_sum(impact, AMIHUD_LONG) / _positive(_window_sum(known.astype(np.float64), AMIHUD_LONG))
    return {"amihud": short, "amihud_ratio": np.log(_positive(short) / _positive(long))}


def _window_sum(values: Floats, window: int) -> Floats:
    """Sum of the last `window` values, each window summed by itself so that nothing older leaves a trace."""
    result = np.full(values.size, np.nan)
    if values.size >= window:
        result[window - 1 :] = sliding_window_view(values, window).sum(axis=1)
    return result


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def compute(rows: Rows) -> dict[str, Floats]:
    """Every liquidity column, (n,) each, NaN where unknown; names without their namespace."""
    columns = by_stretch(rows, _BARS, WINDOW, _profile_columns)
    columns |= by_stretch(rows, ("high", "low", "close"), SWING, _structure_columns)
    columns |= by_stretch(rows, ("close", "volume"), AMIHUD, _amihud_columns)
    gap = np.full(len(rows), np.nan)
    gap[1:] = np.log(rows.open[1:] / rows.close[:-1])
    return columns | {"gap": gap}


def _column(
    name: str,
    unit: str,
    formula: str,
    *,
    source: str = PROFILE_SOURCE,
    inputs: tuple[str, ...] = _BARS,
    warmup: int = WINDOW - 1,
    low: float | None = None,
    high: float | None = None,
) -> FieldColumn:
    return FieldColumn(
        name=f"liquidity.{name}",
        block="liquidity",
        inputs=inputs,
        warmup=warmup,
        unit=unit,
        formula=formula,
        source=source,
        low=0.0 if unit == "price" else low,
        high=high,
        level=unit == "price",
    )


_RANGE = ("high", "low", "close")
_TURN = WINDOW + SWING


def _turn(name: str, unit: str, formula: str, low: float | None = None, high: float | None = None) -> FieldColumn:
    return _column(name, unit, formula, source=SWING_SOURCE, inputs=_RANGE, warmup=_TURN, low=low, high=high)


COLUMNS: tuple[FieldColumn, ...] = (
    _column("poc", "price", "centre of the heaviest of 50 bins, 60 sessions"),
    _column("val", "price", "lower end of the 70 % value area"),
    _column("vah", "price", "upper end of the 70 % value area"),
    _column("value_area_share", "share of volume", "volume inside the value area", low=SHARE, high=1.0),
    _column("value_area_position", "value areas above its low", "(close − val) / (vah − val)"),
    _column("poc_distance", "log", "log(close / poc)"),
    _column("val_distance", "log", "log(close / val)"),
    _column("vah_distance", "log", "log(close / vah)"),
    _column("hvn_above", "price", "nearest high-volume node at or above the close"),
    _column("hvn_below", "price", "nearest high-volume node below the close"),
    _column("lvn_above", "price", "nearest low-volume node at or above the close"),
    _column("lvn_below", "price", "nearest low-volume node below the close"),
    _column("vwap", "price", "sum(volume · typical price) / sum(volume), 60 sessions"),
    _column("vwap_distance", "log", "log(close / vwap)"),
    *(
        _column(f"anchored_vwap_{side}", "price", f"VWAP since the last swing {side}", source=OWN, warmup=_TURN)
        for side in ("high", "low")
    ),
    *(_turn(f"swing_{side}", "price", f"last confirmed 3-3 fractal {side}") for side in ("high", "low")),
    *(_turn(f"swing_{side}_age", "bars", "bars since it", low=SWING, high=WINDOW) for side in ("high", "low")),
    *(_turn(f"swing_{side}_distance", "log", f"log(close / swing_{side})") for side in ("high", "low")),
    _column("gap", "log", "log(open / previous close)", source=OWN, inputs=("open", "close"), warmup=1),
    *(
        _column(
            f"gap_{side}",
            "price",
            f"fill price of the nearest open gap {side}",
            source=OWN,
            inputs=_RANGE,
            warmup=WINDOW,
        )
        for side in ("below", "above")
    ),
    _column(
        "amihud",
        "|log return| per 1e9 of close × volume",
        "mean over 20 sessions, of those with volume",
        source=AMIHUD_SOURCE,
        inputs=("close", "volume"),
        warmup=AMIHUD,
        low=0.0,
    ),
    _column(
        "amihud_ratio",
        "log",
        "log(amihud over 20 / amihud over 250 sessions)",
        source=AMIHUD_SOURCE,
        inputs=("close", "volume"),
        warmup=AMIHUD_LONG,
    ),
)
