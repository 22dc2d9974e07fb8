"""Maps from a model's own odds to odds that happen.

With s = log(p / (1 - p)) of the model's probability p, fitted on rows that the model has not learned from:

    temperature   q = sigmoid(s / T),  T > 0                              1 parameter
    Platt         q = sigmoid(a s + b),  a >= 0                           2, on Platt's smoothed targets
    beta          q = sigmoid(a log p - b log(1 - p) + c),  a, b >= 0     3
    isotonic      the non-decreasing step fit, each step by Laplace's rule, linear between its steps
    Venn-Abers    q = p1 / (1 - p0 + p1) of the two isotonic fits that add the new row as 0 and as 1

None may reverse the model's ranking: a negative slope on a small block is noise, and then the map is the block's base
rate. Outputs stay inside [1/(n+2), 1 - 1/(n+2)] for n rows of the block: no sample of n rows can support bolder odds.
Among several, the one with the least held-out log loss inside the block is chosen (contiguous folds, with a gap for
labels that overlap) and fitted again on the whole block.
Sources: Platt 1999; Zadrozny and Elkan 2002; Kull, Silva Filho and Flach 2017; Guo et al. 2017; Vovk and Petej 2014.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput, digest

Floats = NDArray[np.float64]

_INPUT_EDGE = 1e-9  # model odds are clipped here before the logit
_RIDGE = 1e-9
_STEPS = 100
MINIMUM_ROWS = 20


class Calibrator(ABC):
    """A non-decreasing map from a model's odds to calibrated odds."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        self.rows = 0

    def fit(self, p: ArrayLike, y: ArrayLike) -> Self:
        """Learn from the model's odds p (n,) and labels y (n,) of 0 and 1 on rows that the model was not fitted on.

        Raises
        ------
        InvalidInput : shapes differ, fewer than 20 rows, odds outside [0, 1], labels other than 0 and 1
        """
        return self.learn(*checked_block(p, y))

    def learn(self, odds: Floats, labels: Floats) -> Self:
        """`fit` of rows that have been checked.

        Raises
        ------
        InvalidInput : fewer than 20 of them
        """
        _check_count(len(odds))
        self.rows = len(odds)
        self._fit(odds, labels)
        return self

    def predict(self, p: ArrayLike) -> Floats:
        """Calibrated odds (m,) of the model's odds p (m,)."""
        if self.rows == 0:
            raise InvalidInput(f"expected a fitted {type(self).__name__}, found none; call fit first")
        return self.answer(_odds(p))

    def answer(self, odds: Floats) -> Floats:
        """`predict` of odds that have been checked."""
        edge = 1.0 / (self.rows + 2.0)
        return np.minimum(np.maximum(self._map(odds), edge), 1.0 - edge)

    @abstractmethod
    def _fit(self, p: Floats, y: Floats) -> None: ...

    @abstractmethod
    def _map(self, p: Floats) -> Floats: ...

    @abstractmethod
    def _values(self) -> dict[str, Any]: ...

    @abstractmethod
    def _restore(self, values: Mapping[str, Any]) -> None: ...

    def parameters(self) -> dict[str, Any]:
        """All that `predict` needs, as JSON types."""
        return {"kind": self.kind, "rows": self.rows} | self._values()

    @property
    def hash(self) -> str:
        """SHA-256 of the parameters."""
        return digest(self.parameters())


class Temperature(Calibrator):
    """One slope on the log-odds, no shift."""

    kind: ClassVar[str] = "temperature"

    def __init__(self) -> None:
        super().__init__()
        self.slope = 1.0  # 1 / T

    def _fit(self, p: Floats, y: Floats) -> None:
        weights = _newton(_logit(p)[:, None], y, np.ones(1))
        self.slope = max(float(weights[0]), 0.0)

    def _map(self, p: Floats) -> Floats:
        return _sigmoid(self.slope * _logit(p))

    def _values(self) -> dict[str, Any]:
        return {"slope": self.slope}

    def _restore(self, values: Mapping[str, Any]) -> None:
        self.slope = float(values["slope"])


class Platt(Calibrator):
    """Slope and shift on the log-odds, fitted to Platt's smoothed targets (k + 1)/(k + 2) and 1/(m + 2)."""

    kind: ClassVar[str] = "platt"

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.shift = 1.0, 0.0

    def _fit(self, p: Floats, y: Floats) -> None:
        ones = y.sum()
        target = np.where(y == 1.0, (ones + 1.0) / (ones + 2.0), 1.0 / (len(y) - ones + 2.0))
        s = _logit(p)
        self.slope, self.shift = _line(s, target)

    def _map(self, p: Floats) -> Floats:
        return _sigmoid(self.slope * _logit(p) + self.shift)

    def _values(self) -> dict[str, Any]:
        return {"slope": self.slope, "shift": self.shift}

    def _restore(self, values: Mapping[str, Any]) -> None:
        self.slope, self.shift = float(values["slope"]), float(values["shift"])


class Beta(Calibrator):
    """Separate slopes for log p and -log(1 - p); a negative slope is dropped and the rest fitted again."""

    kind: ClassVar[str] = "beta"

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = 1.0, 1.0, 0.0

    def _fit(self, p: Floats, y: Floats) -> None:
        x, z = _log_sides(p)
        one = np.ones(len(y))
        a, b, c = (float(w) for w in _newton(np.column_stack([x, z, one]), y, np.array([1.0, 1.0, 0.0])))
        if a < 0.0 or b < 0.0:
            sides = (self._side(x, y, left=True), self._side(z, y, left=False))
            a, b, c = min(sides, key=lambda side: _loss_of(side, x, z, y))
        self.a, self.b, self.c = a, b, c

    @staticmethod
    def _side(column: Floats, y: Floats, *, left: bool) -> tuple[float, float, float]:
        slope, shift = _line(column, y)
        return (slope, 0.0, shift) if left else (0.0, slope, shift)

    def _map(self, p: Floats) -> Floats:
        x, z = _log_sides(p)
        return _sigmoid(self.a * x + self.b * z + self.c)

    def _values(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "c": self.c}

    def _restore(self, values: Mapping[str, Any]) -> None:
        self.a, self.b, self.c = float(values["a"]), float(values["b"]), float(values["c"])


class Isotonic(Calibrator):
    """Non-decreasing least-squares fit (pool adjacent violators), linear between its steps, flat beyond them.

    A step of n rows with k hits gives (k + 1) / (n + 2), Laplace's rule, pooled again where that breaks the order: the outer
    steps of a block often hold a handful of rows, and no handful can support odds near 0 or 1.
    """

    kind: ClassVar[str] = "isotonic"

    def __init__(self) -> None:
        super().__init__()
        self.x: Floats = np.empty(0)
        self.y: Floats = np.empty(0)

    def _fit(self, p: Floats, y: Floats) -> None:
        from fieldcast.projection._kernels_calibration import isotonic_steps

        self.x, self.y = isotonic_steps(p, y, np.argsort(p, kind="stable"))

    def _map(self, p: Floats) -> Floats:
        return np.interp(p, self.x, self.y)

    def _values(self) -> dict[str, Any]:
        return {"x": self.x.tolist(), "y": self.y.tolist()}

    def _restore(self, values: Mapping[str, Any]) -> None:
        self.x = np.asarray(values["x"], dtype=np.float64)
        self.y = np.asarray(values["y"], dtype=np.float64)


class VennAbers(Calibrator):
    """Inductive Venn-Abers: the new row is added once as 0 and once as 1, and the two answers are merged.

    Two isotonic fits for each gap between the block's scores that a new score falls into; keeps the block.
    """

    kind: ClassVar[str] = "venn_abers"

    def __init__(self) -> None:
        super().__init__()
        self.x: Floats = np.empty(0)
        self.mean: Floats = np.empty(0)
        self.weight: Floats = np.empty(0)

    def _fit(self, p: Floats, y: Floats) -> None:
        self.x, self.mean, self.weight = _pooled_ties(p, y)

    def interval(self, p: ArrayLike) -> Floats:
        """(m, 2) lower and upper odds p0 and p1 of each score."""
        odds = _odds(p)
        place = np.searchsorted(self.x, odds)
        tied = self.x[np.minimum(place, len(self.x) - 1)] == odds
        slots, where = np.unique(2 * place + tied, return_inverse=True)  # scores in one gap have one answer
        pairs = [[self._with(int(slot) // 2, bool(slot % 2), label) for label in (0.0, 1.0)] for slot in slots]
        return np.array(pairs).reshape(-1, 2)[where]

    def _with(self, at: int, tied: bool, label: float) -> float:
        """The isotonic fit at the new row, which stands before score number `at`, or beside it where they tie."""
        if tied:
            mean, weight = self.mean.copy(), self.weight.copy()
            mean[at] = (mean[at] * weight[at] + label) / (weight[at] + 1.0)
            weight[at] += 1.0
        else:
            mean, weight = np.insert(self.mean, at, label), np.insert(self.weight, at, 1.0)
        return float(_pav(mean, weight)[at])

    def _map(self, p: Floats) -> Floats:
        low, high = self.interval(p).T
        merged: Floats = high / (1.0 - low + high)
        return merged

    def _values(self) -> dict[str, Any]:
        return {"x": self.x.tolist(), "mean": self.mean.tolist(), "weight": self.weight.tolist()}

    def _restore(self, values: Mapping[str, Any]) -> None:
        self.x = np.asarray(values["x"], dtype=np.float64)
        self.mean = np.asarray(values["mean"], dtype=np.float64)
        self.weight = np.asarray(values["weight"], dtype=np.float64)


CALIBRATORS: Mapping[str, Callable[[], Calibrator]] = {
    "platt": Platt,
    "isotonic": Isotonic,
    "beta": Beta,
    "temperature": Temperature,
    "venn_abers": VennAbers,
}


def calibrator_from_parameters(parameters: Mapping[str, Any]) -> Calibrator:
    """The calibrator that `parameters` describes."""
    kind = str(parameters.get("kind"))
    if kind not in CALIBRATORS:
        raise InvalidInput(f"expected a calibrator out of {', '.join(CALIBRATORS)}, found {kind!r}")
    calibrator = CALIBRATORS[kind]()
    calibrator.rows = int(parameters["rows"])
    calibrator._restore(parameters)
    return calibrator


def _odds(p: ArrayLike) -> Floats:
    odds = np.asarray(p, dtype=np.float64)
    if odds.ndim != 1 or not ((odds >= 0.0) & (odds <= 1.0)).all():
        raise InvalidInput("expected a vector of probabilities in [0, 1] without NaN")
    return odds


def checked_block(p: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Odds (n,) and labels (n,) of a calibration block; errors as in `Calibrator.fit`."""
    odds, labels = _odds(p), np.asarray(y, dtype=np.float64)
    if labels.shape != odds.shape or not ((labels == 0.0) | (labels == 1.0)).all():
        raise InvalidInput(f"expected {len(odds)} labels of 0 and 1, found shape {labels.shape} or other values")
    _check_count(len(odds))
    return odds, labels


def _check_count(rows: int) -> None:
    if rows < MINIMUM_ROWS:
        raise InvalidInput(f"expected at least {MINIMUM_ROWS} rows to calibrate on, found {rows}")


def _logit(p: Floats) -> Floats:
    inside = np.minimum(np.maximum(p, _INPUT_EDGE), 1.0 - _INPUT_EDGE)
    out: Floats = np.log(inside / (1.0 - inside))
    return out


def _log_sides(p: Floats) -> tuple[Floats, Floats]:
    inside = np.clip(p, _INPUT_EDGE, 1.0 - _INPUT_EDGE)
    return np.log(inside), -np.log1p(-inside)


def _sigmoid(eta: Floats) -> Floats:
    out: Floats = 0.5 * (1.0 + np.tanh(0.5 * eta))
    return out


def _loss_of(weights: tuple[float, float, float], x: Floats, z: Floats, y: Floats) -> float:
    eta = weights[0] * x + weights[1] * z + weights[2]
    return float((np.logaddexp(0.0, eta) - y * eta).sum())


def _line(s: Floats, target: Floats) -> tuple[float, float]:
    """Slope >= 0 and shift of the logistic line through (s, target); targets may be fractions."""
    from fieldcast.projection._kernels_calibration import line

    slope, shift = line(s, target, _RIDGE * len(target), _STEPS)
    return float(slope), float(shift)


def _newton(A: Floats, y: Floats, start: Floats) -> Floats:
    """Few-parameter logistic fit by damped Newton steps; a tiny ridge keeps separable blocks finite."""
    from fieldcast.projection._kernels_calibration import newton

    weights: Floats = newton(np.ascontiguousarray(A), y, start.astype(np.float64), _RIDGE * len(y), _STEPS)
    return weights


def _pooled_ties(p: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores ascending, mean label and count of each."""
    x, where, count = np.unique(p, return_inverse=True, return_counts=True)
    weight = count.astype(np.float64)
    return x, np.bincount(where, weights=y) / weight, weight


def _pav(mean: Floats, weight: Floats) -> Floats:
    from scipy.optimize import isotonic_regression

    fitted: Floats = isotonic_regression(mean, weights=weight).x
    return fitted
