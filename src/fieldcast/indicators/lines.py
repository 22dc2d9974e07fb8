"""What each word of a formula that looks back computes, as a batch over whole series.

The words, their arguments, memory, units and bounds are declared in `features.tiers`; this is their arithmetic, a kernel each.
Every run takes its series (n,), its constants and the result (n,) to fill; NaN where not defined, also in the first rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fieldcast.indicators import _kernels, _kernels_complexity, _kernels_paths, _kernels_windows

Array = npt.NDArray[np.float64]
Numbers = tuple[float, ...]
Run = Callable[[tuple[Array, ...], Numbers, Array], None]


def _kernel(kernel: Callable[..., None], *extra: object) -> Run:
    """Run of a kernel that takes its series, whole constants and whatever else, and fills its last argument."""

    def run(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
        kernel(*series, *(int(number) for number in numbers), *extra, out)

    return run


def _lag(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    k = int(numbers[0])
    out[:k] = np.nan
    out[k:] = series[0][: max(out.size - k, 0)]


def _mean(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    _kernels.window_sums(series[0], int(numbers[0]), out)
    out /= numbers[0]


def _std(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    _kernels_windows.moments(series[0], int(numbers[0]), 2, out)
    np.sqrt(out, out=out)


def _place(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    high, low = np.empty(out.size), np.empty(out.size)
    _kernels_windows.extremes(series[0], int(numbers[0]), 1.0, high)
    _kernels_windows.extremes(series[0], int(numbers[0]), -1.0, low)
    out[:] = share_of_range(series[0], low, high)


def share_of_range(x: Array, low: Array, high: Array) -> Array:
    """(x - low) / (high - low) cut to [0, 1]; NaN where there is no range."""
    reach = high - low
    out = np.full(x.shape, np.nan)
    np.divide(x - low, reach, out=out, where=reach > 1e-9 * np.maximum(np.abs(high), np.abs(low)))
    return np.clip(out, 0.0, 1.0, out=out)


def _ema_keep(p: float) -> float:
    return (p - 1.0) / (p + 1.0)


def _ema(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    _kernels_windows.exponential(series[0], _ema_keep(numbers[0]), int(numbers[0]), out)


def _wilder(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    _kernels_windows.exponential(series[0], (numbers[0] - 1.0) / numbers[0], int(numbers[0]), out)


def _xma(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    _kernels_windows.exponential_window(series[0], _ema_keep(numbers[0]), int(numbers[1]), out)


def _dema(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    one, two = np.empty(out.size), np.empty(out.size)
    _ema(series, numbers, one)
    _ema((one,), numbers, two)
    np.subtract(2.0 * one, two, out=out)


def _tema(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    one, two, three = np.empty(out.size), np.empty(out.size), np.empty(out.size)
    _ema(series, numbers, one)
    _ema((one,), numbers, two)
    _ema((two,), numbers, three)
    np.add(3.0 * (one - two), three, out=out)


def _rsi(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    _kernels.strength_line(series[0], int(numbers[0]), np.zeros(_kernels.WILDER_STATE), out, np.empty(0))
    out /= 100.0


def _atr(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    high, low, close = series
    _kernels.range_lines(high, low, close, int(numbers[0]), np.zeros(_kernels.WILDER_STATE), np.empty(0), out)


def _adx(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    high, low, close = series
    _kernels.direction_line(high, low, close, int(numbers[0]), np.zeros(_kernels.WILDER_STATE), out)
    out /= 100.0


def _di(which: int) -> Run:
    def run(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
        both = np.empty((2, out.size))
        high, low, close = series
        _kernels_paths.directional_shares(high, low, close, int(numbers[0]), both[0], both[1])
        out[:] = both[which]

    return run


def _ratchet(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
    reach = np.empty(out.size)
    _atr(series, numbers[:1], reach)
    high, low, close = series
    _kernels_paths.ratchet(high, low, close, reach, numbers[1], int(numbers[2]), out)


def _block_rsi(which: int) -> Run:
    def run(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
        both = np.empty((2, out.size))
        _kernels_paths.block_strength(series[0], 14, 5, int(numbers[0]), 5, 1e-8, 1e-6, both[0], both[1])
        out[:] = both[which]

    return run


def _quantile(tail: bool) -> Run:
    def run(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
        _kernels_windows.sorted_share(series[0], int(numbers[0]), numbers[1], tail, out)

    return run


def _apart(squared: bool) -> Run:
    def run(series: tuple[Array, ...], numbers: Numbers, out: Array) -> None:
        _kernels_windows.apart_mean(series[0], int(numbers[0]), int(numbers[1]), squared, out)

    return run


_w, _c = _kernels_windows, _kernels_complexity
RUNS: Mapping[str, Run] = MappingProxyType({
    "lag": _lag,
    "mean": _mean,
    "sum": _kernel(_kernels.window_sums),
    "std": _std,
    "skew": _kernel(_w.moments, 3),
    "kurtosis": _kernel(_w.moments, 4),
    "max": _kernel(_w.extremes, 1.0),
    "min": _kernel(_w.extremes, -1.0),
    "age_of_max": _kernel(_w.age_of_extreme, 1.0),
    "age_of_min": _kernel(_w.age_of_extreme, -1.0),
    "place": _place,
    "rank": _kernel(_w.rank_below),
    "quantile": _quantile(False),
    "tail": _quantile(True),
    "wma": _kernel(_w.weighted_mean),
    "slope": _kernel(_w.line_fit, 0),
    "r_squared": _kernel(_w.line_fit, 1),
    "off_line": _kernel(_w.line_fit, 2),
    "around_line": _kernel(_w.line_fit, 3),
    "corr": _kernel(_w.correlation),
    "run": _kernel(_w.run_length),
    "since": _kernel(_w.rows_since),
    "mean_distance": _kernel(_w.mean_distance),
    "mean_apart": _apart(False),
    "std_apart": _apart(True),
    "ema": _ema,
    "xma": _xma,
    "wilder": _wilder,
    "dema": _dema,
    "tema": _tema,
    "kama": _kernel(_kernels_paths.adaptive_average),
    "rsi": _rsi,
    "block_rsi": _block_rsi(0),
    "block_stochrsi": _block_rsi(1),
    "atr": _atr,
    "adx": _adx,
    "plus_di": _di(0),
    "minus_di": _di(1),
    "supertrend": _ratchet,
    "permutation_entropy": _kernel(_c.permutation_entropy),
    "sample_entropy": _kernel(_c.template_entropy, False),
    "approximate_entropy": _kernel(_c.template_entropy, True),
    "spectral_entropy": _kernel(_c.spectral_entropy),
    "rescaled_range": _kernel(_c.rescaled_range),
    "fluctuation": _kernel(_c.fluctuation_slope),
    "katz": _kernel(_c.path_dimension, False),
    "petrosian": _kernel(_c.path_dimension, True),
    "divergence": _kernel(_c.divergence),
    "correlation_slope": _kernel(_c.correlation_slope),
    "octave_share": _kernel(_c.octave_share),
})  # fmt: skip
"""Every word that looks back, by name."""
