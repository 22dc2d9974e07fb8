"""M07: Training command and TOML schema with task selection; trainer with accumulation, early stop, best checkpoint restored,
seeds, AMP, clipping, schedules, hashes in the checkpoint; batch-size discovery.

Done when: "Two runs with one seed give equal weights on CPU, 8-head weights are refused by a 16-head model, and discovery
returns the largest size a fake limit allows"

Here: the tabular part. What only a network has is open.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import SimulatedMarket, load_instrument, save_instrument, simulate
from fieldcast.features import registry_hash
from fieldcast.ground import IntegrityError, InvalidInput, ShortHistory, load_settings
from fieldcast.models.bundle import MANIFEST, MODEL
from fieldcast.workflows import Workspace, load_trained, open_workspace, train_odds
from fieldcast.workflows.training_plan import TrainingPlan
from fieldcast.workflows.training_rows import training_rows

pytestmark = pytest.mark.feature("M07")
OPEN_PARTS: tuple[str, ...] = ("gradient accumulation", "AMP", "clipping", "schedules", "head count", "batch-size discovery")

PLANTED = "SIM:PLANTED"
Open = Callable[..., Workspace]


def plan(**changes: object) -> TrainingPlan:
    """Boosted trees with an early stop on the direction of the next session; 668 rows, one fold."""
    whole = {
        "family": "m07",
        "seed": 7,
        "features": {"blocks": ("volatility",)},
        "tasks": ({"kind": "direction", "horizon": 1},),
        "model": {"kind": "boosted_trees", "settings": {"rounds": 150, "min_rows_in_leaf": 30}},
        "early_stop": {"share": 0.2, "patience": 10},
        "walk_forward": {"initial": 400, "test": 268, "step": 268, "embargo": 2},
    }
    return TrainingPlan.model_validate({name: part for name, part in {**whole, **changes}.items() if part is not None})


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens a new home with 900 sessions of the planted market, changed where the test asks for it."""
    homes = iter(range(100))

    def make(change: Callable[[pl.DataFrame], pl.DataFrame] = lambda bars: bars) -> Workspace:
        workspace = open_workspace(settings=load_settings(home=tmp_path / f"home{next(homes)}", workers=1))
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=900, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(change(made.bars), made.lineage)
        return workspace

    return make


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


@pytest.mark.parametrize("kind", ["boosted_trees", pytest.param("xgboost_trees", marks=pytest.mark.slow)])
def test_two_runs_with_one_seed_give_equal_weights(kind: str, opened: Open) -> None:
    if kind == "xgboost_trees":
        pytest.importorskip("xgboost", reason="the extra xgboost is not installed")
    chosen = plan(model={"kind": kind, "settings": {"rounds": 40}})
    homes = [opened(), opened()]
    first, second = (train_odds(home, chosen, [PLANTED]) for home in homes)
    assert hashes(first.folders[0]) == hashes(second.folders[0])
    assert first.bundles == second.bundles
    assert {Path(name).suffix for name in hashes(first.folders[0])} <= {".json", ".txt"}  # no pickle


@pytest.mark.parametrize("kind", ["boosted_trees", "random_forest", "mlp"])
def test_one_seed_is_one_model_and_another_seed_another(kind: str, opened: Open) -> None:
    workspace = opened()
    settings = {"random_forest": {"trees": 10}, "mlp": {"passes": 5}}.get(kind, {"rounds": 40})
    chosen = plan(model={"kind": kind, "settings": settings}, early_stop=None)
    task = chosen.tasks[0]

    def weights(seed: int) -> str:
        rows = training_rows(workspace.store, load_instrument(workspace.ledger, PLANTED), chosen)
        known = rows.known(task)
        seeded = chosen.model_copy(update={"seed": seed})
        return seeded.recipe.fit(seeded.new(), rows.examples(task, known)).bundle.hash

    assert weights(7) == weights(7) != weights(8)


def test_the_bundle_says_what_it_was_made_of_and_the_best_iteration_is_restored(opened: Open) -> None:
    workspace, chosen = opened(), plan()
    trained = train_odds(workspace, chosen, [PLANTED])
    folder, record = trained.folders[0], trained.bundles[0]
    assert json.loads((folder / "trained.json").read_text()) == record
    rows = training_rows(workspace.store, load_instrument(workspace.ledger, PLANTED), chosen)
    known = rows.known(chosen.tasks[0])
    assert record["architecture"]["columns"] == list(chosen.columns)
    assert record["data_hash"] == rows.data_hash
    assert record["registry_hash"] == registry_hash(chosen.columns)
    assert record["experiment_hash"] == chosen.hash == trained.plan
    assert record["span"] == {"first": str(rows.days[known[0]]), "last": str(rows.days[known[-1]]), "rows": len(known),
                              "held_out": round(0.2 * len(known))}  # fmt: skip
    kept = record["kept_rounds"]["model"]
    assert 1 <= kept < 150  # it stopped early …
    bundle = load_trained(folder, plan=chosen, expected=record["hash"])
    held = known[-round(0.2 * len(known)) :]
    fitted = known[: len(known) - len(held)]
    fitted = fitted[rows.label_end["direction-1d"][fitted] <= rows.decision[held[0]]]
    y = rows.targets["direction-1d"]

    def loss(rounds: int) -> float:
        from fieldcast.models import BoostedTrees

        whole = BoostedTrees(rounds, seed=7, min_rows_in_leaf=30).fit(rows.features[fitted], y[fitted])
        p = whole.predict(rows.features[held])
        return float(-np.mean(np.log(np.where(y[held] == 1, p, 1 - p))))

    losses = [loss(rounds) for rounds in range(1, kept + 11)]
    assert int(np.argmin(losses)) + 1 == kept  # … and holds the trees of the best round, no later ones
    p = bundle.predict(rows.features[held])
    assert -np.mean(np.log(np.where(y[held] == 1, p, 1 - p))) == pytest.approx(losses[kept - 1], abs=1e-12)


def test_tasks_are_selected_in_the_plan(opened: Open) -> None:
    workspace = opened()
    tasks = (
        {"kind": "direction", "horizon": 2},
        {"kind": "event", "horizon": 1, "threshold": 0.01},
        {"kind": "magnitude", "horizon": 1},
        {"kind": "volatility", "horizon": 5},
    )
    chosen = plan(tasks=tasks, quantiles={"rounds": 20}, early_stop=None, model={"kind": "logistic", "settings": {"l2": 10.0}})
    trained = train_odds(workspace, chosen, [PLANTED])
    names = ["direction-2d", "event-1pct-1d", "magnitude-1d", "volatility-5d"]
    assert [record["task_name"] for record in trained.bundles] == names
    x = np.zeros((3, len(chosen.columns)))
    direction, event, magnitude, volatility = (load_trained(folder, plan=chosen).predict(x) for folder in trained.folders)
    assert direction.shape == event.shape == (3,)
    assert magnitude.shape == (3, 3)
    np.testing.assert_allclose(magnitude.sum(axis=1), 1.0)
    assert (magnitude >= 0).all()
    assert (np.diff(volatility, axis=1) > 0).all()
    for record in trained.bundles:
        assert not record["report"]["promotable"]  # a simulated market has no implied volatility: baselines are missing
        assert record["report"]["n"] > 200


# refused by name ------------------------------------------------------------------------------------------------------


def test_a_validation_set_of_19_rows_is_refused(opened: Open) -> None:
    workspace = opened()
    chosen = plan()
    known = training_rows(workspace.store, load_instrument(workspace.ledger, PLANTED), chosen).known(chosen.tasks[0])
    with pytest.raises(ShortHistory, match=rf"{PLANTED} direction-1d: .*at least 60 held-out rows.*found 19"):
        train_odds(workspace, plan(early_stop={"share": 19 / len(known), "patience": 5}), [PLANTED])


def test_a_constant_label_is_refused(opened: Open) -> None:
    never = ({"kind": "event", "horizon": 1, "threshold": 0.49},)
    with pytest.raises(InvalidInput, match=rf"labels of {PLANTED} event-49pct-1d that differ.*0: a constant label"):
        train_odds(opened(), plan(tasks=never), [PLANTED])


def test_a_feature_that_is_never_known_is_refused(opened: Open) -> None:
    nothing = [pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low")]
    closes = opened(lambda bars: bars.with_columns(*nothing, reasons=pl.lit("close_only,simulated")))
    with pytest.raises(InvalidInput, match=r"every feature of SIM:PLANTED to be known.*found none of .*garman_klass"):
        train_odds(closes, plan(), [PLANTED])


def test_a_fold_with_one_class_is_refused(opened: Open) -> None:
    """The high leaps by 20 % in the last 100 sessions alone: the first fold's labels are all 0."""
    leapt = pl.when(pl.int_range(pl.len()) >= pl.len() - 100).then(pl.col("high") * 1.2).otherwise(pl.col("high"))
    late = opened(lambda bars: bars.with_columns(high=leapt))
    leap = ({"kind": "event", "horizon": 1, "threshold": 0.15},)
    with pytest.raises(InvalidInput, match=rf"fold 0 of {PLANTED} event-15pct-1d, tested from 20.*both classes.*only 0"):
        train_odds(late, plan(tasks=leap, early_stop=None), [PLANTED])


def test_a_model_of_another_architecture_or_hash_is_refused(opened: Open) -> None:
    workspace, chosen = opened(), plan(early_stop=None, model={"kind": "boosted_trees", "settings": {"leaves": 4, "rounds": 5}})
    folder = train_odds(workspace, chosen, [PLANTED]).folders[0]
    wider = plan(early_stop=None, model={"kind": "boosted_trees", "settings": {"leaves": 8, "rounds": 5}})
    with pytest.raises(InvalidInput, match=r"architecture .*'leaves': 8.*found .*'leaves': 4"):
        load_trained(folder, plan=wider)
    with pytest.raises(IntegrityError, match="expected training hash 0000"):
        load_trained(folder, plan=chosen, expected="0" * 64)

    other = train_odds(workspace, wider, [PLANTED]).folders[0]
    for name in ("model.json", "booster.txt", "manifest.json"):  # the other model's files, whole and sound
        (folder / "model" / MODEL / name).write_bytes((other / "model" / MODEL / name).read_bytes())
    with pytest.raises(IntegrityError, match="expected model hash"):
        load_trained(folder, plan=chosen)
    record = json.loads((folder / "trained.json").read_text())
    record["models"] = json.loads((other / "trained.json").read_text())["models"]
    (folder / "trained.json").write_text(json.dumps(record))
    with pytest.raises(IntegrityError, match="training hash"):
        load_trained(folder, plan=chosen)
    from fieldcast.ground import digest

    record["hash"] = digest({name: value for name, value in record.items() if name != "hash"})
    (folder / "model" / MANIFEST).write_bytes((other / "model" / MANIFEST).read_bytes())
    (folder / "trained.json").write_text(json.dumps(record))  # even a record that was forged with care
    with pytest.raises(InvalidInput, match=r"architecture boosted_trees .*'leaves': 4.*found boosted_trees .*'leaves': 8"):
        load_trained(folder, plan=chosen)
