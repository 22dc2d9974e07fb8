"""The demo killed at any moment: running it again completes it, as if nobody had.

A 400-row demo is killed with SIGKILL at random moments, and once before and once after each commit point that the ledger, the
audit files, the store and the broker name: by turns at the first and at the last passing of a point, or at both. Each time it is
run again in the same folder; then every table, every stored bar, the projections, the audit files and the report must be those of
an unkilled run.

Left out of the comparison, because two runs cannot share the wall clock: a trial's looks, first_seen and last_seen, the time at
which a gate result was recorded, and the index of the store (its file names hold the time of writing; the rows are compared).
The 400 rows give no position: kills between intents, orders and fills are in test_cycle_kills.py.

FIELDCAST_KILLS sets the number of random moments (8; `make evidence` takes 300, and both passings of every point).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).with_name("demo_driver.py")
KILLS = int(os.environ.get("FIELDCAST_KILLS", "8"))
MANY = 100  # random moments from which a run is a study
SEED = 20181231
NEEDED = (
    *("instrument", "store", "trial", "validation", "open:paper", "open:simulated"),
    *("decide:paper:2018-12-31/daily:0", "decide:simulated:2018-12-31/daily:0", "finish:paper:2018-12-31/daily:0"),
)


def drive(what: str, folder: Path) -> None:
    """The driver in a process of its own, with one thread and none of our settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIELDCAST_")}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "FIELDCAST_WORKERS"), "1")
    done = subprocess.run(
        [sys.executable, str(DRIVER), what, str(folder)],
        env=environment | one_thread,
        capture_output=True,
        text=True,
        timeout=600 + 60 * KILLS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def play(root: Path, plan: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The unkilled run and the results of the plan's entries; every second run has to end well."""
    (root / "plan").write_text(json.dumps(plan), encoding="utf-8")
    drive("kill", root)
    unkilled, *results = json.loads((root / "results").read_text(encoding="utf-8"))
    assert len(results) == len(plan)
    assert unkilled["again"] == 0
    assert [entry for entry, result in zip(plan, results, strict=True) if result["again"] != 0] == []
    wrong = {
        str(entry): differences(result["content"], unkilled["content"])
        for entry, result in zip(plan, results, strict=True)
        if result["content"] != unkilled["content"]
    }
    assert wrong == {}
    return unkilled, results


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The fault points that an unkilled run passes, in order."""
    home = tmp_path_factory.mktemp("trace")
    drive("trace", home)
    return (home / "trace").read_text(encoding="utf-8").splitlines()


def test_the_run_passes_the_commits_of_every_stage(points: list[str]) -> None:
    for name in NEEDED:
        assert f"before:commit:{name}" in points
        assert f"after:commit:{name}" in points
    assert {"store:after:temporary", "store:after:rename", "store:before:remove"} <= set(points)
    assert any(point.startswith("before:anchor:decide") for point in points)


def test_a_kill_before_and_after_each_commit_leads_to_the_same_tables(points: list[str], tmp_path: Path) -> None:
    plan = []
    for place, name in enumerate(dict.fromkeys(points)):  # before a commit and after it follow each other
        passings = sorted({1, points.count(name)})
        chosen = passings if KILLS >= MANY else [passings[place // 2 % len(passings)]]
        plan += [{"point": name, "nth": nth} for nth in chosen]
    unkilled, results = play(tmp_path, plan)
    assert [entry for entry, result in zip(plan, results, strict=True) if result["killed"] != signal.SIGKILL] == []
    rows = {name.rsplit(":", 1)[0]: int(name.rsplit(":", 1)[1]) for name in unkilled["content"] if name.count(":") == 2}
    assert rows["fieldcast.db:instrument"] == 5
    assert rows["fieldcast.db:trial"] == 12                      # three models on four instruments
    assert rows["fieldcast.db:decision"] == 8                    # four instruments in two sessions
    assert rows["fieldcast.db:audit_log"] == 12                  # a summary and two decisions a cycle
    assert rows["fieldcast.db:packet"] == 8
    assert unkilled["content"]["store"] == "()"


def test_a_kill_at_a_random_moment_leads_to_the_same_tables(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    _, results = play(tmp_path, [{"share": dice.random()} for _ in range(KILLS)])
    assert [result["killed"] for result in results] == [int(signal.SIGKILL)] * KILLS
