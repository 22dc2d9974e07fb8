"""How volatile is this instrument, against its own past?

    realised volatility   standard deviation of the last 20 log returns, in % a bar (no annualisation: a bar is a bar)
    rank                  share of the last 252 such values that are below it, half of those equal to it included

The rank is the place of today's value among what was known by today: a tercile of the whole sample would know the future.
It does not change when prices are scaled, and needs closes alone, so that close-only sources have it too.

Source: the rank is the empirical distribution function with mid-ranks for ties (Lehmann, Nonparametrics (1975), 1.2).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows, by_stretch
from fieldcast.fields.columns import FieldColumn

RETURNS = 20
HISTORY = 252
STILL = 1e-9  # a standard deviation below this is rounding about a price that did not move


def realised_volatility(close: Floats, n: int = RETURNS) -> Floats:
    """Standard deviation of the last n log returns about their mean, in % a bar.

    Parameters
    ----------
    close : (m,) known prices

    Returns
    -------
    (m,); NaN in the first n rows
    """
    result = np.full(close.size, np.nan)
    if close.size > n:
        result[n:] = 100.0 * sliding_window_view(np.diff(np.log(close)), n).std(axis=1)
    return result


def own_rank(values: Floats, history: int = HISTORY) -> Floats:
    """Place of each value among the last `history` values, itself among them: 0 (all others above) … 1 (all others below).

    Parameters
    ----------
    values : (m,) with NaN allowed: a window that holds one has no rank

    Returns
    -------
    (m,); NaN in the first history − 1 rows, and where the whole window is equal
    """
    result = np.full(values.size, np.nan)
    if values.size >= history:
        past = sliding_window_view(values, history)
        last = past[:, -1:]
        below = (past < last).sum(axis=1) + 0.5 * ((past == last).sum(axis=1) - 1)
        varied = np.isfinite(past).all(axis=1) & (past.max(axis=1) > past.min(axis=1))
        result[history - 1 :][varied] = below[varied] / (history - 1)
    return result


def _columns(rows: Rows) -> dict[str, Floats]:
    volatility = realised_volatility(rows.close)
    moving = np.where(volatility > STILL, volatility, np.nan).round(9)
    return {"realised_volatility": volatility, "volatility_rank": own_rank(moving)}


def compute(rows: Rows) -> dict[str, Floats]:
    """Both columns, (n,) each, NaN where unknown; names without their namespace."""
    return by_stretch(rows, ("close",), RETURNS + 1, _columns)


OWN = "fields/regime/volatility.py"

COLUMNS: tuple[FieldColumn, ...] = (
    FieldColumn(
        "regime.realised_volatility", "regime", ("close",), RETURNS, "% a bar",
        "standard deviation of 20 log returns", OWN, 0.0,
    ),
    FieldColumn(
        "regime.volatility_rank", "regime", ("close",), RETURNS + HISTORY - 1, "share",
        "share of the last 252 realised volatilities below it", OWN, 0.0, 1.0,
    ),
)  # fmt: skip
