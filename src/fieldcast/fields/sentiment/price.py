"""Sentiment read from price alone.

    rsi          Wilder's relative strength index over 14 changes: 100 · G / (G + L), his averages of gains and losses
    mfi          money flow index over 14 changes: 100 · P / (P + N), with M = volume · (high + low + close) / 3 and P, N the
                 sums of M over the bars whose typical price rose and fell
    trend        log(close_t / close_{t−20}) / (s · √20), s the standard deviation of the 20 log returns: how many of
                 its own standard deviations price has travelled
    range_ratio  log(mean true range % of the last 10 bars / of the 50 before them): negative = compression, positive =
                 expansion

Sources: Wilder, New Concepts in Technical Trading Systems (1978); Quong and Soudack, "Volume-weighted RSI: money flow",
Technical Analysis of Stocks & Commodities 7:3 (1989).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows, by_stretch
from fieldcast.fields.columns import FieldColumn

RSI = 14
MFI = 14
TREND = 20
RANGE_SHORT, RANGE_LONG = 10, 50

# Wilder's averages keep 13/14 of themselves at each bar: after 380 bars even a move of 5 % of the price weighs less
# than 1e-6 RSI points against the least mean move at which the index still means something (it divides by that mean).
RSI_MEMORY = 380
LEAST_MOVE = 1e-5  # mean absolute change of the close, as a share of it; below it the index is undefined
SAME = 1e-9  # of the typical price; a smaller change is the rounding of high + low + close and no move


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


def money_flow(high: Floats, low: Floats, close: Floats, volume: Floats, n: int = MFI) -> Floats:
    """Money flow index: the share of the money of n bars that went through while the typical price rose.

    Parameters
    ----------
    high, low, close : (m,) known prices
    volume : (m,) in units of the instrument, at or above zero

    Returns
    -------
    (m,) in [0, 100]; NaN in the first n rows and where no bar of the n moved with volume
    """
    result = np.full(close.size, np.nan)
    if close.size > n:
        typical = (high + low + close) / 3.0
        change = np.diff(typical)
        moved = np.abs(change) > SAME * typical[1:]
        money = np.where(moved, typical[1:] * volume[1:], 0.0)
        up = sliding_window_view(np.where(change > 0, money, 0.0), n).sum(axis=1)
        total = sliding_window_view(money, n).sum(axis=1)
        known = total > 0
        result[n:][known] = np.minimum(100.0 * up[known] / total[known], 100.0)
    return result


def _rsi_column(rows: Rows) -> dict[str, Floats]:
    from fieldcast.indicators import wilder

    averages = wilder(rows.close, rows.close, rows.close, RSI)
    return {"rsi": np.where(averages.move > LEAST_MOVE * rows.close, averages.rsi, np.nan)}


def compute(rows: Rows) -> dict[str, Floats]:
    """Every sentiment column, (n,) each, NaN where unknown; names without their namespace."""
    columns = by_stretch(rows, ("close",), RSI + 1, _rsi_column)
    columns |= by_stretch(
        rows,
        ("high", "low", "close", "volume"),
        MFI + 1,
        lambda part: {"mfi": money_flow(part.high, part.low, part.close, part.volume)},
    )
    columns |= by_stretch(rows, ("close",), TREND + 1, lambda part: {"trend": travelled(part.close)})
    columns |= by_stretch(
        rows,
        ("high", "low", "close"),
        RANGE_SHORT + RANGE_LONG + 1,
        lambda part: {"range_ratio": range_ratio(part.high, part.low, part.close)},
    )
    return columns


WILDER, QUONG, OWN = "Wilder (1978)", "Quong and Soudack (1989)", "fields/sentiment/price.py"

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
        name="sentiment.mfi",
        block="sentiment",
        inputs=("high", "low", "close", "volume"),
        warmup=MFI,
        unit="points",
        formula="100 · volume × typical price of rising bars / of all bars that moved, 14 bars",
        source=QUONG,
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
