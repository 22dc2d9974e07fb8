"""How the venue's kernels are compiled.

They take the state as a tuple of arrays and hand it on many times for each fill, and they allocate nothing. Numba
counts references at
each of those hand-overs, which was four fifths of the time of a run; without its runtime (`_nrt=False`) it does not. Whoever
calls keeps the arrays alive for as long as the call lasts. Division follows numpy's model: no divisor here can be zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

kernel: Callable[[Callable[..., Any]], Any] = njit(cache=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]
