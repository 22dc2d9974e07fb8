"""The promotion gates, asked of each symbol: accuracy, majority rate, calibration, and leakage of the code that made the odds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data import load_instrument
from fieldcast.features import compute, labels
from fieldcast.ground import InvalidInput, Shown
from fieldcast.projection.walk_forward import OddsTask, walk_odds
from fieldcast.validation import (
    LeakageReport,
    LeakCheck,
    PromotionResult,
    SymbolCalls,
    exit_code,
    feature_leaks,
    label_leaks,
    promotion,
    scaler_leaks,
    split_leaks,
    threshold_leaks,
)
from fieldcast.workflows.cycles import Projections, projections_of
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import Array, Prepared, prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.walks import odds_tasks
from fieldcast.workflows.workspace import Workspace

CUTS = 8  # times at which features and labels are made again


@dataclass(frozen=True)
class PromotionCheck(Shown):
    """What the gates said of each symbol; `exit_code` is 0 where all pass, 1 where any fails, else 4."""

    results: tuple[PromotionResult, ...]
    simulated: tuple[str, ...]
    model: str
    horizon: int

    @property
    def exit_code(self) -> int:
        return exit_code(self.results)

    def as_dict(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code,
            "model": self.model,
            "horizon": self.horizon,
            "symbols": [_plain(result) | {"simulated": result.symbol in self.simulated} for result in self.results],
        }


def check_promotion(
    workspace: Workspace,
    instruments: Sequence[str],
    experiment: Experiment,
    *,
    vix: str | None = None,
    progress: Progress = silent,
) -> PromotionCheck:
    """Put the nominated configuration's out-of-sample calls of each instrument to the promotion gates.

    Projections of the same experiment on the same data are taken from the last validation; else it validates first. The leakage
    tests call the code that made them again on altered data.

    Raises
    ------
    InvalidInput : no instrument, one twice, or a nominated label that is not the sign of the return
    MissingData : an instrument is unknown, or its history is too short for a single out-of-sample row
    """
    if not instruments or len(set(instruments)) != len(instruments):
        raise InvalidInput(f"expected each instrument once and at least one, found {list(instruments)}")
    if experiment.nominated.label != "sign":
        raise InvalidInput(f"expected the nominated label sign, found {experiment.nominated.label!r}: accuracy is that of sides")
    described = [load_instrument(workspace.ledger, name) for name in instruments]
    settings = experiment.intervals
    results = []
    for done, instrument in enumerate(described):
        progress("Promotion gates", done, len(described))
        found = projections_of(workspace, instrument.id, experiment, vix=vix, progress=progress)
        until = known_until(workspace, (instrument.id, vix), experiment.hash)
        prepared = prepare(workspace.store, instrument, experiment, vix=None if instrument.simulated else vix, as_of=until)
        report = LeakageReport.of(leakage_checks(workspace, prepared, experiment, vix=vix))
        calls = _calls(instrument.id, found, experiment)
        results.append(promotion(calls, report, draws=settings.draws, seed=settings.seed))
    progress("Promotion gates", len(described), len(described))
    simulated = tuple(instrument.id for instrument in described if instrument.simulated)
    return PromotionCheck(tuple(results), simulated, experiment.nominated.model, experiment.nominated.horizon)


def leakage_checks(
    workspace: Workspace, prepared: Prepared, experiment: Experiment, *, vix: str | None = None
) -> list[LeakCheck]:
    """One test a door of the nominated configuration: its features, label, folds, model with its scaling, calibrated odds.

    Model and odds are those of the walk's newest fold; where that cannot be fitted they stay untested.
    """
    nominated, bars = experiment.nominated, prepared.bars
    covariate = workspace.store.read(vix) if vix is not None and not prepared.instrument.simulated else None
    blocks = list(dict.fromkeys([*experiment.features.blocks, *(["vix"] if covariate is not None else [])]))
    task = next(
        task
        for task in odds_tasks(prepared, experiment)
        if (task.label, task.horizon, task.model) == (nominated.label, nominated.horizon, nominated.model)
    )
    folds = [(fold.train, fold.test) for fold in task.walk.split(task.decision, task.label_end, task.first_usable)]
    seed = experiment.intervals.seed
    first = min(task.first_usable, bars.height - 3)
    return [
        feature_leaks(lambda rows: compute(rows, blocks, vix=covariate), bars, times=CUTS, first=first, seed=seed),
        label_leaks(lambda rows: labels.sign(rows, task.horizon), bars, times=CUTS, seed=seed),
        split_leaks(folds, task.decision, task.label_end),
        *_fitted_checks(task, folds, seed),
    ]


def _fitted_checks(task: OddsTask, folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], seed: int) -> list[LeakCheck]:
    """The walk itself, asked whether the model and odds of its newest fold follow rows that the fold does not train on.

    The walk is cut down to one fit, on the training rows of the newest fold with two rows or more ahead; all of these are
    forecast. In place of the training rows stands the digest of the model: they must make the same one.
    """
    starts = [int(test[0]) for _, test in folds if task.y.size - int(test[0]) >= 2]
    if not starts or not task.columns:
        return []
    start = starts[-1]
    first = task.first_usable if task.walk.expanding else start - task.walk.initial
    ahead = task.y.size - start
    walk = replace(task.walk, initial=start - first, test=ahead, step=ahead)
    last = replace(task, walk=walk, first_usable=first, refit=ahead)
    train = next(iter(walk.split(task.decision, task.label_end, first))).train
    if not np.isfinite(walk_odds(last).odds).any():
        return []  # no model of this fold to ask

    def odds(table: Array, _: NDArray[np.intp]) -> Array:
        walked = walk_odds(replace(last, features=table))
        made = np.column_stack((walked.raw, walked.odds))
        made[:start] = [int(fit.digest[:12], 16) for fit in walked.fits] or np.nan
        return made

    def calibrated(_: Array, outcome: Array, __: NDArray[np.intp]) -> float:
        return float(np.nanmean(walk_odds(replace(last, y=outcome)).odds))

    outside = np.setdiff1d(np.arange(task.y.size), train)
    y = task.y.copy()
    y[outside] = np.nan_to_num(y[outside])  # open outcomes too must not matter
    return [
        scaler_leaks(odds, task.features, train, seed=seed),
        threshold_leaks(calibrated, np.zeros(y.size), y, train, times=3, seed=seed),  # the walk makes its own scores
    ]


def _calls(instrument: str, found: Projections, experiment: Experiment) -> SymbolCalls:
    """The nominated horizon's calls whose outcome is known and is no zero return."""
    horizon = f"{experiment.nominated.horizon}d"
    rows = (
        found.table.filter((pl.col("horizon") == horizon) & (pl.col("status") == "ok"))
        .join(found.outcomes.filter(pl.col("horizon") == horizon), on=["as_of", "horizon"], how="inner")
        .filter(pl.col("ret").is_not_null() & (pl.col("ret") != 0.0))
        .sort("as_of")
    )
    up, down = rows["p_up"].to_numpy(), rows["p_down"].to_numpy()
    return SymbolCalls(
        symbol=instrument,
        dates=rows["as_of"].dt.date().to_numpy(),
        p_up=up / (up + down),
        up=(rows["ret"].to_numpy() > 0.0).astype(np.float64),
        horizon=experiment.nominated.horizon,
    )


def _plain(result: PromotionResult) -> dict[str, Any]:
    advantage, calibration = result.advantage, result.calibration
    return {
        "symbol": result.symbol,
        "outcome": str(result.outcome),
        "reasons": list(result.reasons),
        "n": result.n,
        "effective": result.effective,
        "accuracy": result.accuracy,
        "majority": result.majority,
        "advantage": None if advantage is None else advantage.estimate,
        "advantage_low": None if advantage is None else advantage.low,
        "advantage_high": None if advantage is None else advantage.high,
        "calibration_error": None if calibration is None else calibration.debiased,
        "calibration_plug_in": None if calibration is None else calibration.ece,
        "leakage": result.leakage,
    }
