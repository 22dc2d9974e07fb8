"""A sealed span that is open for a plan is open for what its benchmark is reckoned with too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.ground import MissingData, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.validation.preregistration import Effect, register
from fieldcast.validation.sealed import open_seal
from fieldcast.workflows.backtest_settings import BacktestPlan, plan_of
from fieldcast.workflows.backtests import benchmark_of, open_data
from fieldcast.workflows.progress import silent

DAYS = sessions_between("XNYS", date(2019, 1, 2), date(2019, 3, 29))
SEALED = date(2019, 2, 1), date(2019, 3, 29)
NAMES = ("XNAS:US", "OANDA:EURUSD")
EFFECT = Effect(0.01, 0.02, 0.05, 0.8, 21.0, 40, 40, 40)


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """A share in dollars at 100, and euros that go from 1.10 to 1.20 dollars; both sealed from February on."""
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        evenings = [datetime(2018, 12, 24, 22, tzinfo=UTC) + timedelta(days=n) for n in range(100)]
        rates = np.round(np.where(np.arange(100) < 50, 1.10, 1.20), 5)
        for name, kind, ts, close in (
            (NAMES[0], "equity", DAYS["close"].to_list(), np.full(DAYS.height, 100.0)), (NAMES[1], "fx", evenings, rates),
        ):  # fmt: skip
            save_instrument(opened.ledger, default_instrument(name, kind))
            frame = pl.DataFrame({"instrument": [name] * len(ts), "ts": ts, "available_at": ts}
                                 | dict.fromkeys(("open", "high", "low", "close"), close)
                                 | {"volume": [1e6] * len(ts), "reasons": [None] * len(ts)})  # fmt: skip
            rows = frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items())
            opened.store.append(rows, Lineage("test", "test", opened.clock.now()), table="bars/1d")
        fc.seal_span(opened, "spring", NAMES, first=SEALED[0], last=SEALED[1])
        yield opened


def plan(cash: int = 10_000) -> BacktestPlan:
    return plan_of({"data": {"instruments": ["XNAS:US"]}, "strategies": [{"name": "buy_and_hold"}], "family": "sealed",
                    "benchmark": "XNAS:US", "account": {"cash": cash, "currency": "EUR"},
                    "costs": {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}})  # fmt: skip


def opened_for(workspace: fc.Workspace, chosen: BacktestPlan) -> None:
    now = workspace.clock.now()
    with workspace.ledger.begin("register") as session:
        register(session, family=chosen.family, configuration_hash=chosen.hash, configuration={}, instruments=NAMES,
                 first=SEALED[0], last=SEALED[1], effect=EFFECT, measured_on="x", compute={"axis": "rows"},
                 at=now - timedelta(hours=1))  # fmt: skip
    open_seal(workspace.ledger, "spring", chosen.hash, at=now)


def test_a_benchmarks_rates_are_open_where_the_runs_are(workspace: fc.Workspace) -> None:
    """They were read under the hash of the benchmark's own plan, which nobody had opened the seal for."""
    chosen = plan()
    opened_for(workspace, chosen)
    data = open_data(workspace, chosen, silent)
    assert data.market.bars == DAYS.height
    held, named = benchmark_of(workspace, chosen, data, 10_000.0)
    assert held is not None
    assert (named, held.dates[-1].item()) == ("XNAS:US", SEALED[1])
    assert np.prod(1.0 + held.returns) == pytest.approx(1.10 / 1.20)      # 100 dollars are fewer euros by the end


def test_for_another_plan_the_benchmark_ends_where_the_seal_begins(workspace: fc.Workspace) -> None:
    opened_for(workspace, plan())
    other = plan(20_000).model_copy(update={"family": "not registered"})
    data = open_data(workspace, other, silent)
    held, _ = benchmark_of(workspace, other, data, 20_000.0)
    assert held is not None
    assert held.dates[-1].item() < SEALED[0]
    assert np.prod(1.0 + held.returns) == pytest.approx(1.0)


def test_a_rate_that_is_sealed_is_none_for_a_benchmark_either(workspace: fc.Workspace) -> None:
    """Of what the plan itself may not see: the share's seal is lifted for it, that of the pair is another one."""
    chosen = plan()
    fc.seal_span(workspace, "pair", NAMES[1:], first=SEALED[0], last=SEALED[1])
    opened_for(workspace, chosen)
    with pytest.raises(MissingData, match="OANDA:EURUSD"):
        open_data(workspace, chosen, silent)
