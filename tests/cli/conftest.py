"""The command line called in this process, and a folder with two small simulated markets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcast.cli import main
from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import load_settings
from fieldcast.workflows import open_workspace

EXPERIMENT = """
family = "cli"
[nominated]
model = "logistic"
[features]
blocks = ["volatility"]
[walk_forward]
initial = 150
test = 21
step = 21
embargo = 2
calibration_share = 0.45
[labels]
sign = [1]
event_threshold = 0.01
flat_share = 0.3333
[models.logistic]
l2 = 10.0
refit = 63
[cones]
refit = 63
benchmark_refit = 252
[intervals]
block = 21
draws = 200
seed = 1
[cycle]
sessions = 2
volatility_target = 0.10
nav = "1000000"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as the one JSON object that it has to be."""
        assert self.out.count("\n") == 1
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    def refused(self, code: int = 2) -> str:
        """The one line of an error."""
        assert self.code == code, self.err
        assert self.out == ""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("fieldcast: ")
        return lines[0]


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`fieldcast ARGS…` in an empty folder, as the installed command would run it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIELDCAST_WORKERS", "1")
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["fieldcast", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return Ended(int(end.value.code or 0), shown.out, shown.err)

    return call


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that 700 rows are enough for, gate included."""
    path = tmp_path_factory.mktemp("experiment") / "small.toml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with 700 sessions of the planted market."""
    folder = tmp_path / "home"
    with open_workspace(settings=load_settings(home=folder, workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=700, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
    return folder


@pytest.fixture
def bars() -> pl.DataFrame:
    """Sixty good daily bars, as a user's file has them."""
    days = pl.date_range(date(2018, 9, 4), date(2018, 12, 31), "1d", eager=True)
    holidays = [date(2018, 11, 22), date(2018, 12, 5), date(2018, 12, 25)]
    days = days.filter((days.dt.weekday() <= 5) & ~days.is_in(holidays)).head(60)
    close = pl.Series([100.0 + (7 * n % 11) / 4 for n in range(60)])
    return pl.DataFrame(
        {"Date": days, "Open": close - 0.25, "High": close + 1.0, "Low": close - 1.0, "Close": close,
         "Volume": [1000 + n for n in range(60)]}
    )  # fmt: skip
