"""The gate of a backtest: it counts the trials that the report of the same run counts, and money moves where its fill was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.evaluation import MemoryTrialLog, Trial
from fieldcast.ground import load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.workflows.backtest_gate import _Standing
from fieldcast.workflows.backtest_settings import plan_of
from fieldcast.workflows.backtest_trials import trial_log

DAYS = sessions_between("XNYS", date(2019, 1, 2), date(2019, 6, 28))


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """A share on a walk of its own."""
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.001, 0.015, DAYS.height))), 2)
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        store(opened, "XNAS:WALK", "equity", DAYS["close"].to_list(), close)
        yield opened


def store(workspace: fc.Workspace, name: str, kind: str, ts: Sequence[datetime], close: np.ndarray) -> None:
    save_instrument(workspace.ledger, default_instrument(name, kind))
    frame = pl.DataFrame({"instrument": [name] * len(ts), "ts": ts, "available_at": ts}
                         | dict.fromkeys(("open", "high", "low", "close"), close)
                         | {"volume": [1e6] * len(ts), "reasons": [None] * len(ts)})  # fmt: skip
    rows = frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items())
    workspace.store.append(rows, Lineage("test", "test", workspace.clock.now()), table="bars/1d")


@pytest.mark.slow
def test_the_gate_counts_the_sets_of_a_sweep_as_the_report_does(workspace: fc.Workspace) -> None:
    """It counted the series that a sweep stores."""
    plan = plan_of({"data": {"instruments": ["XNAS:WALK"]}, "strategies": [{"name": "sma_cross"}], "family": "counted"})
    swept = fc.sweep(workspace, plan, fc.parameter_grid(["fast=2:16", "slow=20:34"]))
    assert swept.points == swept.trials == 225
    assert len(trial_log(workspace).trials("counted")) < 225      # of the others no series are kept
    found = fc.backtest(workspace, plan, gate=True)
    gate = found.runs[0].gate
    assert gate is not None
    assert gate.result is not None
    report = found.runs[0].report.deflation
    assert gate.result.family_size == report.trials == found.trials == 226
    assert gate.result.effective_size == pytest.approx(report.effective_trials, rel=0.1)
    assert gate.result.deflated.looks == report.looks == 1


def test_a_run_at_the_gate_has_its_own_looks_and_every_other_trial_has_its_own() -> None:
    """The looks of the run were answered for all of them."""
    log, days = MemoryTrialLog(), np.datetime64("2019-01-01", "D") + np.arange(9)

    def trial(name: str, values: np.ndarray) -> Trial:
        first, last = days[0].item(), days[-1].item()
        return Trial("f", {"name": name}, "A:B", "net_return", 1, first, last, "net_mean", 0.0, 9, days, values)

    run, other = trial("run", np.linspace(-1, 1, 9)), trial("other", np.linspace(1, -1, 9))
    for one in (run, run, run, other):
        log.record(one)
    standing = _Standing(log, "f", run.id)
    own = trial("run from open to open", np.linspace(-1, 2, 9))
    standing.record(own)
    assert {one.id for one in standing.trials("f")} == {own.id, other.id}
    assert (standing.looks(own.id), standing.looks(other.id), standing.looks("unknown")) == (3, 1, 0)


@pytest.mark.slow
def test_a_coin_that_stands_still_earns_nothing_at_the_gate_in_euros(workspace: fc.Workspace, tmp_path: Path) -> None:
    """Bought and sold every four days at 100 dollars, 1.25 a euro: a mean of 3e9 a session was found: cash went a bar early."""
    midnights = [datetime(2019, 1, 2, tzinfo=UTC) + timedelta(days=n) for n in range(300)]
    store(workspace, "KRAKEN:STILL", "crypto", midnights, np.full(300, 100.0))
    turns = "import numpy as np\n\n\ndef targets(bars):\n    return np.arange(bars['close'].size) // 4 % 2\n"
    (tmp_path / "turns.py").write_text(turns, encoding="utf-8")
    plan = plan_of({"data": {"instruments": ["KRAKEN:STILL"]}, "strategies": [{"file": str(tmp_path / "turns.py")}],
                    "family": "still", "account": {"cash": 10_000, "currency": "EUR"}, "fx": {"stated": {"EUR/USD": "1.25"}},
                    "costs": {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}})  # fmt: skip
    found = fc.backtest(workspace, plan, gate=True).runs[0]
    assert found.result.fills.height > 70
    assert found.gate is not None
    assert found.gate.result is not None
    assert found.gate.result.n > 290
    assert found.gate.result.gross_mean == pytest.approx(0.0, abs=1e-9)
    assert found.gate.result.moments is None or found.gate.result.moments.sharpe == pytest.approx(0.0, abs=0.1)
