"""Logistic regression with a ridge on standardised columns.

    P(y = 1 | x) = 1 / (1 + exp(-(b + w . z))),   z = (x - mean) / sd        mean and sd of the training rows
    minimise  sum_i c_i [log(1 + exp(eta_i)) - y_i eta_i]  +  l2/2 |w|^2     the intercept b is free; c_i the row's weight, or 1

Solved by Newton's method with step halving. The Hessian is renewed only while the gradient does not shrink fast: near
even odds its weights p(1 - p) hardly move, and the chord steps cost a tenth of a full one. Same minimum as
scikit-learn's `LogisticRegression(C=1/l2)` on the standardised columns; weights of rows leave mean and sd as they are. A column
that is constant in training gets no weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, check_weights, not_fitted

_MAX_STEPS = 200
_GRADIENT_TOLERANCE = 1e-9  # largest absolute gradient, a row
_SLOW = 0.1  # a gradient that shrinks by less than tenfold asks for a new Hessian
_EDGE = 1e-12  # predictions stay this far from 0 and 1


def sigmoid(eta: Floats) -> Floats:
    """1 / (1 + exp(-eta)) without overflow."""
    half: Floats = 0.5 * (1.0 + np.tanh(0.5 * eta))
    return half


def _objective(eta: Floats, y: Floats, weights: Floats, l2: float, counted: Floats | None) -> float:
    penalty = 0.5 * l2 * (weights[1:] @ weights[1:])
    if counted is None:
        return float(np.logaddexp(0.0, eta).sum() - y @ eta + penalty)
    return float(counted @ (np.logaddexp(0.0, eta) - y * eta) + penalty)


def newton_ridge(A: Floats, y: Floats, l2: float, start: Floats, counted: Floats | None = None) -> tuple[Floats, int]:
    """Minimiser of the ridge logistic objective over the columns of A; the first is ones and free of the ridge.

    Parameters
    ----------
    counted : (n,) how much each row counts, with mean 1; None = all the same

    Returns
    -------
    weights (p + 1,), number of steps

    Raises
    ------
    InvalidInput : no minimum was found (columns without finite variance, or no ridge on separable data)
    """
    n, width = A.shape
    ridge = np.full(width, l2)
    ridge[0] = 0.0
    weights = start.copy()
    eta = A @ weights
    value = _objective(eta, y, weights, l2, counted)
    factor: Floats = np.empty((0, 0))
    fresh = False
    previous = np.inf
    for step in range(1, _MAX_STEPS + 1):
        p = sigmoid(eta)
        gradient = A.T @ (p - y if counted is None else counted * (p - y)) + ridge * weights
        size = float(np.abs(gradient).max())
        if size <= _GRADIENT_TOLERANCE * n:
            return weights, step
        if factor.size == 0 or size > _SLOW * previous:
            bend = p * (1.0 - p) if counted is None else counted * p * (1.0 - p)
            root = A * np.sqrt(np.maximum(bend, 1e-12))[:, None]
            hessian = root.T @ root
            hessian[np.diag_indices(width)] += ridge + 1e-12
            factor = np.linalg.inv(hessian).astype(np.float64)
            fresh = True
        direction = factor @ gradient
        previous, share = size, 1.0
        while True:
            trial = weights - share * direction
            trial_eta = A @ trial
            trial_value = _objective(trial_eta, y, trial, l2, counted)
            if trial_value <= value + 1e-12 * (1.0 + abs(value)):
                break
            share *= 0.5
            if share < 1e-8:
                if not fresh:
                    break
                raise InvalidInput(f"expected a fit to converge on {n} rows, found gradient {size:.1e}; raise l2")
        if share < 1e-8:  # a chord step that leads nowhere: try once more with a new Hessian
            factor, previous = np.empty((0, 0)), np.inf
            continue
        fresh = False
        if share < 1.0:
            previous = 0.0  # forces a new Hessian
        weights, eta, value = trial, trial_eta, trial_value
    raise InvalidInput(f"expected a logistic fit to converge in {_MAX_STEPS} steps on {n} rows; standardise or add l2")


class Logistic(OddsModel):
    """Ridge logistic regression; remembers the mean and sd of its training rows.

    Parameters
    ----------
    l2 : ridge strength on the standardised weights, > 0
    """

    kind: ClassVar[str] = "logistic"

    def __init__(self, l2: float = 1.0) -> None:
        if not (np.isfinite(l2) and l2 > 0):
            raise InvalidInput(f"expected a ridge l2 > 0, found {l2}")
        self.l2 = float(l2)
        self.mean: Floats | None = None
        self.scale: Floats | None = None
        self.weights: Floats | None = None  # intercept first, on standardised columns
        self.rows = 0
        self.steps = 0

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, start: Logistic | None = None) -> Self:
        """Fit; `start`, an earlier fit of the same columns, saves steps on the way to the same minimum."""
        table = check_features(X, missing_allowed=False)
        n, p = table.shape
        labels = check_labels(y, n)
        counted = check_weights(weights, n)
        mean = table.mean(axis=0)
        A = np.empty((n, p + 1))
        A[:, 0] = 1.0
        np.subtract(table, mean, out=A[:, 1:])
        sd = np.sqrt(np.einsum("ij,ij->j", A[:, 1:], A[:, 1:]) / n)
        flat = sd <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        scale = np.where(flat, 1.0, sd)
        A[:, 1:] /= scale
        A[:, 1:][:, flat] = 0.0
        rate = labels.mean() if counted is None else float(labels @ counted) / n
        first = np.zeros(p + 1)
        first[0] = np.log(rate / (1.0 - rate))
        if start is not None and start.weights is not None and start.scale is not None and start.mean is not None:
            if start.weights.shape != first.shape:
                raise InvalidInput(f"expected a start with {p} columns, found {len(start.weights) - 1}")
            slopes = start.weights[1:] / start.scale
            first = np.concatenate([[start.weights[0] + slopes @ (mean - start.mean)], slopes * scale])
            first[1:][flat] = 0.0
        self.weights, self.steps = newton_ridge(A, labels, self.l2, first, counted)
        self.weights[1:][flat] = 0.0
        self.mean, self.scale, self.rows = mean, scale, n
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if self.weights is None or self.mean is None or self.scale is None:
            raise not_fitted(self)
        table = check_features(X, missing_allowed=False, columns=len(self.mean))
        slopes = self.weights[1:] / self.scale
        eta = (np.ascontiguousarray(table - self.mean) * slopes).sum(axis=1) + self.weights[0]  # row by row, whoever is beside
        return np.clip(sigmoid(eta), _EDGE, 1.0 - _EDGE)

    def parameters(self) -> dict[str, Any]:
        if self.weights is None or self.mean is None or self.scale is None:
            raise not_fitted(self)
        return {
            "l2": self.l2,
            "rows": self.rows,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls._empty(parameters)
        model.mean = np.asarray(parameters["mean"], dtype=np.float64)
        model.scale = np.asarray(parameters["scale"], dtype=np.float64)
        model.weights = np.asarray(parameters["weights"], dtype=np.float64)
        model.rows = int(parameters["rows"])
        if not model.mean.shape == model.scale.shape == (len(model.weights) - 1,):
            raise InvalidInput("expected mean, scale and weights of one length in a logistic model")
        return model

    @classmethod
    def _empty(cls, parameters: Mapping[str, Any]) -> Self:
        return cls(l2=float(parameters["l2"]))


class VolatilityAnchor(Logistic):
    """What volatility alone knows of the odds: a logistic on log ATR %, and with log VIX where there is one.

    A threshold label such as "high reaches +1 %" is mostly volatility: a model that does not beat this anchor has found
    nothing else.

    Parameters
    ----------
    columns : names of the features, in the order of X's columns
    """

    kind: ClassVar[str] = "volatility_anchor"

    def __init__(self, columns: Sequence[str] = ("log_atr_pct",), l2: float = 1.0) -> None:
        super().__init__(l2)
        self.columns = tuple(columns)
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise InvalidInput(f"expected distinct column names for the anchor, found {self.columns}")

    @property
    def name(self) -> str:
        return f"{self.kind}[{'+'.join(self.columns)}]"

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, start: Logistic | None = None) -> Self:
        table = check_features(X, missing_allowed=False, columns=len(self.columns))
        return super().fit(table, y, weights=weights, start=start)

    def parameters(self) -> dict[str, Any]:
        return super().parameters() | {"columns": list(self.columns)}

    @classmethod
    def _empty(cls, parameters: Mapping[str, Any]) -> Self:
        return cls(columns=tuple(parameters["columns"]), l2=float(parameters["l2"]))
