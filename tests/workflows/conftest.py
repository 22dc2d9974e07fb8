"""Small workspaces on the project's own simulated market."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import load_settings
from fieldcast.workflows import Experiment, Workspace, load_experiment, open_workspace

SMALL = """
family = "small"
[nominated]
model = "logistic"
[features]
blocks = ["volatility"]
[walk_forward]
initial = 150
test = 21
step = 21
embargo = 2
calibration_share = 0.4
[labels]
sign = [1, 5]
event = [1]
event_threshold = 0.01
flat_share = 0.3333
[models.logistic]
l2 = 10.0
refit = 21
[cones]
refit = 21
benchmark_refit = 63
[intervals]
block = 21
draws = 200
seed = 1
[cycle]
sessions = 3
volatility_target = 0.10
nav = "1000000"
"""


@pytest.fixture
def small(tmp_path: Path) -> Experiment:
    """An experiment that 900 rows are enough for."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return load_experiment(path)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with two simulated instruments of 900 sessions."""
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as opened:
        for kind in ("planted", "martingale"):
            made = simulate(SimulatedMarket(seed=5, kind=kind, n_sessions=900, last=date(2018, 12, 31)))
            save_instrument(opened.ledger, made.instrument)
            opened.store.append(made.bars, made.lineage)
        yield opened
