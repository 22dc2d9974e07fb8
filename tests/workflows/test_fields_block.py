"""The field map as a block of an experiment: validated, projected and named in the record like any other block."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcast.features import columns, registry
from fieldcast.ground import ShortHistory
from fieldcast.workflows import Experiment, Workspace, load_experiment, project, validate
from fieldcast.workflows import study as study_module
from fieldcast.workflows.study import configuration

from .conftest import SMALL

PLANTED = "SIM:PLANTED"


@pytest.fixture
def with_fields(tmp_path: Path) -> Experiment:
    """The small experiment on volatility and the sentiment of prices; its cones follow the odds and one field."""
    text = SMALL.replace('["volatility"]', '["volatility", "fields.sentiment"]')
    text = text.replace("[cones]", '[cones]\ndrift = "odds"\nregressors = ["sentiment.trend"]')
    path = tmp_path / "fields.toml"
    path.write_text(text)
    return load_experiment(path)


def test_an_experiment_with_the_block_is_validated_and_projected(workspace: Workspace, with_fields: Experiment) -> None:
    part = validate(workspace, [PLANTED], with_fields)[PLANTED]
    used = (
        part.fit_table.filter(pl.col("model") == "logistic")["columns"]
        .str.split(",")
        .list.set_intersection(list(columns(["fields.sentiment"])))
    )
    assert used.list.len().to_list() == [len(columns(["fields.sentiment"]))] * used.len()
    assert project(workspace, PLANTED, with_fields) == part.packet
    assert part.packet.horizons


def test_projections_with_fields_do_not_change_when_history_goes_on(workspace: Workspace, with_fields: Experiment) -> None:
    whole = validate(workspace, [PLANTED], with_fields)[PLANTED].projections
    moment = whole["as_of"].unique(maintain_order=True)[-60]
    early = validate(workspace, [PLANTED], with_fields, as_of=moment)[PLANTED].projections
    assert early.equals(whole.filter(pl.col("as_of") <= moment))


def test_too_short_a_history_is_refused_with_the_number_of_sessions(workspace: Workspace, small: Experiment) -> None:
    blocks = small.model_dump(mode="json")
    blocks["features"]["blocks"] = ["volatility", "fields"]
    blocks["walk_forward"]["initial"] = 400
    needed = max(registry()[name].warmup for name in columns(["volatility", "fields"])) + 400 + 1
    with pytest.raises(ShortHistory, match=f"at least {needed} sessions"):
        validate(workspace, [PLANTED], Experiment.model_validate(blocks))


def test_a_new_field_makes_no_new_trial_of_what_does_not_see_it(small: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(study_module, "registry_hash", lambda names: seen.append(tuple(names)) or "hash")
    configuration(small, "sign", 1, "logistic")
    configuration(small, "event", 1, "anchor_vix")
    assert seen == [columns(["volatility"]), (*columns(["volatility"]), "vix_close")]
