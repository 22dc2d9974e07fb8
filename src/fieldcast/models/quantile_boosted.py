"""Quantiles by gradient boosting: one LightGBM model a level, rearranged so that levels never cross.

    minimise  sum_i  max( a (y_i - q_i), (a - 1) (y_i - q_i) )          pinball loss at level a (Koenker and Bassett 1978)
    q(a_1) <= ... <= q(a_L)  by sorting                                 (Chernozhukov, Fernandez-Val and Galichon 2010:
                                                                         sorting never raises the pinball loss)

Sorted quantiles may still be equal; a billionth of the training target's standard deviation times the level's place is
added, so that they are strictly ordered. y is in whatever unit the caller gives, and so are the quantiles: a return
divided by a volatility forecast makes the easier task.

A contract of its own beside `OddsModel`: (n, p) → (n, L). Set in advance as in `boosted`: 100 rounds, 7 leaves, rate
0.05, 100 rows a leaf. One thread; equal seeds give equal models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput, digest
from fieldcast.models.boosted import SETTINGS
from fieldcast.models.contract import Floats, check_features, check_weights, not_fitted

if TYPE_CHECKING:
    from lightgbm import Booster

_APART = 1e-9  # of the training target's standard deviation, between neighbouring levels


class QuantileModel(ABC):
    """A learner of the quantiles of y given x at fixed levels."""

    kind: ClassVar[str]
    levels: tuple[float, ...]

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        """Learn from rows X (n, p) and real targets y (n,); returns the model itself.

        Parameters
        ----------
        weights : (n,) above zero with mean 1, how much each row counts; None = all the same

        Raises
        ------
        InvalidInput : wrong shapes, a target that is not finite or never changes, or weights that are not above zero with mean 1
        """

    @abstractmethod
    def predict(self, X: ArrayLike) -> Floats:
        """Quantiles (n, L) of each row of X (n, p), strictly ascending along each row, in the unit of y."""

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
        """Write the model as JSON with a manifest of SHA-256 sums; returns `hash`. Read it with `load_quantile_model`."""
        from fieldcast.models.store import save_model

        return save_model(self, directory)


class QuantileBoosted(QuantileModel):
    """LightGBM's quantile objective at each level.

    Parameters
    ----------
    levels : ascending, inside (0, 1)
    rounds : trees a level, 1 to 1000
    leaves : leaves a tree, 2 to 255
    seed : of the column sampling
    learning_rate : shrinkage a tree, in (0, 1]
    min_rows_in_leaf : at least so many training rows in each leaf
    """

    kind: ClassVar[str] = "quantile_boosted"

    def __init__(
        self,
        levels: Sequence[float] = (0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95),
        rounds: int = 100,
        leaves: int = 7,
        seed: int = 0,
        *,
        learning_rate: float = 0.05,
        min_rows_in_leaf: int = 100,
    ) -> None:
        found = tuple(float(level) for level in levels)
        if not found or any(not 0.0 < level < 1.0 for level in found) or list(found) != sorted(set(found)):
            raise InvalidInput(f"expected ascending quantile levels inside (0, 1), found {found}")
        if not 1 <= rounds <= 1000 or not 2 <= leaves <= 255 or min_rows_in_leaf < 1 or not 0.0 < learning_rate <= 1.0:
            raise InvalidInput(
                f"expected 1..1000 rounds, 2..255 leaves, min_rows_in_leaf >= 1 and a learning rate in (0, 1], found "
                f"{rounds}, {leaves}, {min_rows_in_leaf}, {learning_rate}"
            )
        self.levels, self.rounds, self.leaves, self.seed = found, int(rounds), int(leaves), int(seed)
        self.learning_rate, self.min_rows_in_leaf = float(learning_rate), int(min_rows_in_leaf)
        self.rows = 0
        self.scale = float("nan")  # standard deviation of the training target
        self._texts: tuple[str, ...] = ()
        self._boosters: tuple[Booster, ...] = ()

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        import lightgbm

        table = check_features(X, missing_allowed=True)
        target = np.asarray(y, dtype=np.float64)
        if target.shape != (len(table),) or not len(table) or not np.isfinite(target).all():
            raise InvalidInput(f"expected {len(table)} finite targets, one a row of X, found shape {target.shape} or NaN")
        scale = float(target.std())
        if not scale > 0.0:
            raise InvalidInput(f"expected targets that differ, found {len(target)} times {target[0]}: nothing to learn")
        counted = check_weights(weights, len(table))
        texts = []
        for level in self.levels:
            settings = SETTINGS | {
                "objective": "quantile",
                "alpha": level,
                "num_leaves": self.leaves,
                "learning_rate": self.learning_rate,
                "min_data_in_leaf": self.min_rows_in_leaf,
                "seed": self.seed,
            }
            data = lightgbm.Dataset(table, label=target / scale, weight=counted, params=settings)
            texts.append(str(lightgbm.train(settings, data, num_boost_round=self.rounds).model_to_string()))
        self._read(texts)
        self.rows, self.scale = len(table), scale
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if not self._boosters:
            raise not_fitted(self)
        table = check_features(X, missing_allowed=True, columns=self._boosters[0].num_feature())
        if not len(table):
            return np.empty((0, len(self.levels)))
        raw = np.column_stack([np.asarray(part.predict(table, num_threads=1), dtype=np.float64) for part in self._boosters])
        return rearranged(raw, apart=_APART) * self.scale

    def parameters(self) -> dict[str, Any]:
        if not self._boosters:
            raise not_fitted(self)
        return {
            "levels": list(self.levels),
            "rounds": self.rounds,
            "leaves": self.leaves,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "min_rows_in_leaf": self.min_rows_in_leaf,
            "rows": self.rows,
            "scale": self.scale,
            "boosters": list(self._texts),
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls(
            parameters["levels"],
            int(parameters["rounds"]),
            int(parameters["leaves"]),
            int(parameters["seed"]),
            learning_rate=float(parameters["learning_rate"]),
            min_rows_in_leaf=int(parameters["min_rows_in_leaf"]),
        )
        model.rows, model.scale = int(parameters["rows"]), float(parameters["scale"])
        texts = [str(text) for text in parameters["boosters"]]
        if len(texts) != len(model.levels):
            raise InvalidInput(f"expected one booster for each of {len(model.levels)} levels, found {len(texts)}")
        model._read(texts)
        return model

    def _read(self, texts: Sequence[str]) -> None:
        import lightgbm

        try:
            self._boosters = tuple(lightgbm.Booster(model_str=text) for text in texts)
        except lightgbm.basic.LightGBMError as error:
            raise InvalidInput(f"expected LightGBM's text format, found {error}") from None
        self._texts = tuple(texts)


def rearranged(quantiles: ArrayLike, *, apart: float) -> Floats:
    """(n, L) quantiles sorted along each row, neighbours at least `apart` (in their unit) from each other."""
    q = np.sort(np.asarray(quantiles, dtype=np.float64), axis=1)
    if not np.isfinite(q).all() or not apart > 0.0:
        raise InvalidInput("expected finite quantiles and a distance above 0")
    ordered: Floats = q + apart * np.arange(q.shape[1])
    return ordered
