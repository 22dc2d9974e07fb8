"""Gradient-boosted trees (LightGBM) for odds, set in advance for noisy financial data.

Small trees, slow learning, large leaves and a strong ridge: 100 rounds of 7 leaves at rate 0.05, at least 100 rows a
leaf, 70 % of the columns a tree, lambda 10, 31 bins. Chosen beforehand and not tuned (the bins for speed).
NaN in X is a covariate that is not known; LightGBM learns which side of a split such rows go to. One thread and
`deterministic`: equal seeds give equal models. With held-out rows (`early_stop`) only the rounds up to their best log
loss are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, check_weights, not_fitted
from fieldcast.models.early_stop import HeldOut, check_held_out

if TYPE_CHECKING:
    from lightgbm import Booster

_EDGE = 1e-9
SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "feature_fraction": 0.7,
    "lambda_l2": 10.0,
    "max_bin": 31,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class BoostedTrees(OddsModel):
    """LightGBM's binary objective.

    Parameters
    ----------
    rounds : trees, 1 to 1000
    leaves : leaves a tree, 2 to 255
    seed : of the column sampling
    learning_rate : shrinkage a tree, in (0, 1]
    min_rows_in_leaf : at least so many training rows in each leaf
    """

    kind: ClassVar[str] = "boosted_trees"
    missing_allowed: ClassVar[bool] = True

    def __init__(
        self,
        rounds: int = 100,
        leaves: int = 7,
        seed: int = 0,
        *,
        learning_rate: float = 0.05,
        min_rows_in_leaf: int = 100,
    ) -> None:
        if not 1 <= rounds <= 1000 or not 2 <= leaves <= 255 or min_rows_in_leaf < 1:
            raise InvalidInput(
                f"expected 1..1000 rounds, 2..255 leaves and min_rows_in_leaf >= 1, found {rounds}, {leaves}, "
                f"{min_rows_in_leaf}"
            )
        if not 0.0 < learning_rate <= 1.0:
            raise InvalidInput(f"expected a learning rate in (0, 1], found {learning_rate}")
        self.rounds, self.leaves, self.seed = int(rounds), int(leaves), int(seed)
        self.learning_rate, self.min_rows_in_leaf = float(learning_rate), int(min_rows_in_leaf)
        self.rows = 0
        self.kept: int | None = None  # rounds up to the best one, where held-out rows chose it
        self._booster: Booster | None = None
        self._text: str | None = None  # LightGBM's own format, made when it is first asked for

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, held_out: HeldOut | None = None
    ) -> Self:
        """Fit; with `held_out` rows (later in time, chosen by the caller) keep the rounds up to their best log loss, in which
        each of them counts the same."""
        import lightgbm

        table = check_features(X, missing_allowed=True)
        labels = check_labels(y, len(table))
        settings = SETTINGS | {
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_rows_in_leaf,
            "seed": self.seed,
        }
        counted = check_weights(weights, len(table))
        if held_out is None:
            # `lightgbm.train` would copy its settings, ask its callbacks at every round, and write and read the model to drop its
            # data; `label=` would look for every kind of data frame first. The rounds themselves give the same model, and its
            # text is made once, where it is asked for
            data = lightgbm.Dataset(table, weight=counted, params=settings).construct()
            data.set_field("label", labels.astype(np.float32))
            grown = lightgbm.Booster(settings | {"num_iterations": self.rounds}, data)
            for _ in range(self.rounds):
                grown.update()
            self._booster, self._text = grown.free_dataset(), None
            self.rows, self.kept = len(table), None
            return self
        data = lightgbm.Dataset(table, label=labels, weight=counted, params=settings)
        later, answers = check_held_out(held_out, table.shape[1])
        stop = lightgbm.early_stopping(held_out.patience, verbose=False)
        valid = lightgbm.Dataset(later, label=answers, reference=data, params=settings)
        watched = settings | {"metric": "binary_logloss"}
        grown = lightgbm.train(watched, data, num_boost_round=self.rounds, valid_sets=[valid], callbacks=[stop])
        self.rows, self.kept = len(table), int(grown.best_iteration)
        self._text = str(grown.model_to_string(num_iteration=self.kept))  # the best iteration restored
        self._booster = lightgbm.Booster(model_str=self._text)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if self._booster is None:
            raise not_fitted(self)
        table = check_features(X, missing_allowed=True, columns=self._booster.num_feature())
        if len(table) == 0:
            return np.empty(0)
        found = np.asarray(self._booster.predict(table, num_threads=1), dtype=np.float64)
        return np.minimum(np.maximum(found, _EDGE), 1.0 - _EDGE)

    def parameters(self) -> dict[str, Any]:
        if self._booster is None:
            raise not_fitted(self)
        if self._text is None:
            self._text = str(self._booster.model_to_string())
        return {
            "rounds": self.rounds,
            "leaves": self.leaves,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "min_rows_in_leaf": self.min_rows_in_leaf,
            "rows": self.rows,
            **({} if self.kept is None else {"kept": self.kept}),  # a fit without held-out rows keeps its old hash
            "booster": self._text,
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        import lightgbm

        model = cls(
            rounds=int(parameters["rounds"]),
            leaves=int(parameters["leaves"]),
            seed=int(parameters["seed"]),
            learning_rate=float(parameters["learning_rate"]),
            min_rows_in_leaf=int(parameters["min_rows_in_leaf"]),
        )
        model.rows = int(parameters["rows"])
        model.kept = int(parameters["kept"]) if "kept" in parameters else None
        try:
            model._text = str(parameters["booster"])
            model._booster = lightgbm.Booster(model_str=model._text)
        except lightgbm.basic.LightGBMError as error:
            raise InvalidInput(f"expected LightGBM's text format, found {error}") from None
        return model
