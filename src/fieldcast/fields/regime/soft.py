"""Regime: is price trending (which way), reverting, or breaking out of its usual range?

Four soft memberships that sum to 1. They are declared, not fitted: a reading of the field, not calibrated odds.

    efficiency      E = (close_t − close_{t−10}) / sum of the 10 absolute steps between them        signed, −1 … 1
    EMA alignment   A = tanh((EMA9 − EMA21) / ATR14)                                                −1 … 1
    trend strength  S = E · |A| where both point the same way, else 0                               −1 … 1
    range           Z = (log ATR% − its mean) / its standard deviation, over the last 250 bars

    weights  up exp(4 S)    down exp(−4 S)    mean reversion exp(1 − 2 |S|)    expansion exp(Z − 1)

Each membership is its weight divided by their sum. `trend_up` never falls as S rises, at any Z: a downtrend (S < 0) can
only lower it, and a fall of price over the 10 bars can never lift it above what no trend at all would give:
1 / trend_up = 1 + exp(−8 S) + exp(1 − 2 |S| − 4 S) + exp(Z − 1 − 4 S), and no term rises with S because 4 ≥ 2.
A mirrored S swaps up and down.

Nothing depends on the size of a bar: E and A are ratios of price moves, and ATR % (100 · Wilder's average true range /
close) enters only against its own past.

Sources: Kaufman, Smarter Trading (1995) for the efficiency ratio; Wilder, New Concepts in Technical Trading Systems
(1978) for the average true range.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows, by_stretch
from fieldcast.fields.columns import FieldColumn
from fieldcast.ground import InvalidInput

EFFICIENCY = 10  # steps
FAST, SLOW = 9, 21
ATR = 14
RANGE_HISTORY = 250
TREND, REVERSION_BASE, REVERSION_SLOPE, EXPANSION_OFFSET = 4.0, 1.0, 2.0, 1.0

NAMES = ("trend_up", "trend_down", "mean_revert", "expansion")

# Wilder's average keeps 13/14 of itself at each bar: after 300 bars even a true range of 5 % of the price weighs about
# 1e-6 of the least range at which an ATR still means something. The slow EMA (20/22) has forgotten long before.
ATR_MEMORY = 300
LEAST_RANGE = 1e-5  # of the close; below it there is no range to compare with


def efficiency_ratio(close: Floats, n: int = EFFICIENCY) -> Floats:
    """Kaufman's efficiency ratio with its sign: net move over n steps divided by the path of the same n steps.

    Parameters
    ----------
    close : (m,) known prices

    Returns
    -------
    (m,) in [−1, 1]; NaN in the first n rows and where nothing moved
    """
    if n < 1:
        raise InvalidInput(f"expected at least one step, found {n}")
    result = np.full(close.size, np.nan)
    if close.size > n:
        path = sliding_window_view(np.abs(np.diff(close)), n).sum(axis=1)
        moved = path > 0
        result[n:][moved] = np.clip((close[n:] - close[:-n])[moved] / path[moved], -1.0, 1.0)
    return result


def trend_strength(efficiency: Floats, alignment: Floats) -> Floats:
    """S of the module's docstring: signed efficiency times the alignment that agrees with it, 0 where they disagree."""
    return efficiency * np.maximum(0.0, alignment * np.sign(efficiency))


def memberships(strength: Floats, range_z: Floats) -> dict[str, Floats]:
    """The four soft memberships.

    Parameters
    ----------
    strength : (n,) trend strength in [−1, 1]
    range_z : (n,) standardised log ATR %

    Returns
    -------
    (n,) each, summing to 1: trend_up, trend_down, mean_revert, expansion; NaN where an input is
    """
    exponents = np.stack(
        [
            TREND * strength,
            -TREND * strength,
            REVERSION_BASE - REVERSION_SLOPE * np.abs(strength),
            range_z - EXPANSION_OFFSET,
        ]
    )
    weights = np.exp(exponents - exponents.max(axis=0))
    return dict(zip(NAMES, weights / weights.sum(axis=0), strict=True))


def _standardised(values: Floats, window: int) -> Floats:
    """(value − mean) / standard deviation of the last `window` values; NaN where they do not vary."""
    result = np.full(values.size, np.nan)
    if values.size >= window:
        past = sliding_window_view(values, window)
        spread = past.std(axis=1)
        varies = spread > 1e-9
        result[window - 1 :][varies] = (past[:, -1] - past.mean(axis=1))[varies] / spread[varies]
    return result


def _columns(rows: Rows) -> dict[str, Floats]:
    from fieldcast.indicators import atr, ema

    true_range = atr(rows.high, rows.low, rows.close, ATR)
    true_range = np.where(true_range > LEAST_RANGE * rows.close, true_range, np.nan)
    efficiency = efficiency_ratio(rows.close)
    spread = (ema(rows.close, FAST) - ema(rows.close, SLOW)) / true_range
    atr_percent = 100.0 * true_range / rows.close
    range_z = _standardised(np.log(atr_percent), RANGE_HISTORY)
    strength = trend_strength(efficiency, np.tanh(spread))
    return {
        "ema_spread": spread,
        "atr_percent": atr_percent,
        "range_z": range_z,
        "trend_strength": strength,
    } | memberships(strength, range_z)


def compute(rows: Rows) -> dict[str, Floats]:
    """Every regime column, (n,) each, NaN where unknown; names without their namespace."""
    columns = by_stretch(rows, ("high", "low", "close"), SLOW + 1, _columns)
    return columns | {"efficiency": efficiency_ratio(rows.close)}  # the close alone, which every bar has


_RANGE_WARMUP = RANGE_HISTORY + ATR_MEMORY


def _column(
    name: str, warmup: int, unit: str, formula: str, source: str, low: float | None = None, high: float | None = None
) -> FieldColumn:
    inputs = ("close",) if name == "efficiency" else ("high", "low", "close")
    return FieldColumn(f"regime.{name}", "regime", inputs, warmup, unit, formula, source, low, high)


OWN = "fields/regime/soft.py"

COLUMNS: tuple[FieldColumn, ...] = (
    _column("efficiency", EFFICIENCY, "signed ratio", "net move / path, 10 steps", "Kaufman (1995)", -1.0, 1.0),
    _column("ema_spread", ATR_MEMORY, "ATR", "(EMA9 − EMA21) / ATR14", OWN),
    _column("atr_percent", ATR_MEMORY, "%", "100 · ATR14 / close", "Wilder (1978)", 0.0),
    _column("range_z", _RANGE_WARMUP, "standard deviations", "log ATR % against its last 250 bars", OWN),
    _column("trend_strength", ATR_MEMORY, "signed", "efficiency · |tanh(ema_spread)| if they agree", OWN, -1.0, 1.0),
    *(_column(name, _RANGE_WARMUP, "membership", "its weight / sum of weights", OWN, 0.0, 1.0) for name in NAMES),
)
