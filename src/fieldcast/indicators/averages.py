"""Moving averages and what is built on them: SMA, EMA, DEMA, MACD, Bollinger %B and rolling VWAP.

    EMA_t  = EMA_{t-1} + (x_t - EMA_{t-1}) * 2 / (p + 1),  seeded with the mean of the first p values
    DEMA   = 2 EMA(x) - EMA(EMA(x))
    MACD   = EMA_fast(x) - EMA_slow(x), both starting at the same row; its signal is an EMA of it
    %B     = (x - lower) / (upper - lower),  bands at SMA ± k population standard deviations
    VWAP_w = sum(C V) / sum(V) over the last w rows

Units are those of the input, %B is a fraction. Values and leading NaN equal TA-Lib's (metastock mode off). The windowed
quantities are computed from whole windows and not from running sums, so no rounding error grows along the series.
Source: TA-Lib 0.6 C sources, ta_EMA.c, ta_DEMA.c, ta_MACD.c, ta_BBANDS.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput
from fieldcast.indicators import _kernels
from fieldcast.indicators._arrays import Array, series, window


def sma(values: npt.ArrayLike, period: int) -> Array:
    """Mean of the last `period` values; (n,), NaN in the first period - 1 rows."""
    (x,) = series(values=values)
    period = window(period)
    return _window_sums(x, period) / period


def ema(values: npt.ArrayLike, period: int) -> Array:
    """Exponential average; (n,), NaN in the first period - 1 rows."""
    (x,) = series(values=values)
    line: Array = _lines(x, (window(period),), (0,))[0]
    return line


def dema(values: npt.ArrayLike, period: int) -> Array:
    """Double exponential average; (n,), NaN in the first 2 (period - 1) rows."""
    (x,) = series(values=values)
    line: Array = dema_lines(x, (window(period),))[0]
    return line


def dema_lines(values: npt.ArrayLike, periods: Sequence[int]) -> Array:
    """Double exponential averages of several periods in one pass; (m, n)."""
    (x,) = series(values=values)
    return _lines(x, tuple(window(period) for period in periods), (0,) * len(periods), double=True)


@dataclass(frozen=True, slots=True)
class Macd:
    """MACD line, its signal, and the difference of the two; each (n,), in the unit of the input."""

    line: Array
    signal: Array
    histogram: Array


def macd(values: npt.ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """MACD as TA-Lib has it: all three outputs start at row slow + signal - 2.

    Raises
    ------
    InvalidInput : `fast` is not shorter than `slow`
    """
    (x,) = series(values=values)
    fast, slow, signal = window(fast, least=2, name="fast"), window(slow, name="slow"), window(signal, name="signal")
    if fast >= slow:
        raise InvalidInput(f"expected fast to be shorter than slow, found fast {fast} and slow {slow}")
    quick, late = _lines(x, (fast, slow), (slow - fast, 0))
    line = np.subtract(quick, late, out=quick)
    lines = np.empty((1, x.size))
    lines[0, : slow - 1] = np.nan
    one, state = np.array([signal]), np.zeros((1, _kernels.EMA_STATE))
    _kernels.exponential_lines(line[slow - 1 :], one, np.array([0]), False, state, lines[:, slow - 1 :])
    line[: slow + signal - 2] = np.nan
    return Macd(line=line, signal=lines[0], histogram=np.subtract(line, lines[0], out=late))


def bollinger_percent_b(values: npt.ArrayLike, period: int = 20, width: float = 2.0) -> Array:
    """Where the value stands between the Bollinger bands (0 lower, 1 upper, beyond them outside).

    Returns
    -------
    (n,) fractions; NaN in the first period - 1 rows and where the bands coincide
    """
    (x,) = series(values=values)
    period = window(period, least=2)
    if not (np.isfinite(width) and width > 0):
        raise InvalidInput(f"expected a positive band width in standard deviations, found {width}")
    percent = np.empty(x.size)
    _kernels.band_place(x, period, float(width), percent)
    return percent


def vwap(close: npt.ArrayLike, volume: npt.ArrayLike, period: int = 20) -> Array:
    """Volume-weighted mean close of the last `period` rows; NaN before, and where nothing was traded."""
    price, traded = series(close=close, volume=volume)
    period = window(period)
    money, total = _window_sums(price * traded, period), _window_sums(traded, period)
    mean = np.full(total.size, np.nan)
    np.divide(money, total, out=mean, where=total > 0)
    return mean


def _window_sums(x: Array, period: int) -> Array:
    """(n,), NaN in the first period - 1 rows."""
    sums = np.empty(x.size)
    _kernels.window_sums(x, period, sums)
    return sums


def _lines(x: Array, periods: tuple[int, ...], skips: tuple[int, ...], *, double: bool = False) -> Array:
    """(m, n) exponential averages, one line a period."""
    lines = np.empty((len(periods), x.size))
    state = np.zeros((len(periods), _kernels.EMA_STATE))
    _kernels.exponential_lines(x, np.array(periods), np.array(skips), double, state, lines)
    return lines
