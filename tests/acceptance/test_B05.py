"""B05: Lumibot bridge (optional extra).

Done when: "A fixture run without vendor variables completes, and trades match B01"
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fieldcast.ground import MissingData
from fieldcast.simulation.bridges import PEERS, compare, python_of, sample_jobs

pytestmark = pytest.mark.feature("B05")
OPEN_PARTS: tuple[str, ...] = ()

PEER = PEERS["lumibot"]


def installed() -> bool:
    try:
        return python_of("lumibot").exists()
    except MissingData:
        return False


needs_it = pytest.mark.skipif(not installed(), reason="no environment with lumibot: python tools/peers_environment.py makes one")


@needs_it
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sma_cross", "momentum", "mean_reversion"])
def test_a_run_without_vendor_variables_completes_and_its_trades_are_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vendors = [key for key in os.environ if key.startswith(("ALPACA", "POLYGON", "TRADIER", "THETADATA", "IBKR", "SCHWAB"))]
    for key in vendors:
        monkeypatch.delenv(key)
    found = compare(sample_jobs()[name], PEER, name=name)
    assert found.skipped is None
    assert found.trades == found.our_trades >= 10
    assert found.trades_equal
    assert found.equal
    assert abs(found.return_gap_bps) < 1e-3
    assert found.reason == ""


def test_without_an_environment_it_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FIELDCAST_PEERS", raising=False)
    monkeypatch.delenv("FIELDCAST_PEER_PYTHON_LUMIBOT", raising=False)
    found = compare(sample_jobs()["momentum"], PEER)
    assert found.skipped is not None
    assert "FIELDCAST_PEER_PYTHON_LUMIBOT" in found.skipped
    monkeypatch.setenv("FIELDCAST_PEERS", str(tmp_path))
    with pytest.raises(MissingData, match="found nothing at"):
        python_of("lumibot")
