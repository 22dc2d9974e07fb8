"""The reference pages say what the code does: they are compared with it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from pydantic import SecretStr

from fieldcast.ground import Settings

ROOT = Path(__file__).resolve().parents[2]


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fieldcast_tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["reason-codes.md", "formats.md", "store-tables.md", "features.md"])
def test_a_page_of_a_registry_is_up_to_date(name: str) -> None:
    tool = _tool("reference_pages")
    found = (tool.FOLDER / name).read_text(encoding="utf-8")
    assert found == tool.PAGES[name](), "run: .venv/bin/python tools/reference_pages.py"


def test_the_page_of_settings_names_every_key_with_its_default() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| (.*) \|$", page, re.MULTILINE))
    assert set(rows) == set(Settings.model_fields)
    for key, field in Settings.model_fields.items():
        variable, default, text = (cell.strip() for cell in rows[key].split("|"))
        assert variable == f"`FIELDCAST_{key.upper()}`"
        assert default.strip("`") == {None: "none"}.get(field.default, str(field.default))
        if SecretStr in get_args(field.annotation):
            assert f"| `{key}` (secret) |" in page
        if field.description:
            assert text == field.description


def test_the_page_of_architecture_lists_the_packages_that_are_there() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    floors = page.split("## The floors")[1].split("## Six rules")[0]
    built = {path.parent.name for path in (ROOT / "src" / "fieldcast").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", floors, re.MULTILINE)) == built


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/.-]+\.md", navigation)) == pages


def test_the_documentation_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loads = re.compile(r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//[^\s\"'>]+|<link[^>]+stylesheet[^>]+//[^\s\"'>]+")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        assert not loads.findall(page.read_text(encoding="utf-8")), page.name
