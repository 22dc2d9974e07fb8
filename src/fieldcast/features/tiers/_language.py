"""The vocabulary of formulas: what each word takes, how far back it looks, its unit and its bounds.

    leaf        O H L C V (open, high, low, close, volume), and the calendar: weekday, month, month_left, quarter_end
    point       of one row: + - * /, comparisons (1 or 0), log, sqrt, abs, sign, least, most, where, within, known
    line        of the rows up to this one: lag, mean, std, max, rank, ema, rsi, …; the numbers behind the series are constants

Whatever is not defined (a share of nothing, the logarithm of what is not positive) is NaN. To a comparison, what is equal to
nine digits is equal: prices lie on ticks, and a tie must not depend on how their differences round. Units are powers of a
price and of a volume; a sum of unlike units is refused when a formula is read, so a formula whose unit is plain cannot move
with the level of prices or of volumes. Memory is counted in rows: `rows` for a window, and for a recursion the rows until its
seed is forgotten to 1e-6. A word that jumps (a rank, a comparison, a place in a range) lets a recursion be forgotten to 1e-12
instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf, log
from types import MappingProxyType

Numbers = tuple[float, ...]
Bounds = tuple[float, float]

PRICE_LEAVES = MappingProxyType({"O": "open", "H": "high", "L": "low", "C": "close"})
VOLUME_LEAF = "V"
CALENDAR_LEAVES: Mapping[str, Bounds] = MappingProxyType(
    {"weekday": (0.0, 1.0), "month": (0.0, 1.0), "month_left": (0.0, 1.0), "quarter_end": (0.0, 1.0)}
)
SEED_ERROR = 100.0  # how wrong a seed may be, in units of what the average is later compared with
LONG = 60  # from this period on an average is compared with the price itself, and a seed is wrong by its size at most
HLC = ("H", "L", "C")


@dataclass(frozen=True, slots=True)
class Line:
    """A word that looks back.

    series, numbers : how many of each it takes
    rows : look-back in rows beyond that of its series
    slow : of these, the rows a recursion takes to fall to 1e-6; none for a window
    jumps : a small error may become a large one, so what comes in has to be forgotten to 1e-12
    unit : "same" as the first series, "none", or "square"
    bounds : of the result, from those of the series and the constants
    implied : leaves that it reads beside its series, as first ones
    """

    series: int
    numbers: int
    rows: Callable[[Numbers], int]
    bounds: Callable[[tuple[Bounds, ...], Numbers], Bounds]
    slow: Callable[[Numbers], int] = lambda _: 0
    jumps: bool = False
    unit: str = "same"
    implied: tuple[str, ...] = ()


def forgotten(keep: float, error: float) -> int:
    """Rows until a seed that is wrong by `error` counts less than 1e-6, at the share `keep` kept a row."""
    return max(ceil(log(1e-6 / error) / log(keep)), 0)


def _same(bounds: tuple[Bounds, ...], _: Numbers) -> Bounds:
    return bounds[0]


def _fixed(low: float, high: float) -> Callable[[tuple[Bounds, ...], Numbers], Bounds]:
    return lambda _bounds, _numbers: (low, high)


def _window(p: Numbers) -> int:
    return int(p[0]) - 1


def _ema_keep(p: float) -> float:
    return (p - 1.0) / (p + 1.0)


def _average_error(p: float) -> float:
    return SEED_ERROR if p < LONG else 1.0


def _ema_rows(p: Numbers) -> int:
    return int(p[0]) - 1 + forgotten(_ema_keep(p[0]), _average_error(p[0]))


def _cascade_rows(p: Numbers, stages: int) -> int:
    """As for one average; n rows after the last seed, `stages` equal averages in a row still have, of the first one's error e,

    e keep^n (1 + m + … + m^(stages-1) / (stages-1)!),  m = n (1 - keep)
    """
    keep, n = _ema_keep(p[0]), 0
    while True:
        m = n * (1.0 - keep)
        grown = 1.0 + m + (0.5 * m * m if stages == 3 else 0.0)
        if _average_error(p[0]) * 3.0 * grown * keep**n <= 1e-6:
            return stages * (int(p[0]) - 1) + n
        n += 1


def _wilder_rows(p: Numbers) -> int:
    return int(p[0]) + forgotten((p[0] - 1.0) / p[0], SEED_ERROR)


def _wilder_slow(p: Numbers) -> int:
    return forgotten((p[0] - 1.0) / p[0], 1.0)


def _ema_slow(p: Numbers) -> int:
    return forgotten(_ema_keep(p[0]), 1.0)


def _adx_rows(p: Numbers) -> int:
    keep, n = (p[0] - 1.0) / p[0], 0
    while SEED_ERROR * (1.0 + n * (1.0 - keep)) * keep**n > 1e-6:
        n += 1
    return 2 * int(p[0]) + n


def _apart_rows(p: Numbers) -> int:
    return (int(p[0]) - 1) * int(p[1])


def _spread(bounds: tuple[Bounds, ...], _: Numbers) -> Bounds:
    """Of a deviation: at most half the width of what deviates."""
    return (0.0, 0.5 * (bounds[0][1] - bounds[0][0]))


def _age(_: tuple[Bounds, ...], p: Numbers) -> Bounds:
    return (0.0, p[0] - 1.0)


def _capped(_: tuple[Bounds, ...], p: Numbers) -> Bounds:
    return (0.0, p[0])


_FREE = _fixed(-inf, inf)
_SHARE = _fixed(0.0, 1.0)
_POSITIVE = _fixed(0.0, inf)


def _fit_bounds(bounds: tuple[Bounds, ...], _: Numbers) -> Bounds:
    return (-inf, inf)


def _total(bounds: tuple[Bounds, ...], p: Numbers) -> Bounds:
    low, high = bounds[0]
    return (low * p[0] if low else 0.0, high * p[0] if high else 0.0)


def _plain(
    rows: Callable[[Numbers], int],
    bounds: Callable[[tuple[Bounds, ...], Numbers], Bounds],
    *,
    numbers: int = 1,
    series: int = 1,
    jumps: bool = False,
) -> Line:
    return Line(series, numbers, rows, bounds, jumps=jumps, unit="none")


LINES: Mapping[str, Line] = MappingProxyType({
    "lag": Line(1, 1, lambda p: int(p[0]), _same),
    "mean": Line(1, 1, _window, _same),
    "sum": Line(1, 1, _window, _total),
    "std": Line(1, 1, _window, _spread),
    "skew": _plain(_window, _FREE),
    "kurtosis": _plain(_window, _fixed(-2.0 - 1e-6, inf)),
    "max": Line(1, 1, _window, _same),
    "min": Line(1, 1, _window, _same),
    "age_of_max": _plain(_window, _age, jumps=True),
    "age_of_min": _plain(_window, _age, jumps=True),
    "place": _plain(_window, _SHARE, jumps=True),
    "rank": _plain(_window, _SHARE, jumps=True),
    "quantile": Line(1, 2, _window, _same),
    "tail": Line(1, 2, _window, _same),
    "wma": Line(1, 1, _window, _same),
    "slope": Line(1, 1, _window, _fit_bounds),
    "r_squared": _plain(_window, _SHARE, jumps=True),
    "off_line": Line(1, 1, _window, _fit_bounds),
    "around_line": Line(1, 1, _window, _spread),
    "corr": _plain(_window, _fixed(-1.0, 1.0), series=2, jumps=True),
    "run": _plain(lambda p: int(p[0]), _capped, jumps=True),
    "since": _plain(lambda p: int(p[0]), _capped, jumps=True),
    "mean_distance": Line(1, 1, _window, _spread),
    "mean_apart": Line(1, 2, _apart_rows, _same),
    "std_apart": Line(1, 2, _apart_rows, _spread),
    "ema": Line(1, 1, _ema_rows, _same, slow=_ema_slow),
    "xma": Line(1, 2, lambda p: int(p[1]) - 1, _same),
    "wilder": Line(1, 1, _wilder_rows, _same, slow=_wilder_slow),
    "dema": Line(1, 1, lambda p: _cascade_rows(p, 2), _fit_bounds, slow=_ema_slow),
    "tema": Line(1, 1, lambda p: _cascade_rows(p, 3), _fit_bounds, slow=_ema_slow),
    "kama": Line(1, 2, lambda p: int(p[0] + p[1]) - 1, _same),
    "rsi": Line(1, 1, _wilder_rows, _SHARE, slow=_wilder_slow, unit="none"),
    "block_rsi": _plain(lambda p: 5 * int(p[0]) - 1, _SHARE),
    "block_stochrsi": _plain(lambda p: 5 * int(p[0]) - 1, _SHARE),
    "atr": Line(0, 1, _wilder_rows, _POSITIVE, slow=_wilder_slow, implied=HLC),
    "adx": Line(0, 1, _adx_rows, _SHARE, slow=_wilder_slow, unit="none", implied=HLC),
    "plus_di": Line(0, 1, _wilder_rows, _SHARE, slow=_wilder_slow, unit="none", implied=HLC),
    "minus_di": Line(0, 1, _wilder_rows, _SHARE, slow=_wilder_slow, unit="none", implied=HLC),
    "supertrend": Line(0, 3, lambda p: int(p[2]) - 1 + _wilder_rows(p) + _wilder_slow(p), _FREE, implied=HLC),
    "permutation_entropy": _plain(_window, _fixed(-1e-12, 1.0 + 1e-12), numbers=2, jumps=True),
    "sample_entropy": _plain(_window, _POSITIVE, jumps=True),
    "approximate_entropy": _plain(_window, _FREE, jumps=True),
    "spectral_entropy": _plain(_window, _fixed(0.0, 1.0 + 1e-12)),
    "rescaled_range": _plain(_window, _FREE),
    "fluctuation": _plain(_window, _FREE, numbers=2),
    "katz": _plain(_window, _fixed(1.0 - 1e-12, 20.0 + 1e-6)),
    "petrosian": _plain(_window, _fixed(1.0, 1.2), jumps=True),
    "divergence": _plain(_window, _FREE, jumps=True),
    "correlation_slope": _plain(_window, _POSITIVE, jumps=True),
    "octave_share": _plain(_window, _fixed(0.0, 1.0 + 1e-9), numbers=2),
})  # fmt: skip
"""Every word that looks back, by name."""

POINTS: Mapping[str, int] = MappingProxyType(
    {"log": 1, "sqrt": 1, "abs": 1, "sign": 1, "least": 2, "most": 2, "where": 3, "within": 3, "known": 2}
)
"""Every named word of one row and how many series it takes; `known` takes a series and what stands where it is not defined."""
