"""The test world, loaded by its path because tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("fieldcast_test_world", Path(__file__).with_name("world.py"))
assert _spec is not None
assert _spec.loader is not None
if _spec.name not in sys.modules:
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_spec.name] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture
def worlds() -> Any:
    """The module itself: instruments, `configuration`, `World`."""
    return sys.modules["fieldcast_test_world"]


@pytest.fixture
def world(tmp_path: Path, worlds: Any) -> Iterator[Any]:
    """A fresh world."""
    made = worlds.World(tmp_path)
    yield made
    made.close()
