"""Registered models of a workspace: fit and keep, promote and roll back, watch for drift, say when to fit again.

A model is registered under the instrument's name. It is fitted on every outcome that had ended by now (or by the first sealed
session); its report beside the baselines comes from a walk in which every contender was scored out of sample on identical rows.
Predictions of the newest session are recorded for every version: the active one's, and the shadows' beside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, cast, get_args

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.features import compute, labels
from fieldcast.features._registry import registry
from fieldcast.ground import InvalidInput, MissingData, Shown
from fieldcast.market import DECISION_DELAY
from fieldcast.models import BoostedTrees, Logistic, OddsModel, Question, baseline_odds, daily_variance
from fieldcast.models.baselines import IMPLIED_BASELINES, REQUIRED_BASELINES, compare_with_baselines
from fieldcast.models.drift import DriftReport, TrainingSample, drift
from fieldcast.models.registry import Change, ModelRegistry, Promotion, ShadowScore, Version
from fieldcast.models.triggers import Recent, Trigger, TriggerRules, calibration, command, decay, drifted, schedule
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import Array, Prepared, prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.run_log import log_run
from fieldcast.workflows.sealing import known_until, may_start
from fieldcast.workflows.walks import odds_tasks, run_walks, splitter
from fieldcast.workflows.workspace import Workspace

BASELINE_REFIT = 252  # sessions between fits of the baselines
LABEL: Literal["sign"] = "sign"
HORIZON = 1
SPACING = 21  # sessions between the rows that drift compares: features look back about so far
RECENT = 252  # sessions whose outcomes decay and calibration look at
RECENT_FEATURES = 756  # sessions that drift looks at: 36 rows so far apart


@dataclass(frozen=True)
class ModelsListed(Shown):
    """Registered versions."""

    versions: tuple[Version, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"models": [one.as_dict() for one in self.versions]}


@dataclass(frozen=True)
class ModelShown(Shown):
    """One name: its versions, every change of the active one, and the shadows' scores beside it."""

    version: Version
    history: tuple[Promotion, ...]
    shadows: tuple[ShadowScore, ...] = ()
    predicted: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            **self.version.as_dict(),
            "history": [one.as_dict() for one in self.history],
            "shadows": [asdict(one) for one in self.shadows],
            "predicted": dict(self.predicted),
        }


@dataclass(frozen=True)
class ModelDrift(Shown):
    """Drift of a version's features."""

    name: str
    version: str
    report: DriftReport

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, **self.report.as_dict()}


@dataclass(frozen=True)
class ModelTriggers(Shown):
    """Every trigger's answer; `due` is True where one has fired."""

    name: str
    version: str
    triggers: tuple[Trigger, ...]

    @property
    def due(self) -> bool:
        return any(one.fired for one in self.triggers)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "due": self.due, "triggers": [t.as_dict() for t in self.triggers]}


def model_registry(workspace: Workspace) -> ModelRegistry:
    """The registry of a workspace."""
    return ModelRegistry(workspace.ledger, workspace.home / "models" / "registry", workspace.clock)


def register_model(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment,
    *,
    name: str | None = None,
    change: str = "patch",
    vix: str | None = None,
    progress: Progress = silent,
) -> ModelShown:
    """Fit the experiment's nominated model on everything known, and keep it as a version with its report.

    The report holds it against `models.REQUIRED_BASELINES`. Of a simulated market, which has no implied volatility, against those
    that need none; of a real one without `vix` it says that two are missing, and the version cannot be promoted.

    Parameters
    ----------
    vix : id of a VIX series, for the baselines that need an implied volatility
    name : of the model; None = the instrument's, in small letters
    change : which number of the version goes up

    Raises
    ------
    MissingData : too few outcomes
    Halted : the experiment is a pre-registered one without its effect size on record
    InvalidInput : the experiment's features are a covariate's, which a registered model cannot read, or another `change`
    """
    if change not in get_args(Change):
        raise InvalidInput(f"expected the change as one of {', '.join(get_args(Change))}, found {change!r}")
    started, began = time.perf_counter(), workspace.clock.now()
    may_start(workspace, [instrument], experiment)
    until = known_until(workspace, (instrument, vix), experiment.hash)
    prepared = prepare(workspace.store, load_instrument(workspace.ledger, instrument), experiment, as_of=until)
    tasks = [task for task in odds_tasks(prepared, experiment) if task.key[1:3] == (LABEL, HORIZON)]
    chosen = experiment.nominated.model
    walks = run_walks(tasks, workers=workspace.settings.workers, progress=progress, stage="Walk-forward")
    y, ends = prepared.outcomes[LABEL, HORIZON]
    features = prepared.features()
    known = np.isfinite(features).all(axis=1) & np.isfinite(y)
    known[: prepared.first_usable] = False
    if known.sum() < experiment.walk_forward.initial:
        raise MissingData(f"expected at least {experiment.walk_forward.initial} outcomes of {instrument}, found {known.sum()}")
    forecasts = _baselines(workspace, prepared, experiment, vix, until) | {walk.model: walk.odds for walk in walks}
    absent = IMPLIED_BASELINES if prepared.instrument.simulated else ()
    required = [baseline for baseline in REQUIRED_BASELINES if baseline not in absent]
    report = compare_with_baselines(chosen, y, forecasts, label=f"{LABEL} {HORIZON}d", required=required)
    task = next(one for one in tasks if one.model == chosen)
    model = _model(chosen, task.parameters).fit(features[known], y[known])
    found = model_registry(workspace).register(
        name or _name_of(instrument),
        model,
        report,
        instrument=instrument,
        label=LABEL,
        horizon=HORIZON,
        configuration_hash=experiment.hash,
        data_hash=prepared.data_hash,
        trained_until=pl.Series(ends[known][-1:]).dt.replace_time_zone("UTC")[0],
        simulated=prepared.instrument.simulated,
        sample=TrainingSample.of(features[prepared.first_usable :], prepared.names, spacing=SPACING),
        change=cast(Change, change),
    )
    log_run(
        workspace,
        "training",
        f"{found.name} {found.version}",
        configuration_hash=experiment.hash,
        data_hash=prepared.data_hash,
        metrics={f"{score.name} log_loss": score.log_loss for score in report.scores},
        artefacts={"sha256": found.sha256},
        started_at=began,
        seconds=time.perf_counter() - started,
        parameters={"rows": int(known.sum()), "n": report.n},
        simulated=found.simulated,
    )
    return show_model(workspace, found.name, found.version)


def _baselines(
    workspace: Workspace, prepared: Prepared, experiment: Experiment, vix: str | None, as_of: datetime | None
) -> dict[str, Array]:
    """Out-of-sample odds of the sign by every baseline, each fitted anew about once a year of the experiment's walk."""
    y, ends = prepared.outcomes[LABEL, HORIZON]
    walk = splitter(experiment)
    step = walk.step * max(1, BASELINE_REFIT // walk.step)
    folds = list(replace(walk, test=step, step=step).split(prepared.decision, ends, prepared.first_usable))
    if not folds:
        raise MissingData(f"expected more than {walk.initial} sessions of {prepared.instrument.id} past the warm-up, found fewer")
    implied = None
    if vix is not None and not prepared.instrument.simulated:
        covariate = workspace.store.read(vix, as_of=as_of)
        if covariate.is_empty():
            raise MissingData(f"expected rows of the VIX series {vix}, found none; import it first")
        implied = compute(prepared.bars, ["vix"], vix=covariate)["vix_close"].to_numpy().astype(np.float64)
    question = Question(
        label=LABEL,
        horizon=HORIZON,
        threshold=None,
        features=prepared.features(),
        y=y,
        variance=daily_variance(prepared.bars)["variance"].to_numpy().astype(np.float64),
        ret=np.concatenate([[np.nan], np.diff(np.log(prepared.bars["close"].to_numpy()))]),
        implied_percent=implied,
    )
    return baseline_odds(question, folds, seed=experiment.intervals.seed)


def list_models(workspace: Workspace) -> ModelsListed:
    """Every registered version."""
    return ModelsListed(tuple(model_registry(workspace).versions()))


def show_model(workspace: Workspace, name: str, version: str | None = None) -> ModelShown:
    """A version (the active one, else the newest), its files checked, with the history of the name and the shadows' scores.

    Raises
    ------
    MissingData : there is no such model
    IntegrityError : its files were changed
    """
    kept = model_registry(workspace)
    found = _chosen(kept, name, version)
    kept.load(name, found.version)
    scores = kept.shadow_scores(name, _outcomes(workspace, kept, name))
    return ModelShown(found, tuple(kept.history(name)), tuple(scores))


def promote_model(workspace: Workspace, name: str, version: str, *, note: str = "") -> ModelShown:
    """Make a version the active one.

    Raises
    ------
    Halted : its report lacks a baseline, or rests on unequal rows
    """
    model_registry(workspace).promote(name, version, note=note)
    return show_model(workspace, name)


def rollback_model(workspace: Workspace, name: str, *, note: str = "") -> ModelShown:
    """Restore the version that was active before.

    Raises
    ------
    MissingData : none was
    IntegrityError : its files were changed
    """
    model_registry(workspace).rollback(name, note=note)
    return show_model(workspace, name)


def predict_models(workspace: Workspace, name: str) -> ModelShown:
    """Record what every version of a name says of the newest session: the active one's word, and the shadows' beside it.

    Raises
    ------
    MissingData : a feature of the newest session is not known
    """
    kept = model_registry(workspace)
    said = {}
    for version in kept.versions(name):
        table = _features(workspace, kept, version)
        row = table.tail(1)
        values = row.drop("ts").to_numpy().astype(np.float64)
        if not np.isfinite(values).all():
            raise MissingData(f"expected every feature of {version.instrument} at {row['ts'][0]}, found one that is not known")
        odds = float(kept.load(name, version.version).predict(values)[0])
        kept.record_prediction(name, version.version, version.instrument, row["ts"][0] + DECISION_DELAY, odds)
        said[version.version] = odds
    shown = show_model(workspace, name)
    return ModelShown(shown.version, shown.history, shown.shadows, said)


def model_drift(workspace: Workspace, name: str, version: str | None = None, *, sessions: int = RECENT_FEATURES) -> ModelDrift:
    """Have the features of the last sessions moved away from the training sample?

    Raises
    ------
    MissingData : the version was registered without its sample
    """
    kept = model_registry(workspace)
    found = _chosen(kept, name, version)
    if sessions < 1:
        raise InvalidInput(f"expected at least one session, found {sessions}")
    recent = _features(workspace, kept, found).tail(sessions).drop("ts").to_numpy().astype(np.float64)
    return ModelDrift(name, found.version, drift(kept.sample(name, found.version), recent))


def model_triggers(
    workspace: Workspace,
    name: str,
    version: str | None = None,
    *,
    request: bool = False,
    sessions: int = RECENT,
    rules: TriggerRules | None = None,
) -> ModelTriggers:
    """Does the model have to be fitted again? `request` asks for it.

    Decay and calibration look at the version's own recorded predictions whose outcome has come.
    """
    kept, rules = model_registry(workspace), rules or TriggerRules()
    found = _chosen(kept, name, version)
    if request:
        kept.request(name)
    recent = _recent(workspace, kept, found, sessions)
    odds, outcome = (np.empty(0), np.empty(0)) if recent is None else (recent.p, recent.y)
    answers = (
        schedule(found.trained_until, workspace.clock.now(), rules),
        decay(recent, rules),
        calibration(odds, outcome, rules),
        drifted(model_drift(workspace, name, found.version).report),
        command(kept.requested_at(name), kept.versions(name)[-1].registered_at),
    )
    return ModelTriggers(name, found.version, answers)


def _recent(workspace: Workspace, kept: ModelRegistry, found: Version, sessions: int) -> Recent | None:
    scores = {score["name"]: score for score in found.baselines.get("scores", ())}
    outcomes = _outcomes(workspace, kept, found.name)
    rows = [(at, p, outcomes[name, at]) for name, at, p in kept.predictions(found.name, found.version) if (name, at) in outcomes]
    if not rows or "base_rate" not in scores:
        return None
    rows = rows[-sessions:]
    learned = workspace.store.read(found.instrument, as_of=found.trained_until)
    base = float(labels.sign(learned, found.horizon)["y"].drop_nulls().mean())  # type: ignore[arg-type]
    return Recent(
        p=np.array([p for _, p, _ in rows]),
        y=np.array([y for _, _, y in rows]),
        dates=np.array([np.datetime64(at.date()) for at, _, _ in rows]),
        base_rate=base,
        accepted_gain=found.baselines["scores"][0]["log_loss"] - scores["base_rate"]["log_loss"],
    )


def _outcomes(workspace: Workspace, kept: ModelRegistry, name: str) -> dict[tuple[str, datetime], float]:
    """What came of each moment: 1 where the next close was higher, 0 where it was lower; nothing of what is sealed."""
    found: dict[tuple[str, datetime], float] = {}
    for instrument, horizon in {(one.instrument, one.horizon) for one in kept.versions(name)}:
        open_for = {one.configuration_hash for one in kept.versions(name) if one.instrument == instrument}
        until = min(filter(None, (known_until(workspace, (instrument,), chosen) for chosen in open_for)), default=None)
        rows = labels.sign(workspace.store.read(instrument, as_of=until), horizon).drop_nulls("y")
        moments = (rows["ts"] + DECISION_DELAY).to_list()
        found |= {(instrument, at): float(y) for at, y in zip(moments, rows["y"].to_list(), strict=True)}
    return found


def _features(workspace: Workspace, kept: ModelRegistry, found: Version) -> pl.DataFrame:
    """`ts` and the version's columns, in their order."""
    names = [one.name for one in kept.sample(found.name, found.version).features]
    blocks = list(dict.fromkeys(registry()[name].block for name in names))
    return compute(workspace.store.read(found.instrument), blocks).select("ts", *names)


def _chosen(kept: ModelRegistry, name: str, version: str | None) -> Version:
    every = kept.versions(name)
    if version is None and every:
        return next((one for one in every if one.active), every[-1])
    return kept.get(name, version)


def _model(kind: str, parameters: Mapping[str, Any]) -> OddsModel:
    makers: dict[str, type[Logistic] | type[BoostedTrees]] = {"logistic": Logistic, "boosted_trees": BoostedTrees}
    return makers[kind](**parameters)


def _name_of(instrument: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in instrument.lower()).strip("-")
