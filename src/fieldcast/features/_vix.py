"""VIX block: the market's own forecast of volatility, as known at each decision time.

The eight columns are computed on VIX's own rows and then carried to the bars: a bar takes the newest VIX row that was
available at its decision time, provided that it became available since the previous decision. So a missing VIX day is
null and not yesterday's value, nothing is filled before the series begins or after it ends, and a market that closes
hours before VIX takes the one of the evening before. A row that came late is not there in the windows of the decisions
before it.

    vix_close           index points = per cent a year
    vix_sma_10, _20     mean of the last 10 and 20 closes, index points
    vix_percentile_60   share of the previous 59 closes that lie below, times 100
    vix_zscore_20       (close - mean) / sample standard deviation of the last 20; 0 where that is 0
    vix_regime          0 below 15, 1 from 15 to below 25, 2 from 25
    vix_change_1, _5    close / close 1 or 5 rows before - 1

These are points of another index: they do not move with the instrument's price, so none is a `level`.
Source: block "c" of the ts-scaling study.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcast.features._inputs import Array, Inputs, Mask, Stamps, stamps
from fieldcast.features._inputs import values as numbers
from fieldcast.features._registry import Column
from fieldcast.ground import InvalidInput

BLOCK = "vix"
CALM, STRESSED = 15.0, 25.0
LONGEST = 60  # rows of VIX that any column looks at
_SOURCE = "Cboe VIX"

COLUMNS: tuple[Column, ...] = tuple(
    Column(name, BLOCK, ("vix",), warmup, unit, formula, _SOURCE, low, high)
    for name, warmup, unit, formula, low, high in (
        ("vix_close", 1, "index points", "close of VIX", 0.0, None),
        ("vix_sma_10", 9, "index points", "mean of 10 closes", 0.0, None),
        ("vix_sma_20", 19, "index points", "mean of 20 closes", 0.0, None),
        ("vix_percentile_60", 59, "per cent", "share of the previous 59 closes below, times 100", 0.0, 100.0),
        ("vix_zscore_20", 19, "standard deviations", "(close - mean) / sd of 20 closes", -4.3, 4.3),
        ("vix_regime", 1, "class", "0 below 15, 1 below 25, else 2", 0.0, 2.0),
        ("vix_change_1", 1, "fraction", "close / previous close - 1", -1.0, None),
        ("vix_change_5", 5, "fraction", "close / close five rows before - 1", -1.0, None),
    )
)


def values(inputs: Inputs, vix: pl.DataFrame) -> dict[str, Array]:
    """Every column of the block on the bars' rows, each (n,); NaN where VIX is not known.

    Raises
    ------
    InvalidInput : VIX has no ts, available_at or close, is unsorted, or holds a value that is not positive
    """
    missing = [name for name in ("ts", "available_at", "close") if name not in vix.columns]
    if missing:
        raise InvalidInput(f"expected VIX with ts, available_at and close; missing {', '.join(missing)}")
    ts, available = stamps(vix, "ts"), stamps(vix, "available_at")
    if vix.height > 1 and not (np.diff(ts) > 0).all():
        raise InvalidInput("expected VIX in ascending order of ts, one row each, as a store reads it")
    close = numbers(vix["close"], "close of VIX")
    if np.isnan(close).any() or (close <= 0).any():
        raise InvalidInput("expected a positive close in every row of VIX; drop rows without one")
    row, known, fresh = _newest(inputs, ts, available)
    own = _own_rows(close)
    out = {column.name: np.full(inputs.rows, np.nan) for column in COLUMNS}
    whole = fresh & (known == row + 1)  # every VIX row up to the newest one was known
    for column in COLUMNS:
        use = whole & (row >= column.warmup)
        out[column.name][use] = own[column.name][row[use]]
    for place in np.flatnonzero(fresh & ~whole):
        then = close[: row[place] + 1][available[: row[place] + 1] <= inputs.as_of[place]]
        seen = _own_rows(then[-LONGEST:])
        for column in COLUMNS:
            if then.size > column.warmup:
                out[column.name][place] = seen[column.name][-1]
    return out


def _newest(inputs: Inputs, ts: Stamps, available: Stamps) -> tuple[Stamps, Stamps, Mask]:
    """What was known of VIX at each decision: place of the newest row, number of rows, whether the newest is news."""
    place, known = np.full(inputs.rows, -1), np.zeros(inputs.rows, dtype=np.int64)
    if ts.size == 0 or inputs.rows == 0:
        return place, known, np.zeros(inputs.rows, dtype=bool)
    order = np.argsort(available, kind="stable")
    newest = np.maximum.accumulate(order)  # a row that arrives after a newer one never becomes the newest
    known = np.searchsorted(available[order], inputs.as_of, side="right")
    place[known > 0] = newest[known[known > 0] - 1]
    fresh = place >= 0
    fresh[0] = False  # the first bar has no earlier decision to compare with
    fresh[1:] &= available[place[1:]] > inputs.as_of[:-1]
    return place, known, fresh


def _own_rows(close: Array) -> dict[str, Array]:
    """The columns on VIX's own rows; NaN in front."""
    n = close.size
    out = {column.name: np.full(n, np.nan) for column in COLUMNS}
    out["vix_close"][:] = close
    out["vix_regime"][:] = (close >= CALM).astype(float) + (close >= STRESSED)
    out["vix_change_1"][1:] = close[1:] / close[:-1] - 1.0
    out["vix_change_5"][5:] = close[5:] / close[:-5] - 1.0
    if n >= 10:
        out["vix_sma_10"][9:] = np.lib.stride_tricks.sliding_window_view(close, 10).mean(axis=1)
    if n >= 20:
        view = np.lib.stride_tricks.sliding_window_view(close, 20)
        mean, deviation = view.mean(axis=1), view.std(axis=1, ddof=1)
        score = np.zeros(mean.size)
        np.divide(close[19:] - mean, deviation, out=score, where=deviation > 1e-12 * mean)
        out["vix_sma_20"][19:], out["vix_zscore_20"][19:] = mean, score
    if n >= 60:
        view = np.lib.stride_tricks.sliding_window_view(close, 60)
        out["vix_percentile_60"][59:] = 100.0 * (view[:, :-1] < view[:, -1:]).mean(axis=1)
    return out
