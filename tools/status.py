"""Which rows of the feature table are proven, and by what: `make status`.

A row is `proven` when tests/acceptance/test_<ID>.py declares that no part of it is open and every test in it passed
on the code that stands here now. It is `partial` when some of it passed and a part is open, marked as a part,
skipped or not yet run. All else is `open`: a failed or expected failure, or a result that is older than the code or
the test.

Results come from `.status/last_run.json`, which every pytest run of this repository writes (tests/conftest.py).
Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(".status") / "last_run.json"
TABLE = Path("tests") / "features.toml"
ACCEPTANCE = Path("tests") / "acceptance"


def file_hash(path: Path) -> str:
    """SHA-256 of the bytes of one file; empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def code_hash(root: Path = ROOT) -> str:
    """SHA-256 over the names and bytes of everything under src/fieldcast."""
    package = root / "src" / "fieldcast"
    total = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".pyc", ".nbi", ".nbc"}:
            total.update(path.relative_to(package).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


@dataclass(frozen=True)
class Row:
    """One row of the feature table: what is proven of it, where, and what is still open."""

    id: str
    name: str
    state: str
    path: str | None
    open: tuple[str, ...]
    notes: tuple[str, ...]

    def line(self) -> str:
        words = [self.id, self.state]
        if self.path:
            words.append(self.path)
        if self.open:
            words.append(f"open: {'; '.join(self.open)}")
        if self.notes:
            words.append(f"({'; '.join(self.notes)})")
        return " ".join(words)


@dataclass(frozen=True)
class TestFile:
    """What the source of an acceptance test declares, read without running it."""

    tests: frozenset[str]
    open_parts: tuple[str, ...] | None  # None: it does not say


def read_test_file(path: Path) -> TestFile:
    """Names of the test functions and the OPEN_PARTS of one file."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    tests: set[str] = set()
    open_parts: tuple[str, ...] | None = None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            tests.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            tests |= {
                f"{node.name}::{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name.startswith("test")
            }
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "OPEN_PARTS" for target in targets):
                open_parts = tuple(ast.literal_eval(node.value))
    return TestFile(frozenset(tests), open_parts)


def judge(id: str, name: str, root: Path, results: dict[str, dict[str, Any]], code: str) -> Row:
    """The state of one row, from the recorded results of the tests that carry its id."""
    path = ACCEPTANCE / f"test_{id}.py"
    own = (root / path).is_file()
    source = read_test_file(root / path) if own else TestFile(frozenset(), ())
    mine = {
        node: result
        for node, result in results.items()
        if any(feature == id for feature, _ in result["features"]) or node.startswith(f"{path.as_posix()}::")
    }
    fresh = {
        node: result
        for node, result in mine.items()
        if result["code"] == code and result["test"] == file_hash(root / node.split("::")[0])
    }
    by_outcome = {
        outcome: sorted(node for node, result in fresh.items() if result["outcome"] == outcome)
        for outcome in {result["outcome"] for result in fresh.values()}
    }
    passed = by_outcome.pop("passed", [])
    parts = {part for result in fresh.values() for feature, part in result["features"] if feature == id and part}
    declared = set(source.open_parts or ()) | {
        part for node in fresh for part in fresh[node].get("open_parts", ()) if not node.startswith(path.as_posix())
    }
    notes: list[str] = []
    for outcome in ("failed", "error", "xfailed", "xpassed", "skipped", "not run"):
        if found := by_outcome.get(outcome):
            notes.append(f"{len(found)} {outcome}: {_shown(found)}")
    never = sorted(
        test for test in source.tests if not any(_function(node) == test for node in fresh if _in(node, path))
    )
    if fresh and never:
        notes.append(f"{len(never)} not run: {_shown(never)}")
    if mine and not fresh:
        notes.append("results older than the code: run make test")
    if own and not mine:
        notes.append("never run: run make test")
    if own and source.open_parts is None:
        notes.append(f"{path.as_posix()} declares no OPEN_PARTS")
    broken = any(outcome in by_outcome for outcome in ("failed", "error", "xfailed", "xpassed"))
    where = path.as_posix() if own else (passed[0].split("::")[0] if passed else None)
    if not passed or broken:
        return Row(id, name, "open", where, tuple(sorted(declared)), tuple(notes))
    if own and not notes and not parts and not declared:
        return Row(id, name, "proven", where, (), ())
    if not own:
        notes.append(f"no {path.as_posix()}")
    built = (f"parts shown: {', '.join(sorted(parts))}",) if parts else ()
    return Row(id, name, "partial", where, tuple(sorted(declared)), built + tuple(notes))


def rows(root: Path = ROOT) -> list[Row]:
    """Every row of the feature table, in its order."""
    table = tomllib.loads((root / TABLE).read_text(encoding="utf-8"))["features"]
    results: dict[str, dict[str, Any]] = {}
    if (root / RESULTS).is_file():
        results = json.loads((root / RESULTS).read_text(encoding="utf-8"))["tests"]
    code = code_hash(root)
    return [judge(id, name, root, results, code) for id, name in table.items()]


def _in(node: str, path: Path) -> bool:
    return node.split("::")[0] == path.as_posix()


def _function(node: str) -> str:
    """`Class::test_x` or `test_x` of a node id, without its parameters."""
    return node.split("::", 1)[1].split("[")[0] if "::" in node else node


def _shown(nodes: Iterable[str], most: int = 3) -> str:
    names = [_function(node) for node in nodes]
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="State of every row of the feature table.")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("ids", nargs="*", help="only these rows")
    options = parser.parse_args(arguments)
    found = rows()
    unknown = sorted(set(options.ids) - {row.id for row in found})
    if unknown:
        print(f"expected ids of {TABLE.as_posix()}, found {', '.join(unknown)}", file=sys.stderr)
        return 2
    found = [row for row in found if not options.ids or row.id in options.ids]
    counts = {state: sum(row.state == state for row in found) for state in ("proven", "partial", "open")}
    if options.json:
        print(json.dumps({"counts": counts, "rows": [asdict(row) for row in found]}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(row.line() for row in found))
        if not options.ids:
            print(f"{len(found)} rows: " + ", ".join(f"{number} {state}" for state, number in counts.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
