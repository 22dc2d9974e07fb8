"""One model for each regime, and a pooled one where a regime cannot have its own.

The regime is a column of X: a whole number that stands for a label known at the decision (such as the strongest of the
regime field's memberships, or a VIX level). What makes it causal is the field that it comes from; a column of X that
is not a feature is never given to the models.

    P(y = 1 | x, r) = P_r(y = 1 | x)        where regime r has at least `minimum_rows` training rows and both classes
                    = P_pooled(y = 1 | x)   else, with the reason

Weights of rows are scaled to mean 1 within each regime. The pooled model is fitted on all rows. Few rows a regime make a poor
model, so the fallback is the rule and not the exception: `answered_by` says for each row which model spoke, and `fallback` why a
regime has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, check_weights, not_fitted

POOLED = "pooled"
NOT_SEEN, NOT_KNOWN = "the regime did not occur in training", "the regime is not known"


class PerRegime(OddsModel):
    """A model a regime, with a pooled fallback.

    Parameters
    ----------
    base : kind of the models, such as `logistic` or `boosted_trees`
    settings : of each of them, as its class takes them
    regime_column : place of the regime's code in X; -1 is the last column. NaN there: the regime is not known
    minimum_rows : training rows below which a regime gets no model of its own
    """

    kind: ClassVar[str] = "per_regime"
    missing_allowed: ClassVar[bool] = True  # in the regime's column; elsewhere the base decides

    def __init__(
        self,
        base: str = "logistic",
        settings: Mapping[str, Any] | None = None,
        *,
        regime_column: int = -1,
        minimum_rows: int = 250,
    ) -> None:
        if base == self.kind or minimum_rows < 1:
            raise InvalidInput(f"expected a base that is no {self.kind} and minimum_rows >= 1, found {base}, {minimum_rows}")
        self.base, self.settings = base, dict(settings or {})
        self.regime_column, self.minimum_rows = int(regime_column), int(minimum_rows)
        self._new()  # refuses an unknown base or setting now, not at the fit
        self.pooled: OddsModel | None = None
        self.models: dict[int, OddsModel] = {}
        self.fallback: dict[int, str] = {}  # regime → why it has no model of its own

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        table, regime = self._parts(X)
        labels = check_labels(y, len(table))
        counted = check_weights(weights, len(table))
        pooled = self._new().fit(table, labels, weights=counted)
        models: dict[int, OddsModel] = {}
        fallback: dict[int, str] = {}
        for code in (int(value) for value in np.unique(regime[np.isfinite(regime)])):
            rows = regime == code
            count = int(rows.sum())
            if count < self.minimum_rows:
                fallback[code] = f"{count} training rows, fewer than {self.minimum_rows}"
            elif np.ptp(labels[rows]) == 0.0:
                fallback[code] = f"one class among {count} training rows"
            else:
                own = None if counted is None else counted[rows] / counted[rows].mean()
                models[code] = self._new().fit(table[rows], labels[rows], weights=own)
        self.pooled, self.models, self.fallback = pooled, models, fallback
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if self.pooled is None:
            raise not_fitted(self)
        table, regime = self._parts(X)
        odds = self.pooled.predict(table)
        for code, model in self.models.items():
            rows = regime == code
            if rows.any():
                odds[rows] = model.predict(table[rows])
        return odds

    def answered_by(self, X: ArrayLike) -> list[str]:
        """Which model answers each row of X: `regime 2`, or `pooled (why)`; (n,)."""
        if self.pooled is None:
            raise not_fitted(self)
        _, regime = self._parts(X)
        return [self._spokesman(code) for code in regime]

    def _spokesman(self, code: float) -> str:
        if np.isnan(code):
            return f"{POOLED} ({NOT_KNOWN})"
        if int(code) in self.models:
            return f"regime {int(code)}"
        return f"{POOLED} ({self.fallback.get(int(code), NOT_SEEN)})"

    def _new(self) -> OddsModel:
        from fieldcast.models.store import model_kinds

        kinds = model_kinds()
        if self.base not in kinds:
            raise InvalidInput(f"expected a base out of {', '.join(sorted(kinds))}, found {self.base!r}")
        try:
            return kinds[self.base](**self.settings)
        except TypeError as error:
            raise InvalidInput(f"expected settings of {self.base}, found {error}") from None

    def _parts(self, X: ArrayLike) -> tuple[Floats, Floats]:
        """Features without the regime's column, and the regimes (n,): whole numbers, NaN where not known."""
        whole = check_features(X, missing_allowed=True)
        columns = whole.shape[1]
        if not -columns <= self.regime_column < columns or columns < 2:
            raise InvalidInput(f"expected a regime in column {self.regime_column} beside features, found {columns} columns")
        regime: NDArray[np.float64] = whole[:, self.regime_column]
        known = regime[np.isfinite(regime)]
        if (known != np.floor(known)).any():
            raise InvalidInput(f"expected whole numbers as regimes in column {self.regime_column}, found others")
        return np.delete(whole, self.regime_column, axis=1), regime

    def parameters(self) -> dict[str, Any]:
        if self.pooled is None:
            raise not_fitted(self)
        return {
            "base": self.base,
            "settings": self.settings,
            "regime_column": self.regime_column,
            "minimum_rows": self.minimum_rows,
            "pooled": self.pooled.parameters(),
            "models": {str(code): model.parameters() for code, model in self.models.items()},
            "fallback": {str(code): reason for code, reason in self.fallback.items()},
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls(
            str(parameters["base"]),
            parameters["settings"],
            regime_column=int(parameters["regime_column"]),
            minimum_rows=int(parameters["minimum_rows"]),
        )
        kind = type(model._new())
        model.pooled = kind.from_parameters(parameters["pooled"])
        model.models = {int(code): kind.from_parameters(found) for code, found in parameters["models"].items()}
        model.fallback = {int(code): str(reason) for code, reason in parameters["fallback"].items()}
        return model


def strongest(memberships: ArrayLike) -> Floats:
    """Code of the regime with the largest membership: (n, k) → (n,), NaN where none is known or all are 0; the first at a tie."""
    table = np.asarray(memberships, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise InvalidInput(f"expected memberships of shape (n, k), found {table.shape}")
    known = np.isfinite(table).all(axis=1) & (np.where(np.isfinite(table), table, 0.0).max(axis=1) > 0.0)
    codes: Floats = np.where(known, np.argmax(np.where(np.isfinite(table), table, -np.inf), axis=1), np.nan)
    return codes
