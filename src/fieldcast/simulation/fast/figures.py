"""Figures of fast runs from what the kernels leave: one row a run.

    return      equity at the last close / cash - 1
    r(t)        equity(t) / equity(t-1) - 1, the first against the cash paid in; T of them, flat bars included
    Sharpe      mean(r) / s * sqrt(A),  s with n - 1, A = periods_per_year
    Sortino     mean(r) / sqrt(mean(min(r, 0)^2)) * sqrt(A)
    drawdown    1 - equity / highest equity so far, the cash paid in included; at closes
    turnover    value traded / mean equity / years
    exposure    share of closes at which a position is held
    win rate    round trips with a gain after all fees / round trips; one ends where the position returns to zero or turns
    costs       fees, and what half spread, slippage and impact took

A figure that does not exist (a Sharpe ratio of returns that do not vary, a win rate without a trade) is null, never 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.simulation.fast import _layout as layout

FIGURES: dict[str, pl.DataType] = {
    "final_equity": pl.Float64(),
    "total_return": pl.Float64(),
    "max_drawdown": pl.Float64(),
    "sharpe": pl.Float64(),
    "sortino": pl.Float64(),
    "trades": pl.Int64(),
    "win_rate": pl.Float64(),
    "exposure": pl.Float64(),
    "turnover": pl.Float64(),
    "fees": pl.Float64(),
    "price_costs": pl.Float64(),
    "fills": pl.Int64(),
    "rejected": pl.Int64(),
    "cut": pl.Int64(),
    "stopped": pl.Int64(),
    "targets_hit": pl.Int64(),
    "margin_call_bar": pl.Int64(),  # null: never less equity than the maintenance margin; the venue would have sold from here on
    "ruined": pl.Boolean(),  # equity at or below zero at a close: returns from there on mean nothing
}


def figures_of(
    whole: NDArray[np.int64], real: NDArray[np.float64], *, bars: int, cash_minor: int, minor: float, periods_per_year: float
) -> dict[str, Any]:
    """Columns of FIGURES from (P, WHOLES) and (P, REALS); `minor` is the value of a minimal unit."""
    found = _columns(whole, real, bars, cash_minor, minor, periods_per_year)
    return {
        name: values if known is None else pl.Series(values).set(pl.Series(~known), None)
        for name, (values, known) in found.items()
    }


def figures_row(
    whole: NDArray[np.int64], real: NDArray[np.float64], *, bars: int, cash_minor: int, minor: float, periods_per_year: float
) -> dict[str, Any]:
    """FIGURES of one run, (WHOLES,) and (REALS,), by name: the same without a table, which would take longer than the run."""
    found = _columns(whole[None], real[None], bars, cash_minor, minor, periods_per_year)
    return {
        name: values[0].item() if known is None or known[0] else None
        for name, (values, known) in found.items()
    }


def _columns(
    whole: NDArray[np.int64], real: NDArray[np.float64], bars: int, cash_minor: int, minor: float, periods_per_year: float
) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_] | None]]:
    """Values of each figure, and where they exist; None: everywhere."""
    n = float(bars)
    mean = real[:, layout.R_SUM] / n
    squares = real[:, layout.R_SQUARES]
    variance = np.maximum(squares - real[:, layout.R_SUM] * mean, 0.0) / (n - 1.0) if bars > 1 else np.zeros(len(real))
    down = np.sqrt(real[:, layout.R_DOWN] / n)
    scale = math.sqrt(periods_per_year)
    ruined = real[:, layout.R_LEAST] <= 0.0
    varies = (variance > 1e-24 * np.maximum(squares, 1e-300)) & (squares > 0.0) & ~ruined
    trades = whole[:, layout.W_TRADES]
    called = whole[:, layout.W_MARGIN_BAR]
    mean_equity = real[:, layout.R_EQUITY] / n
    return {
        "final_equity": (whole[:, layout.W_EQUITY] * minor, None),
        "total_return": (whole[:, layout.W_EQUITY] / cash_minor - 1.0, None),
        "max_drawdown": (real[:, layout.R_DRAWDOWN], None),
        "sharpe": _over(mean * scale, np.sqrt(variance), varies),
        "sortino": _over(mean * scale, down, (down > 0.0) & ~ruined),
        "trades": (trades, None),
        "win_rate": _over(whole[:, layout.W_WINS].astype(np.float64), trades.astype(np.float64), trades > 0),
        "exposure": (whole[:, layout.W_BARS_HELD] / n, None),
        "turnover": _over(real[:, layout.R_TRADED] * (periods_per_year / n), mean_equity, mean_equity > 0.0),
        "fees": (whole[:, layout.W_FEES] * minor, None),
        "price_costs": (whole[:, layout.W_SHIFT_COST] * minor, None),
        "fills": (whole[:, layout.W_FILLS], None),
        "rejected": (whole[:, layout.W_REJECTED], None),
        "cut": (whole[:, layout.W_CUT], None),
        "stopped": (whole[:, layout.W_STOPPED], None),
        "targets_hit": (whole[:, layout.W_TARGETS], None),
        "margin_call_bar": (called, called >= 0),
        "ruined": (ruined, None),
    }


def _over(
    above: NDArray[np.float64], below: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """above / below where it is known, and where that is."""
    return np.divide(above, below, out=np.zeros(above.size), where=known), known
