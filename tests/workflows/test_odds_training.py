"""Training: no row after the fold's labels reaches a score, one bundle a task, the plan's mistakes by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldcast.data import load_instrument
from fieldcast.ground import ConfigError, IntegrityError, InvalidInput, MissingData, ShortHistory
from fieldcast.models.bundle import MODEL
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows import Workspace, load_trained, train_odds
from fieldcast.workflows.training_plan import TrainingPlan, load_plan
from fieldcast.workflows.training_rows import TrainingRows, training_rows

PLANTED, MARTINGALE = "SIM:PLANTED", "SIM:MARTINGALE"

PLAN = """
family = "small"
seed = 7
[features]
blocks = ["volatility"]
[[tasks]]
kind = "direction"
horizon = 2
[[tasks]]
kind = "event"
horizon = 1
threshold = 0.01
[model]
kind = "logistic"
settings = { l2 = 10.0 }
[walk_forward]
initial = 400
test = 268
step = 268
embargo = 2
"""


def plan(**changes: Any) -> TrainingPlan:
    whole: dict[str, Any] = {
        "family": "small",
        "seed": 7,
        "features": {"blocks": ("volatility",)},
        "tasks": ({"kind": "direction", "horizon": 1},),
        "model": {"kind": "boosted_trees", "settings": {"rounds": 20, "min_rows_in_leaf": 30}},
        "early_stop": {"share": 0.25, "patience": 5},
        "walk_forward": {"initial": 400, "test": 67, "step": 67, "embargo": 2},
    }
    return TrainingPlan.model_validate({name: part for name, part in {**whole, **changes}.items() if part is not None})


def rows_of(workspace: Workspace, chosen: TrainingPlan) -> TrainingRows:
    return training_rows(workspace.store, load_instrument(workspace.ledger, PLANTED), chosen)


# causality ------------------------------------------------------------------------------------------------------------


def test_the_walk_cut_at_any_session_gives_the_same_odds_up_to_there(workspace: Workspace) -> None:
    chosen = plan()
    whole = rows_of(workspace, chosen)
    task = chosen.tasks[0]
    walked = whole.walk(chosen, task, whole.folds(chosen, task))
    assert walked.models == 4
    for row in (466, 500, 600):
        cut = chosen.model_copy(update={"until": whole.days[row].item()})
        past = rows_of(workspace, cut)
        assert past.days[-1] == whole.days[row]
        np.testing.assert_array_equal(past.features, whole.features[: row + 1])
        before = past.walk(cut, task, past.folds(cut, task))
        np.testing.assert_array_equal(before.odds, walked.odds[: row + 1])


def test_no_fit_sees_a_label_that_ends_after_its_decision_and_none_of_the_rows_it_stops_on(workspace: Workspace) -> None:
    chosen = plan(tasks=({"kind": "direction", "horizon": 5},))
    rows, task = rows_of(workspace, chosen), chosen.tasks[0]
    decision, ends = rows.decision, rows.label_end[task.name]
    y = rows.targets[task.name]
    for fold in rows.folds(chosen, task):
        assert (ends[fold.train] <= decision[fold.test[0]]).all()
        known = fold.train[np.isfinite(y[fold.train])]
        fitted = chosen.recipe.fit(chosen.new(), rows.examples(task, known))
        cut = len(known) - fitted.held_out
        last_fit = known[:cut][ends[known[:cut]] <= decision[known[cut]]]
        assert len(last_fit) == cut - 4  # five-session labels: the last four reach into the rest
        assert fitted.bundle.model.rows == len(last_fit)  # type: ignore[union-attr]


def test_a_label_whose_session_is_missing_is_not_known(workspace: Workspace) -> None:
    rows = rows_of(workspace, plan())
    assert np.isnan(rows.targets["direction-1d"][-1])
    assert np.isnat(rows.label_end["direction-1d"][-1])
    assert len(rows.known(plan().tasks[0])) >= len(rows.days) - 3


# bundles --------------------------------------------------------------------------------------------------------------


def test_one_bundle_and_one_trial_for_each_instrument_and_task(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    chosen = load_plan(file, TrainingPlan)
    trained = train_odds(workspace, file, [PLANTED, MARTINGALE])
    assert [(b["instrument"], b["task_name"]) for b in trained.bundles] == [
        (name, task) for name in (PLANTED, MARTINGALE) for task in ("direction-2d", "event-1pct-1d")
    ]
    assert len({b["models"]["model"] for b in trained.bundles}) == 4  # one model each, none shared
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    assert {t.id for t in log.trials("small/simulated")} == {b["report"]["trial"] for b in trained.bundles}
    for folder, record in zip(trained.folders, trained.bundles, strict=True):
        assert load_trained(folder, plan=chosen, expected=record["hash"]).record == record
        assert len({score["n"] for score in record["report"]["scores"]}) == 1
        assert record["report"]["missing"] == ["implied_exceedance", "strong_anchor"]
    assert trained.as_dict()["bundles"][0]["folder"] == str(trained.folders[0])
    again = train_odds(workspace, chosen, [MARTINGALE])
    assert again.bundles == trained.bundles[2:]  # looks, not trials
    assert len(log.trials("small/simulated")) == 4


def test_a_bundle_that_was_touched_is_refused(workspace: Workspace) -> None:
    chosen = plan(early_stop=None, walk_forward={"initial": 400, "test": 268, "step": 268, "embargo": 2})
    folder = train_odds(workspace, chosen, [PLANTED]).folders[0]
    record = folder / "trained.json"
    sound = record.read_text()
    record.write_text(sound.replace(PLANTED, MARTINGALE))
    with pytest.raises(IntegrityError, match="training hash"):
        load_trained(folder)
    record.write_text("{")
    with pytest.raises(IntegrityError, match="record of a training"):
        load_trained(folder)
    record.write_text(sound)
    other = chosen.model_copy(update={"tasks": plan(tasks=({"kind": "direction", "horizon": 3},)).tasks})
    with pytest.raises(InvalidInput, match="direction-3d, found direction-1d"):
        load_trained(folder, plan=other)
    (folder / "model" / MODEL / "booster.txt").unlink()
    with pytest.raises(MissingData, match=r"booster\.txt"):
        load_trained(folder)
    with pytest.raises(MissingData, match="fieldcast train odds"):
        load_trained(folder / "none")


# refusals -------------------------------------------------------------------------------------------------------------


def test_a_history_that_is_too_short_is_told_with_its_rows(workspace: Workspace) -> None:
    with pytest.raises(ShortHistory, match="more than 700 sessions of SIM:PLANTED"):
        train_odds(workspace, plan(walk_forward={"initial": 700, "test": 50, "step": 50, "embargo": 0}), [PLANTED])
    with pytest.raises(MissingData):
        train_odds(workspace, plan(), ["SIM:NONE"])
    with pytest.raises(InvalidInput, match="once"):
        train_odds(workspace, plan(), [PLANTED, PLANTED])
    with pytest.raises(MissingData, match="VIX"):
        train_odds(workspace, plan(features={"blocks": ("volatility", "vix")}), [PLANTED])


def test_a_fold_too_short_to_stop_on_is_named(workspace: Workspace) -> None:
    rows, chosen = rows_of(workspace, plan()), plan()
    task = chosen.tasks[0]
    short = chosen.model_copy(update={"early_stop": chosen.early_stop.model_copy(update={"share": 0.1})})  # type: ignore[union-attr]
    with pytest.raises(ShortHistory, match=r"fold 0 of SIM:PLANTED direction-1d.*found (39|40)"):
        rows.walk(short, task, rows.folds(chosen, task))


def test_a_fold_with_fewer_than_60_complete_rows_is_named(workspace: Workspace) -> None:
    chosen = plan(early_stop=None)
    rows, task = rows_of(workspace, chosen), chosen.tasks[0]
    rows.features[:350] = np.nan
    with pytest.raises(ShortHistory, match=r"fold 0 of SIM:PLANTED direction-1d.*60 complete rows to fit on, found 4\d"):
        rows.walk(chosen, task, rows.folds(chosen, task))


def test_one_class_among_the_rows_to_stop_on_is_named(workspace: Workspace) -> None:
    chosen = plan()
    rows, task = rows_of(workspace, chosen), chosen.tasks[0]
    y = rows.targets[task.name].copy()
    y[290:400] = 1.0
    with pytest.raises(InvalidInput, match=r"fold 0 of SIM:PLANTED direction-1d.*held-out rows, found only 1"):
        rows.walk(chosen, task, rows.folds(chosen, task), y)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": {"kind": "logistic", "settings": {"leaves": 3}}, "early_stop": None}, "settings of logistic"),
        ({"model": {"kind": "boosted_trees", "settings": {"seed": 3}}}, "the seed is the plan's own"),
        ({"model": {"kind": "oracle"}}, "model.kind|Input should be"),
        ({"model": {"kind": "logistic"}}, "only boosted_trees and xgboost_trees stop early"),
        ({"model": None, "early_stop": None}, "model: direction, event and magnitude need it"),
        ({"tasks": ({"kind": "volatility", "horizon": 5},)}, "nothing else takes it"),
        ({"tasks": ({"kind": "event", "horizon": 1},)}, "an event needs one"),
        ({"tasks": ({"kind": "direction", "horizon": 1, "threshold": 0.01},)}, "no other kind takes one"),
        ({"tasks": ({"kind": "direction", "horizon": 1},) * 2}, "each once"),
        ({"tasks": ()}, "tasks"),
        ({"quantiles": {}}, "quantiles"),
        ({"features": {"blocks": ("wine",)}}, "wine"),
        ({"early_stop": {"share": 0.5, "patience": 5}}, "share"),
        ({"walk": {}}, "walk"),
        ({"walk_forward": {"initial": 400, "test": 67, "step": 21, "embargo": 2}}, "step >= test"),
        ({"walk_forward": {"initial": 400, "test": 67, "step": 67, "embargo": 400}}, "embargo < initial"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_by_its_key(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        plan(**changes)


def test_the_hash_names_the_plan() -> None:
    assert plan().hash == plan().hash
    assert len({plan().hash, plan(seed=8).hash, plan(until="2017-01-03").hash, plan(early_stop=None).hash}) == 4
    with pytest.raises(ConfigError, match="found none"):
        load_plan("none.toml", TrainingPlan)
