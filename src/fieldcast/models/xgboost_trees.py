"""Gradient-boosted trees by XGBoost, the second opinion beside LightGBM's (`boosted.BoostedTrees`).

Set in advance as those are: 100 rounds at rate 0.05 of trees of depth 3 (at most 8 leaves), a Hessian of at least 25
in each leaf (100 rows at even odds, since each row weighs p(1 - p)), 70 % of the columns a tree, lambda 10, 31 bins.
NaN in X is a covariate that is not known; XGBoost learns a side for it at each split. One thread; equal seeds give
equal models. Saved as XGBoost's own JSON.

XGBoost is an extra: it is imported at the first fit or load. Source: Chen and Guestrin 2016.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import ConfigError, InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, check_weights, not_fitted
from fieldcast.models.early_stop import HeldOut, check_held_out

_EDGE = 1e-9
SETTINGS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "colsample_bytree": 0.7,
    "lambda": 10.0,
    "max_bin": 31,
    "min_child_weight": 25.0,
    "nthread": 1,
    "verbosity": 0,
}


class XGBoostTrees(OddsModel):
    """XGBoost's logistic objective.

    Parameters
    ----------
    rounds : trees, 1 to 1000
    depth : of a tree, 1 to 12
    seed : of the column sampling
    learning_rate : shrinkage a tree, in (0, 1]
    """

    kind: ClassVar[str] = "xgboost_trees"
    missing_allowed: ClassVar[bool] = True

    def __init__(self, rounds: int = 100, depth: int = 3, seed: int = 0, *, learning_rate: float = 0.05) -> None:
        if not 1 <= rounds <= 1000 or not 1 <= depth <= 12 or not 0 <= seed < 2**31:
            raise InvalidInput(f"expected 1..1000 rounds, depth 1..12 and a seed in [0, 2^31), found {rounds}, {depth}, {seed}")
        if not 0.0 < learning_rate <= 1.0:
            raise InvalidInput(f"expected a learning rate in (0, 1], found {learning_rate}")
        self.rounds, self.depth, self.seed, self.learning_rate = int(rounds), int(depth), int(seed), float(learning_rate)
        self.rows = 0
        self.kept: int | None = None  # rounds up to the best one, where held-out rows chose it
        self._booster: Any = None
        self._text = ""

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, held_out: HeldOut | None = None
    ) -> Self:
        """Fit; with `held_out` rows (later in time, chosen by the caller) keep the rounds up to their best log loss, in which
        each of them counts the same."""
        xgboost = _library()
        table = check_features(X, missing_allowed=True)
        labels = check_labels(y, len(table))
        settings = SETTINGS | {"max_depth": self.depth, "eta": self.learning_rate, "seed": self.seed}
        data = xgboost.DMatrix(table, label=labels, weight=check_weights(weights, len(table)), nthread=1)
        stop: dict[str, Any] = {}
        if held_out is not None:
            later, answers = check_held_out(held_out, table.shape[1])
            stop = {
                "evals": [(xgboost.DMatrix(later, label=answers, nthread=1), "held_out")],
                "early_stopping_rounds": held_out.patience,
                "verbose_eval": False,
            }
        booster = xgboost.train(settings, data, num_boost_round=self.rounds, **stop)
        self.kept = None if held_out is None else int(booster.best_iteration) + 1
        if self.kept is not None:
            booster = booster[: self.kept]  # the best iteration restored: later trees are dropped
        self._text = booster.save_raw("json").decode()
        self._booster, self.rows = _loaded(self._text), len(table)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if self._booster is None:
            raise not_fitted(self)
        table = check_features(X, missing_allowed=True, columns=int(self._booster.num_features()))
        if len(table) == 0:
            return np.empty(0)
        found = np.asarray(self._booster.predict(_library().DMatrix(table, nthread=1)), dtype=np.float64)
        return np.clip(found, _EDGE, 1.0 - _EDGE)

    def parameters(self) -> dict[str, Any]:
        if self._booster is None:
            raise not_fitted(self)
        return {
            "rounds": self.rounds,
            "depth": self.depth,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "rows": self.rows,
            "kept": self.kept,
            "booster": self._text,
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls(
            rounds=int(parameters["rounds"]),
            depth=int(parameters["depth"]),
            seed=int(parameters["seed"]),
            learning_rate=float(parameters["learning_rate"]),
        )
        model.rows = int(parameters["rows"])
        model.kept = None if parameters["kept"] is None else int(parameters["kept"])
        model._text = str(parameters["booster"])
        model._booster = _loaded(model._text)
        return model


def _library() -> Any:
    """XGBoost itself.

    Raises
    ------
    ConfigError : it is not installed
    """
    try:
        return import_module("xgboost")
    except ImportError:
        raise ConfigError(
            "expected xgboost for the model xgboost_trees, found it is not installed: pip install 'fieldcast[xgboost]'"
        ) from None


def _loaded(text: str) -> Any:
    """A booster from its JSON; both a fresh fit and a saved model predict with one that was read from it."""
    xgboost = _library()
    try:
        json.loads(text)
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(text.encode()))
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise InvalidInput(f"expected XGBoost's JSON, found {str(error).splitlines()[0]}") from None
    return booster
