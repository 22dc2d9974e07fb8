"""The faces of evaluation and validation: `__all__` holds every name that they import, once."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["fieldcast.evaluation", "fieldcast.validation"])
def test_the_face_names_all_that_it_imports(package: str) -> None:
    face = importlib.import_module(package)
    tree = ast.parse(Path(face.__file__ or "").read_text())
    imported = [alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(imported) == sorted(face.__all__)
    assert all(hasattr(face, name) for name in face.__all__)
