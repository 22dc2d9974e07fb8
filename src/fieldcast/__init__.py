"""Fieldcast: markets read as fields, turned into calibrated projections; money follows only those that earned it."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# LightGBM's OpenMP threads otherwise spin on loaded cores; compiled kernels belong in the user's cache.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldcast" / "numba")
)


def __getattr__(name: str) -> Any:
    """The public API, imported on first use (PEP 562): everything `fieldcast.workflows` exports."""
    if not name.startswith("_"):
        workflows = import_module("fieldcast.workflows")
        if name in workflows.__all__:
            return getattr(workflows, name)
    raise AttributeError(f"module 'fieldcast' has no attribute {name!r}")
