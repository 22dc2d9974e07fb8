"""Compiled kernels are kept apart for each state of their sources, so that an edit or an upgrade never meets an old one."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import fieldcast

PACKAGE = Path(fieldcast.__file__).parent
COMPILED = re.compile(r"^@(njit|kernel)\b|\bnjit\(", re.MULTILINE)


def test_every_file_that_is_compiled_counts() -> None:
    compiled = [path for path in PACKAGE.rglob("*.py") if COMPILED.search(path.read_text(encoding="utf-8"))]
    assert len(compiled) > 30
    assert not [path.name for path in compiled if not path.name.startswith(fieldcast._KERNEL_FILES)]


def test_a_changed_source_takes_another_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "copied"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    kernels, other = package / "deep" / "_kernels_of_it.py", package / "deep" / "plain.py"
    kernels.write_text("A = 1\n")
    other.write_text("B = 1\n")

    def folder() -> str:
        spec = importlib.util.spec_from_file_location("copied", package / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return str(module._kernel_cache())

    first = folder()
    assert first.startswith(str(tmp_path / "cache"))
    other.write_text("B = 22\n")
    assert folder() == first
    os.utime(kernels, ns=(1, 1))
    assert folder() != first
