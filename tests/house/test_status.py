"""`make status` believes nothing but a pass of the whole row on the code that stands here now.

Each test runs pytest, with this repository's own conftest, in a small repository of its own, and then asks for the
status.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = 'import pytest\n\npytestmark = pytest.mark.feature("{id}"{part})\nOPEN_PARTS: tuple[str, ...] = {open}\n\n\n'


class Repository:
    """A folder with one module, a feature table of three rows and this repository's plumbing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tools/status.py", "tests/conftest.py", "pyproject.toml"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        (folder / "tests" / "acceptance").mkdir()
        (folder / "tests" / "features.toml").write_text('[features]\nD10 = "Bars"\nD11 = "Gaps"\nP04 = "Odds"\n')
        self.code("one = 1\n")

    def code(self, text: str) -> None:
        module = self.folder / "src" / "fieldcast" / "module.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text)

    def row(self, id: str, body: str, *, open: str = "()", part: str = "") -> None:
        path = self.folder / "tests" / "acceptance" / f"test_{id}.py"
        path.write_text(HEAD.format(id=id, open=open, part=part) + body)

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST") and k != "FIELDCAST_REALDATA"}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def status(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "tools/status.py", *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        ).stdout

    def line(self, id: str) -> str:
        return self.status(id).strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


PASSES = "def test_it() -> None:\n    assert True\n"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_a_row_is_proven_partial_or_open(repository: Repository, workers: tuple[str, ...]) -> None:
    assert repository.line("D10") == "D10 open"
    repository.row("D10", PASSES)
    repository.row("D11", PASSES, open='("half-days", "crypto holes")')
    repository.row("P04", PASSES, part=', part="platt"')
    assert "never run" in repository.line("D10")
    done = repository.pytest(*workers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert repository.line("D10") == "D10 proven tests/acceptance/test_D10.py"
    assert repository.line("D11") == "D11 partial tests/acceptance/test_D11.py open: crypto holes; half-days"
    assert repository.line("P04") == "P04 partial tests/acceptance/test_P04.py (parts shown: platt)"
    shown = json.loads(repository.status("--json"))
    assert shown["counts"] == {"proven": 1, "partial": 2, "open": 0}
    assert [row["id"] for row in shown["rows"]] == ["D10", "D11", "P04"]
    recorded = json.loads((repository.folder / ".status" / "last_run.json").read_text())["tests"]
    entry = recorded["tests/acceptance/test_P04.py::test_it"]
    assert entry["features"] == [["P04", "platt"]]
    assert {"outcome", "code", "test", "date", "commit", "open_parts", "reason"} <= set(entry)


FAULTS = {
    "D01": ("open", "1 skipped: test_it", '@pytest.mark.skip(reason="no server")\ndef test_it() -> None: ...\n'),
    "D02": (
        "partial",
        "1 skipped: test_two",
        PASSES + '\n\n@pytest.mark.skip(reason="no server")\ndef test_two() -> None: ...\n',
    ),
    "D03": ("open", "1 failed: test_two", PASSES + "\n\ndef test_two() -> None:\n    assert 1 == 2\n"),
    "D04": ("open", "1 xfailed: test_two", PASSES + "\n\n@pytest.mark.xfail\ndef test_two() -> None:\n    assert 1 == 2\n"),
    "D05": (
        "open",
        "1 error: test_two",
        PASSES + "\n\n@pytest.fixture\ndef broken() -> None:\n    raise OSError\n\n\ndef test_two(broken: None) -> None: ...\n",
    ),
    "D06": ("open", "1 error", "import nothing_of_that_name\n\n\n" + PASSES),
}


def test_what_did_not_pass_is_not_proven(repository: Repository) -> None:
    table = "".join(f'{id} = "A row"\n' for id in FAULTS)
    (repository.folder / "tests" / "features.toml").write_text(f"[features]\n{table}")
    for id, (_, _, body) in FAULTS.items():
        repository.row(id, body)
    repository.pytest("--continue-on-collection-errors")
    lines = {line.split()[0]: line for line in repository.status().splitlines()}
    for id, (state, word, _) in FAULTS.items():
        assert lines[id].startswith(f"{id} {state} tests/acceptance/test_{id}.py"), lines[id]
        assert word.replace(": test_two", ": test_two") in lines[id]


def test_a_result_older_than_the_code_or_the_test_counts_for_nothing(repository: Repository) -> None:
    repository.row("D10", PASSES)
    repository.pytest()
    repository.code("one = 2\n")
    assert repository.line("D10").startswith("D10 open")
    assert "older than the code" in repository.line("D10")
    repository.code("one = 1\n")
    assert repository.line("D10").startswith("D10 proven")
    repository.row("D10", PASSES + "\n\ndef test_two() -> None: ...\n")
    assert repository.line("D10").startswith("D10 open")


def test_the_fast_and_the_slow_run_add_up(repository: Repository) -> None:
    body = (
        '@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.slow)])\ndef test_it(n: int) -> None:\n'
        "    assert n\n"
    )
    repository.row("D10", body)
    repository.pytest("-m", "not slow", "-n", "2")
    assert repository.line("D10").startswith("D10 partial")
    assert "1 not run" in repository.line("D10")
    repository.pytest("-m", "slow")
    assert repository.line("D10") == "D10 proven tests/acceptance/test_D10.py"
    repository.pytest("-m", "not slow")
    assert repository.line("D10") == "D10 proven tests/acceptance/test_D10.py"


def test_one_test_picked_from_the_command_line_does_not_prove_the_row(repository: Repository) -> None:
    repository.row("D10", PASSES + "\n\ndef test_two() -> None: ...\n")
    repository.pytest("tests/acceptance/test_D10.py::test_it")
    assert repository.line("D10").startswith("D10 partial")
    assert "test_two" in repository.line("D10")


def test_an_acceptance_test_must_say_what_is_open(repository: Repository) -> None:
    path = repository.folder / "tests" / "acceptance" / "test_D10.py"
    path.write_text(f'import pytest\n\npytestmark = pytest.mark.feature("D10")\n\n\n{PASSES}')
    repository.pytest()
    assert repository.line("D10").startswith("D10 partial")
    assert "declares no OPEN_PARTS" in repository.line("D10")


def test_a_skip_that_nothing_allows_fails_the_run(repository: Repository) -> None:
    repository.row("D10", PASSES + '\n\n@pytest.mark.skip(reason="no server here")\ndef test_two() -> None: ...\n')
    repository.row("D11", "def test_it(realdata) -> None: ...\n")
    allowed = repository.folder / "allowed.txt"
    allowed.write_text("# none\n")
    done = repository.pytest("--forbid-skips=allowed.txt")
    assert done.returncode == 1
    assert "tests/acceptance/test_D10.py::test_two: Skipped: no server here" in done.stdout
    assert "test_D11.py::test_it: " not in done.stdout, "without real data, its absence is no fault"
    allowed.write_text("tests/acceptance/test_D10.py::* | *no server*\n")
    assert repository.pytest("--forbid-skips=allowed.txt").returncode == 0


def test_the_table_has_every_row_once() -> None:
    table = tomllib.loads((ROOT / "tests" / "features.toml").read_text(encoding="utf-8"))["features"]
    assert len(table) == 174
    counts = {letter: sum(id[0] == letter for id in table) for letter in dict.fromkeys(id[0] for id in table)}
    assert counts == {
        "D": 21,
        "F": 15,
        "X": 10,
        "M": 13,
        "L": 9,
        "P": 8,
        "V": 16,
        "S": 10,
        "B": 9,
        "R": 9,
        "C": 9,
        "E": 10,
        "G": 7,
        "O": 5,
        "U": 7,
        "T": 3,
        "A": 4,
        "Q": 9,
    }
    for id, name in table.items():
        assert id[1:].isdigit()
        assert 10 <= len(name) <= 90
        assert "\n" not in name


def test_every_acceptance_test_belongs_to_a_row() -> None:
    table = tomllib.loads((ROOT / "tests" / "features.toml").read_text(encoding="utf-8"))["features"]
    for path in (ROOT / "tests" / "acceptance").glob("test_*.py"):
        assert path.stem.removeprefix("test_") in table, path.name
