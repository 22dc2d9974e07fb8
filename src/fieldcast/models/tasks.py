"""Many tasks, one model each; and a stacker that can only be fed out-of-fold odds.

A task is one instrument, one label, one horizon: no model is shared between two. A stacker learns how to weigh several
models' log-odds,

    P(y = 1) = sigmoid(b + sum_m w_m log(p_m / (1 - p_m)))        ridge logistic

from odds that each base model gave to rows it had not been fitted on. In-sample odds look too good, and a stacker
that saw them would trust the model that overfits most; so `Stacker.fit` takes `OutOfFold` objects, which only
`out_of_fold` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput, MissingData, digest
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, not_fitted
from fieldcast.models.logistic import Logistic

_EDGE = 1e-9


@dataclass(frozen=True, order=True)
class Task:
    """What one model is for."""

    instrument: str
    horizon: int
    label: str


@dataclass(frozen=True)
class TaskData:
    """Training rows of one task: X (n, p), y (n,) of 0 and 1."""

    X: Floats
    y: Floats


@dataclass(frozen=True)
class TaskModels:
    """One fitted model a task."""

    models: Mapping[Task, OddsModel]

    def predict(self, task: Task, X: ArrayLike) -> Floats:
        """P(y = 1) of the rows X (n, p) by the task's own model.

        Raises
        ------
        MissingData : no model was fitted for this task; another task's model never answers for it
        """
        if task not in self.models:
            raise MissingData(f"expected a model for {task}, found models for {sorted(self.models)}; fit that task")
        return self.models[task].predict(X)


def fit_tasks(data: Mapping[Task, TaskData], make: Callable[[Task], OddsModel]) -> TaskModels:
    """Fit one new model for each task.

    Parameters
    ----------
    make : gives an unfitted model for a task; it must give a new one each time

    Raises
    ------
    InvalidInput : `make` returned the same object for two tasks
    """
    models: dict[Task, OddsModel] = {}
    for task in sorted(data):
        model = make(task)
        if any(model is other for other in models.values()):
            raise InvalidInput(f"expected a new model for {task}, found one that another task already uses")
        models[task] = model.fit(data[task].X, data[task].y)
    return TaskModels(models)


_MADE_HERE = object()


@dataclass(frozen=True)
class OutOfFold:
    """Odds of one model on rows that it was not fitted on; made by `out_of_fold` alone.

    odds : (n,) NaN where no fold scored the row
    fold : (n,) number of the fold that did, -1 for none
    """

    name: str
    odds: Floats
    fold: NDArray[np.int64]
    _token: object = field(repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self._token is not _MADE_HERE:
            raise InvalidInput("expected out-of-fold odds made by models.out_of_fold, found odds of unknown origin")


def out_of_fold(
    make: Callable[[], OddsModel], X: ArrayLike, y: ArrayLike, folds: Iterable[tuple[ArrayLike, ArrayLike]], *, name:
    str
) -> OutOfFold:
    """Fit a new model on each fold's training rows and score its test rows.

    Parameters
    ----------
    folds : (train, test) row numbers, such as those of a purged walk-forward; test rows of all folds are distinct

    Raises
    ------
    InvalidInput : a row is in training and test of one fold, or is scored twice
    """
    table = check_features(X, missing_allowed=make().missing_allowed)
    labels = check_labels(y, len(table))
    odds = np.full(len(table), np.nan)
    fold = np.full(len(table), -1, dtype=np.int64)
    for number, (train, test) in enumerate(folds):
        fitted_on, scored = np.asarray(train, dtype=np.int64), np.asarray(test, dtype=np.int64)
        if np.intersect1d(fitted_on, scored).size:
            raise InvalidInput(f"expected training and test rows of fold {number} to be distinct")
        if (fold[scored] >= 0).any():
            raise InvalidInput(f"expected each row to be scored once, found rows of fold {number} scored before")
        odds[scored] = make().fit(table[fitted_on], labels[fitted_on]).predict(table[scored])
        fold[scored] = number
    return OutOfFold(name, odds, fold, _MADE_HERE)


class Stacker:
    """Ridge logistic over the log-odds of several models.

    Parameters
    ----------
    l2 : ridge strength
    """

    def __init__(self, l2: float = 1.0) -> None:
        self.blend = Logistic(l2)
        self.names: tuple[str, ...] = ()

    def fit(self, inputs: Sequence[OutOfFold], y: ArrayLike) -> Stacker:
        """Learn from the rows that every model scored out of fold.

        Raises
        ------
        InvalidInput : something else than `OutOfFold`, rows scored in different folds, or no common row
        """
        if not inputs or not all(isinstance(item, OutOfFold) for item in inputs):
            raise InvalidInput("expected out-of-fold odds of at least one model; in-sample odds are refused")
        if any(not np.array_equal(item.fold, inputs[0].fold) for item in inputs):
            raise InvalidInput("expected all models to be scored on the same folds")
        rows = inputs[0].fold >= 0
        labels = np.asarray(y, dtype=np.float64)
        if labels.shape != rows.shape or not rows.any():
            raise InvalidInput(f"expected {len(rows)} labels and at least one scored row, found {labels.shape}")
        self.blend.fit(_log_odds([item.odds[rows] for item in inputs]), labels[rows])
        self.names = tuple(item.name for item in inputs)
        return self

    def predict(self, odds: Mapping[str, ArrayLike]) -> Floats:
        """Blended P(y = 1) from each model's odds (m,) on new rows, by name."""
        if not self.names:
            raise not_fitted(self)
        if set(odds) != set(self.names):
            raise InvalidInput(f"expected odds of {', '.join(self.names)}, found {', '.join(odds)}")
        return self.blend.predict(_log_odds([np.asarray(odds[name], dtype=np.float64) for name in self.names]))

    def parameters(self) -> dict[str, Any]:
        """All that `predict` needs, as JSON types."""
        return {"names": list(self.names), "blend": self.blend.parameters()}

    @property
    def hash(self) -> str:
        """SHA-256 of the parameters."""
        return digest({"kind": "stacker", "parameters": self.parameters()})


def _log_odds(columns: Sequence[Floats]) -> Floats:
    p = np.clip(np.column_stack(columns), _EDGE, 1.0 - _EDGE)
    out: Floats = np.log(p / (1.0 - p))
    return out
