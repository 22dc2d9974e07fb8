"""Numba as it is loaded here: lighter, and able to do whatever it can do by itself."""

from __future__ import annotations

import subprocess
import sys


def said(script: str) -> list[str]:
    """The lines that a new process prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_it_loads_no_linear_algebra_and_leaves_the_collector_on() -> None:
    found = said("""
import gc, sys
from fieldcast.ground.compiler import njit
print("scipy.linalg" in sys.modules, gc.isenabled(), gc.get_freeze_count() > 50_000)
""")
    assert found == ["False", "True", "True"]


def test_a_collector_that_is_off_stays_off_and_nothing_is_frozen() -> None:
    found = said("""
import gc
gc.disable()
import fieldcast.ground.compiler
print(gc.isenabled(), gc.get_freeze_count())
""")
    assert found == ["False", "0"]


def test_a_kernel_that_calls_blas_finds_it() -> None:
    """Numba's own check ran without scipy.linalg; it is made again, in full, when such a kernel is compiled."""
    found = said("""
import sys
import numpy as np
from fieldcast.ground.compiler import njit
import numba.np.arraymath, numba.np.linalg
assert numba.np.arraymath.ensure_blas is numba.np.linalg.ensure_blas
assert numba.np.linalg.ensure_blas.__module__ == "numba.np.linalg"
product = njit(lambda a, b: np.dot(a, b))
spread = njit(lambda a: np.cov(a))
a = np.arange(6.0).reshape(2, 3) ** 1.5
print(np.array_equal(product(a, a.T), a @ a.T), np.allclose(spread(a), np.cov(a)), "scipy.linalg.cython_blas" in sys.modules)
""")
    assert found == ["True", "True", "True"]


def test_garbage_with_a_cycle_is_still_collected_afterwards() -> None:
    found = said("""
import gc, weakref
import fieldcast.ground.compiler
class Knot:
    pass
knot = Knot()
knot.itself = knot
gone = weakref.ref(knot)
del knot
gc.collect()
print(gone() is None)
""")
    assert found == ["True"]


def test_a_numba_without_the_check_is_loaded_as_it_is() -> None:
    """The check's name is private: a later numba may drop it, and kernels must compile all the same."""
    found = said("""
import numba.np.arraymath, numba.np.linalg
del numba.np.linalg.ensure_blas
from fieldcast.ground.compiler import njit
print(njit(lambda x: x + 1)(1), hasattr(numba.np.linalg, "ensure_blas"))
""")
    assert found == ["2", "False"]
