"""Effort and result: volume that moves nothing (absorption), and price that runs (displacement).

    E = log( traded_t / mean traded of the 20 bars before )          traded = close · volume
    R = log( reach_t / mean reach of the 20 bars before )            reach = true range / previous close
    relative volume = E,   effort over result = E − R
    absorption   = max(0, tanh E) · max(0, tanh −R)                  0 … 1: more volume than usual, less range than usual
    displacement = (close_t − close_{t−1}) / true range · max(0, tanh R)      −1 … 1: more range than usual, kept by the close

A zone is the range of a bar whose score reaches a declared threshold. It supports where that bar closed in the upper half of
its range (absorption) or rose (displacement), else it resists; it ends with the first later close beyond its far side.

Phase (Wyckoff): four soft memberships that sum to 1. They are declared, not fitted: a reading of the field, not odds.

    P = 2 (close − lowest low) / (highest high − lowest low) − 1     place in the range of 60 bars, −1 … 1
    T = net move / path, 20 steps                                    −1 … 1
    M = sum(volume · (2 close − high − low) / (high − low)) / sum(volume), 20 bars      money flow, −1 … 1

    weights  markup exp(4 T)    markdown exp(−4 T)
             accumulation exp(1 − 2 |T| − 2 (P − M))    distribution exp(1 − 2 |T| + 2 (P − M))

A quiet market low in its range that closes high in its bars on volume is being accumulated; the mirror image is distributed; in
between the two are alike. A mirrored market swaps both pairs. The slopes are those of the regime engine.

Sources: Wyckoff, The Richard D. Wyckoff Method of Trading and Investing in Stocks (1931) for effort against result and the
phases; Chaikin's money flow in Murphy, Technical Analysis of the Financial Markets (1999). The scores are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.fields._rows import Floats, Rows, by_stretch, rows_of
from fieldcast.fields.liquidity.profile import WINDOW
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

PAST = 20  # bars that volume and range are compared with
TREND = 20  # steps of the efficiency, bars of the money flow
SLOPE, LEAN = 4.0, 2.0  # of a trend's membership, and of the place in the range

PHASES = ("accumulation", "markup", "distribution", "markdown")
EFFORT = ("effort_result", "absorption", "displacement")
BARS_READ = ("high", "low", "close", "volume")


@dataclass(frozen=True)
class ZonePolicy:
    """From which score on a bar leaves a zone.

    Half of the largest possible score: for absorption that is, for instance, 2.3 times the usual volume in 0.43 of the usual
    range (tanh of 0.88 is 0.71, and 0.71 squared is one half).
    """

    absorption: float = 0.5
    displacement: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.absorption <= 1 and 0 < self.displacement <= 1):
            raise InvalidInput(f"expected thresholds in (0, 1], found {self.absorption} and {self.displacement}")


def relative_volume(close: Floats, volume: Floats, past: int = PAST) -> Floats:
    """E of the module's docstring.

    Parameters
    ----------
    close, volume : (n,) known values

    Returns
    -------
    (n,) log ratio; NaN in the first `past` rows and where nothing was traded
    """
    traded = close * volume
    result = np.full(close.size, np.nan)
    if close.size > past:
        before = np.lib.stride_tricks.sliding_window_view(traded, past)[:-1].mean(axis=1)
        now = traded[past:]
        known = (before > 0) & (now > 0)
        result[past:][known] = np.log(now[known] / before[known])
    return result


def effort_columns(rows: Rows) -> dict[str, Floats]:
    """Effort over result, absorption and displacement of one stretch."""
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    result = np.full((len(rows), 3), np.nan)
    kernels.effort(rows.high, rows.low, rows.close, rows.volume, PAST, result)
    return {name: result[:, column] for column, name in enumerate(EFFORT)}


def phase_columns(rows: Rows) -> dict[str, Floats]:
    """The four phases, and how many volume-weighted deviations the close stands from the VWAP of 60 bars; one stretch."""
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    result = np.full((len(rows), 5), np.nan)
    kernels.phase(rows.high, rows.low, rows.close, rows.volume, WINDOW, TREND, SLOPE, LEAN, result)
    phases = {f"wyckoff_{name}": result[:, column] for column, name in enumerate(PHASES)}
    return phases | {"vwap_deviation": result[:, kernels.DEVIATION]}


def effort_of(bars: pl.DataFrame) -> pl.DataFrame:
    """Absorption, displacement and phases at every bar.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`

    Returns
    -------
    `ts`, `available_at`, `relative_volume`, `effort_result`, `absorption`, `displacement`, `accumulation`, `markup`,
    `distribution`, `markdown`; null while warming up and where there is no value
    """
    rows = rows_of(bars)
    found = by_stretch(rows, BARS_READ, 1, lambda part: effort_columns(part) | phase_columns(part))
    found |= by_stretch(rows, ("close", "volume"), 1, lambda part: {"relative_volume": relative_volume(part.close, part.volume)})
    unknown = np.full(len(rows), np.nan)
    names = {"relative_volume": "relative_volume"} | {name: name for name in EFFORT}
    names |= {name: f"wyckoff_{name}" for name in PHASES}
    columns = {name: pl.Series(name, found.get(source, unknown)).fill_nan(None) for name, source in names.items()}
    return pl.DataFrame({"ts": rows.ts, "available_at": rows.available_at.cum_max(), **columns})


def zones(bars: pl.DataFrame, policy: ZonePolicy = ZonePolicy()) -> pl.DataFrame:
    """Zones of absorption and of displacement, as known at the last bar.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`
    policy : the scores from which on a bar leaves a zone

    Returns
    -------
    `ts` (of the bar, when the zone was first known), `kind` (absorption or displacement), `side` (support or resistance),
    `low`, `high`, `score` (0 … 1), `ended_at` (ts of the first close beyond it; null while it stands), `age` (bars since);
    ascending in ts
    """
    rows = rows_of(bars)
    found = by_stretch(rows, BARS_READ, 1, effort_columns)
    tables = []
    for kind, least in (("absorption", policy.absorption), ("displacement", policy.displacement)):
        scores = found.get(kind, np.full(len(rows), np.nan))
        at = np.flatnonzero(np.abs(scores) >= least)
        middle = 0.5 * (rows.high[at] + rows.low[at])
        supports = rows.close[at] >= middle if kind == "absorption" else scores[at] > 0
        ended = [_end(rows, int(row), bool(up)) for row, up in zip(at, supports, strict=True)]
        tables.append(
            pl.DataFrame(
                {
                    "ts": rows.ts.gather(at),
                    "kind": pl.Series([kind] * at.size, dtype=pl.String),
                    "side": pl.Series(np.where(supports, "support", "resistance"), dtype=pl.String),
                    "low": rows.low[at],
                    "high": rows.high[at],
                    "score": np.abs(scores[at]),
                    "ended_at": rows.ts.gather(pl.Series(ended, dtype=pl.Int64)).cast(STAMP),
                    "age": pl.Series(len(rows) - 1 - at, dtype=pl.Int64),
                }
            )
        )
    return pl.concat(tables).sort("ts", "kind")


def _end(rows: Rows, row: int, supports: bool) -> int | None:
    later = rows.close[row + 1 :]
    beyond = np.flatnonzero(later < rows.low[row] if supports else later > rows.high[row])
    return row + 1 + int(beyond[0]) if beyond.size else None
