"""Every parameter set of a sweep is a trial, those that lost everything too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.ground import load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.workflows.backtest_settings import plan_of
from fieldcast.workflows.backtest_trials import trial_log

pytestmark = pytest.mark.slow
DAYS = sessions_between("XNYS", date(2019, 1, 2), date(2019, 3, 29))
HELD = "import numpy as np\n\n\ndef targets(bars, held=1.0):\n    return np.full(bars['close'].size, held)\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """A share that falls from 100 to 60, which an account of four times its money does not survive, and rises to 130."""
    close = np.round(np.concatenate((np.linspace(100.0, 60.0, 20), np.linspace(62.0, 130.0, DAYS.height - 20))), 2)
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        save_instrument(opened.ledger, default_instrument("XNAS:VEE", "equity"))
        ends = DAYS["close"].to_list()
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        frame = pl.DataFrame({"instrument": ["XNAS:VEE"] * len(ends), "ts": ends, "available_at": ends} | prices
                             | {"volume": [1e6] * len(ends), "reasons": [None] * len(ends)})  # fmt: skip
        rows = frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items())
        opened.store.append(rows, Lineage("test", "test", opened.clock.now()), table="bars/1d")
        yield opened


def swept(workspace: fc.Workspace, folder: Path, held: str, family: str) -> fc.Sweep:
    file = folder / "held.py"
    file.write_text(HELD, encoding="utf-8")
    plan = plan_of({
        "data": {"instruments": ["XNAS:VEE"]}, "strategies": [{"file": str(file)}], "family": family,
        "account": {"weight": 4, "margin": {"initial": 0.05, "maintenance": 0.01}},
    })  # fmt: skip
    return fc.sweep(workspace, plan, fc.parameter_grid([f"held={held}"]), by="total_return")


def test_a_set_that_lost_everything_is_counted_and_never_the_best(workspace: fc.Workspace, tmp_path: Path) -> None:
    found = swept(workspace, tmp_path, "0.2,0.25,0.9,1", "some spent")
    assert found.table["total_return"].arg_max() == 3      # the account that nobody would have been left with
    assert found.ranking["held"].to_list() == [0.25, 0.2, 1.0, 0.9]
    assert found.points == found.trials == 4
    assert found.deflated is not None
    series = {one.configuration["sweep"]["settings"]["held"]: one.series for one in trial_log(workspace).trials("some spent")}
    assert np.flatnonzero(series[0.25])[-1] == DAYS.height - 1
    spent = int(np.flatnonzero(series[1.0])[-1])
    assert series[1.0][spent] == pytest.approx(-1.0, abs=1e-6)
    assert 10 < spent < 20
    assert len(series[1.0]) == len(series[0.25])


def test_sets_are_counted_where_none_is_left_with_anything(workspace: fc.Workspace, tmp_path: Path) -> None:
    found = swept(workspace, tmp_path, "0.8,0.9,1", "all spent")
    assert found.points == found.trials == 3
    assert found.deflated is not None
    assert found.deflated.dsr < 0.5
