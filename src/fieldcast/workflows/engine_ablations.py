"""`ablate`: the experiment's nominated walk with all its engines, and once more without each of them.

An engine is a block of the experiment's columns: `a20`, `volatility`, and each namespace of the field map (`fields.liquidity` …).
Odds and cones are made anew without it (a column among `cones.regressors` leaves the cone too), on the same rows: every walk
begins where the full one does. What is left without any column is the base rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from fieldcast.data import load_instrument
from fieldcast.features import REGISTRY
from fieldcast.ground import InvalidInput, Shown, digest
from fieldcast.projection.conformal import BANDS
from fieldcast.projection.walk_forward import OddsTask, OddsWalk
from fieldcast.validation import Span, save_evidence
from fieldcast.validation.engines import COVERAGE, EngineVerdict, Side, judge_engine
from fieldcast.workflows.experiment import Experiment, load_experiment
from fieldcast.workflows.prepare import Prepared, prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.sealing import known_until, may_start
from fieldcast.workflows.study import compose_paths, require_history
from fieldcast.workflows.walks import odds_tasks, run_walks
from fieldcast.workflows.workspace import Workspace

_STAGE = "Walks with and without each engine"


@dataclass(frozen=True)
class EngineAblations(Shown):
    """What dropping each engine showed.

    Parameters
    ----------
    verdicts : one an engine, in the order of the experiment's columns
    first, last : sessions of the out-of-sample rows
    """

    instrument: str
    simulated: bool
    experiment: str
    model: str
    verdicts: tuple[EngineVerdict, ...]
    first: str
    last: str

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the engines that earned their place."""
        return tuple(verdict.engine for verdict in self.verdicts if verdict.kept)

    def as_dict(self) -> dict[str, Any]:
        return {
            "instrument": self.instrument,
            "simulated": self.simulated,
            "experiment": self.experiment,
            "model": self.model,
            "out_of_sample": [self.first, self.last],
            "kept": list(self.kept),
            "engines": [
                asdict(one) | {"kept": one.kept, "clauses": [str(clause) for clause in one.clauses]} for one in self.verdicts
            ],
        }


def engines_of(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Engine → its columns, in the order of the columns."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(REGISTRY[name].block, []).append(name)
    return {engine: tuple(members) for engine, members in found.items()}


def ablate(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment | None = None,
    *,
    vix: str | None = None,
    progress: Progress = silent,
) -> EngineAblations:
    """Drop each engine of an experiment in turn, and record what that shows as evidence.

    Parameters
    ----------
    experiment : None = the demo's
    vix : id of the VIX series, where the experiment's columns need one

    Raises
    ------
    MissingData : unknown instrument, or too few bars
    Halted : the experiment is a pre-registered one without its effect size on record
    """
    experiment = experiment or load_experiment()
    described = load_instrument(workspace.ledger, instrument)
    may_start(workspace, [instrument], experiment)
    until = known_until(workspace, (instrument, vix), experiment.hash)
    prepared = prepare(workspace.store, described, experiment, vix=vix, as_of=until)
    require_history(prepared, experiment)
    verdicts = ablate_prepared(
        prepared, experiment, engines_of(prepared.names), workers=workspace.settings.workers, progress=progress
    )
    held = workspace.store.datasets().filter((pl.col("instrument") == instrument) & (pl.col("table") == "bars/1d"))
    simulated = prepared.instrument.simulated or bool(held["simulated"].any())
    days = prepared.table["ts"].dt.date()
    first = days[prepared.first_usable + experiment.walk_forward.initial]
    made = workspace.clock.now()
    command = f"workflows.ablate({instrument!r}), experiment {experiment.hash[:16]}, data {prepared.data_hash[:16]}"
    with workspace.ledger.begin("ablate") as session:
        for verdict in verdicts:
            save_evidence(
                session,
                verdict.evidence(
                    instrument=instrument,
                    span=Span((instrument,), first, days[-1], simulated),
                    configuration_hash=digest({"experiment": experiment.hash, "dropped": list(verdict.columns)}),
                    command=command,
                    recorded_at=made,
                ),
            )
    return EngineAblations(
        instrument, simulated, experiment.hash, experiment.nominated.model, verdicts, str(first), str(days[-1])
    )


def ablate_prepared(
    prepared: Prepared,
    experiment: Experiment,
    engines: Mapping[str, tuple[str, ...]],
    *,
    workers: int = 1,
    progress: Progress = silent,
) -> tuple[EngineVerdict, ...]:
    """The verdict on each engine, by the nominated model on the nominated label.

    Parameters
    ----------
    engines : engine → its columns among `prepared.names`

    Raises
    ------
    InvalidInput : an engine without columns, or with one that is not there
    """
    wrong = {engine: names for engine, names in engines.items() if not names or not set(names) <= set(prepared.names)}
    if wrong or not engines:
        raise InvalidInput(f"expected engines of the columns {', '.join(prepared.names[:8])} …, found {wrong or 'none'}")
    versions = [(prepared, experiment), *(_without(prepared, experiment, names) for names in engines.values())]
    tasks = [_task(*version) for version in versions]
    walks = run_walks(tasks, workers=workers, progress=progress, stage=_STAGE)
    horizon = experiment.nominated.horizon
    reads = any(set(names) & set(experiment.cones.regressors) for names in engines.values()) or experiment.cones.drift == "odds"
    full = _side(*versions[0], walks[0])
    others = [_side(*version, walk) if reads else None for version, walk in zip(versions[1:], walks[1:], strict=True)]
    settings = experiment.intervals
    return tuple(
        judge_engine(
            engine,
            tuple(names),
            with_it=full,
            without=side or replace(full, odds=walk.odds),  # the cone reads no engine: it is the same one
            returns=prepared.returns[horizon],
            dates=prepared.decision,
            block=settings.block,
            draws=settings.draws,
            seed=settings.seed,
        )
        for (engine, names), side, walk in zip(engines.items(), others, walks[1:], strict=True)
    )


def _without(prepared: Prepared, experiment: Experiment, dropped: tuple[str, ...]) -> tuple[Prepared, Experiment]:
    """The same rows without some columns, in the odds and in the cone."""
    names = tuple(name for name in prepared.names if name not in dropped)
    left = tuple(name for name in experiment.cones.regressors if name not in dropped)
    cones = experiment.cones.model_copy(update={"regressors": left})
    return replace(prepared, names=names), experiment.model_copy(update={"cones": cones})


def _task(prepared: Prepared, experiment: Experiment) -> OddsTask:
    what = experiment.nominated
    model = what.model if prepared.names else "base_rate"
    if not prepared.names:
        # without columns only the base rate can be asked; any column serves to line up its rows
        everything = replace(prepared, names=tuple(name for name in prepared.table.columns if name not in ("ts", "as_of"))[:1])
        return next(t for t in odds_tasks(everything, experiment) if t.key[1:] == (what.label, what.horizon, model))
    return next(t for t in odds_tasks(prepared, experiment) if t.key[1:] == (what.label, what.horizon, model))


def _side(prepared: Prepared, experiment: Experiment, walk: OddsWalk) -> Side:
    """Odds, and the 75 % cone that belongs to them."""
    what = experiment.nominated
    only = experiment.model_copy(update={"labels": experiment.labels.model_copy(update={"sign": (what.horizon,)})})
    named = replace(walk, model=what.model)
    path = compose_paths(prepared, [named], only)[0]
    place = BANDS.index(COVERAGE)
    return Side(walk.odds, path.quantiles_bps[:, 2 - place] / 1e4, path.quantiles_bps[:, 4 + place] / 1e4)
