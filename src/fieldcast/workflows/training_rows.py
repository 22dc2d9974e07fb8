"""Rows to train on: features, labels, decision times and what baselines need, aligned row by row.

Sessions after the plan's `until` are cut off before anything is computed, so nothing later can reach a fit. A label is
unknown (NaN) where its window has a missing session or a bar that was restated, as in `prepare`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data import Store
from fieldcast.evaluation import Fold, WalkForward
from fieldcast.features import compute, labels, warmup
from fieldcast.ground import InvalidInput, MissingData, ShortHistory
from fieldcast.market import DECISION_DELAY, Instrument
from fieldcast.models import Question, daily_variance
from fieldcast.workflows.prepare import MICROSECONDS, Array, _sound
from fieldcast.workflows.recipe import Examples
from fieldcast.workflows.training_plan import TaskPart, TrainingPlan

LEAST_ROWS = 60  # complete rows below which nothing is fitted, as for the baselines
TRAILING = 21  # sessions of the volatility in whose units a move's size is told


@dataclass(frozen=True, eq=False)
class RowsWalk:
    """A walk of a recipe.

    odds : (n,) out of sample, NaN where an input is not known
    models : fits; without_columns : those of them for which curation kept no column, so that they said the base rate
    """

    odds: Array
    models: int
    without_columns: int


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows of one instrument past the warm-up, n of them.

    features : (n, p) in the order of the plan's columns, NaN where not known
    targets : task's name → (n,) labels (0 and 1; the size of the move in units of `sigma`; log volatility), NaN where unknown
    label_end : task's name → (n,) when each was known, NaT where it is not yet
    weighable : (n,) rows whose `sigma` is known, where the plan's weights ask for it; else all
    sigma : (n,) trailing daily volatility, NaN where unknown; returns : (n,) log return of the next session
    moments : (m,) ends of all bars of the span, the warm-up's included
    """

    instrument: Instrument
    days: NDArray[np.datetime64]
    decision: NDArray[np.datetime64]
    features: Array
    targets: dict[str, Array]
    label_end: dict[str, NDArray[np.datetime64]]
    weighable: NDArray[np.bool_]
    sigma: Array
    moments: NDArray[np.datetime64]
    variance: Array
    ret: Array
    returns: Array
    implied: Array | None
    data_hash: str

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n,) rows whose features are all known, and that can be weighed."""
        return np.asarray(np.isfinite(self.features).all(axis=1) & self.weighable, dtype=np.bool_)

    def known(self, task: TaskPart) -> NDArray[np.intp]:
        """Rows whose features and label are all known, ascending."""
        answered = np.isfinite(self.targets[task.name]) & ~np.isnat(self.label_end[task.name])
        return np.flatnonzero(self.complete & answered)

    def examples(self, task: TaskPart, rows: NDArray[np.intp], y: Array | None = None) -> Examples:
        """Some of the rows to learn from; `y` (n,) stands in for the task's own target."""
        target = self.targets[task.name] if y is None else y
        ends = self.label_end[task.name]
        whole = Examples(self.features, target, self.decision, ends, self.sigma, self.moments, task.horizon)
        return whole.at(rows)

    def question(self, task: TaskPart) -> Question:
        """The task as its baselines see it; of direction and event."""
        return Question(
            label="event" if task.kind == "event" else "sign",
            horizon=task.horizon,
            threshold=task.threshold,
            features=self.features,
            y=self.targets[task.name],
            variance=self.variance,
            ret=self.ret,
            implied_percent=self.implied,
        )

    def folds(self, plan: TrainingPlan, task: TaskPart) -> list[Fold]:
        """The walk of a task.

        Raises
        ------
        ShortHistory : there is no row to test after the initial ones
        """
        walk = WalkForward(**plan.walk_forward.model_dump())
        found = list(walk.split(self.decision, self.label_end[task.name])) if len(self.days) else []
        if not found:
            raise ShortHistory(
                f"expected more than {plan.walk_forward.initial} sessions of {self.instrument.id} past the warm-up of "
                f"{warmup(list(plan.features.blocks))}, found {len(self.days)}; import more, or shorten the walk"
            )
        return found

    def walk(self, plan: TrainingPlan, task: TaskPart, folds: list[Fold], y: Array | None = None) -> RowsWalk:
        """Out-of-sample odds of the plan's recipe, fitted anew on the training rows of each fold.

        Raises
        ------
        InvalidInput : a fold has labels of one class only (it is named)
        ShortHistory : a fold has fewer than 60 complete rows to fit on, or too few for an early stop
        """
        target, complete = self.targets[task.name] if y is None else y, self.complete
        odds = np.full(len(target), np.nan)
        blank = 0
        for fold in folds:
            train = fold.train[complete[fold.train] & np.isfinite(target[fold.train])]
            test = fold.test[complete[fold.test]]
            try:
                if len(train) < LEAST_ROWS:
                    raise ShortHistory(f"expected at least {LEAST_ROWS} complete rows to fit on, found {len(train)}")
                bundle = plan.recipe.fit(plan.new(), self.examples(task, train, y)).bundle
            except (InvalidInput, ShortHistory) as error:
                which = f"fold {fold.number} of {self.instrument.id} {task.name}, tested from {self.days[fold.test[0]]}"
                raise type(error)(f"{which}: {error}") from None
            blank += bundle.kept == ()
            if test.size:
                odds[test] = bundle.predict(self.features[test])
        return RowsWalk(odds, len(folds), blank)


def training_rows(
    store: Store, instrument: Instrument, plan: TrainingPlan, *, vix: str | None = None, as_of: datetime | None = None
) -> TrainingRows:
    """Read, cut at `until`, compute and align.

    Parameters
    ----------
    vix : id of the VIX series: a covariate where `features.blocks` has it, and the implied volatility of the baselines
    as_of : what was known at this moment; None = everything known now

    Raises
    ------
    MissingData : the store has no rows of the instrument, or the blocks ask for a VIX that was not named
    InvalidInput : a feature is not known on a single row (it is named)
    """
    bars = _until(store.read(instrument.id, as_of=as_of), plan)
    if bars.is_empty():
        raise MissingData(f"expected rows of {instrument.id}, found none; import a file first")
    covariate = None if vix is None or instrument.simulated else _until(store.read(vix, as_of=as_of), plan)
    if covariate is None and "vix" in plan.features.blocks:
        raise MissingData(f"expected a VIX series for {instrument.id}, as features.blocks asks for, found none; give its id")
    blocks = list(dict.fromkeys([*plan.features.blocks, *(["vix"] if covariate is not None else [])]))
    table = compute(bars, blocks, vix=covariate)
    features = table.select(plan.columns).to_numpy().astype(np.float64)
    first = warmup(list(plan.features.blocks))
    variance = daily_variance(bars)["variance"].to_numpy().astype(np.float64)
    sigma = np.sqrt(_trailing(variance))
    ret = np.concatenate([[np.nan], np.diff(np.log(bars["close"].to_numpy()))])
    targets, ends = {}, {}
    for task in plan.tasks:
        answers, values = _target(bars, task, variance)
        targets[task.name] = np.where(_sound(bars, instrument, task.horizon), values, np.nan)[first:]
        ends[task.name] = answers["label_end_ts"].dt.replace_time_zone(None).to_numpy().astype(MICROSECONDS)[first:]
    rows = features[first:]
    blank = [name for name, column in zip(plan.columns, rows.T, strict=True) if not np.isfinite(column).any()]
    if blank and len(rows):
        raise InvalidInput(
            f"expected every feature of {instrument.id} to be known on some row, found none of {', '.join(blank)}; "
            f"leave its block out of features.blocks"
        )
    weighable = np.ones(len(rows), dtype=np.bool_)
    if plan.weights is not None and plan.weights.volatility:
        weighable &= np.isfinite(sigma[first:]) & (sigma[first:] > 0)
    following = labels.sign(bars, 1)["ret"].to_numpy().astype(np.float64)
    return TrainingRows(
        instrument=instrument,
        days=bars["ts"].dt.date().to_numpy().astype("datetime64[D]")[first:],
        decision=(bars["ts"] + DECISION_DELAY).dt.replace_time_zone(None).to_numpy().astype(MICROSECONDS)[first:],
        features=rows,
        targets=targets,
        label_end=ends,
        weighable=weighable,
        sigma=sigma[first:],
        moments=bars["ts"].dt.replace_time_zone(None).to_numpy().astype(MICROSECONDS),
        variance=variance[first:],
        ret=ret[first:],
        returns=np.where(_sound(bars, instrument, 1), following, np.nan)[first:],
        implied=None if covariate is None else table["vix_close"].to_numpy().astype(np.float64)[first:],
        data_hash=content_hash(bars, covariate),
    )


def content_hash(bars: pl.DataFrame, covariate: pl.DataFrame | None) -> str:
    """SHA-256 over the values that were read, the covariate's included."""
    total = hashlib.sha256()
    for frame in (bars,) if covariate is None else (bars, covariate):
        total.update(frame.height.to_bytes(8, "little"))
        total.update(frame["ts"].dt.timestamp("us").to_numpy().astype("<i8").tobytes())
        for name in ("open", "high", "low", "close", "volume"):
            total.update(frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype("<f8").tobytes())
    return total.hexdigest()


def _until(bars: pl.DataFrame, plan: TrainingPlan) -> pl.DataFrame:
    return bars if plan.until is None else bars.filter(pl.col("ts").dt.date() <= plan.until)


def _target(bars: pl.DataFrame, task: TaskPart, variance: Array) -> tuple[pl.DataFrame, Array]:
    """The label's table (with `label_end_ts`) and the target (n,)."""
    if task.kind == "event":
        assert task.threshold is not None
        found = labels.high_reaches(bars, task.horizon, task.threshold)
        return found, found["y"].cast(pl.Float64).to_numpy().astype(np.float64)
    if task.kind == "volatility":
        found = labels.volatility(bars, task.horizon)
        return found, found["log_sigma"].cast(pl.Float64).to_numpy().astype(np.float64)
    found = labels.sign(bars, task.horizon)
    if task.kind == "direction":
        return found, found["y"].cast(pl.Float64).to_numpy().astype(np.float64)
    size: Array = np.abs(found["ret"].cast(pl.Float64).to_numpy()) / np.sqrt(_trailing(variance) * task.horizon)
    return found, size


def _trailing(variance: Array) -> Array:
    """(n,) mean of the last 21 daily variances, NaN before."""
    trailing = np.full(len(variance), np.nan)
    if len(variance) >= TRAILING:
        trailing[TRAILING - 1 :] = np.lib.stride_tricks.sliding_window_view(variance, TRAILING).mean(axis=1)
    return trailing
