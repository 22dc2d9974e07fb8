"""Base rate: the share of ones in the training rows, whatever the features say.

    p = (k + 1/2) / (n + 1)        k ones among n labels, each counted as its weight says

The half (Krichevsky-Trofimov) keeps p inside (0, 1), so that its log loss is finite on any test row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.models.contract import Floats, OddsModel, check_labels, check_weights, not_fitted


class BaseRate(OddsModel):
    """The same odds for every row; the floor that any other model has to beat."""

    kind: ClassVar[str] = "base_rate"
    missing_allowed: ClassVar[bool] = True

    def __init__(self) -> None:
        self.rate: float | None = None
        self.rows = 0

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        rows = len(np.asarray(X))
        labels = check_labels(y, rows, both_classes=False)
        counted = check_weights(weights, rows)
        ones = labels.sum() if counted is None else labels @ counted
        self.rate = float((ones + 0.5) / (rows + 1.0))
        self.rows = rows
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if self.rate is None:
            raise not_fitted(self)
        return np.full(len(np.asarray(X)), self.rate)

    def parameters(self) -> dict[str, Any]:
        if self.rate is None:
            raise not_fitted(self)
        return {"rate": self.rate, "rows": self.rows}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls()
        model.rate, model.rows = float(parameters["rate"]), int(parameters["rows"])
        return model
