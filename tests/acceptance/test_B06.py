"""B06: backtrader, vectorbt and zipline-reloaded adapters (optional extras).

Done when: "Each passes the same parity table, or is reported as skipped with the reason"
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.simulation.bridges import (
    PEERS,
    Peer,
    PeerFailed,
    PeerRun,
    beside,
    compare,
    our_fills,
    our_run,
    python_of,
    round_trips,
    sample_jobs,
)
from fieldcast.simulation.bridges.job import read_run

pytestmark = pytest.mark.feature("B06")
OPEN_PARTS: tuple[str, ...] = ()

THREE = ("sma_cross", "momentum", "mean_reversion")
INSIDE, ELSEWHERE = ("backtrader", "vectorbt"), ("zipline", "nautilus")


def there(name: str) -> bool:
    if name in INSIDE:
        return importlib.util.find_spec(name) is not None
    try:
        return python_of(name).exists()
    except MissingData:
        return False


def asked(name: str) -> Peer:
    if not there(name):
        pytest.skip(f"{name} is not installed: pip install 'fieldcast[peers]', or python tools/peers_environment.py")
    return PEERS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("peer", [*INSIDE, *ELSEWHERE])
def test_each_passes_the_same_parity_table(peer: str, name: str) -> None:
    found = compare(sample_jobs()[name], asked(peer), name=name)
    assert found.skipped is None
    assert found.trades == found.our_trades >= 10
    assert found.trades_equal
    assert found.equal
    assert abs(found.return_gap_bps) < 1e-3
    assert found.reason == ""


@pytest.mark.slow
@pytest.mark.parametrize("peer", [*INSIDE, *ELSEWHERE])
def test_scaling_in_and_out_ends_with_the_same_money(peer: str) -> None:
    found = compare(sample_jobs()["scaling"], asked(peer), name="scaling")
    assert abs(found.equity_gap) <= found.allowed
    assert found.fees == pytest.approx(found.our_fees, abs=1e-6)


@pytest.mark.slow
def test_a_fee_that_an_engine_rounds_is_the_documented_reason() -> None:
    job = replace(sample_jobs()["momentum"], fee_share=Decimal("0.00037"))
    found = compare(job, asked("nautilus"))
    assert found.trades_equal
    assert found.equal
    fills = our_fills(our_run(job)).height
    assert 0 < abs(found.equity_gap) <= found.allowed < 0.021 * fills
    assert "fees are rounded to 2" in found.reason


@pytest.mark.parametrize("name", sorted(PEERS))
def test_an_engine_that_is_not_there_is_skipped_with_the_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIELDCAST_PEERS", raising=False)
    monkeypatch.delenv(f"FIELDCAST_PEER_PYTHON_{name.upper()}", raising=False)
    monkeypatch.setitem(sys.modules, name.removesuffix(".py"), None)
    found = compare(sample_jobs()["momentum"], PEERS[name])
    assert found.skipped is not None
    assert "found" in found.skipped
    assert not found.equal


def test_the_table_sees_a_trade_a_fee_and_an_equity_that_differ() -> None:
    job = sample_jobs()["mean_reversion"]
    ours = our_run(job)
    fills = our_fills(ours)
    same = PeerRun("twin", "1", fills, round_trips(fills), ours.equity_curve(), own_trades=False)
    peer = PEERS["vectorbt"]
    assert beside(job, peer, same, ours).equal
    dearer = replace(same, fills=fills.with_columns(fee=pl.col("fee") + 0.01))
    assert not beside(job, peer, dearer, ours).equal
    shifted = fills.with_columns(price=pl.when(pl.col("bar") == fills["bar"][3]).then(pl.col("price") + 0.01).otherwise("price"))
    assert not beside(job, peer, replace(same, fills=shifted, trades=round_trips(shifted)), ours).trades_equal
    poorer = same.equity.copy()
    poorer[100] -= 0.01
    assert not beside(job, peer, replace(same, equity=poorer), ours).equal
    fewer = fills.head(fills.height - 1)
    assert not beside(job, peer, replace(same, fills=fewer, trades=round_trips(fewer)), ours).trades_equal


def test_our_side_of_the_table_is_rational_arithmetic() -> None:
    job = sample_jobs()["scaling"]
    ours = our_run(job)
    cash, held, gap = job.cash, 0, 0.0
    for t in range(1, job.bars):
        change = int(job.target[t - 1]) - held
        price = Decimal(str(job.open[t]))
        cash -= change * price + abs(change) * price * job.fee_share
        held += change
        gap = max(gap, abs(float(cash + held * Decimal(str(job.close[t]))) - ours.equity_curve()[t]))
    assert gap == 0.0


def test_a_runner_that_fails_says_what_it_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCAST_PEER_PYTHON_ZIPLINE", sys.executable)  # a Python without zipline
    if importlib.util.find_spec("zipline") is not None:
        pytest.skip("zipline is installed here")
    with pytest.raises(PeerFailed, match="No module named 'zipline'"):
        PEERS["zipline"].play(sample_jobs()["momentum"])


def test_what_a_runner_wrote_is_checked(tmp_path: Path) -> None:
    job = sample_jobs()["momentum"]
    (tmp_path / "done.json").write_text('{"peer": "x", "version": "1"}')
    (tmp_path / "fills.csv").write_text("date,side,quantity,price,fee\n2031-01-02,BUY,1,2,0\n")
    (tmp_path / "equity.csv").write_text("date,equity\n")
    with pytest.raises(IntegrityError, match="dates of the job, found 2031-01-02"):
        read_run(tmp_path, job)
    (tmp_path / "fills.csv").write_text("date,side,quantity,price,fee\n")
    with pytest.raises(IntegrityError, match="equity of x at every close"):
        read_run(tmp_path, job)
    with pytest.raises(InvalidInput, match="whole units"):
        replace(job, target=job.target + 0.5)
    with pytest.raises(InvalidInput, match="above 0 for open"):
        replace(job, open=np.where(np.arange(job.bars) == 3, np.nan, job.open))
