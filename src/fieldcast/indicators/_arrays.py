"""What the public functions of this package accept: equally long, finite series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput

Array = npt.NDArray[np.float64]


def series(**named: npt.ArrayLike) -> tuple[Array, ...]:
    """The named series as contiguous float64 arrays.

    Raises
    ------
    InvalidInput : a series is not one-dimensional, holds NaN or infinity, or differs in length from the first
    """
    arrays: list[Array] = []
    for name, values in named.items():
        array = np.ascontiguousarray(values, dtype=np.float64)
        if array.ndim != 1:
            raise InvalidInput(f"expected {name} to be one series, found an array of shape {array.shape}")
        if arrays and array.size != arrays[0].size:
            raise InvalidInput(f"expected {name} to have {arrays[0].size} rows like the first series, found {array.size}")
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array))[0])
            raise InvalidInput(f"expected finite numbers in {name}, found {array[row]} in row {row}; drop or mask it first")
        arrays.append(array)
    return tuple(arrays)


def window(rows: int, *, least: int = 1, name: str = "period") -> int:
    """`rows` as a window length of at least `least` rows."""
    if not isinstance(rows, int | np.integer) or isinstance(rows, bool) or rows < least:
        raise InvalidInput(f"expected {name} to be a whole number of at least {least} rows, found {rows!r}")
    return int(rows)


def windows(values: Array, rows: int) -> Array:
    """(n - rows + 1, rows) view: each row is one window, the last of them ends at the newest value."""
    return np.lib.stride_tricks.sliding_window_view(values, rows)


def lead_in(values: Array, n: int) -> Array:
    """`values` with NaN in front, n rows in all."""
    out = np.full(n, np.nan)
    if values.size:
        out[n - values.size :] = values
    return out
