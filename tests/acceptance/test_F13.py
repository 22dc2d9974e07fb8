"""F13: Engine standard: eight named processors, one interpreter, at least 20 tests and one implementation document per v3 engine.

Done when: "A test counts processors, tests and the document for each of the hedge, elasticity, liquidity and sentiment engines
and fails below the standard"
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.feature("F13")
OPEN_PARTS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[2]
PROCESSORS, TESTS = 8, 20
ENGINES = {  # engine → package, document, headings that a document of the standard has words for
    "hedge": ("dealer", "dealer-positioning.md"),
    "elasticity": ("elasticity", "elasticity.md"),
    "liquidity": ("liquidity", "liquidity.md"),
    "sentiment": ("sentiment", "sentiment.md"),
}


def shortfalls(package: str, document: Path, tests: Path) -> list[str]:
    """What an engine lacks of the standard."""
    engine = import_module(f"fieldcast.fields.{package}")
    found = []
    processors: Mapping[str, object] = getattr(engine, "PROCESSORS", {})
    if len(processors) != PROCESSORS or not all(callable(one) and inspect.getdoc(one) for one in processors.values()):
        found.append(f"{len(processors)} documented processors")
    if len({id(one) for one in processors.values()}) != len(processors):
        found.append("a processor under two names")
    interpreter = getattr(engine, "interpret", None)
    if not callable(interpreter) or not hasattr(inspect.signature(interpreter), "return_annotation"):
        found.append("no interpreter")
    if count_of_tests(tests) < TESTS:
        found.append(f"{count_of_tests(tests)} tests")
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    unnamed = [name for name in processors if name not in text]
    if "```" not in text or unnamed:
        found.append(f"a document without equations or without {', '.join(unnamed) or 'text'}")
    return found


def count_of_tests(folder: Path) -> int:
    """Test functions that assert something; parameters are not counted."""
    count = 0
    for path in folder.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                count += any(
                    isinstance(part, ast.Assert) or (isinstance(part, ast.Attribute) and part.attr in ("raises", "testing"))
                    for part in ast.walk(node)
                )
    return count


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_meets_the_standard(engine: str) -> None:
    package, document = ENGINES[engine]
    assert shortfalls(package, ROOT / "docs" / "explanation" / document, ROOT / "tests" / "fields" / package) == []


def test_an_engine_below_the_standard_fails(tmp_path: Path) -> None:
    (tmp_path / "test_little.py").write_text("def test_one():\n    assert True\n\ndef test_two():\n    pass\n", encoding="utf-8")
    assert count_of_tests(tmp_path) == 1
    missing = shortfalls("regime", tmp_path / "none.md", tmp_path)
    assert missing == ["0 documented processors", "no interpreter", "1 tests", "a document without equations or without text"]
