"""Fieldcast: markets read as fields, turned into calibrated projections; money follows only those that earned it."""

from __future__ import annotations

import os
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def _kernel_cache() -> str:
    """Where compiled kernels are kept: the user's cache, in a folder of its own for each state of the kernels' sources.

    Numba compiles a kernel anew where its own file has changed, but not where a kernel or a constant of another file has that
    it was compiled with: it would go on with the old one. Times and sizes of the sources tell the states apart.
    """
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldcast" / "numba"
    state = 0
    for folder, inner, files in os.walk(Path(__file__).parent):
        inner[:] = [name for name in inner if name != "__pycache__"]
        for name in files:
            if name.startswith(_KERNEL_FILES) and name.endswith(".py"):
                found = os.stat(os.path.join(folder, name))
                state = zlib.crc32(f"{name} {found.st_size} {found.st_mtime_ns}".encode(), state)
    return str(place / f"{state:08x}")


_KERNEL_FILES = ("_kernels", "_compiled", "_layout", "_round_trips", "_smile_kernels", "_state", "lean_kernels")

# LightGBM's OpenMP threads otherwise spin on loaded cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = _kernel_cache()


def __getattr__(name: str) -> Any:
    """The public API, imported on first use (PEP 562): everything `fieldcast.workflows` exports."""
    if not name.startswith("_"):
        workflows = import_module("fieldcast.workflows")
        if name in workflows.__all__:
            return getattr(workflows, name)
    raise AttributeError(f"module 'fieldcast' has no attribute {name!r}")
