"""The cycle killed before and after every commit, of the ledger, of the audit files and of the broker.

Each point is named once in an unkilled run. For each, a process is killed there with SIGKILL, history is run again from
its first day, and every row of every table, the broker's books and the audit files must be byte for byte those of the
unkilled run.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).with_name("cycle_driver.py")


def drive(what: str, folder: Path) -> None:
    """The driver in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "FIELDCAST_FAULT"}
    done = subprocess.run(
        [sys.executable, str(DRIVER), what, str(folder)],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def content(home: Path) -> dict[str, str]:
    """SHA-256 of every table of the ledger and of the broker, all columns, and of the audit files."""
    found = {}
    for name in ("ledger.db", "paper.broker"):
        connection = sqlite3.connect(home / name)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(tables):
            rows = sorted(repr(row) for row in connection.execute(f"SELECT * FROM {table}"))
            found[f"{name}:{table}:{len(rows)}"] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        connection.close()
    for name in ("audit.jsonl", "audit.anchor"):
        found[name] = hashlib.sha256((home / name).read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[str]]:
    """What an unkilled run leaves, and the fault points that it passed."""
    home = tmp_path_factory.mktemp("unkilled")
    drive("trace", home)
    return content(home), (home / "trace").read_text().splitlines()


def test_the_unkilled_run_passes_every_kind_of_commit(unkilled: tuple[dict[str, str], list[str]]) -> None:
    tables, points = unkilled
    assert len(points) == len(set(points)) >= 50
    kinds = {":".join(point.split(":")[:3]) for point in points}
    for where in ("before", "after"):
        for kind in ("commit:open", "commit:decide", "commit:submitted", "commit:book", "commit:finish"):
            assert f"{where}:{kind}" in kinds
        for kind in ("broker:submit", "broker:match"):
            assert f"{where}:{kind}" in kinds
    assert any(point.startswith("before:anchor:") for point in points)
    rows = {name.rsplit(":", 1)[0]: int(name.rsplit(":", 1)[1]) for name in tables if name.count(":") == 2}
    assert rows["ledger.db:decision"] == 12  # three instruments, three slots, one of them revised
    assert rows["ledger.db:fill"] == rows["paper.broker:fills"] >= 4
    assert rows["ledger.db:orders"] == rows["paper.broker:orders"] == rows["ledger.db:intent"]


def test_a_kill_at_every_point_leads_to_the_same_books(
    unkilled: tuple[dict[str, str], list[str]], tmp_path: Path
) -> None:
    tables, points = unkilled
    (tmp_path / "points").write_text("\n".join(points))
    drive("kill", tmp_path)
    statuses = [line.split() for line in (tmp_path / "statuses").read_text().splitlines()]
    assert [int(killed) for killed, _ in statuses] == [int(signal.SIGKILL)] * len(points)
    assert [int(again) for _, again in statuses] == [0] * len(points)
    wrong = [point for number, point in enumerate(points) if content(tmp_path / str(number)) != tables]
    assert wrong == []
