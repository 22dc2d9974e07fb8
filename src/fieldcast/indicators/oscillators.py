"""Wilder's oscillators and volume flow: RSI, StochRSI, ATR, ADX, true range, OBV and the Chaikin oscillator.

    A_t      = A_{t-1} (p - 1) / p + x_t / p,  seeded with the mean of the first p values      (Wilder's average)
    RSI      = 100 gain / (gain + loss), Wilder averages of up and down changes
    StochRSI = 100 (RSI - min RSI) / (max RSI - min RSI) over the last k rows, not smoothed     (fast %K)
    TR       = max(H - L, |H - C_{t-1}|, |L - C_{t-1}|),  ATR = Wilder average of TR
    ADX      = Wilder average of 100 |DM+ - DM-| / (DM+ + DM-)
    OBV      = cumulative volume, signed by the change of the close
    ADOSC    = EMA_fast(AD) - EMA_slow(AD),  AD = cumulative V ((C - L) - (H - C)) / (H - L)

RSI, StochRSI and ADX lie in [0, 100]; ATR and TR are prices; OBV and ADOSC are volumes. Values and leading NaN equal
TA-Lib's. Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib 0.6 C sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput
from fieldcast.indicators import _kernels, _kernels_paths
from fieldcast.indicators._arrays import Array, series, window


@dataclass(frozen=True, slots=True)
class Wilder:
    """Wilder's averages of one period, each (n,): `rsi`, `adx` in [0, 100]; the others in units of price.

    `move` is the mean absolute change of the close (gain + loss); where it is next to nothing, RSI means nothing.
    """

    rsi: Array
    atr: Array
    adx: Array
    move: Array
    true_range: Array


def wilder(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, period: int = 14) -> Wilder:
    """All of Wilder's averages of one period."""
    h, l, c = series(high=high, low=low, close=close)  # noqa: E741
    return Wilder(*_wilder(h, l, c, window(period, least=2), *np.zeros((3, _kernels.WILDER_STATE))))


def _wilder(h: Array, l: Array, c: Array, period: int, first: Array, second: Array, third: Array) -> Array:  # noqa: E741
    """(5, n) in the order of `Wilder`, the three states advanced."""
    strength, mean, index, move, reach = out = np.empty((5, c.size))
    _kernels.strength_line(c, period, first, strength, move)
    _kernels.range_lines(h, l, c, period, second, reach, mean)
    _kernels.direction_line(h, l, c, period, third, index)
    return out


def rsi(close: npt.ArrayLike, period: int = 14) -> Array:
    """Relative strength index; (n,) in [0, 100], NaN in the first `period` rows, 0 where the close never moved."""
    (c,) = series(close=close)
    out = np.empty(c.size)
    _kernels.strength_line(c, window(period, least=2), np.zeros(_kernels.WILDER_STATE), out, np.empty(0))
    return out


def atr(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, period: int = 14) -> Array:
    """Average true range; (n,) in units of price, NaN in the first `period` rows."""
    h, l, c = series(high=high, low=low, close=close)  # noqa: E741
    mean = np.empty(c.size)
    _kernels.range_lines(h, l, c, window(period, least=2), np.zeros(_kernels.WILDER_STATE), np.empty(0), mean)
    return mean


def adx(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, period: int = 14) -> Array:
    """Average directional index; (n,) in [0, 100], NaN in the first 2 period - 1 rows."""
    h, l, c = series(high=high, low=low, close=close)  # noqa: E741
    out = np.empty(c.size)
    _kernels.direction_line(h, l, c, window(period, least=2), np.zeros(_kernels.WILDER_STATE), out)
    return out


def true_range(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike) -> Array:
    """True range; (n,) in units of price, NaN in the first row."""
    h, l, c = series(high=high, low=low, close=close)  # noqa: E741
    reach, mean = np.empty((2, c.size))
    _kernels.range_lines(h, l, c, 2, np.zeros(_kernels.WILDER_STATE), reach, mean)
    return reach


def stochrsi(close: npt.ArrayLike, period: int = 14, fast_k: int = 5, fast_d: int = 3) -> Array:
    """Fast %K of the RSI; (n,) in [0, 100], 0 where the RSI stood still.

    NaN in the first period + fast_k + fast_d - 2 rows: TA-Lib reports %K from where its %D (a mean of `fast_d`) starts.
    """
    strength = rsi(close, period)
    start = window(period, least=2) + window(fast_k, name="fast_k") + window(fast_d, name="fast_d") - 2
    out = np.full(strength.size, np.nan)
    if strength.size > start:
        out[start:] = 100.0 * position_in_range(strength[start - fast_k + 1 :], fast_k)
    return out


def position_in_range(values: Array, rows: int, least_range: float = 0.0, otherwise: float = 0.0) -> Array:
    """Place of each value in the range of the last `rows` ones; (n - rows + 1,) in [0, 1].

    Where that range is not above `least_range` the answer is `otherwise`.
    """
    place = np.empty(max(values.size - rows + 1, 0))
    _kernels.range_place(np.ascontiguousarray(values), rows, float(least_range), float(otherwise), place)
    return place


def obv(close: npt.ArrayLike, volume: npt.ArrayLike) -> Array:
    """On-balance volume, starting with the first volume; (n,) in units of volume."""
    c, v = series(close=close, volume=volume)
    out = np.empty(c.size)
    _kernels.balance_line(c, v, np.zeros(_kernels.FLOW_STATE), out)
    return out


def adosc(
    high: npt.ArrayLike,
    low: npt.ArrayLike,
    close: npt.ArrayLike,
    volume: npt.ArrayLike,
    fast: int = 3,
    slow: int = 10,
) -> Array:
    """Chaikin accumulation oscillator; (n,) in units of volume, NaN in the first slow - 1 rows.

    Raises
    ------
    InvalidInput : `fast` is not shorter than `slow`
    """
    fast, slow = window(fast, name="fast"), window(slow, name="slow")
    if fast >= slow:
        raise InvalidInput(f"expected fast to be shorter than slow, found fast {fast} and slow {slow}")
    h, l, c, v = series(high=high, low=low, close=close, volume=volume)  # noqa: E741
    out = np.empty(c.size)
    _kernels.chaikin_line(h, l, c, v, fast, slow, np.zeros(_kernels.FLOW_STATE), out)
    return out


def block_strength(
    close: npt.ArrayLike,
    period: int = 14,
    spacing: int = 5,
    blocks: int = 50,
    recent: int = 5,
    least_move: float = 1e-8,
    least_range: float = 1e-6,
) -> tuple[Array, Array]:
    """RSI of the last `blocks` closes `spacing` rows apart, and its place in the range of its last `recent` values.

    Returns
    -------
    both (n,) in [0, 1]; NaN in the first spacing * blocks - 1 rows, where the mean move is not above `least_move` of the close,
    and (the place) where the RSI's range is not above `least_range`
    """
    (c,) = series(close=close)
    if window(blocks, name="blocks") <= window(period, least=2) + window(recent, name="recent"):
        raise InvalidInput(f"expected more blocks than period and recent values, found {blocks} for {period} and {recent}")
    strength, place = np.empty((2, c.size))
    _kernels_paths.block_strength(
        c, period, window(spacing, name="spacing"), blocks, recent, float(least_move), float(least_range), strength, place
    )
    return strength, place


@dataclass(frozen=True, slots=True)
class Flow:
    """On-balance volume and the Chaikin oscillator, each (n,) in units of volume."""

    obv: Array
    adosc: Array


def flow(
    high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, volume: npt.ArrayLike, fast: int = 3, slow: int = 10
) -> Flow:
    """`obv` and `adosc`."""
    return Flow(obv(close, volume), adosc(high, low, close, volume, fast, slow))
