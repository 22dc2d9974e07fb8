"""What importing may not do: a process that is forked afterwards has to be able to run polars."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A query starts polars' threads. A child forked after that waits for them for ever, as the tests that kill the demo found.
# What libraries start for themselves by being imported (allocators, polars' cleaner of files) holds no lock of a query.
COUNT_THREADS = """
import importlib, pathlib, pkgutil
import fieldcast
for module in pkgutil.walk_packages(fieldcast.__path__, "fieldcast."):
    if module.name.rpartition(".")[2] not in {"__main__", "env"} and ".migrations" not in module.name:
        importlib.import_module(module.name)
        names = [(task / "comm").read_text().strip() for task in pathlib.Path("/proc/self/task").iterdir()]
        started = [name for name in names if not name.startswith(("jemalloc", "polars-ooc"))]
        if len(started) > 1:
            raise SystemExit(f"importing {module.name} started {started}")
"""


def test_no_import_starts_a_querys_threads() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("threads are counted under /proc, which only Linux has")
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")     # theirs are not meant
    found = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS], env=os.environ | one, capture_output=True, text=True, check=False, timeout=300
    )
    assert found.returncode == 0, found.stderr[-2000:]
