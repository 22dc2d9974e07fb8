"""How the kernels of the fast engine are compiled.

As the venue's are (`simulation._compiled`: no counting of references, so nothing may be allocated inside), and without the
interpreter's lock, so that a sweep may run on threads. Those that allocate their own scratch are plain `njit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fieldcast.ground.compiler import njit

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
kernel: Callable[[Callable[..., Any]], Any] = njit(**_OPTIONS)
# for sums of floats, which may be added up in any order; NaN must not occur
summing_kernel: Callable[[Callable[..., Any]], Any] = njit(fastmath={"reassoc", "contract", "nsz", "nnan"}, **_OPTIONS)
