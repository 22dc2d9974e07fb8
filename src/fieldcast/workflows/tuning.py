"""Search for settings: every trial is walked forward inside the training span, and every one is on record.

    home/studies/<family>/<name>/<instrument>/study.db        Optuna's own SQLite file

A point of the space is fitted and scored fold by fold; its odds go through `TrialEvaluator` into the trial registry
first, and are then added to the study, finished, in one transaction. So a search that was killed has no half trial: it
goes on where it was, and a trial that had reached the registry and not yet the study is the first to be run again (a
look, not a new trial). Corners of the space come first. A point is never tried twice: the sampler is asked again.

Every proposal is made by a new sampler (Optuna's TPE: Bergstra et al. 2011), seeded by the plan's seed and the number
of trials so far, from the study as it stands: a resumed search proposes what an undisturbed one would have.

Objectives: log loss and calibration error (ECE) are minimised; accuracy of the called side and the annual Sharpe ratio
of the called side's daily series are maximised. A series that never varies has no Sharpe ratio: such a trial is the
worst there is, and its figure is shown as none. The winner is picked after many looks at one span: it needs rows that
the search has not seen (`until` in the plan keeps them away), and its Sharpe ratio is deflated by the family.
"""

from __future__ import annotations

import fcntl
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.engine import URL

from fieldcast.data import load_instrument
from fieldcast.evaluation import Fold, Trial, TrialEvaluator, ece, family_figures
from fieldcast.ground import ConfigError, ConflictError, InvalidInput, Shown, digest
from fieldcast.ground.hashing import canonical
from fieldcast.market import Instrument, file_name, sessions_per_year
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows.odds_training import threshold_of, trial_configuration
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.run_log import log_run
from fieldcast.workflows.sealing import known_until, may_run
from fieldcast.workflows.training_plan import Setting, load_plan
from fieldcast.workflows.training_rows import TrainingRows, training_rows
from fieldcast.workflows.tuning_plan import MAXIMISED, Range, TuningPlan
from fieldcast.workflows.workspace import Workspace

_STAGE = "Search"
_STARTUP = 10  # trials at random before the sampler models anything
_RETRIES = 200  # proposals that repeat a trial, before points are drawn at random
_DRAWS = 200
_MOST_DRAWS = 100_000
_TRIAL, _IDENTITY, _DATA = "trial", "plan", "data"


@dataclass(frozen=True)
class Tried:
    """One trial of a study: its settings, its objectives (None: it has no such figure) and its id in the registry."""

    number: int
    settings: dict[str, Setting]
    values: dict[str, float | None]
    trial: str
    corner: bool


@dataclass(frozen=True)
class Tuned(Shown):
    """A finished search.

    Parameters
    ----------
    family : of the trials in the registry; `n_family` of them, whatever study they came from
    resumed : trials that were there before this run
    best : numbers of the best trials: one, or the Pareto front of several objectives
    """

    study: str
    instrument: str
    simulated: bool
    family: str
    n_family: int
    objectives: tuple[str, ...]
    resumed: int
    trials: tuple[Tried, ...]
    best: tuple[int, ...]
    path: Path

    def as_dict(self) -> dict[str, Any]:
        return {
            "study": self.study,
            "instrument": self.instrument,
            "simulated": self.simulated,
            "family": self.family,
            "n_family": self.n_family,
            "objectives": list(self.objectives),
            "resumed": self.resumed,
            "trials": [
                {"number": t.number, "settings": t.settings, "values": t.values, "trial": t.trial, "corner": t.corner}
                for t in self.trials
            ],
            "best": list(self.best),
            "path": str(self.path),
        }


def tune(
    workspace: Workspace,
    plan: Path | TuningPlan,
    instrument: str,
    *,
    vix: str | None = None,
    as_of: datetime | None = None,
    progress: Progress = silent,
) -> Tuned:
    """Search, or go on with a search, until the study has the plan's number of different trials.

    Parameters
    ----------
    plan : a TOML file, or a plan
    vix : id of a VIX series, for the block `vix`
    as_of : use only what was known at this moment

    Raises
    ------
    ConfigError : the plan is not valid, or Optuna is not installed
    ConflictError : the study was begun with another plan or on other data, or another process is at it
    ShortHistory : too few rows for the walk or for an early stop
    InvalidInput : a fold has labels of one class, or the space has no point left that was not tried
    """
    chosen = plan if isinstance(plan, TuningPlan) else load_plan(plan, TuningPlan)
    optuna = _library()
    described = load_instrument(workspace.ledger, instrument)
    started, began = time.perf_counter(), workspace.clock.now()
    may_run(workspace, [instrument], chosen.family, chosen.study_hash)
    as_of = known_until(workspace, (instrument, vix), chosen.study_hash, as_of)
    rows = training_rows(workspace.store, described, chosen, vix=vix, as_of=as_of)
    folds = rows.folds(chosen, chosen.tasks[0])
    folder = workspace.home / "studies" / file_name(chosen.family) / chosen.study.name / file_name(described.id)
    folder.mkdir(parents=True, exist_ok=True)
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    family = search_family(chosen, described)
    with _alone(folder):
        study = _open(optuna, folder / "study.db", chosen, rows)
        search = _Search(optuna, study, chosen, rows, folds, TrialEvaluator(log, family=family))
        before = len(search.done())
        search.adopt([trial for trial in log.trials(family) if trial.instrument == described.id])
        while (count := len(search.done())) < chosen.study.trials:
            progress(_STAGE, count, chosen.study.trials)
            search.run(search.propose())
        progress(_STAGE, chosen.study.trials, chosen.study.trials)
        tried, best = search.tried(), tuple(sorted(trial.number for trial in study.best_trials))
    log_run(
        workspace,
        "tuning",
        f"{chosen.study.name} {described.id}",
        configuration_hash=chosen.study_hash,
        data_hash=rows.data_hash,
        metrics={f"{name} of {one.number}": value for one in tried if one.number in best for name, value in one.values.items()},
        artefacts={"study": str((folder / "study.db").relative_to(workspace.home))},
        started_at=began,
        seconds=time.perf_counter() - started,
        parameters={"trials": len(tried), "resumed": before},
        simulated=described.simulated,
    )
    return Tuned(
        study=chosen.study.name,
        instrument=described.id,
        simulated=described.simulated,
        family=family,
        n_family=family_figures(log, family).n,
        objectives=chosen.study.objectives,
        resumed=before,
        trials=tried,
        best=best if len(chosen.study.objectives) > 1 else best[:1],
        path=folder / "study.db",
    )


def search_family(plan: TuningPlan, instrument: Instrument) -> str:
    """Trials of one study are one family: the best of them is the best of so many."""
    return f"{plan.family}/tune/{plan.study.name}" + ("/simulated" if instrument.simulated else "")


class _Search:
    """One study with all that a trial of it needs."""

    def __init__(
        self, optuna: Any, study: Any, plan: TuningPlan, rows: TrainingRows, folds: list[Fold], evaluator: TrialEvaluator
    ) -> None:
        self.optuna, self.study, self.plan = optuna, study, plan
        self.rows, self.folds, self.evaluator = rows, folds, evaluator
        self.task = plan.tasks[0]
        self.threshold = threshold_of(rows, self.task, folds)
        self.space = {name: _distribution(optuna, found) for name, found in plan.space.items()}
        self.corners = plan.corners(plan.study.extremes)
        self.pending: list[dict[str, Setting]] = []

    def done(self) -> set[str]:
        """Points that the study has, as hashes."""
        return {digest(trial.params) for trial in self.study.get_trials(deepcopy=False)}

    def adopt(self, recorded: Sequence[Trial]) -> None:
        """Points of the registry that the study has not (the run was killed in between) are run first."""
        known, ours = self.done(), self.plan.study_hash
        points = [dict(trial.configuration["point"]) for trial in recorded if trial.configuration.get("study") == ours]
        self.pending = [point for point in points if digest(point) not in known]

    def propose(self) -> dict[str, Setting]:
        """The next point, one that was not tried."""
        known = self.done()
        for point in (*self.pending, *self.corners):
            if digest(point) not in known:
                return point
        directions = ["maximize" if name in MAXIMISED else "minimize" for name in self.plan.study.objectives]
        past = self.study.get_trials(deepcopy=False)
        for attempt in range(_RETRIES + 1):
            seed = int(digest([self.plan.seed, len(past), attempt])[:8], 16)
            samplers = self.optuna.samplers
            sampler = (
                samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP) if attempt < _RETRIES else samplers.RandomSampler(seed)
            )
            scratch = self.optuna.create_study(directions=directions, sampler=sampler)
            scratch.add_trials(past)
            if attempt == _RETRIES:
                return self._any(scratch, known)
            point = _recorded(scratch.ask(self.space).params)
            if digest(point) not in known:
                return point
        raise AssertionError("unreachable: the last attempt returns")

    def _any(self, scratch: Any, known: set[str]) -> dict[str, Setting]:
        """A point at random that is not known."""
        for _ in range(_MOST_DRAWS):
            point = _recorded(scratch.ask(self.space).params)
            if digest(point) not in known:
                return point
        raise InvalidInput(
            f"expected a point beside the {len(known)} tried, found none in {_MOST_DRAWS:,} draws; widen the space"
        )

    def run(self, point: dict[str, Setting]) -> None:
        """Walk, score, record in the registry, and only then add to the study."""
        plan = self.plan.with_settings(point)
        walked = self.rows.walk(plan, self.task, self.folds)
        odds = walked.odds
        outcome = self.rows.targets[self.task.name]
        score = self.evaluator.score(
            trial_configuration(plan, self.task) | {"study": self.plan.study_hash, "point": dict(point)},
            instrument=self.rows.instrument.id,
            label=self.task.name,
            horizon=self.task.horizon,
            dates=self.rows.days,
            forecast=odds,
            outcome=outcome,
            returns=self.rows.returns,
            threshold=self.threshold,
            children=walked.models,
            draws=_DRAWS,
            seed=self.plan.seed,
        )
        known = np.isfinite(odds) & np.isfinite(outcome)
        p, y = odds[known], outcome[known]
        cut = np.broadcast_to(np.asarray(self.threshold, dtype=np.float64), odds.shape)[known]
        moments = score.trial.sharpe
        year = sessions_per_year(self.rows.instrument.calendar)
        figures = {
            "log_loss": score.log_loss,
            "accuracy": float(np.mean((p > cut) == (y == 1.0))),
            "sharpe": -math.inf if moments is None else moments.sharpe * math.sqrt(year),
            "calibration": float(ece(p, y).ece),
        }
        self.study.add_trial(
            self.optuna.trial.create_trial(
                params=point,
                distributions=self.space,
                values=[figures[name] for name in self.plan.study.objectives],
                user_attrs={_TRIAL: score.trial.id},
            )
        )

    def tried(self) -> tuple[Tried, ...]:
        corners = {digest(corner) for corner in self.corners}
        return tuple(
            Tried(
                number=trial.number,
                settings=dict(trial.params),
                values={
                    name: value if math.isfinite(value) else None
                    for name, value in zip(self.plan.study.objectives, trial.values, strict=True)
                },
                trial=trial.user_attrs[_TRIAL],
                corner=digest(trial.params) in corners,
            )
            for trial in self.study.get_trials(deepcopy=False)
        )


def _recorded(point: Mapping[str, Setting]) -> dict[str, Setting]:
    """A point as the registry keeps it: reals at 12 significant digits, so that what is tried is what is on record."""
    return {name: canonical(value) for name, value in point.items()}


def _library() -> Any:
    """Optuna, told to be quiet.

    Raises
    ------
    ConfigError : it is not installed
    """
    try:
        optuna = import_module("optuna")
    except ImportError:
        raise ConfigError("expected optuna, which comes with fieldcast, found none; install fieldcast anew") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _open(optuna: Any, path: Path, plan: TuningPlan, rows: TrainingRows) -> Any:
    """The study, new or as it was left; one of another plan or of other data is refused."""
    directions = ["maximize" if name in MAXIMISED else "minimize" for name in plan.study.objectives]
    study = optuna.create_study(
        storage=optuna.storages.RDBStorage(URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)),
        study_name=plan.study.name,
        directions=directions,
        load_if_exists=True,
    )
    for key, found in ((_IDENTITY, plan.study_hash), (_DATA, rows.data_hash)):
        before = study.user_attrs.get(key)
        if before is not None and before != found:
            raise ConflictError(
                f"expected study {plan.study.name} to go on with the {key} {before[:16]} that it was begun with, found "
                f"{found[:16]}; give the study another name"
            )
        if before is None:
            study.set_user_attr(key, found)
    return study


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(f"expected the study in {folder} to be free, found another process at it") from None
        yield


def _distribution(optuna: Any, found: Range) -> Any:
    distributions = optuna.distributions
    if found.choices:
        return distributions.CategoricalDistribution(canonical(found.choices))
    kind = distributions.IntDistribution if found.whole else distributions.FloatDistribution
    return kind(*found.ends, log=found.log)
