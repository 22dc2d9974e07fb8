"""P06: Projection-only rule: no strategy, routing or sizing code reachable from the projection core.

Done when: "An import-graph test in CI fails on a planted import"
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.feature("P06")
OPEN_PARTS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "projection line"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, to plant imports in."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint(folder: Path) -> tuple[int, str]:
    """Exit code and report of import-linter on the copy."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_sources_as_they_stand_pass(copy: Path) -> None:
    code, report = lint(copy)
    assert code == 0, report
    assert f"{CONTRACT} KEPT" in report


def plant(folder: Path, module: str, line: str) -> None:
    path = folder / "src" / "fieldcast" / Path(*module.split(".")).with_suffix(".py")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{text}\n\ndef _planted() -> None:\n    {line}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("projection.packet", "import fieldcast.trading"),
        ("projection.conformal", "from fieldcast.strategy import volatility_target"),
        ("models.logistic", "import fieldcast.execution"),
    ],
)
def test_a_planted_import_fails(copy: Path, module: str, line: str) -> None:
    plant(copy, module, line)
    code, report = lint(copy)
    assert code != 0
    assert f"{CONTRACT} BROKEN" in report
    assert f"fieldcast.{module}" in report


def test_a_detour_through_a_third_module_fails_too(copy: Path) -> None:
    plant(copy, "projection.odds", "import fieldcast.evaluation._detour")
    plant(copy, "evaluation._detour", "import fieldcast.risk")
    code, report = lint(copy)
    assert code != 0
    assert f"{CONTRACT} BROKEN" in report
    assert "fieldcast.evaluation._detour -> fieldcast.risk" in report


def test_ci_runs_the_linter() -> None:
    """The contracts are checked by a make target that CI calls, not by this test alone."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    targets = [block.split(":", 1)[0] for block in makefile.split("\n\n") if "lint-imports" in block]
    assert targets or "lint-imports" in ci
    assert "lint-imports" in ci or "make check" in ci
