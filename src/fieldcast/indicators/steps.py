"""The recursive indicators one row at a time, for live use: the kernels of the batch functions, with the state kept.

A step object is fed each closed bar once, in order, and returns what the batch function has in its last row; NaN while
it warms up. `RECURSIVE` lists every recursive quantity with its batch and its step form; the registry test loop holds
the two equal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from fieldcast.ground import InvalidInput
from fieldcast.indicators import _kernels, averages, oscillators
from fieldcast.indicators._arrays import Array, series, window


class Step(Protocol):
    """One row in, the current value out; the state stays inside."""

    def update(self, *row: float) -> float: ...


class EmaStep:
    """Exponential average, or with `double` the double exponential average; rows are single values."""

    def __init__(self, period: int, *, double: bool = False, skip: int = 0) -> None:
        self._periods, self._skips = np.array([window(period)]), np.array([skip])
        self._state = np.zeros((1, _kernels.EMA_STATE))
        self._out = np.empty((1, 1))
        self._double = double

    def update(self, *row: float) -> float:
        (x,) = _row(row, 1)
        _kernels.exponential_lines(x, self._periods, self._skips, self._double, self._state, self._out)
        return float(self._out[0, 0])


class MacdStep:
    """MACD line and its signal; `update` returns the line, `signal` holds the other; rows are closes."""

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self._fast, self._slow = EmaStep(fast, skip=slow - fast), EmaStep(slow)
        self._smooth = EmaStep(signal)
        self.signal = float("nan")

    def update(self, *row: float) -> float:
        line = self._fast.update(*row) - self._slow.update(*row)
        if np.isnan(line):
            return line
        self.signal = self._smooth.update(line)
        return line if not np.isnan(self.signal) else float("nan")


class WilderStep:
    """Wilder's averages; rows are (high, low, close), or a close alone where only `rsi` is wanted.

    `update` returns the field named by `of`; `values` holds all of them.
    """

    def __init__(self, period: int = 14, of: str = "rsi") -> None:
        self._period, self._of = window(period, least=2), of
        self._states, self._out = np.zeros((3, _kernels.WILDER_STATE)), np.empty((5, 1))

    def update(self, *row: float) -> float:
        high, low, close = _row(row, 3) if len(row) != 1 else _row(row * 3, 3)
        self._out = oscillators._wilder(high, low, close, self._period, *self._states)
        return float(getattr(self.values, self._of)[0])

    @property
    def values(self) -> oscillators.Wilder:
        """All averages after the last row, each of shape (1,)."""
        return oscillators.Wilder(*self._out)


class StochRsiStep:
    """Fast %K of the RSI; rows are closes."""

    def __init__(self, period: int = 14, fast_k: int = 5, fast_d: int = 3) -> None:
        self._strength = WilderStep(period)
        self._last: deque[float] = deque(maxlen=fast_k)
        self._wait = window(period, least=2) + fast_k + fast_d - 2

    def update(self, *row: float) -> float:
        strength = self._strength.update(*row)
        self._last.append(strength)
        if self._wait > 0:
            self._wait -= 1
            return float("nan")
        low, high = min(self._last), max(self._last)
        return 100.0 * ((strength - low) / (high - low)) if high > low else 0.0


class FlowStep:
    """On-balance volume and Chaikin oscillator; rows are (high, low, close, volume); `of` is "obv" or "adosc"."""

    def __init__(self, fast: int = 3, slow: int = 10, of: str = "obv") -> None:
        self._fast, self._slow = window(fast, name="fast"), window(slow, name="slow")
        self._line = ("obv", "adosc").index(of)
        self._states, self._out = np.zeros((2, _kernels.FLOW_STATE)), np.empty((2, 1))

    def update(self, *row: float) -> float:
        high, low, close, volume = _row(row, 4)
        _kernels.balance_line(close, volume, self._states[0], self._out[0])
        _kernels.chaikin_line(high, low, close, volume, self._fast, self._slow, self._states[1], self._out[1])
        return float(self._out[self._line, 0])


@dataclass(frozen=True, slots=True)
class Recursive:
    """One recursive quantity: its inputs (columns of bars), its batch function and a maker of fresh step objects."""

    name: str
    inputs: tuple[str, ...]
    batch: Callable[..., Array]
    step: Callable[[], Step]


def _dema(period: int) -> Recursive:
    return Recursive(
        f"dema_{period}",
        ("close",),
        lambda close: averages.dema(close, period),
        lambda: EmaStep(period, double=True),
    )


_HLC = ("high", "low", "close")
_HLCV = (*_HLC, "volume")
_ENTRIES = (
    Recursive("ema_20", ("close",), lambda close: averages.ema(close, 20), lambda: EmaStep(20)),
    *(_dema(period) for period in (9, 10, 20, 25, 90)),
    Recursive("macd_line", ("close",), lambda close: averages.macd(close).line, MacdStep),
    Recursive("rsi_14", ("close",), oscillators.rsi, WilderStep),
    Recursive("stochrsi_14", ("close",), oscillators.stochrsi, StochRsiStep),
    Recursive("atr_14", _HLC, oscillators.atr, lambda: WilderStep(of="atr")),
    Recursive("adx_14", _HLC, oscillators.adx, lambda: WilderStep(of="adx")),
    Recursive("obv", _HLCV, lambda high, low, close, volume: oscillators.obv(close, volume), FlowStep),
    Recursive("adosc", _HLCV, oscillators.adosc, lambda: FlowStep(of="adosc")),
)
RECURSIVE: Mapping[str, Recursive] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def _row(row: tuple[float, ...], length: int) -> tuple[Array, ...]:
    if len(row) != length:
        raise InvalidInput(f"expected {length} values in a row, found {len(row)}")
    return series(**{f"value {place}": [value] for place, value in enumerate(row)})
