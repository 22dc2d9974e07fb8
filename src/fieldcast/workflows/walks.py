"""Which configurations are walked on which instruments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldcast.evaluation import WalkForward
from fieldcast.features import columns
from fieldcast.projection.walk_forward import OddsTask, OddsWalk, walk_odds
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.parallel import run_jobs
from fieldcast.workflows.prepare import Array, Prepared
from fieldcast.workflows.progress import Progress

ATR = "log_atr_percent"
VIX = "vix_close"
_Contender = tuple[str, tuple[str, ...], Array, int, dict[str, Any]]      # model, columns, features, refit, settings
ANCHOR_L2 = 1e-3         # one or two columns need no shrinkage, only a finite fit


def splitter(experiment: Experiment) -> WalkForward:
    """The walk that the experiment asks for."""
    walk = experiment.walk_forward
    return WalkForward(initial=walk.initial, test=walk.test, step=walk.step, embargo=walk.embargo)


def odds_tasks(prepared: Prepared, experiment: Experiment) -> list[OddsTask]:
    """Every model on every label of one instrument, all on the same rows.

    The anchor is a logistic on log ATR % alone; where VIX is known a second one adds log VIX.
    """
    contenders = _contenders(prepared, experiment)
    return [
        _task(prepared, experiment, label, horizon, contender, prepared.first_usable)
        for label, horizon in prepared.outcomes
        for contender in contenders
    ]



def _contenders(prepared: Prepared, experiment: Experiment) -> list[_Contender]:
    step = experiment.walk_forward.step
    models = experiment.models
    everything = prepared.features()
    empty = np.empty((prepared.rows, 0))
    found: list[_Contender] = [("base_rate", (), empty, step, {})]
    if ATR in prepared.table.columns:
        found.append(("anchor", (ATR,), prepared.features((ATR,)), step, _anchor_settings((ATR,))))
    found.append(("logistic", prepared.names, everything, models.logistic.refit, {"l2": models.logistic.l2}))
    if models.boosted_trees is not None:
        trees = models.boosted_trees
        parameters: dict[str, Any] = {"rounds": trees.rounds, "leaves": trees.leaves, "seed": trees.seed}
        found.append(("boosted_trees", prepared.names, everything, trees.refit, parameters))
    return found


def vix_anchor_tasks(prepared: Prepared, experiment: Experiment) -> list[OddsTask]:
    """The volatility anchor with and without log VIX for the event label, on the rows where VIX is known."""
    if VIX not in prepared.table.columns or ATR not in prepared.table.columns:
        return []
    atr = prepared.features((ATR,))
    with np.errstate(invalid="ignore"):
        both = np.column_stack([atr, np.log(prepared.features((VIX,)))])
    known = np.flatnonzero(np.isfinite(both).all(axis=1))
    if not known.size:
        return []
    pairs = (("anchor", (ATR,), atr), ("anchor_vix", (ATR, f"log_{VIX}"), both))
    step, first = experiment.walk_forward.step, max(prepared.first_usable, int(known[0]))
    return [
        _task(prepared, experiment, label, horizon, (model, names, features, step, _anchor_settings(names)), first)
        for label, horizon in prepared.outcomes
        if label == "event"
        for model, names, features in pairs
    ]


def _task(
    prepared: Prepared, experiment: Experiment, label: str, horizon: int, contender: _Contender, first_usable: int
) -> OddsTask:
    model, names, features, refit, parameters = contender
    y, label_end = prepared.outcomes[label, horizon]
    fields = columns(["fields"])            # each may be undefined by its nature: an event that has not happened yet
    return OddsTask(
        instrument=prepared.instrument.id,
        label=label,
        horizon=horizon,
        model=model,
        columns=names,
        features=features,
        y=y,
        decision=prepared.decision,
        label_end=label_end,
        first_usable=first_usable,
        walk=splitter(experiment),
        refit=refit,
        calibration_share=experiment.walk_forward.calibration_share,
        parameters=parameters,
        optional=frozenset(name for name in names if name in fields),
    )


def _anchor_settings(columns: tuple[str, ...]) -> dict[str, Any]:
    return {"columns": columns, "l2": ANCHOR_L2}


def run_walks(tasks: Sequence[OddsTask], *, workers: int, progress: Progress, stage: str) -> list[OddsWalk]:
    """Walk every task, the longest first; results in the order of the tasks."""
    order = sorted(range(len(tasks)), key=lambda place: (tasks[place].model != "boosted_trees", tasks[place].model, place))
    walked = run_jobs(walk_odds, [tasks[place] for place in order], workers=workers, progress=progress, stage=stage)
    return [walk for _, walk in sorted(zip(order, walked, strict=True), key=lambda pair: pair[0])]
