"""Sentiment read from price alone.

    rsi          Wilder's relative strength index over 14 changes: 100 · G / (G + L), his averages of gains and losses
    trend        log(close_t / close_{t−20}) / (s · √20), s the standard deviation of the 20 log returns: how many of
                 its own standard deviations price has travelled
    range_ratio  log(mean true range % of the last 10 bars / of the 50 before them): negative = compression, positive =
                 expansion

Text sources (news, posts, earnings tone) have engines of their own; none stands here, and nothing stands in for them.

Source: Wilder, New Concepts in Technical Trading Systems (1978).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows, by_stretch
from fieldcast.fields.columns import FieldColumn

RSI = 14
TREND = 20
RANGE_SHORT, RANGE_LONG = 10, 50

# Wilder's averages keep 13/14 of themselves at each bar: after 380 bars even a move of 5 % of the price weighs less
# than 1e-6 RSI points against the least mean move at which the index still means something (it divides by that mean).
RSI_MEMORY = 380
LEAST_MOVE = 1e-5  # mean absolute change of the close, as a share of it; below it the index is undefined


def travelled(close: Floats, n: int = TREND) -> Floats:
    """Log move over n steps in units of its own standard deviation over n steps.

    Parameters
    ----------
    close : (m,) known prices

    Returns
    -------
    (m,) standard deviations; NaN in the first n rows and where the returns do not vary
    """
    result = np.full(close.size, np.nan)
    if close.size > n:
        returns = sliding_window_view(np.diff(np.log(close)), n)
        spread = returns.std(axis=1)
        varies = spread > 1e-12
        result[n:][varies] = returns.sum(axis=1)[varies] / (spread[varies] * np.sqrt(n))
    return result


def range_ratio(high: Floats, low: Floats, close: Floats, short: int = RANGE_SHORT, long: int = RANGE_LONG) -> Floats:
    """Log ratio of the recent true range to the one before it, both in per cent of the previous close.

    Parameters
    ----------
    high, low, close : (m,) known prices
    short, long : bars in the recent mean and in the mean before it

    Returns
    -------
    (m,) log ratio, negative when ranges are compressed; NaN in the first short + long rows and where nothing moved
    """
    result = np.full(close.size, np.nan)
    if close.size > short + long:
        before = close[:-1]
        reach = (np.maximum(high[1:], before) - np.minimum(low[1:], before)) / before
        recent = sliding_window_view(reach[long:], short).mean(axis=1)
        earlier = sliding_window_view(reach[: reach.size - short], long).mean(axis=1)
        moved = (recent > 0) & (earlier > 0)
        result[short + long :][moved] = np.log(recent[moved] / earlier[moved])
    return result


def _rsi_column(rows: Rows) -> dict[str, Floats]:
    from fieldcast.indicators import wilder

    averages = wilder(rows.close, rows.close, rows.close, RSI)
    return {"rsi": np.where(averages.move > LEAST_MOVE * rows.close, averages.rsi, np.nan)}


def compute(rows: Rows) -> dict[str, Floats]:
    """Every sentiment column, (n,) each, NaN where unknown; names without their namespace."""
    columns = by_stretch(rows, ("close",), RSI + 1, _rsi_column)
    columns |= by_stretch(rows, ("close",), TREND + 1, lambda part: {"trend": travelled(part.close)})
    columns |= by_stretch(
        rows,
        ("high", "low", "close"),
        RANGE_SHORT + RANGE_LONG + 1,
        lambda part: {"range_ratio": range_ratio(part.high, part.low, part.close)},
    )
    return columns


WILDER, OWN = "Wilder (1978)", "fields/sentiment.py"

COLUMNS: tuple[FieldColumn, ...] = (
    FieldColumn(
        name="sentiment.rsi",
        block="sentiment",
        inputs=("close",),
        warmup=RSI_MEMORY,
        unit="points",
        formula="100 · mean gain / (mean gain + mean loss), Wilder's averages over 14",
        source=WILDER,
        low=0.0,
        high=100.0,
    ),
    FieldColumn(
        name="sentiment.trend",
        block="sentiment",
        inputs=("close",),
        warmup=TREND,
        unit="standard deviations",
        formula="20-bar log move / (standard deviation of its returns · √20)",
        source=OWN,
    ),
    FieldColumn(
        name="sentiment.range_ratio",
        block="sentiment",
        inputs=("high", "low", "close"),
        warmup=RANGE_SHORT + RANGE_LONG,
        unit="log",
        formula="log(mean true range % of 10 bars / of the 50 before)",
        source=OWN,
    ),
)
