"""The nightly job on a store: which quotes it takes, which fills it leaves aside, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.ledger import tables
from fieldcast.trading.costs import SessionBucket
from fieldcast.workflows import Workspace, import_data, open_workspace, recalibrate_costs, show_costs

AS_OF = datetime(2024, 1, 3, tzinfo=UTC)
START = datetime(2024, 1, 2, 9, tzinfo=UTC)
PAIR = "TRUEFX:EURUSD"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    rows = [f"{START + timedelta(seconds=20 * k):%Y-%m-%d %H:%M:%S.000},1.0,1.0002" for k in range(60)]
    (tmp_path / "eurusd.csv").write_text("timestamp,bid,ask\n" + "\n".join(rows) + "\n")
    with open_workspace(tmp_path) as opened:
        import_data(opened, [tmp_path / "eurusd.csv"], format="truefx-quotes")
        yield opened


def book(workspace: Workspace, count: int, *, simulated: bool, named: bool = True) -> None:
    """Purchases at 1.0003 against 1.0001: 2 basis points paid, 1 beyond half the spread."""
    ours = {"account": "a", "portfolio": "p"}
    with workspace.ledger.begin("fills") as session:
        for k in range(count):
            at, slot = START + timedelta(seconds=10 * k), f"{simulated}{named}{k}"
            shared = ours | {"slot": slot}
            cycle = tables.CycleMeta(
                **shared, revision=0, as_of=at, started_at=at, configuration_hash="x", data_hash="x", universe_size=1,
                status="done",
            )  # fmt: skip
            decision = tables.Decision(
                **shared, cycle=cycle, instrument=PAIR, revision=0, action="BUY", current_position=Decimal(0),
                target_position=Decimal(1), reduce_only=False, status="ordered", reasons=["unchanged"], sizing={}, decided_at=at,
            )  # fmt: skip
            name = f"{'s' if simulated else 'r'}{'n' if named else 'u'}{k:024d}"
            intent = tables.Intent(
                **shared, client_id=name, decision=decision, instrument=PAIR, leg="main", attempt=1, side="BUY",
                quantity=Decimal(1), created_at=at, status="submitted",
            )  # fmt: skip
            fill = tables.Fill(
                client_id=name, intent=intent, instrument=PAIR, side="BUY", quantity=Decimal(1), price=Decimal("1.00030002"),
                fee=Decimal(0), ts=at, source_bar_ts=at + timedelta(minutes=1) if simulated else None,
                reference_price=Decimal("1.0001") if named else None,
            )  # fmt: skip
            session.add_all([cycle, decision, intent, fill])


def slippage(workspace: Workspace) -> object:
    shown = show_costs(workspace)
    assert shown.costs is not None
    return shown.costs.get(PAIR, SessionBucket.LONDON).slippage


def test_real_fills_give_slippage(workspace: Workspace) -> None:
    book(workspace, 12, simulated=False)
    found = recalibrate_costs(workspace, as_of=AS_OF)
    assert found.counts["fills"] == 12
    measured = found.costs.get(PAIR, SessionBucket.LONDON).slippage
    assert measured is not None
    assert measured.sample_count == 12
    assert measured.mean_bps == pytest.approx(1.0, abs=1e-3)
    assert slippage(workspace) == measured


def test_fills_of_the_simulated_venue_measure_nothing(workspace: Workspace) -> None:
    """Their slippage is the model's own assumption; twelve of them are counted and left aside."""
    book(workspace, 12, simulated=True)
    found = recalibrate_costs(workspace, as_of=AS_OF)
    assert (found.counts["fills"], found.counts["simulated_fills"]) == (0, 12)
    assert slippage(workspace) is None


def test_a_fill_without_the_price_it_is_measured_against_is_left_aside(workspace: Workspace) -> None:
    book(workspace, 12, simulated=False, named=False)
    assert recalibrate_costs(workspace, as_of=AS_OF).counts["fills"] == 0


def test_what_has_no_quotes_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="XNAS:AAPL"):
        recalibrate_costs(workspace, ["XNAS:AAPL"])
    with open_workspace(tmp_path / "empty") as empty, pytest.raises(MissingData, match="import some first"):
        recalibrate_costs(empty)


@pytest.mark.parametrize("wrong", [{"days": 0}, {"least": 0}])
def test_impossible_requests_are_refused_and_write_nothing(workspace: Workspace, wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        recalibrate_costs(workspace, as_of=AS_OF, **wrong)
    assert show_costs(workspace).dates == ()


def test_an_earlier_moment_does_not_see_later_quotes(workspace: Workspace) -> None:
    found = recalibrate_costs(workspace, as_of=START + timedelta(minutes=5))
    assert found.counts["quotes"] == 16
    spread = found.costs.get(PAIR, SessionBucket.LONDON).spread
    assert spread is not None
    assert spread.last_updated == START + timedelta(minutes=5)
