"""The walls of the house: each import contract holds on the sources and breaks on a planted violation.

Architecture, section 2: a floor imports only the floors below it; nothing that computes a forecast reaches a
strategy, a size or an order; faces call workflows alone; the core imports no extra.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent.name for path in (ROOT / "src" / "fieldcast").glob("*/__init__.py"))


def _contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return parser


def _names(contract: str, option: str) -> list[str]:
    return _contracts()[f"importlinter:contract:{contract}"][option].split()


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the sources with their contracts, to plant violations in."""
    return _copy(tmp_path)


def _copy(folder: Path) -> Path:
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def _lint(house: Path) -> tuple[int, str]:
    """Exit code and text of import-linter in the copy, whose package hides the installed one."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house / "src"), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def _plant(house: Path, module: str, line: str) -> None:
    path = house / "src" / "fieldcast" / Path(*module.split("."))
    path = path.with_suffix(".py")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{text}\n\ndef _planted() -> None:\n    {line}\n", encoding="utf-8")


def test_the_sources_keep_every_contract(house: Path) -> None:
    code, text = _lint(house)
    assert code == 0, text
    assert f"{len(_contracts().sections()) - 1} kept, 0 broken" in text


PLANTED = [
    ("ground._one", "import fieldcast.market", "floors"),
    ("market._one", "from fieldcast.data import Store", "floors"),
    ("evaluation._one", "import fieldcast.models", "floors"),
    ("projection._one", "from fieldcast.trading import Order", "projection line"),
    ("models._one", "from fieldcast.risk import check_limits", "projection line"),
    ("validation._one", "import fieldcast.cycle", "projection line"),
    ("cli._one", "from fieldcast.data import read_bundled", "faces call workflows alone"),
    ("cli._two", "import fieldcast.execution", "faces call workflows alone"),
    ("models._two", "import torch", "the core imports no extra"),
    ("execution._one", "import alpaca.trading", "the core imports no extra"),
    # No line of this module names trading: it is reached through a third one.
    ("fields._one", "import fieldcast.ground._detour", "projection line"),
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter says of each broken contract in a copy with all the plants."""
    house = _copy(tmp_path_factory.mktemp("house"))
    _plant(house, "ground._detour", "import fieldcast.trading")
    for module, line, _ in PLANTED:
        _plant(house, module, line)
    code, text = _lint(house)
    assert code == 1, text
    _, _, details = text.partition("Broken contracts")
    found = re.split(r"^(.+)\n-{3,}\n", details, flags=re.MULTILINE)
    return {name.strip(): chains for name, chains in zip(found[1::2], found[2::2], strict=True)}


@pytest.mark.parametrize(("module", "line", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(broken: dict[str, str], module: str, line: str, contract: str) -> None:
    assert f"fieldcast.{module} -> " in broken[contract], broken[contract]


def test_a_package_on_no_floor_is_refused(house: Path) -> None:
    (house / "src" / "fieldcast" / "attic").mkdir()
    (house / "src" / "fieldcast" / "attic" / "__init__.py").write_text("", encoding="utf-8")
    code, text = _lint(house)
    assert code == 1
    assert "attic" in text


def test_every_package_stands_on_its_side_of_the_line() -> None:
    """A package that is added later must be added to the contracts too."""
    floors = re.findall(r"\w+", _contracts()["importlinter:contract:floors"]["layers"])
    line = floors.index("trading")
    source = _names("projection-line", "source_modules")
    forbidden = _names("projection-line", "forbidden_modules")
    hidden = _names("faces", "forbidden_modules")
    for package in PACKAGES:
        name = f"fieldcast.{package}"
        assert (name in source) == (floors.index(package) > line)
        assert (name in forbidden) == (floors.index(package) <= line)
        assert (name in hidden) == (package not in {"cli", "serve", "workflows", "ground"})


def test_a_built_package_is_no_longer_optional() -> None:
    optional = re.findall(r"\((\w+)\)", _contracts()["importlinter:contract:floors"]["layers"])
    assert not set(optional) & set(PACKAGES)
