"""The contract of every odds model.

    fit(X, y, weights) -> self X (n, p), y (n,) of 0 and 1, weights (n,) above zero with mean 1, or none
    predict(X) -> (n,)         P(y = 1), strictly between 0 and 1
    parameters() -> dict       everything that predict needs, as JSON types; `hash` is its digest

A model knows nothing of time: which rows it may see is the caller's walk-forward split. A weight says how much a row counts
in what the fit minimises; with mean 1 a penalty keeps its strength. `features.weights` makes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput, digest

Floats = NDArray[np.float64]
_MEAN_ONE = 1e-6  # how far the mean of weights may be from 1: a selection of weighted rows has to be scaled anew


class OddsModel(ABC):
    """A learner of P(y = 1 | x)."""

    kind: ClassVar[str]
    missing_allowed: ClassVar[bool] = False  # True where NaN in X means "this covariate is not known"

    @property
    def name(self) -> str:
        """What reports call this model."""
        return self.kind

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        """Learn from rows X (n, p) and labels y (n,); returns the model itself.

        Parameters
        ----------
        weights : (n,) above zero with mean 1, how much each row counts; None = all the same

        Raises
        ------
        InvalidInput : wrong shapes, labels other than 0 and 1, NaN or infinity where the model does not allow it, or weights
            that are not above zero with mean 1
        """

    @abstractmethod
    def predict(self, X: ArrayLike) -> Floats:
        """P(y = 1) of each row of X (n, p); (n,), strictly between 0 and 1.

        Raises
        ------
        InvalidInput : the model is not fitted, X has another number of columns, or NaN where it is not allowed
        """

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """All that `predict` needs, as JSON types."""

    @classmethod
    @abstractmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """The model that `parameters` describes."""

    @property
    def hash(self) -> str:
        """SHA-256 of kind and parameters: equal exactly when the models are."""
        return digest({"kind": self.kind, "parameters": self.parameters()})

    def save(self, directory: Path) -> str:
        """Write the model as JSON (and LightGBM text) with a manifest of SHA-256 sums; returns `hash`."""
        from fieldcast.models.store import save_model

        return save_model(self, directory)


def check_features(X: ArrayLike, *, missing_allowed: bool, columns: int | None = None) -> Floats:
    """X as float64 (n, p); refuses infinity always and NaN unless it may stand for a missing covariate."""
    table = np.asarray(X, dtype=np.float64)
    if table.ndim != 2:
        raise InvalidInput(f"expected features of shape (n, p), found {table.shape}; reshape to two dimensions")
    if columns is not None and table.shape[1] != columns:
        raise InvalidInput(f"expected {columns} feature columns as in the fit, found {table.shape[1]}")
    if missing_allowed:
        if np.isinf(table).any():
            raise InvalidInput("expected finite features or NaN for a missing one, found an infinity")
    elif not np.isfinite(table).all():
        bad = sorted(int(i) for i in np.flatnonzero(~np.isfinite(table).all(axis=0)))
        raise InvalidInput(f"expected finite features, found NaN or infinity in columns {bad}; drop those rows")
    return table


def check_labels(y: ArrayLike, rows: int, *, both_classes: bool = True) -> Floats:
    """y as float64 (n,) of 0 and 1."""
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != (rows,):
        raise InvalidInput(f"expected {rows} labels, one a row of X, found shape {labels.shape}")
    if rows == 0:
        raise InvalidInput("expected at least one row to fit, found none")
    ones = labels == 1.0
    if not (ones | (labels == 0.0)).all():
        raise InvalidInput("expected labels 0 and 1 without NaN; drop rows whose label is not known")
    if both_classes and (ones.all() or not ones.any()):
        raise InvalidInput(f"expected both classes among {rows} labels, found only {int(labels[0])}; use BaseRate")
    return labels


def check_weights(weights: ArrayLike | None, rows: int) -> Floats | None:
    """Weights as float64 (n,), above zero with mean 1; None where there are none."""
    if weights is None:
        return None
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (rows,):
        raise InvalidInput(f"expected {rows} weights, one a row of X, found shape {given.shape}")
    if not np.isfinite(given).all() or (given <= 0).any() or abs(given.mean() - 1.0) > _MEAN_ONE:
        raise InvalidInput(
            f"expected weights above zero with mean 1, found {given.min():.3g} to {given.max():.3g}, mean "
            f"{given.mean():.6g}; use features.weights.scaled"
        )
    return given


def not_fitted(model: object) -> InvalidInput:
    """The error of a model that is asked before it has learned."""
    return InvalidInput(f"expected a fitted {type(model).__name__}, found one without parameters; call fit first")
