"""Walk-forward odds: every out-of-sample probability comes from a model that had seen only labels already known.

    |------------- training fold -------------|  embargo | test rows |
    |---- fit (first 80 %) ----|- calibrate --|

Each fold is purged by label end. Inside it the model is fitted on the first part and its calibrator on the last part; that same
model, not a refitted one, scores the test rows, so the calibrator maps exactly the score that it was fitted on. A column enters
a fold where it is known on at least 80 % of the training rows: a column that the source cannot support (Garman-Klass without real
opens) stays out, by what was known then. A column that may be undefined by its nature (bars since an event that has not happened)
is optional: such columns enter one by one, the best known first, as long as together they cost at most 2 % of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation import Fold, WalkForward
from fieldcast.ground import InvalidInput
from fieldcast.models import BaseRate, BoostedTrees, Logistic, OddsModel, VolatilityAnchor
from fieldcast.projection.calibration import choose_calibrator

Array = NDArray[np.float64]
Stamps = NDArray[np.datetime64]
MINIMUM_CALIBRATION_ROWS = 60
KNOWN_SHARE = 0.80
OPTIONAL_SHARE = 0.98       # of the rows that the other columns know

MODELS: dict[str, Callable[..., OddsModel]] = {
    "base_rate": BaseRate,
    "anchor": VolatilityAnchor,
    "anchor_vix": VolatilityAnchor,
    "logistic": Logistic,
    "boosted_trees": BoostedTrees,
}


@dataclass(frozen=True)
class OddsTask:
    """One configuration on one instrument: what to learn, from which columns, and how to walk.

    Parameters
    ----------
    features : (n, p) in the order of `columns`; NaN where a value is not known
    y : (n,) 1, 0, or NaN where the outcome is not known (or is neither)
    decision : (n,) UTC times at which each row's decision is made
    label_end : (n,) UTC times at which each row's outcome was known; NaT where it is not yet
    first_usable : rows before it are warm-up
    refit : rows after which the model is fitted again (a multiple of the walk's step)
    optional : those of `columns` that enter a fold only where they cost hardly a row; see the module
    """

    instrument: str
    label: str
    horizon: int
    model: str
    columns: tuple[str, ...]
    features: Array
    y: Array
    decision: Stamps
    label_end: Stamps
    first_usable: int
    walk: WalkForward
    refit: int
    calibration_share: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, int, str]:
        return self.instrument, self.label, self.horizon, self.model

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(n, p) True where a feature is known; made once for all folds."""
        return np.isfinite(self.features)


@dataclass(frozen=True)
class Fit:
    """One fitted model of the walk: a child of the trial, never a trial of its own."""

    first_test_row: int
    n_fit: int
    n_calibration: int
    columns: tuple[str, ...]
    calibrator: str
    digest: str


@dataclass(frozen=True)
class OddsWalk:
    """Out-of-sample odds of one task.

    `raw` and `odds` are (n,) with NaN on rows that were not forecast; `input_missing` marks those that a fitted model could not
    score because an input was not known; `fits` in time order.
    """

    instrument: str
    label: str
    horizon: int
    model: str
    raw: Array
    odds: Array
    input_missing: NDArray[np.bool_]
    fits: tuple[Fit, ...]

    @property
    def key(self) -> tuple[str, str, int, str]:
        return self.instrument, self.label, self.horizon, self.model


def walk_odds(task: OddsTask) -> OddsWalk:
    """Fit, calibrate and score fold by fold.

    Raises
    ------
    InvalidInput : the model is unknown, or `refit` is no multiple of the walk's step
    """
    return walk_and_keep(task)[0]


@dataclass(frozen=True)
class WalkState:
    """Where a walk stands after its last fold.

    Parameters
    ----------
    fitted : what scores the rows of the fold; None where there is no model
    due_at : the first row of a fold from which on a new model is fitted
    """

    fitted: FittedFold | None
    due_at: int

    def at_fold(self, task: OddsTask, fold: Fold) -> tuple[WalkState, bool]:
        """The state in which the fold's rows are scored, and whether a model was fitted for it."""
        if self.fitted is not None and fold.test[0] < self.due_at:
            return self, False
        fitted = fit_fold(task, fold.train)
        return WalkState(fitted, int(fold.test[0]) + task.refit), fitted is not None

    def score(self, inputs: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Raw and calibrated odds of rows (m, p) of all columns, NaN where an input is unknown, and which rows are known."""
        raw, odds = np.full(len(inputs), np.nan), np.full(len(inputs), np.nan)
        if self.fitted is None:
            return raw, odds, np.ones(len(inputs), dtype=np.bool_)
        chosen = inputs[:, self.fitted.positions]
        known = np.asarray(np.isfinite(chosen).all(axis=1), dtype=np.bool_)
        if known.any():
            raw[known] = self.fitted.model.predict(chosen[known])
            odds[known] = self.fitted.calibrate(raw[known])
        return raw, odds, known


def walk_and_keep(task: OddsTask) -> tuple[OddsWalk, WalkState]:
    """The walk, and where it stands after its last row; as `walk_odds`."""
    if task.model not in MODELS:
        raise InvalidInput(f"expected a model out of {', '.join(MODELS)}, found {task.model!r}")
    if task.refit % task.walk.step:
        raise InvalidInput(f"expected refit to be a multiple of the step {task.walk.step}, found {task.refit}")
    raw = np.full(len(task.y), np.nan)
    odds = np.full(len(task.y), np.nan)
    input_missing = np.zeros(len(task.y), dtype=np.bool_)
    fits: list[Fit] = []
    state = WalkState(None, -1)
    waiting: list[NDArray[np.intp]] = []  # rows of the folds that one model scores, in one call

    def score_waiting() -> None:
        rows = np.concatenate(waiting)
        raw[rows], odds[rows], known = state.score(task.features[rows])
        input_missing[rows[~known]] = True
        waiting.clear()

    for fold in task.walk.split(task.decision, task.label_end, task.first_usable):
        later, renewed = state.at_fold(task, fold)
        if waiting and later is not state:
            score_waiting()
        state = later
        if state.fitted is not None and renewed:
            fits.append(state.fitted.record(int(fold.test[0])))
        waiting.append(fold.test)
    if waiting:
        score_waiting()
    return OddsWalk(*task.key, raw=raw, odds=odds, input_missing=input_missing, fits=tuple(fits)), state


@dataclass(frozen=True)
class FittedFold:
    """What one training fold left: model, calibrator, and the places of the columns that they read."""

    model: OddsModel
    calibrate: Callable[[Array], Array]
    calibrator: str
    positions: NDArray[np.intp]
    columns: tuple[str, ...]
    n_fit: int
    n_calibration: int

    def record(self, first_test_row: int) -> Fit:
        return Fit(first_test_row, self.n_fit, self.n_calibration, self.columns, self.calibrator, self.model.hash)


def fit_fold(task: OddsTask, train: NDArray[np.intp]) -> FittedFold | None:
    """Model and calibrator of one training fold; None where its labels hold only one class."""
    train = train[np.isfinite(task.y[train])]
    if task.model == "base_rate":
        if not train.size:
            return None
        base = BaseRate().fit(np.empty((train.size, 0)), task.y[train])
        return FittedFold(base, lambda p: p, "none", np.empty(0, dtype=np.intp), (), train.size, 0)
    known = task.known[train]
    whole = bool(known.all())
    positions = _usable_columns(task, known, whole=whole) if train.size else np.empty(0, dtype=np.intp)
    if not positions.size:
        return None
    train = train if whole else train[known[:, positions].all(axis=1)]
    fit, hold = _hold_out(task, train)
    if hold.size < MINIMUM_CALIBRATION_ROWS or not fit.size or min(np.ptp(task.y[fit]), np.ptp(task.y[hold])) == 0.0:
        return None
    model = MODELS[task.model](**task.parameters).fit(_part(task.features, fit, positions), task.y[fit])
    scores = model.predict(_part(task.features, hold, positions))
    calibrator = choose_calibrator(scores, task.y[hold], gap=task.horizon - 1).calibrator
    columns = tuple(task.columns[i] for i in positions)
    return FittedFold(model, calibrator.predict, calibrator.kind, positions, columns, fit.size, hold.size)


def _part(features: Array, rows: NDArray[np.intp], positions: NDArray[np.intp]) -> Array:
    """Rows and columns of the features; whole rows are one copy each."""
    part: Array = features[rows]
    return part if positions.size == features.shape[1] else np.ascontiguousarray(part[:, positions])


def _usable_columns(task: OddsTask, known: NDArray[np.bool_], *, whole: bool) -> NDArray[np.intp]:
    """Places of the columns that this fold can use, ascending; `known` is (training rows, p), `whole` where all of it is True."""
    if whole:
        return np.arange(known.shape[1])
    counts = known.sum(axis=0)
    optional = np.array([name in task.optional for name in task.columns], dtype=np.bool_)
    chosen = np.flatnonzero((known.mean(axis=0) >= KNOWN_SHARE) & ~optional).tolist()
    rows = known[:, chosen].all(axis=1)
    least = OPTIONAL_SHARE * rows.sum()
    for place in sorted(np.flatnonzero(optional).tolist(), key=lambda place: -counts[place]):
        together = rows & known[:, place]
        if together.sum() >= least:
            rows = together
            chosen.append(place)
    return np.array(sorted(chosen), dtype=np.intp)


def _hold_out(task: OddsTask, train: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First part for the model, last part for the calibrator; labels of the first ended before the last begins."""
    cut = round(train.size * (1.0 - task.calibration_share))
    fit, hold = train[:cut], train[cut:]
    if hold.size:
        fit = fit[task.label_end[fit] <= task.decision[hold[0]]]
    return fit, hold
