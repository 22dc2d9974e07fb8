"""Search: objectives as told, nothing after `until`, no repeat, nothing lost between registry and study, refusals."""

from __future__ import annotations

import fcntl
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from fieldcast.data import SimulatedMarket, load_instrument, save_instrument, simulate
from fieldcast.evaluation import Trial, ece
from fieldcast.ground import ConfigError, ConflictError, load_settings, utc
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows import Workspace, open_workspace, tune, tuning
from fieldcast.workflows.training_plan import load_plan
from fieldcast.workflows.training_rows import training_rows
from fieldcast.workflows.tuning_plan import TuningPlan

PLANTED = "SIM:PLANTED"


def plan(**changes: Any) -> TuningPlan:
    whole: dict[str, Any] = {
        "family": "search",
        "seed": 3,
        "features": {"blocks": ("volatility",)},
        "tasks": ({"kind": "direction", "horizon": 1},),
        "model": {"kind": "boosted_trees", "settings": {"min_rows_in_leaf": 30}},
        "walk_forward": {"initial": 400, "test": 268, "step": 268, "embargo": 2},
        "study": {"name": "s", "trials": 4, "objectives": ("log_loss",), "extremes": 2},
        "space": {"rounds": {"low": 2, "high": 30}, "learning_rate": {"low": 0.02, "high": 0.3, "log": True}},
    }
    return TuningPlan.model_validate({**whole, **changes})


def study(**changes: Any) -> dict[str, Any]:
    return {"name": "s", "trials": 4, "objectives": ("log_loss",), "extremes": 2, **changes}


def test_the_objectives_are_those_of_the_walk(workspace: Workspace) -> None:
    chosen = plan(study=study(trials=2, objectives=("log_loss", "accuracy", "sharpe", "calibration")))
    found = tune(workspace, chosen, PLANTED)
    rows = training_rows(workspace.store, load_instrument(workspace.ledger, PLANTED), chosen)
    task = chosen.tasks[0]
    folds = rows.folds(chosen, task)
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    series = {trial.id: trial.series for trial in log.trials(found.family)}
    for tried in found.trials:
        odds = rows.walk(chosen.with_settings(tried.settings), task, folds).odds
        known = np.isfinite(odds) & np.isfinite(rows.targets[task.name])
        p, y = odds[known], rows.targets[task.name][known]
        assert tried.values["log_loss"] == pytest.approx(metrics.log_loss(y, p), rel=1e-9)
        assert tried.values["accuracy"] == pytest.approx(metrics.accuracy_score(y, p > 0.5), rel=1e-12)
        assert tried.values["calibration"] == pytest.approx(ece(p, y).ece, rel=1e-12)
        daily = series[tried.trial]
        if daily.std() == 0:
            assert tried.values["sharpe"] is None
        else:
            assert tried.values["sharpe"] == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(252), rel=1e-2)
    assert found.simulated
    assert found.family == "search/tune/s/simulated"


@pytest.mark.slow
def test_the_best_of_several_objectives_is_the_pareto_front(workspace: Workspace) -> None:
    found = tune(workspace, plan(study=study(trials=8, objectives=("log_loss", "calibration"))), PLANTED)
    points = [(t.values["log_loss"], t.values["calibration"]) for t in found.trials]
    front = {n for n, a in enumerate(points) if not any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in points)}
    assert set(found.best) == front
    assert found.as_dict()["best"] == sorted(front)


def test_what_comes_after_until_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    bars = workspace.store.read(PLANTED)
    last = bars["ts"][-80].date()
    chosen = plan(until=last)
    here = tune(workspace, chosen, PLANTED)
    with open_workspace(settings=load_settings(home=tmp_path / "other", workers=1)) as other:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=900, last=date(2018, 12, 31)))
        save_instrument(other.ledger, made.instrument)
        later = pl.col("ts").dt.date() > last
        prices = ("open", "high", "low", "close")
        moved = [pl.when(later).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name) for name in prices]
        other.store.append(made.bars.with_columns(moved), made.lineage)
        there = tune(other, chosen, PLANTED)
    assert [(t.settings, t.values) for t in there.trials] == [(t.settings, t.values) for t in here.trials]


def test_a_space_of_as_many_points_as_trials_is_walked_through_once(workspace: Workspace) -> None:
    space = {"rounds": {"choices": (1, 2, 3)}, "leaves": {"low": 2, "high": 3}}
    found = tune(workspace, plan(space=space, study=study(trials=6)), PLANTED)
    points = {(t.settings["rounds"], t.settings["leaves"]) for t in found.trials}
    assert points == {(r, n) for r in (1, 2, 3) for n in (2, 3)}
    with pytest.raises(ValueError, match="6 points, too few for 7"):
        plan(space=space, study=study(trials=7))


def test_reals_are_tried_with_the_digits_in_which_they_are_recorded(workspace: Workspace) -> None:
    """The registry keeps 12 digits: ends and choices of more are tried at 12, and points equal in 12 are one point."""
    thirds = plan(space={"rounds": {"choices": (1, 2)}, "learning_rate": {"low": 1 / 30, "high": 1 / 3}})
    assert [corner["learning_rate"] for corner in thirds.corners(2)] == [0.0333333333333, 0.333333333333]
    fixed = {"rounds": {"choices": (1, 2)}, "learning_rate": {"choices": (1 / 3, 0.1)}}
    found = tune(workspace, plan(space=fixed, study=study(trials=2, name="fixed")), PLANTED)
    assert {t.settings["learning_rate"] for t in found.trials} == {0.333333333333, 0.1}
    narrow = {"learning_rate": {"low": 0.1, "high": 0.1 + 1e-16 * 9}}
    with pytest.raises(ValueError, match="low < high"):
        plan(space=narrow)


def test_a_trial_that_reached_the_registry_alone_is_run_first_and_is_a_look(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    whole = optuna.study.Study.add_trial
    added: list[int] = []

    def dies(self: Any, trial: Any) -> None:
        if self.study_name == "s":  # not the sampler's own, in memory
            if len(added) == 3:
                raise KeyboardInterrupt
            added.append(1)
        whole(self, trial)

    chosen = plan(study=study(trials=6))
    with monkeypatch.context() as patch:
        patch.setattr(optuna.study.Study, "add_trial", dies)
        with pytest.raises(KeyboardInterrupt):
            tune(workspace, chosen, PLANTED)
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    assert len(log.trials("search/tune/s/simulated")) == 4
    found = tune(workspace, chosen, PLANTED)
    recorded = log.trials("search/tune/s/simulated")
    assert found.resumed == 3
    assert {trial.id for trial in recorded} == {tried.trial for tried in found.trials}
    assert len(recorded) == 6
    assert [log.looks(tried.trial) for tried in found.trials] == [1, 1, 1, 2, 1, 1]


@pytest.mark.slow
def test_a_trial_without_a_sharpe_ratio_is_the_worst_and_is_shown_as_none(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Trial.sharpe.fget  # type: ignore[attr-defined]
    settled = property(lambda self: None if self.configuration["point"]["rounds"] % 2 else made(self))
    monkeypatch.setattr(Trial, "sharpe", settled)
    found = tune(workspace, plan(study=study(trials=13, objectives=("sharpe",))), PLANTED)
    assert {t.values["sharpe"] is None for t in found.trials if t.settings["rounds"] % 2} == {True}
    known = {t.number: t.values["sharpe"] for t in found.trials if t.settings["rounds"] % 2 == 0}
    assert found.best == (max(known, key=known.__getitem__),)  # type: ignore[arg-type]


def test_more_trials_are_the_same_study_and_another_plan_or_other_data_are_not(workspace: Workspace) -> None:
    assert len(tune(workspace, plan(), PLANTED).trials) == 4
    more = tune(workspace, plan(study=study(trials=6)), PLANTED)
    assert (more.resumed, len(more.trials)) == (4, 6)
    with pytest.raises(ConflictError, match="study s to go on with the plan"):
        tune(workspace, plan(seed=4), PLANTED)
    earlier = utc(workspace.store.read(PLANTED)["available_at"][-30])
    with pytest.raises(ConflictError, match="with the data"):
        tune(workspace, plan(), PLANTED, as_of=earlier)


def test_two_processes_do_not_share_a_study(workspace: Workspace) -> None:
    found = tune(workspace, plan(), PLANTED)
    with (found.path.parent / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another process"):
            tune(workspace, plan(), PLANTED)


def test_without_optuna_one_line_says_what_to_install(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="install fieldcast anew"):
        tuning.tune(workspace, plan(), PLANTED)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tasks": ({"kind": "volatility", "horizon": 1},), "quantiles": {}, "model": None}, "one direction or event"),
        ({"space": {"depth": {"low": 1, "high": 9}}}, "depth"),
        ({"space": {"rounds": {"low": 5, "high": 2}}}, "low < high"),
        ({"space": {"rounds": {"low": 0.0, "high": 2.0, "log": True}}}, "above 0 with log"),
        ({"space": {"rounds": {"choices": (1,)}}}, "two choices"),
        ({"space": {"rounds": {"choices": (1, 1.0)}}}, "choices that differ"),
        ({"space": {"learning_rate": {"choices": (0.1, 0.1 + 1e-15)}}}, "choices that differ"),
        ({"space": {"rounds": {"low": 1, "high": 5000}}}, "1..1000 rounds"),
        ({"study": study(extremes=5)}, "extremes"),
        ({"study": study(objectives=("log_loss", "log_loss"))}, "each once"),
        ({"study": study(name="../x")}, "name"),
    ],
)
def test_a_plan_that_cannot_be_searched_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        plan(**changes)


def test_a_bad_file_is_named_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text("family = 3")
    with pytest.raises(ConfigError, match=r"plan\.toml.*family"):
        load_plan(file, TuningPlan)
    file.write_text("family = ")
    with pytest.raises(ConfigError, match="valid TOML"):
        load_plan(file, TuningPlan)
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_plan(tmp_path / "none.toml", TuningPlan)
