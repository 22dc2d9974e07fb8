"""One fit, fixed windows: models fitted to a date and scored on named spans after it, without refits.

For the comparison with published figures of models that were fitted once. Volatility skill: the label "high reaches +1 %" opens
no gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.evaluation import TrialEvaluator, WalkForward, log_loss_rows, mean_interval
from fieldcast.ground import MissingData
from fieldcast.projection.walk_forward import walk_odds
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import prepare
from fieldcast.workflows.sealing import known_until, may_start
from fieldcast.workflows.study import configuration
from fieldcast.workflows.walks import odds_tasks, vix_anchor_tasks
from fieldcast.workflows.workspace import Workspace


@dataclass(frozen=True)
class Holdout:
    """Scores by model and span; `scores` has model, first, last, n, positives, metric, estimate, low, high."""

    instrument: str
    fitted_to: date
    scores: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        return {"instrument": self.instrument, "fitted_to": str(self.fitted_to), "scores": self.scores.to_dicts()}

    def _repr_html_(self) -> str:
        return self.scores._repr_html_()


def holdout(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment,
    *,
    fitted_to: date,
    spans: Sequence[tuple[date, date]],
    label: str = "event",
    horizon: int = 1,
    vix: str | None = None,
) -> Holdout:
    """Fit each contender once on labels that had ended by `fitted_to`, and score it on each span of decision days.

    With `vix`, log VIX joins the anchor and the VIX block joins the models' columns.

    Raises
    ------
    MissingData : no row before `fitted_to` can be trained on, or a span has no outcome
    Halted : the experiment is a pre-registered one without its effect size on record
    """
    described = load_instrument(workspace.ledger, instrument)
    blocks = tuple(dict.fromkeys((*experiment.features.blocks, *(("vix",) if vix is not None else ()))))
    wider = experiment.model_copy(update={"features": experiment.features.model_copy(update={"blocks": blocks})})
    may_start(workspace, [instrument], experiment)
    until = known_until(workspace, (instrument, vix), experiment.hash)
    prepared = prepare(workspace.store, described, wider, vix=vix, as_of=until)
    days = prepared.decision.astype("datetime64[D]")
    train = int((days <= np.datetime64(fitted_to)).sum()) - prepared.first_usable
    if train < 2 * experiment.walk_forward.initial // 3 or not spans:
        raise MissingData(f"expected a history before {fitted_to} of {instrument} to fit on and a span to score, found {train}")
    once = WalkForward(initial=train, test=prepared.rows, step=prepared.rows)
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    evaluator = TrialEvaluator(log, family=f"{experiment.family}/holdout")
    rows: list[tuple[object, ...]] = []
    tasks = [*odds_tasks(prepared, wider), *(t for t in vix_anchor_tasks(prepared, wider) if t.model == "anchor_vix")]
    for task in tasks:
        if (task.label, task.horizon) != (label, horizon):
            continue
        walk = walk_odds(replace(task, walk=once, refit=prepared.rows, first_usable=prepared.first_usable))
        learned = task.y[prepared.first_usable : prepared.first_usable + train]
        base_rate = float(np.nanmean(learned))
        described_as = {**configuration(wider, label, horizon, task.model), "fitted_to": fitted_to}
        for first, last in spans:
            inside = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
            known = inside & np.isfinite(walk.odds) & np.isfinite(task.y)
            if not known.any():
                raise MissingData(f"expected outcomes of {instrument} from {first} to {last}, found none")
            trial = evaluator.score(
                described_as,
                instrument=instrument,
                label=label,
                horizon=horizon,
                dates=days,
                forecast=np.where(known, walk.odds, np.nan),
                outcome=task.y,
                returns=prepared.returns[1],
                threshold=base_rate,
            )
            loss = mean_interval(log_loss_rows(walk.odds[known], task.y[known]))
            for metric, figure in (("auc", trial.auc), ("log_loss", loss)):
                rows.append((task.model, first, last, int(known.sum()), int(task.y[known].sum()), metric, figure.estimate,
                             figure.low, figure.high))
    names = ("model", "first", "last", "n", "positives", "metric", "estimate", "low", "high")
    return Holdout(instrument, fitted_to, pl.DataFrame(rows, schema=names, orient="row"))
