"""Closes as whole numbers, so that comparisons of averages have no rounding and a tie is a tie.

The unit is a power of ten, from 1 down to 1e-8, the coarsest that carries every close of the series exactly: c = units * 10^-d
in float64. Closes that no such unit carries (back-adjusted ones, mostly) are rounded half to even at 1e-8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput

DIGITS = 8
_MOST = 2.0**62
_HEAD = 1_024


def close_units(close: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Closes in whole units of the coarsest power of ten that carries them all; (T,) int64.

    Raises
    ------
    InvalidInput : not one series, a close that is not a finite number above zero, or one that does not fit in 62 bits
    """
    c = np.ascontiguousarray(close, dtype=np.float64)
    if c.ndim != 1:
        raise InvalidInput(f"expected closes of one instrument, found an array of shape {c.shape}")
    wrong = ~(np.isfinite(c) & (c > 0.0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InvalidInput(f"expected closes that are finite and above 0, found {c[row]} at bar {row}; mask it first")
    for digits in range(DIGITS + 1):
        scale = 10.0**digits
        if digits < DIGITS and not _carries(scale, c[:_HEAD]):      # most units that are too coarse are so at once
            continue
        whole = np.rint(c * scale)
        if digits == DIGITS or bool((whole / scale == c).all()):
            break
    if c.size and float(whole.max()) >= _MOST:
        raise InvalidInput(f"expected closes below {_MOST / scale:g}, found {c.max():g}: in units of 1e-{digits} it does not fit")
    return whole.astype(np.int64)


def _carries(scale: float, closes: npt.NDArray[np.float64]) -> bool:
    return bool((np.rint(closes * scale) / scale == closes).all())
