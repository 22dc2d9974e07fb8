"""Seven of the catalogue's eight strategies; the eighth, `projection`, reads packets and stands in `projection`.

Each is a frozen dataclass of its parameters with `targets(arrays) -> (T,)`: 1 = invested, 0 = flat, -1 = short (only with
`short`, and only the rules that have it). The target of row t rests on closes up to row t; rows before the first defined value
are flat. What is equal is neither above nor below, and the comparisons of averages are exact (`_kernels`), so a tie is flat.

    buy_and_hold     1 from the first bar
    sma_cross        1 while SMA_fast(close) > SMA_slow(close)
    rsi              1 from RSI_p < lower until RSI_p > upper                    Wilder 1978
    bollinger        1 from close <= lower band until close >= upper band        Bollinger 2001, population deviation
    macd             1 while MACD(fast, slow) > its signal                        Appel 1979, TA-Lib's seeds
    momentum         1 while close > close p bars ago
    mean_reversion   1 while close < SMA_p(close)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fieldcast.ground import InvalidInput
from fieldcast.strategy.catalogue._parameters import Array, Parameters, closes, flag, real, whole
from fieldcast.strategy.catalogue.units import close_units

LONGEST = 2_000
_FITS = 1_500_000_000        # n * reach of closes around the first: (2 n reach)^2 fits in 63 bits


def _run(kernel: str, arrays: Any, *settings: Any) -> Array:
    """Targets from a kernel, which is imported on first use."""
    from fieldcast.strategy.catalogue import _kernels

    units = close_units(closes(arrays))
    out: Array = np.zeros(units.size)
    if units.size:
        getattr(_kernels, kernel)(units, *settings, out)
    return out


@dataclass(frozen=True)
class BuyAndHold(Parameters):
    """Invested from the first bar to the last."""

    id: ClassVar[str] = "buy_and_hold"

    def targets(self, arrays: Any) -> Array:
        return np.ones(closes(arrays).shape[0])


@dataclass(frozen=True)
class SmaCross(Parameters):
    """Invested while the fast average of closes is above the slow one; fast < slow, in bars."""

    fast: int = whole(10, 1, LONGEST - 1)
    slow: int = whole(20, 2, LONGEST)
    short: bool = flag()
    id: ClassVar[str] = "sma_cross"

    def __post_init__(self) -> None:
        super().__post_init__()
        _shorter(self.id, self.fast, self.slow)

    def targets(self, arrays: Any) -> Array:
        return _run("sma_cross", arrays, self.fast, self.slow, self.short)


@dataclass(frozen=True)
class Rsi(Parameters):
    """Invested from a relative strength below `lower` until one above `upper`; both out of 100, lower < upper."""

    period: int = whole(14, 2, LONGEST)
    lower: float = real(30.0, 0.0, 100.0)
    upper: float = real(70.0, 0.0, 100.0)
    id: ClassVar[str] = "rsi"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lower >= self.upper:
            raise InvalidInput(f"expected rsi: lower below upper, found {self.lower:g} and {self.upper:g}")

    def targets(self, arrays: Any) -> Array:
        return _run("rsi", arrays, self.period, float(self.lower), float(self.upper))


@dataclass(frozen=True)
class Bollinger(Parameters):
    """Invested from a close at the lower band until one at the upper band; `width` in standard deviations."""

    period: int = whole(20, 2, LONGEST)
    width: float = real(2.0, 0.1, 10.0)
    id: ClassVar[str] = "bollinger"

    def targets(self, arrays: Any) -> Array:
        units = close_units(closes(arrays))
        return _run("bollinger", arrays, self.period, float(self.width), bands_fit(units, self.period))


@dataclass(frozen=True)
class Macd(Parameters):
    """Invested while the MACD line is above its signal; fast < slow, in bars."""

    fast: int = whole(12, 2, LONGEST - 1)
    slow: int = whole(26, 3, LONGEST)
    signal: int = whole(9, 1, LONGEST)
    short: bool = flag()
    id: ClassVar[str] = "macd"

    def __post_init__(self) -> None:
        super().__post_init__()
        _shorter(self.id, self.fast, self.slow)

    def targets(self, arrays: Any) -> Array:
        return _run("macd", arrays, self.fast, self.slow, self.signal, self.short)


@dataclass(frozen=True)
class Momentum(Parameters):
    """Invested while the close is above that of `period` bars ago."""

    period: int = whole(20, 1, LONGEST)
    short: bool = flag()
    id: ClassVar[str] = "momentum"

    def targets(self, arrays: Any) -> Array:
        return _run("momentum", arrays, self.period, self.short)


@dataclass(frozen=True)
class MeanReversion(Parameters):
    """Invested while the close is below the average of the last `period` closes."""

    period: int = whole(20, 2, LONGEST)
    short: bool = flag()
    id: ClassVar[str] = "mean_reversion"

    def targets(self, arrays: Any) -> Array:
        return _run("mean_reversion", arrays, self.period, self.short)


def bands_fit(units: Any, period: int) -> bool:
    """Whether the squares of `_kernels.bollinger` fit in 63 bits, so that bands are compared as whole numbers."""
    reach = int(np.abs(units - units[0]).max()) if units.size else 0
    return reach * period < _FITS


def _shorter(rule: str, fast: int, slow: int) -> None:
    if fast >= slow:
        raise InvalidInput(f"expected {rule}: fast below slow, found {fast} and {slow}")
