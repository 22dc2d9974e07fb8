"""The demo run again decides, orders and tries nothing anew, nor after a bar was restated, unless a slot is revised."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.cycle import CycleStatus
from fieldcast.fields import FieldMap
from fieldcast.ground import ConflictError, InvalidInput, MissingData, Reason, load_settings
from fieldcast.market import STAMP
from fieldcast.workflows import Demo, Experiment, Workspace, demo, open_workspace, run_cycle, validate
from fieldcast.workflows.experiment import Features

EXPERIMENT = Path(__file__).with_name("demo_400.toml")
ROWS = 400
PLANTED = "SIM:PLANTED"
ADDED = (
    *("decision", "intent", "orders", "fill", "cash_movement", "nav_snapshot", "cycle_meta", "audit_log"),
    *("trial", "instrument"),
)


def counts(home: Path, without: str = "") -> dict[str, int]:
    connection = sqlite3.connect(home / "fieldcast.db")
    found = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ADDED if table != without}
    connection.close()
    return found


def rows_of(home: Path, table: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "fieldcast.db")
    found = sorted(connection.execute(f"SELECT * FROM {table}"), key=repr)
    connection.close()
    return found


def restate(workspace: Workspace, instrument: str, at: datetime, known: datetime, factor: float = 1.01) -> None:
    """One bar of `at` gets another close, which became known at `known`."""
    bars = workspace.store.read(instrument).filter(pl.col("ts") == at)
    assert bars.height == 1
    close = pl.col("close") * factor
    changed = bars.with_columns(
        close=close,
        high=pl.max_horizontal("high", close),
        low=pl.min_horizontal("low", close),
        available_at=pl.lit(known, dtype=STAMP),
    )
    lineage = replace(workspace.store.lineage(instrument)[-1], fetched_at=known)
    assert workspace.store.append(changed, lineage).rows_restated == 1


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCAST_WORKERS", "1")
        yield demo(tmp_path_factory.mktemp("demo") / "home", rows=ROWS, experiment=EXPERIMENT)


def test_the_demo_does_the_whole_job(first: Demo) -> None:
    stages = list(first.timings)
    assert stages == ["data", "fields", "validation", "cycles", "report"]
    assert [i.id for i in first.data.real] == ["XNAS:COMP", "XCBO:SPX"]
    assert {i.id: i.simulated for i in first.data.simulated} == {PLANTED: True, "SIM:MARTINGALE": True}
    assert set(first.field_maps) == {part.instrument.id for part in first.validation.parts}
    assert all(isinstance(found, FieldMap) for found in first.field_maps.values())
    assert first.audit.ok
    assert first.report.stat().st_size > 1_000_000
    assert {cycle.portfolio for cycle in first.cycles} == {"paper", "simulated"}
    assert len(first.cycles) == 4
    for cycle in first.cycles:
        assert cycle.status is CycleStatus.DECIDED
        assert len(cycle.decisions) == 2
    simulated = {d.instrument for cycle in first.cycles if cycle.portfolio == "simulated" for d in cycle.decisions}
    assert simulated == {PLANTED, "SIM:MARTINGALE"}          # the two portfolios share no instrument
    assert 0.59 < first.data.bayes_auc[PLANTED] < 0.61


def test_a_span_too_short_for_the_gate_is_said_and_rejected(first: Demo) -> None:
    for part in first.validation.parts:
        assert part.gate is None
        assert part.verdict == "NOT_ASKED"
        assert "at least 252 sessions" in part.gate_text
    for cycle in first.cycles:
        for decision in cycle.decisions:
            assert decision.target_position == decision.current_position == 0
            assert Reason.SHORT_HISTORY in decision.reasons
            assert Reason.GATE_MISSING in decision.reasons
            if Reason.DIRECTION_UP in decision.reasons:
                assert str(decision.action) == "REJECT"          # more was wanted, and refused


def test_running_again_adds_nothing(first: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCAST_WORKERS", "1")
    before = counts(first.home)
    decisions, audit = rows_of(first.home, "decision"), rows_of(first.home, "audit_log")
    again = demo(first.home, rows=ROWS, experiment=EXPERIMENT)
    assert counts(first.home) == before
    assert before["trial"] == 12
    assert before["decision"] == 8
    assert rows_of(first.home, "decision") == decisions
    assert rows_of(first.home, "audit_log") == audit
    assert {cycle.status for cycle in again.cycles} == {CycleStatus.UNCHANGED}
    for part, old in zip(again.validation.parts, first.validation.parts, strict=True):
        assert part.projections.equals(old.projections)


def test_running_again_after_a_bar_was_restated_adds_nothing(first: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCAST_WORKERS", "1")
    before, decisions = counts(first.home), rows_of(first.home, "decision")
    with open_workspace(settings=load_settings(home=first.home, ledger_url=None)) as workspace:
        newest = workspace.store.read("XNAS:COMP")["ts"]
        hashed = workspace.store.content_hash("XNAS:COMP")
        restate(workspace, "XNAS:COMP", newest[-30], workspace.clock.now())
        assert workspace.store.content_hash("XNAS:COMP") != hashed
    again = demo(first.home, rows=ROWS, experiment=EXPERIMENT)
    assert counts(first.home) == before
    assert rows_of(first.home, "decision") == decisions
    assert {cycle.status for cycle in again.cycles} == {CycleStatus.UNCHANGED}
    assert again.audit.ok


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "scored", "known"), [(380, False, True), (370, False, False)])
def test_too_few_rows_for_a_score_or_a_cone_are_shown_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, scored: bool, known: bool
) -> None:
    monkeypatch.setenv("FIELDCAST_WORKERS", "1")
    done = demo(tmp_path / "home", rows=rows, experiment=EXPERIMENT)
    for part in done.validation.parts:
        assert part.scores.is_empty() is not scored
        assert all(horizon.known is known for horizon in part.packet.horizons)
        assert part.verdict == "NOT_ASKED"
    assert done.validation.trials == 0                    # without a score there is no trial
    assert done.report.exists()
    assert all(d.target_position == 0 for cycle in done.cycles for d in cycle.decisions)


def test_fresh_removes_only_a_demo(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for fresh in (False, True):      # without fresh either: the marker would let the next --fresh remove it
        with pytest.raises(InvalidInput, match="new, empty or a demo's"):
            demo(tmp_path / "mine", fresh=fresh, rows=ROWS, experiment=EXPERIMENT)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    with pytest.raises(InvalidInput, match="a folder that can be made"):
        demo(tmp_path / "mine" / "letter.txt", rows=ROWS, experiment=EXPERIMENT)


def test_a_moment_in_the_future_is_refused(workspace: Workspace, small: Experiment) -> None:
    with pytest.raises(InvalidInput, match="that has come"):
        run_cycle(workspace, [PLANTED], small, as_of=datetime.now(tz=UTC) + timedelta(days=200), portfolio="simulated")
    assert counts(workspace.home)["cycle_meta"] == 0


def test_an_unknown_covariate_decides_nothing(workspace: Workspace, small: Experiment) -> None:
    with pytest.raises(MissingData):
        run_cycle(workspace, [PLANTED], small.model_copy(update={"features": Features(blocks=("volatility", "vix"))}),
                  as_of=datetime(2018, 12, 31, 21, 30, tzinfo=UTC), portfolio="simulated")
    assert counts(workspace.home)["cycle_meta"] == 0


def test_an_instrument_can_leave_and_join_a_portfolio(workspace: Workspace, small: Experiment) -> None:
    other = "SIM:MARTINGALE"
    validate(workspace, [PLANTED, other], small)
    moments = [datetime(2018, 12, day, 21, 30, tzinfo=UTC) for day in (27, 28, 31)]
    for moment, universe in zip(moments, ([PLANTED, other], [PLANTED], [PLANTED, other]), strict=True):
        result = run_cycle(workspace, universe, small, as_of=moment, portfolio="simulated")
        assert [decision.instrument for decision in result.decisions] == sorted(universe)


# one slot -----------------------------------------------------------------------------------------------------------


def test_a_slot_is_decided_once_refused_on_other_data_and_revised_on_purpose(workspace: Workspace, small: Experiment) -> None:
    moment = validate(workspace, [PLANTED], small)[PLANTED].packet.as_of
    decided = run_cycle(workspace, [PLANTED], small, as_of=moment, portfolio="simulated")
    assert decided.status is CycleStatus.DECIDED
    assert run_cycle(workspace, [PLANTED], small, as_of=moment, portfolio="simulated").status is CycleStatus.UNCHANGED
    later = moment + timedelta(hours=1)
    assert run_cycle(workspace, [PLANTED], small, as_of=later, portfolio="simulated").status is CycleStatus.UNCHANGED
    before = counts(workspace.home, "trial")      # a walk whose newest bar came too late has another span: other trials
    restate(workspace, PLANTED, moment - timedelta(minutes=30), moment + timedelta(minutes=45))
    assert run_cycle(workspace, [PLANTED], small, as_of=moment, portfolio="simulated").status is CycleStatus.UNCHANGED
    with pytest.raises(ConflictError, match="revise"):
        run_cycle(workspace, [PLANTED], small, as_of=later, portfolio="simulated")
    assert counts(workspace.home, "trial") == before
    revised = run_cycle(workspace, [PLANTED], small, as_of=later, portfolio="simulated", revise=True)
    assert revised.status is CycleStatus.REVISED
    assert revised.revision == 1
    assert counts(workspace.home)["decision"] == before["decision"] + 1
    assert run_cycle(workspace, [PLANTED], small, as_of=later, portfolio="simulated").status is CycleStatus.UNCHANGED


def test_another_experiment_in_the_same_slot_is_refused(workspace: Workspace, small: Experiment) -> None:
    moment = validate(workspace, [PLANTED], small)[PLANTED].packet.as_of
    run_cycle(workspace, [PLANTED], small, as_of=moment, portfolio="simulated")
    other = small.model_copy(update={"cycle": small.cycle.model_copy(update={"volatility_target": 0.12})})
    with pytest.raises(ConflictError, match="configuration"):
        run_cycle(workspace, [PLANTED], other, as_of=moment, portfolio="simulated")
