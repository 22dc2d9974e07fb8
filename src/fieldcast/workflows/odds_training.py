"""One model for each instrument and task of a plan: fitted, walked forward beside every baseline, and saved with its hashes.

    home/models/odds/<plan>/<instrument>/<task>/   trained.json, and a bundle (`models.bundle`) for each model in it

The final model is fitted on every row whose label is known (its early stop on the last of them). What it is worth is
told by the same recipe fitted anew on each fold of the walk, on test rows that no fit and no early stop has seen; the
walk of a direction or an event is a trial on record.

A magnitude (three classes) is two odds models, P(class >= 1) and P(class >= 2) (Frank and Hall 2001); its cut points
are those of the training rows. A volatility is a quantile model of its log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fieldcast import __version__
from fieldcast.data import load_instrument
from fieldcast.evaluation import QUANTILE_LEVELS, Fold, TrialEvaluator, pinball
from fieldcast.features import registry_hash
from fieldcast.features.labels import magnitude_cuts
from fieldcast.ground import IntegrityError, InvalidInput, MissingData, ShortHistory, Shown, digest, write_whole
from fieldcast.market import Instrument, file_name
from fieldcast.models import (
    BaseRate,
    QuantileBoosted,
    compare_with_baselines,
    model_report,
)
from fieldcast.models.bundle import Bundle, load_bundle
from fieldcast.models.report import walk as walk_plain
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows.prepare import Array
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.recipe import Examples, Fitted
from fieldcast.workflows.run_log import log_run
from fieldcast.workflows.sealing import known_until, may_run
from fieldcast.workflows.training_plan import TaskPart, TrainingPlan, load_plan
from fieldcast.workflows.training_rows import LEAST_ROWS, TrainingRows, training_rows
from fieldcast.workflows.workspace import Workspace

FORMAT = 1
RECORD = "trained.json"
_STAGE = "Training"
_RECIPE = ("weights", "normalise", "curation")  # a trial is identified by them where the plan has them


@dataclass(frozen=True)
class OddsTrained(Shown):
    """What was fitted: one record a bundle, as it stands in its `trained.json`, and its folder."""

    plan: str
    family: str
    folders: tuple[Path, ...]
    bundles: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "plan": self.plan,
            "family": self.family,
            "bundles": [{"folder": str(folder), **found} for folder, found in zip(self.folders, self.bundles, strict=True)],
        }


@dataclass(frozen=True)
class Trained:
    """A saved training, checked and ready to predict: its record, and a bundle for each model in it."""

    record: dict[str, Any]
    models: dict[str, Bundle]

    def predict(self, X: Array) -> Array:
        """(n,) P(y = 1) of a direction or an event; (n, 3) odds of the classes of a magnitude; (n, L) quantiles of log
        volatility at the record's levels.

        Parameters
        ----------
        X : (n, p) raw values in the order of the record's `columns`
        """
        kind = self.record["task"]["kind"]
        if kind != "magnitude":
            return self.models["model"].predict(X)
        above = np.column_stack([self.models[name].predict(X) for name in ("at_least_1", "at_least_2")])
        above[:, 1] = above.min(axis=1)  # P(class >= 2) is never more than P(class >= 1)
        return np.column_stack([1.0 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]])


def train_odds(
    workspace: Workspace,
    plan: Path | TrainingPlan,
    instruments: Sequence[str],
    *,
    vix: str | None = None,
    as_of: datetime | None = None,
    progress: Progress = silent,
) -> OddsTrained:
    """Fit and save a training for each instrument and task of a plan.

    Parameters
    ----------
    plan : a TOML file, or a plan
    instruments : ids in the store, each once
    vix : id of a VIX series: of the block `vix`, and of the baselines that need an implied volatility
    as_of : use only what was known at this moment

    Raises
    ------
    ConfigError : the plan is not valid
    MissingData : an instrument is unknown or has no rows
    ShortHistory : too few rows for the walk or for an early stop
    InvalidInput : labels of one class, a fold with one class, or a feature that is never known (each by name)
    """
    chosen = plan if isinstance(plan, TrainingPlan) else load_plan(plan, TrainingPlan)
    if not instruments or len(set(instruments)) != len(instruments):
        raise InvalidInput(f"expected each instrument once and at least one, found {list(instruments)}")
    described = [load_instrument(workspace.ledger, name) for name in instruments]
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    total = len(described) * len(chosen.tasks)
    folders: list[Path] = []
    records: list[dict[str, Any]] = []
    may_run(workspace, instruments, chosen.family, chosen.hash)
    for instrument in described:
        started, began = time.perf_counter(), workspace.clock.now()
        until = known_until(workspace, (instrument.id, vix), chosen.hash, as_of)
        rows = training_rows(workspace.store, instrument, chosen, vix=vix, as_of=until)
        for task in chosen.tasks:
            progress(_STAGE, len(records), total)
            evaluator = TrialEvaluator(log, family=family_of(chosen, instrument))
            folder = bundle_folder(workspace, chosen, instrument.id, task)
            records.append(_train(rows, chosen, task, folder, evaluator))
            folders.append(folder)
        log_run(
            workspace,
            "training",
            f"{chosen.family} {instrument.id}",
            configuration_hash=chosen.hash,
            data_hash=rows.data_hash,
            metrics={},
            artefacts={one["task_name"]: one["hash"] for one in records[-len(chosen.tasks) :]},
            started_at=began,
            seconds=time.perf_counter() - started,
            parameters={"tasks": len(chosen.tasks)},
            simulated=instrument.simulated,
        )
    progress(_STAGE, total, total)
    return OddsTrained(chosen.hash, chosen.family, tuple(folders), tuple(records))


def bundle_folder(workspace: Workspace, plan: TrainingPlan, instrument: str, task: TaskPart) -> Path:
    """Where the training of a task is kept: by plan, instrument and task."""
    return workspace.home / "models" / "odds" / plan.hash[:16] / file_name(instrument) / task.name


def family_of(plan: TrainingPlan, instrument: Instrument) -> str:
    """Trials on simulated markets are a family of their own: they never count for or against a real one."""
    return f"{plan.family}/simulated" if instrument.simulated else plan.family


def load_trained(folder: Path, *, plan: TrainingPlan | None = None, expected: str | None = None) -> Trained:
    """A saved training, every hash checked.

    Parameters
    ----------
    plan : where given, the training has to be of one of its tasks, with its kind of model, settings, columns and normaliser
    expected : where given, the training's own hash

    Raises
    ------
    MissingData : there is no training in the folder, or a model's normaliser is absent
    IntegrityError : a hash does not fit what is there
    InvalidInput : a model of another architecture (kind, settings, columns, normaliser) than the record or the plan says
    """
    path = folder / RECORD
    if not path.is_file():
        raise MissingData(f"expected a training with {RECORD} in {folder}, found none; run fieldcast train odds")
    try:
        record = json.loads(path.read_bytes())
        stated, content = record["hash"], {name: value for name, value in record.items() if name != "hash"}
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"expected a record of a training in {path}, found {error!r}") from None
    found = digest(content)
    for label, wanted in (("record", stated), ("expected", expected)):
        if wanted is not None and wanted != found:
            raise IntegrityError(f"expected training hash {wanted} ({label}) in {folder}, found {found}; train again")
    if record.get("format") != FORMAT:
        raise InvalidInput(f"expected a training of format {FORMAT}, found {record.get('format')!r} in {path}")
    if plan is not None:
        _of_the_plan(record, plan, folder)
    models: dict[str, Bundle] = {}
    for name, wanted in record["models"].items():
        models[name] = load_bundle(folder / name, expected=wanted)
        _of_the_architecture(models[name], record["architecture"], folder / name)
    return Trained(record, models)


def _of_the_plan(record: dict[str, Any], plan: TrainingPlan, folder: Path) -> None:
    task = next((task for task in plan.tasks if task.name == record["task_name"]), None)
    if task is None:
        names = ", ".join(task.name for task in plan.tasks)
        raise InvalidInput(f"expected a training of a task out of {names}, found {record['task_name']} in {folder}")
    if plan.architecture(task) != record["architecture"]:
        raise InvalidInput(
            f"expected a model of the architecture {plan.architecture(task)}, found {record['architecture']} in {folder}; "
            "train again"
        )


def _of_the_architecture(bundle: Bundle, architecture: dict[str, Any], folder: Path) -> None:
    model = bundle.model
    parameters = model.parameters()
    settings = {name: parameters.get(name) for name in architecture["settings"]}
    if model.kind != architecture["kind"] or settings != architecture["settings"]:
        raise InvalidInput(
            f"expected a model of the architecture {architecture['kind']} {architecture['settings']}, found {model.kind} "
            f"{settings} in {folder}"
        )
    scaled = None if bundle.normaliser is None else str(bundle.normaliser.kind)
    if list(bundle.columns) != architecture["columns"] or scaled != architecture.get("normaliser"):
        raise InvalidInput(
            f"expected a bundle of {len(architecture['columns'])} columns with the normaliser {architecture.get('normaliser')}, "
            f"found {len(bundle.columns)} and {scaled} in {folder}"
        )
    bundle.predict(np.zeros((1, len(bundle.columns))))  # refuses another number of columns


# fitting --------------------------------------------------------------------------------------------------------------


def _train(rows: TrainingRows, plan: TrainingPlan, task: TaskPart, folder: Path, evaluator: TrialEvaluator) -> dict[str, Any]:
    what = f"{rows.instrument.id} {task.name}"
    known, folds = rows.known(task), rows.folds(plan, task)
    if len(known) < LEAST_ROWS:
        raise ShortHistory(f"expected at least {LEAST_ROWS} complete rows of {what}, found {len(known)}; import more")
    target = rows.targets[task.name][known]
    if np.ptp(target) == 0.0:
        raise InvalidInput(f"expected labels of {what} that differ, found {len(target)} times {target[0]:g}: a constant label")
    details: dict[str, Any] = {}
    if task.kind == "volatility":
        fits = {"model": plan.recipe.fit_quantiles(_quantile_model(plan), rows.examples(task, known))}
        details = {"levels": list(QUANTILE_LEVELS)}
        report = _volatility_report(rows, plan, task, folds)
    elif task.kind == "magnitude":
        cuts = _cuts(target)
        sizes = rows.targets[task.name]
        fits = {
            f"at_least_{place}": _named(what, plan, rows.examples(task, known, (sizes > cut).astype(np.float64)))
            for place, cut in enumerate(cuts, 1)
        }
        details = {"cuts": list(cuts)}
        report = _magnitude_report(rows, plan, task, folds)
    else:
        fits = {"model": _named(what, plan, rows.examples(task, known))}
        report = _odds_report(rows, plan, task, folds, evaluator)
    held = next(iter(fits.values())).held_out
    told = {name: said for name, found in fits.items() if (said := found.as_dict())}
    kept = {name: getattr(found.bundle.model, "kept", None) for name, found in fits.items()}
    record: dict[str, Any] = {
        "format": FORMAT,
        "instrument": rows.instrument.id,
        "simulated": rows.instrument.simulated,
        "task": task.model_dump(mode="json"),
        "task_name": task.name,
        "architecture": plan.architecture(task),
        "seed": plan.seed,
        "experiment_hash": plan.hash,
        "registry_hash": registry_hash(plan.columns),
        "data_hash": rows.data_hash,
        "span": {"first": str(rows.days[known[0]]), "last": str(rows.days[known[-1]]), "rows": len(known), "held_out": held},
        "kept_rounds": {name: rounds for name, rounds in kept.items() if rounds is not None},
        "models": {name: found.bundle.save(folder / name) for name, found in fits.items()},
        **({"fits": told} if told else {}),
        **details,
        "report": report,
        "code_version": __version__,
    }
    record = json.loads(json.dumps(record, allow_nan=False))  # as it will be read again
    record["hash"] = digest(record)
    write_whole(folder / RECORD, json.dumps(record, indent=1, sort_keys=True, allow_nan=False).encode())
    return record


def _named(what: str, plan: TrainingPlan, examples: Examples) -> Fitted:
    """The final fit; what stops it is told with the task's name."""
    try:
        fitted = plan.recipe.fit(plan.new(), examples)
    except (InvalidInput, ShortHistory) as error:
        raise type(error)(f"{what}: {error}") from None
    if fitted.curation is not None and not fitted.curation.kept:
        out = ", ".join(f"{name} ({why})" for name, why in fitted.curation.removed.items())
        raise InvalidInput(
            f"{what}: expected curation to keep a column, found all {len(plan.columns)} out: {out}; the base rate is the answer"
        )
    return fitted


def _cuts(sizes: Array) -> tuple[float, ...]:
    return magnitude_cuts(sizes, np.ones(len(sizes)))


def _quantile_model(plan: TrainingPlan) -> QuantileBoosted:
    assert plan.quantiles is not None
    part = plan.quantiles
    return QuantileBoosted(
        QUANTILE_LEVELS,
        part.rounds,
        part.leaves,
        plan.seed,
        learning_rate=part.learning_rate,
        min_rows_in_leaf=part.min_rows_in_leaf,
    )


# what it is worth -----------------------------------------------------------------------------------------------------


def _odds_report(
    rows: TrainingRows, plan: TrainingPlan, task: TaskPart, folds: list[Fold], evaluator: TrialEvaluator
) -> dict[str, Any]:
    """The walk of the recipe beside every baseline on equal n, and its trial."""
    assert plan.model is not None
    walked = rows.walk(plan, task, folds)
    report = model_report(f"trained {plan.model.kind}", walked.odds, rows.question(task), folds, seed=plan.seed)
    trial = evaluator.score(
        trial_configuration(plan, task),
        instrument=rows.instrument.id,
        label=task.name,
        horizon=task.horizon,
        dates=rows.days,
        forecast=walked.odds,
        outcome=rows.targets[task.name],
        returns=rows.returns,
        threshold=threshold_of(rows, task, folds),
        children=walked.models,
        seed=plan.seed,
    )
    area = trial.auc
    curated = {} if plan.curation is None else {"folds": walked.models, "folds_without_columns": walked.without_columns}
    return report.as_dict() | curated | {
        "trial": trial.trial.id,
        "auc": {"estimate": area.estimate, "low": area.low, "high": area.high, "n": area.n},
    }


def trial_configuration(plan: TrainingPlan, task: TaskPart) -> dict[str, Any]:
    """What identifies a trial of a plan: all that decides its forecasts, and nothing else."""
    assert plan.model is not None
    later = {name: part.model_dump(mode="json") for name in _RECIPE if (part := getattr(plan, name)) is not None}
    return later | {
        "model": plan.model.kind,
        "settings": dict(plan.model.settings),
        "seed": plan.seed,
        "early_stop": None if plan.early_stop is None else plan.early_stop.model_dump(),
        "blocks": list(plan.features.blocks),
        "registry": registry_hash(plan.columns),
        "walk_forward": plan.walk_forward.model_dump(),
        "task": task.model_dump(mode="json"),
    }


def threshold_of(rows: TrainingRows, task: TaskPart, folds: list[Fold]) -> float | Array:
    """Above which odds a side counts as called: one half of a direction, the fold's base rate of an event."""
    if task.kind == "direction":
        return 0.5
    return walk_plain(BaseRate, np.empty((len(rows.days), 0)), rows.targets[task.name], folds)


def _magnitude_report(rows: TrainingRows, plan: TrainingPlan, task: TaskPart, folds: list[Fold]) -> dict[str, Any]:
    """Each of the two odds models beside its base rate; cut points of each fold are those of its training rows."""
    assert plan.model is not None
    size = rows.targets[task.name]
    found = {}
    for place in range(2):
        name = f"at_least_{place + 1}"
        odds, rates, y = (np.full(len(size), np.nan) for _ in range(3))
        for fold in folds:
            learned = fold.train[np.isfinite(size[fold.train])]
            labels = np.where(np.isfinite(size), size > _cuts(size[learned])[place], np.nan)
            odds[fold.test] = rows.walk(plan, task, [fold], labels).odds[fold.test]
            rates[fold.test] = walk_plain(BaseRate, np.empty((len(size), 0)), labels, [fold])[fold.test]
            y[fold.test] = labels[fold.test]
        forecasts = {plan.model.kind: odds, "base_rate": rates}
        found[name] = compare_with_baselines(plan.model.kind, y, forecasts, label=f"{task.name} {name}").as_dict()
    return {"promotable": False, "n": found["at_least_1"]["n"], "classes": found}


def _volatility_report(rows: TrainingRows, plan: TrainingPlan, task: TaskPart, folds: list[Fold]) -> dict[str, Any]:
    """Mean pinball loss over all levels beside the quantiles of the fold's training targets, on the same rows."""
    target = rows.targets[task.name]
    complete = rows.complete & np.isfinite(target)
    ours: list[float] = []
    plain: list[float] = []
    n = 0
    for fold in folds:
        train, test = fold.train[complete[fold.train]], fold.test[complete[fold.test]]
        if len(train) < LEAST_ROWS or not len(test):
            continue
        fitted = plan.recipe.fit_quantiles(_quantile_model(plan), rows.examples(task, train))
        quantiles = fitted.bundle.predict(rows.features[test])
        fixed = np.quantile(target[train], QUANTILE_LEVELS)
        n += len(test)
        for place, level in enumerate(QUANTILE_LEVELS):
            ours.append(float(pinball(quantiles[:, place], target[test], level).sum()))
            plain.append(float(pinball(np.full(len(test), fixed[place]), target[test], level).sum()))
    if not n:
        raise ShortHistory(f"expected a fold of {rows.instrument.id} {task.name} with {LEAST_ROWS} complete rows, found none")
    count = n * len(QUANTILE_LEVELS)
    return {"promotable": False, "n": n, "pinball": sum(ours) / count, "pinball_of_training_quantiles": sum(plain) / count}
