"""Validate: identical rows for every contender, trials on record once, causal projections, packets as views."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.projection import packet_from_row
from fieldcast.workflows import Experiment, Workspace, project, validate
from fieldcast.workflows.records import table_hash

PLANTED = "SIM:PLANTED"


def test_all_contenders_are_scored_on_the_same_rows(workspace: Workspace, small: Experiment) -> None:
    part = validate(workspace, [PLANTED], small)[PLANTED]
    rows = part.scores.filter(pl.col("metric").is_in(["auc", "brier", "log_loss"])).group_by("label", "horizon").agg(
        pl.col("n").n_unique().alias("distinct"), pl.col("model").n_unique().alias("models")
    )
    assert rows["distinct"].to_list() == [1] * rows.height
    assert set(rows["models"]) == {3}                     # base rate, anchor, logistic


def test_running_twice_adds_no_trial_and_gives_the_same_tables(workspace: Workspace, small: Experiment) -> None:
    first = validate(workspace, [PLANTED], small)
    second = validate(workspace, [PLANTED], small)
    assert first.trials == second.trials == 9              # three models x (sign 1d, sign 5d, event 1d)
    assert table_hash(first[PLANTED].projections) == table_hash(second[PLANTED].projections)
    assert first[PLANTED].gate.estimate == second[PLANTED].gate.estimate


def test_projections_do_not_change_when_history_goes_on(workspace: Workspace, small: Experiment) -> None:
    whole = validate(workspace, [PLANTED], small)[PLANTED].projections
    moment = whole["as_of"].unique(maintain_order=True)[-40]
    early = validate(workspace, [PLANTED], small, as_of=moment)[PLANTED].projections
    assert early["as_of"].max() == moment
    same = whole.filter(pl.col("as_of") <= moment)
    assert table_hash(early) == table_hash(same)


def test_the_newest_packet_is_a_view_of_the_last_rows_and_is_simulated(workspace: Workspace, small: Experiment) -> None:
    part = validate(workspace, [PLANTED], small)[PLANTED]
    newest = part.projections["as_of"][-1]
    assert part.packet == packet_from_row(part.projections, PLANTED, newest)
    assert part.packet.provenance.simulated
    assert [h.horizon for h in part.packet.horizons] == ["1d", "5d"]
    assert part.outcomes.filter(pl.col("as_of") == newest)["ret"].null_count() == 2


def test_project_reuses_what_was_validated_on_the_same_data(workspace: Workspace, small: Experiment) -> None:
    packet = validate(workspace, [PLANTED], small)[PLANTED].packet
    stages: list[str] = []
    assert project(workspace, PLANTED, small, progress=lambda stage, done, total: stages.append(stage)) == packet
    assert stages == []
    earlier = packet.as_of - timedelta(days=30)
    past = project(workspace, PLANTED, small, as_of=earlier, progress=lambda stage, done, total: stages.append(stage))
    assert past.as_of <= earlier
    assert stages == []                                   # causal: the later walk's rows up to then are the answer
    assert past == validate(workspace, [PLANTED], small, as_of=earlier)[PLANTED].packet


def test_a_bar_restated_later_neither_stops_the_models_nor_reaches_back(workspace: Workspace, small: Experiment) -> None:
    before = validate(workspace, [PLANTED], small)[PLANTED]
    bars = workspace.store.read(PLANTED)
    wrong = bars[700:701].with_columns(
        pl.col("close") * 1.001, pl.col("high") * 1.002, available_at=pl.col("ts") + timedelta(days=60)
    )
    workspace.store.append(wrong, workspace.store.lineage(PLANTED)[-1])
    after = validate(workspace, [PLANTED], small)[PLANTED]
    moment = bars["ts"][700]
    early = pl.col("as_of") < moment
    same = [name for name in before.projections.columns if name not in ("data_hashes",)]
    assert before.projections.filter(early).select(same).equals(after.projections.filter(early).select(same))
    late = after.projections.filter(pl.col("as_of") > moment + timedelta(days=120))
    assert (late["status"] == "ok").all()
    resting = after.outcomes.filter((pl.col("horizon") == "1d") & (pl.col("as_of") < moment + timedelta(hours=1)))
    assert resting["ret"].tail(2).null_count() == 2      # into and out of the restated close: known later than the row says


def test_simulated_trials_are_a_family_of_their_own(workspace: Workspace, small: Experiment) -> None:
    result = validate(workspace, [PLANTED], small)
    assert [family.name for family in result.families] == ["small/simulated"]


def test_a_short_history_is_a_clear_error(workspace: Workspace, small: Experiment) -> None:
    with pytest.raises(MissingData, match="first out-of-sample row, found 300"):
        validate(workspace, [PLANTED], small, rows=300)
    with pytest.raises(InvalidInput, match="each instrument once"):
        validate(workspace, [PLANTED, PLANTED], small)
    with pytest.raises(MissingData, match="XNAS:NONE"):
        validate(workspace, ["XNAS:NONE"], small)
