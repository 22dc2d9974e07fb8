"""Futures by their root: the account holds dated contracts, rolls them, and earns what they earned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.data.contracts import business_day, contract
from fieldcast.ground import ConfigError, InvalidInput, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.workflows.backtest_settings import plan_of

pytestmark = pytest.mark.slow      # the venue's kernels take most of a minute to compile

DAYS = sessions_between("XNYS", date(2023, 12, 1), date(2024, 5, 31))
CONTRACTS = ("XCME:ES.2023Z", "XCME:ES.2024H", "XCME:ES.2024M")
OWN = {"multiplier": 50, "margin": {"initial_per_contract": 12_000, "maintenance_per_contract": 11_000}}


def prices() -> dict[str, np.ndarray]:
    """Closes of each contract, NaN after its last day; the later one is dearer by 40."""
    rng = np.random.default_rng(3)
    spot = np.round(4_000 * np.exp(np.cumsum(0.01 * rng.standard_normal(DAYS.height))) * 4) / 4
    days = DAYS["session"].to_numpy()
    return {name: np.where(days <= np.datetime64(contract(name).expiry), spot + 40.0 * place, np.nan)
            for place, name in enumerate(CONTRACTS)}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        for number, (name, close) in enumerate(prices().items()):
            _store(opened, name, close, 1e5 if number == 0 else 1e4)
        _store(opened, "XOTC:ODD.2024H", prices()[CONTRACTS[1]], 1e4)
        yield opened


def _store(workspace: fc.Workspace, name: str, close: np.ndarray, volume: float) -> None:
    save_instrument(workspace.ledger, default_instrument(name, "future", calendar="XNYS"))
    ts = DAYS["close"]
    same = {"ts": ts, "available_at": ts} | dict.fromkeys(("open", "high", "low", "close"), close)
    count = len(close)
    frame = pl.DataFrame({"instrument": [name] * count} | same | {"volume": [volume] * count, "reasons": [None] * count})
    frame = frame.filter(pl.col("close").is_not_nan())
    lineage = Lineage("test", "test", workspace.clock.now())
    workspace.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage)


def run(workspace: fc.Workspace, root: str = "XCME:ES", **parts: Any) -> Any:
    plan = plan_of(
        {"data": {"instruments": [root]}, "strategies": [{"name": "buy_and_hold"}], "account": {"cash": 1_000_000},
         "costs": {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}, "futures": {"days": 5},
         "instruments": {root: OWN}} | parts
    )  # fmt: skip
    return fc.backtest(workspace, plan).runs[0]


def test_a_root_is_held_contract_by_contract_and_earns_what_they_earned(workspace: fc.Workspace) -> None:
    found = run(workspace)
    close, days = prices(), DAYS["session"].to_list()
    due = [business_day(contract(name).expiry, -5) for name in CONTRACTS[:2]]
    equity, held, at, wanted, expected = 1_000_000.0, 0, 0, None, []
    for t, day in enumerate(days):
        if wanted is not None:      # an order of yesterday fills at this open, which is this close here
            before, held, wanted = held, wanted, None
            equity += (held - before) * 0.0 + before * 50 * (close[CONTRACTS[at]][t] - close[CONTRACTS[at]][t - 1])
        elif t:
            equity += held * 50 * (close[CONTRACTS[at]][t] - close[CONTRACTS[at]][t - 1])
        rolls = at < 2 and day >= due[at]
        at += rolls
        if t == 0 or rolls:
            wanted = int(equity // (50 * close[CONTRACTS[at]][t]))
            wanted = None if wanted == held else wanted
        expected.append(equity)
    assert found.result.equity["equity"].to_list() == pytest.approx(expected, abs=1e-6)
    moved = found.result.fills.filter(pl.col("order_id") == -1)
    assert moved["ts"].dt.date().unique().sort().to_list() == due
    assert found.result.positions["instrument"].to_list() == [CONTRACTS[2]]
    assert "XCME:ES: 3 contracts, 2 rolls (5 business days before the last trading day)" in found.report.warnings
    assert found.report.benchmark is not None
    found.result.verify()


def test_rolls_and_settlements_have_costs_and_follow_the_volume_where_that_is_asked(workspace: fc.Workspace) -> None:
    paid = run(workspace, costs={"half_spread_bps": 1, "slippage_bps": 0, "commission_bps": 1})
    assert paid.report.costs.total > 4 * 0.0002 * 900_000      # an entry and two rolls of two legs
    later = run(workspace, futures={"roll": "volume", "days": 1})
    rolled = later.result.fills.filter(pl.col("order_id") == -1)["ts"].dt.date().unique().sort().to_list()
    assert rolled == [business_day(contract(name).expiry, -1) for name in CONTRACTS[:2]], "the volume never crosses over"


def test_what_cannot_be_rolled_is_refused(workspace: fc.Workspace) -> None:
    with pytest.raises(InvalidInput, match="expiries"):
        run(workspace, "XOTC:ODD")
    stated = run(workspace, "XOTC:ODD", futures={"expiries": {"XOTC:ODD.2024H": date(2024, 3, 15)}})
    assert stated.result.positions.is_empty(), "it expired"
    with pytest.raises(ConfigError, match="each is of one contract"):
        run(workspace, exits={"stop": 0.1})
    plan = plan_of({"data": {"instruments": ["XCME:ES"]}, "strategies": [{"name": "sma_cross"}], "futures": {}})
    with pytest.raises(ConfigError, match="roots of futures"):
        fc.sweep(workspace, plan, fc.parameter_grid(["fast=2:3"]))


def test_a_sealed_contract_is_not_read(workspace: fc.Workspace) -> None:
    fc.seal_span(workspace, "spring", [CONTRACTS[2]], first=date(2024, 4, 2), last=date(2024, 5, 31))
    found = run(workspace)
    assert found.report.end.date() < date(2024, 4, 2)


def test_rolled_runs_are_compared_with_their_rolls(workspace: fc.Workspace) -> None:
    """The legs of a roll are intents of both runs: what they cost in one is named to the cent."""
    free, paid = run(workspace), run(workspace, costs={"half_spread_bps": 1, "slippage_bps": 0, "commission_bps": 1})
    beside = fc.compare(workspace, free.id, paid.id)
    found = beside.differences
    assert found is not None, beside.why_none
    assert found.unexplained == 0
    legs = {one.intent for one in found.differences if " roll " in one.intent}
    assert {leg.partition(" ")[0] for leg in legs} == set(CONTRACTS)
    assert len(legs) == 4
    assert float(found.equity_difference) == pytest.approx(
        paid.result.equity["equity"][-1] - free.result.equity["equity"][-1], abs=1e-6
    )
