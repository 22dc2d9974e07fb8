"""What every score asks of its arrays: equal length, finite, and labels that are 0 or 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput

Array = NDArray[np.float64]


def finite(name: str, values: ArrayLike, *, ndim: int = 1) -> Array:
    """`values` as float64.

    Raises
    ------
    InvalidInput : a value is NaN or infinite, the shape is wrong, or there is no value
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise InvalidInput(f"expected {name} with {ndim} dimension(s), found shape {array.shape}")
    if array.size == 0:
        raise InvalidInput(f"expected at least one row of {name}, found none")
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise InvalidInput(f"expected finite {name}, found {bad} NaN or infinite values; drop unknown rows first")
    return array


def binary(name: str, values: ArrayLike) -> Array:
    """`values` as 0.0 and 1.0; anything else is refused."""
    array = finite(name, values)
    if not np.isin(array, (0.0, 1.0)).all():
        raise InvalidInput(f"expected {name} to be 0 or 1, found {np.unique(array)[:5]}")
    return array


def probability(name: str, values: ArrayLike) -> Array:
    """`values` in [0, 1]."""
    array = finite(name, values)
    if array.min() < 0.0 or array.max() > 1.0:
        raise InvalidInput(f"expected {name} between 0 and 1, found {array.min():g} to {array.max():g}")
    return array


def same_length(**arrays: NDArray[Any]) -> int:
    """The common length of the arrays' first axis."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidInput(f"expected arrays of one length, found {found}")
    return next(iter(lengths.values()))


def normal_cdf(x: float) -> float:
    """Standard normal distribution function."""
    from statistics import NormalDist

    return NormalDist().cdf(x)


def normal_quantile(p: float) -> float:
    """Standard normal quantile, 0 < p < 1."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
