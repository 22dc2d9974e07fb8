"""B04: backtesting.py bridge (optional extra, AGPL noted).

Done when: "A three-strategy parity table against B01 has trades equal and return within 1 bp"
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from fieldcast.ground import MissingData
from fieldcast.simulation.bridges import PEERS, compare, sample_jobs

pytestmark = pytest.mark.feature("B04")
OPEN_PARTS: tuple[str, ...] = ()

THREE = ("sma_cross", "momentum", "mean_reversion")
PEER = PEERS["backtesting.py"]
needs_it = pytest.mark.skipif(
    importlib.util.find_spec("backtesting") is None, reason="backtesting.py is not installed: pip install 'fieldcast[peers]'"
)


@needs_it
@pytest.mark.slow
@pytest.mark.parametrize("name", THREE)
def test_trades_are_equal_and_returns_within_a_basis_point(name: str) -> None:
    found = compare(sample_jobs()[name], PEER, name=name)
    assert found.skipped is None
    assert found.trades == found.our_trades >= 10
    assert found.trades_equal
    assert abs(found.return_gap_bps) < 1e-3  # the row asks for 1: fees of whole cents leave floats alone
    assert found.fees == pytest.approx(found.our_fees, abs=1e-6)
    assert found.equal
    assert found.reason == ""


@needs_it
@pytest.mark.slow
def test_it_agrees_where_positions_are_scaled_in_and_out() -> None:
    found = compare(sample_jobs()["scaling"], PEER, name="scaling")
    assert abs(found.equity_gap) <= found.allowed  # cash, fees and marks are the same whatever is called a trade
    assert found.fees == pytest.approx(found.our_fees, abs=1e-6)


def test_its_licence_is_told_and_the_core_never_imports_it() -> None:
    assert PEER.license == "AGPL-3.0-or-later"
    code = "import sys, fieldcast.simulation.bridges; assert not {'backtesting', 'backtrader', 'vectorbt'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_it_the_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backtesting", None)  # as if it were not installed
    with pytest.raises(MissingData, match="AGPL"):
        PEER.play(sample_jobs()["momentum"])
    found = compare(sample_jobs()["momentum"], PEER)
    assert found.skipped is not None
    assert "pip install" in found.skipped
    assert not found.equal
