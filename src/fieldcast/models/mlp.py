"""Multilayer perceptron: one hidden layer of rectified units on standardised columns, as a baseline.

    P(y = 1 | x) = sigmoid( relu(z W1 + b1) . w2 + b2 ),   z = (x - mean) / sd       mean and sd of the training rows
    minimise  mean log loss + alpha/2 (|W1|^2 + |w2|^2) / m                          Adam, batches of m = 256 rows

Fitted by scikit-learn's `MLPClassifier`, then taken over as plain arrays: a saved network is JSON. A fixed number of
passes and no early stop: scikit-learn's own would hold out rows at random, which in a time series lets the future
choose. z is kept within 10 standard deviations, so that one odd row cannot blow a prediction up. Set in advance and
not tuned: 16 units, 50 passes, alpha 1. One seed, one network.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, check_weights, not_fitted
from fieldcast.models.logistic import sigmoid

_EDGE = 1e-9
_FARTHEST = 10.0  # standard deviations
_BATCH = 256


class MultilayerPerceptron(OddsModel):
    """One hidden layer.

    Parameters
    ----------
    hidden : units, 1 to 512
    passes : over the training rows, 1 to 1000
    alpha : ridge strength, >= 0
    learning_rate : Adam's first step size, in (0, 1)
    seed : of the first weights and the order of the rows
    """

    kind: ClassVar[str] = "mlp"

    def __init__(
        self, hidden: int = 16, passes: int = 50, seed: int = 0, *, alpha: float = 1.0, learning_rate: float = 1e-3
    ) -> None:
        if not 1 <= hidden <= 512 or not 1 <= passes <= 1000 or not 0 <= seed < 2**32:
            raise InvalidInput(
                f"expected 1..512 hidden units, 1..1000 passes and a seed in [0, 2^32), found {hidden}, {passes}, {seed}"
            )
        if not (np.isfinite(alpha) and alpha >= 0) or not 0.0 < learning_rate < 1.0:
            raise InvalidInput(f"expected alpha >= 0 and a learning rate in (0, 1), found {alpha} and {learning_rate}")
        self.hidden, self.passes, self.seed = int(hidden), int(passes), int(seed)
        self.alpha, self.learning_rate = float(alpha), float(learning_rate)
        self.rows = 0
        self._arrays: dict[str, Floats] = {}

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        table = check_features(X, missing_allowed=False)
        labels = check_labels(y, len(table))
        mean, sd = table.mean(axis=0), table.std(axis=0)
        scale = np.where(sd <= 1e-12 * np.maximum(np.abs(mean), 1e-300), np.inf, sd)  # a flat column is always 0
        network = MLPClassifier(
            hidden_layer_sizes=(self.hidden,),
            activation="relu",
            solver="adam",
            alpha=self.alpha,
            learning_rate_init=self.learning_rate,
            batch_size=min(_BATCH, len(table)),
            max_iter=self.passes,
            tol=0.0,
            n_iter_no_change=self.passes + 1,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is the plan, not a limit
            network.fit(_standard(table, mean, scale), labels, sample_weight=check_weights(weights, len(table)))
        (first, second), (first_bias, second_bias) = network.coefs_, network.intercepts_
        if not all(np.isfinite(part).all() for part in (first, second, first_bias, second_bias)):
            raise InvalidInput(f"expected a fit of the mlp to stay finite on {len(table)} rows; lower its learning rate")
        self._arrays = {
            "mean": mean,
            "scale": np.where(np.isinf(scale), 0.0, scale),  # 0 in JSON: the column is not used
            "first": np.asarray(first, dtype=np.float64),
            "first_bias": np.asarray(first_bias, dtype=np.float64),
            "second": np.asarray(second, dtype=np.float64)[:, 0],
            "second_bias": np.asarray(second_bias, dtype=np.float64),
        }
        self.rows = len(table)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if not self._arrays:
            raise not_fitted(self)
        a = self._arrays
        table = check_features(X, missing_allowed=False, columns=len(a["mean"]))
        z = _standard(table, a["mean"], np.where(a["scale"] == 0.0, np.inf, a["scale"]))
        units = np.maximum(z @ a["first"] + a["first_bias"], 0.0)
        return np.clip(sigmoid(units @ a["second"] + a["second_bias"]), _EDGE, 1.0 - _EDGE)

    def parameters(self) -> dict[str, Any]:
        if not self._arrays:
            raise not_fitted(self)
        return {
            "hidden": self.hidden,
            "passes": self.passes,
            "seed": self.seed,
            "alpha": self.alpha,
            "learning_rate": self.learning_rate,
            "rows": self.rows,
            **{name: part.tolist() for name, part in self._arrays.items()},
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls(
            hidden=int(parameters["hidden"]),
            passes=int(parameters["passes"]),
            seed=int(parameters["seed"]),
            alpha=float(parameters["alpha"]),
            learning_rate=float(parameters["learning_rate"]),
        )
        model.rows = int(parameters["rows"])
        names = ("mean", "scale", "first", "first_bias", "second", "second_bias")
        model._arrays = {name: np.asarray(parameters[name], dtype=np.float64) for name in names}
        columns = len(model._arrays["mean"])
        shapes = ((columns,), (columns,), (columns, model.hidden), (model.hidden,), (model.hidden,), (1,))
        found = tuple(model._arrays[name].shape for name in names)
        if found != shapes:
            raise InvalidInput(f"expected an mlp with arrays of shapes {shapes}, found {found}")
        return model


def _standard(table: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.clip((table - mean) / scale, -_FARTHEST, _FARTHEST)
