"""Drawdowns: how deep, from when, until when, and whether they were made good."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP
from fieldcast.simulation.report.performance import Array, drawdown_of

SCHEMA: dict[str, pl.DataType] = {
    "depth": pl.Float64(),  # share of the peak
    "amount": pl.Float64(),  # currency
    "peak_ts": STAMP,  # the last bar at the peak
    "trough_ts": STAMP,
    "recovery_ts": STAMP,  # the first bar at the peak again or above; null where it has not come
    "bars_down": pl.Int64(),  # peak to trough
    "bars_back": pl.Int64(),  # trough to recovery; null with `recovery_ts`
}


def drawdown_curve(equity: pl.DataFrame, *, start: float) -> pl.DataFrame:
    """`ts` and `drawdown`: the share below the highest equity so far, `start` included, at every bar."""
    path = _path(equity, start)
    return equity.select("ts").with_columns(drawdown=pl.Series(drawdown_of(path)[1:]))


def drawdown_table(equity: pl.DataFrame, *, start: float, most: int | None = None) -> pl.DataFrame:
    """Every drawdown, the deepest first; columns as in `SCHEMA`.

    Parameters
    ----------
    equity : `ts`, ascending, and `equity`
    start : cash paid in; where the equity falls from it at once, the peak is the first bar
    most : rows at most; None for all
    """
    path = _path(equity, start)
    if path.size == 1:
        return pl.DataFrame(schema=SCHEMA)
    ts = equity["ts"]
    peak = np.maximum.accumulate(path)
    under = path < peak
    edges = np.flatnonzero(np.diff(np.concatenate(([False], under, [False])).astype(np.int8)))
    rows = []
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        bottom = first + int(path[first:after].argmin())
        high = float(peak[first])
        recovered = after if after < path.size else None  # place on the path, whose place 0 is the start
        rows.append(
            {
                "depth": 1.0 - float(path[bottom]) / high,
                "amount": high - float(path[bottom]),
                "peak_ts": ts[max(first - 2, 0)],
                "trough_ts": ts[bottom - 1],
                "recovery_ts": None if recovered is None else ts[recovered - 1],
                "bars_down": bottom - (first - 1),
                "bars_back": None if recovered is None else recovered - bottom,
            }
        )
    table = pl.DataFrame(rows, schema=SCHEMA).sort("depth", descending=True, maintain_order=True)
    return table if most is None else table.head(most)


def _path(equity: pl.DataFrame, start: float) -> Array:
    """(rows + 1,) equity after the start."""
    values = equity["equity"].cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all() or not start > 0.0:
        raise InvalidInput("expected finite equity and a start above 0")
    return np.concatenate(([start], values))
