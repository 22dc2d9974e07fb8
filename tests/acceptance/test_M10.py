"""M10: Hyper-parameter search: Optuna, resumable, forced extremes, duplicate guard, architecture and training spaces,
multi-objective (accuracy, Sharpe, calibration).

Done when: "Killing and resuming a 20-trial study ends with exactly 20 unique trials, all listed in the trial registry"
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import load_settings
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows import open_workspace, tune

pytestmark = pytest.mark.feature("M10")
OPEN_PARTS: tuple[str, ...] = ()

FAMILY = "m10/tune/killed/simulated"
PLAN = """
family = "m10"
seed = 7
[features]
blocks = ["volatility"]
[[tasks]]
kind = "direction"
horizon = 1
[model]
kind = "boosted_trees"
[model.settings]
min_rows_in_leaf = 30
[walk_forward]
initial = 400
test = 268
step = 268
embargo = 2
[study]
name = "killed"
trials = 20
objectives = ["accuracy", "sharpe", "calibration"]
extremes = 5
[space]                                   # leaves and rounds are the trees' architecture, the rate is of the training
leaves = { low = 2, high = 12 }
rounds = { low = 5, high = 30 }
learning_rate = { low = 0.01, high = 0.3, log = true }
"""


def prepared(folder: Path) -> Path:
    home = folder / "home"
    with open_workspace(settings=load_settings(home=home, workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=900, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
    (folder / "plan.toml").write_text(PLAN)
    return home


def command(home: Path) -> list[str]:
    call = "from fieldcast.cli import main; main()"
    return [sys.executable, "-c", call, "tune", str(home.parent / "plan.toml"), "SIM:PLANTED", "--home", str(home), "--json"]


def finished(home: Path) -> dict[str, Any]:
    """The search run to its end."""
    with open_workspace(settings=load_settings(home=home, workers=1)) as workspace:
        return dict(json.loads(json.dumps(tune(workspace, home.parent / "plan.toml", "SIM:PLANTED").as_dict())))


def on_record(home: Path) -> int:
    with closing(sqlite3.connect(f"file:{home / 'fieldcast.db'}?mode=ro", uri=True, timeout=10)) as ledger:
        return int(ledger.execute("select count(*) from trial where family = ?", (FAMILY,)).fetchone()[0])


def killed(home: Path, after: int) -> int:
    """Start the search, kill it (SIGKILL) when so many trials are on record; how many were by then."""
    running = subprocess.Popen(command(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        until = time.monotonic() + 240
        while on_record(home) < after:
            assert running.poll() is None, "the search ended before it could be killed"
            assert time.monotonic() < until, "the search made no trial"
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    return on_record(home)


@pytest.mark.parametrize("kills", [(5,), pytest.param((1, 6, 12, 16), marks=pytest.mark.slow)])
def test_a_killed_search_ends_with_exactly_20_unique_trials_all_on_record(kills: tuple[int, ...], tmp_path: Path) -> None:
    """Killed four times, it also ends with the very trials of a search that nobody disturbed."""
    (tmp_path / "killed").mkdir()
    home = prepared(tmp_path / "killed")
    by_then = 0
    for after in kills:
        before, by_then = by_then, killed(home, max(after, by_then + 1))
        assert before < by_then < 20
    found = finished(home)
    assert by_then - 1 <= found["resumed"] <= by_then  # at most the trial between registry and study is run again
    assert len(found["trials"]) == 20
    assert len({json.dumps(trial["settings"], sort_keys=True) for trial in found["trials"]}) == 20
    assert len({trial["trial"] for trial in found["trials"]}) == 20
    with open_workspace(settings=load_settings(home=home, workers=1)) as workspace:
        log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
        recorded = {trial.id: trial for trial in log.trials(FAMILY)}
    assert set(recorded) == {trial["trial"] for trial in found["trials"]}
    for trial in found["trials"]:
        assert recorded[trial["trial"]].configuration["point"] == trial["settings"]
    assert found["n_family"] == 20

    corners = [trial["settings"] for trial in found["trials"] if trial["corner"]]
    assert corners == [trial["settings"] for trial in found["trials"][:5]]  # the forced extremes come first
    low, high = {"leaves": 2, "rounds": 5, "learning_rate": 0.01}, {"leaves": 12, "rounds": 30, "learning_rate": 0.3}
    assert corners[:2] == [low, high]
    assert all(value in (low[name], high[name]) for corner in corners for name, value in corner.items())

    if len(kills) > 1:
        (tmp_path / "calm").mkdir()
        undisturbed = finished(prepared(tmp_path / "calm"))
        assert undisturbed["trials"] == found["trials"]  # the kills changed nothing
        assert undisturbed["best"] == found["best"]
    again = finished(home)
    assert again["resumed"] == 20
    assert again["trials"] == found["trials"]
