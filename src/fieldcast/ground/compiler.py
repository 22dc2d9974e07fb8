"""Numba, loaded once and in two thirds of the time: what compiles the kernels of a run imports `njit` from here.

Three things that numba does as it loads cost a new process as much as a run, and no kernel here needs them:

    scipy.linalg   is loaded only to see that it is there, for kernels that call BLAS. Scipy itself is looked for instead, and its
                   width of integers is checked as numba checks it; numba asks again when such a kernel is compiled.
    cycles         the collector looks a dozen times for cycles among a million objects that live as long as the process. It
                   rests while numba loads.
    the end        all of them are looked through again when the process ends. They are frozen (`gc.freeze`): the collector
                   passes over them from then on. What was there before and is no garbage is frozen with them: it is freed as
                   ever when nothing refers to it, but no longer as a part of a cycle.

Where the collector has been switched off it is left alone. The check of linear algebra goes by a name that numba does not
promise (`ensure_blas`, seen in 0.68): a numba without it is loaded as it is, only slower, and a test here says so.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _resting_collector() -> Iterator[None]:
    """Nothing is collected inside; what is there afterwards stays out of later collections."""
    if not gc.isenabled():
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _load() -> Any:
    """Numba with everything that it registers for the processor; see the module for one that checks otherwise."""
    numba = importlib.import_module("numba")
    linalg: Any = importlib.import_module("numba.np.linalg")
    registry: Any = importlib.import_module("numba.core.registry")
    thorough: Callable[[], None] | None = getattr(linalg, "ensure_blas", None)
    if thorough is None:
        return numba

    def scipy_is_there() -> None:
        if importlib.util.find_spec("scipy") is None:
            raise ImportError("expected scipy for linear algebra in kernels, found none")
        if hasattr(linalg, "_check_lapack_int_width"):  # numba 0.66 and later
            linalg._check_lapack_int_width()

    linalg.ensure_blas = scipy_is_there
    try:
        arraymath: Any = importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = thorough
    arraymath.ensure_blas = thorough
    registry.cpu_target.typing_context.refresh()
    registry.cpu_target.target_context.refresh()
    return numba


with _resting_collector():
    _numba = _load()

njit: Any = _numba.njit
types: Any = _numba.types
intrinsic: Any = importlib.import_module("numba.extending").intrinsic
