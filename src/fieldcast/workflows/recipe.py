"""How one model is fitted on rows in time order, whoever asks: the final fit, a fold of the walk, a trial of a search.

    held out        the last rows, where the plan stops early; what is learned below is learned from the rows before them
    curation        which columns stay
    normaliser      centre and scale of those columns, frozen and kept with the model
    weights         how much each row counts; above zero with mean 1
    model           fitted on what these make of the rows

Everything is learned from the rows that were handed in, so a fold of a walk that hands in its training rows learns from those
alone. Where curation keeps no column the forecast is the base rate, and the bundle says so.

Balanced classes teach a model the odds of a world in which both are as frequent; what that moved the log odds by,
log(w_1 / w_0), is taken off again, so that odds mean what they say (King and Zeng 2001, prior correction).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.features import REGISTRY, normalise, weights
from fieldcast.ground import InvalidInput
from fieldcast.models import BaseRate, BoostedTrees, HeldOut, OddsModel, QuantileModel, XGBoostTrees
from fieldcast.models.bundle import Bundle
from fieldcast.models.curation import Curation, curate
from fieldcast.workflows.prepare import Array
from fieldcast.workflows.recipe_parts import CurationPart, EarlyStopPart, NormalisePart, WeightsPart

Stamps = NDArray[np.datetime64]
Rows = NDArray[np.intp] | slice


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows to learn from, in time order.

    Parameters
    ----------
    X : (n, p) features, finite
    y : (n,) targets, finite
    decision, label_end : (n,) when each label begins to run, and when its answer was known
    sigma : (n,) daily volatility known at each row; read where weights ask for it
    moments : (m,) ends of all bars, those between the rows included
    horizon : bars that a label runs on for
    """

    X: Array
    y: Array
    decision: Stamps
    label_end: Stamps
    sigma: Array
    moments: Stamps
    horizon: int

    def at(self, rows: Rows) -> Examples:
        """The same for some of the rows."""
        own = {name: getattr(self, name)[rows] for name in ("X", "y", "decision", "label_end", "sigma")}
        return replace(self, **own)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a recipe made.

    Parameters
    ----------
    bundle : the model with its columns and its normaliser
    held_out : rows that were kept for the early stop
    curation : what was found of each column; None where the recipe does not curate
    weights : (n,) of the rows fitted on, above zero with mean 1; None where all count the same
    """

    bundle: Bundle
    held_out: int
    curation: Curation | None
    weights: Array | None

    def as_dict(self) -> dict[str, Any]:
        """What a record of a training says of it, as JSON types."""
        found: dict[str, Any] = {}
        if self.curation is not None:
            found["curation"] = {
                "kept": list(self.curation.kept),
                "removed": {name: str(why) for name, why in self.curation.removed.items()},
                "effective_rows": self.curation.effective_rows,
            }
        if self.weights is not None:
            found["weights"] = {
                "least": float(self.weights.min()),
                "most": float(self.weights.max()),
                "effective_rows": float(self.weights.sum() ** 2 / (self.weights**2).sum()),
            }
        return found


@dataclass(frozen=True)
class Recipe:
    """The parts of a plan that decide a fit; `columns` name those of X."""

    columns: tuple[str, ...]
    seed: int
    early_stop: EarlyStopPart | None = None
    weights: WeightsPart | None = None
    normalise: NormalisePart | None = None
    curation: CurationPart | None = None

    def fit(self, model: OddsModel, examples: Examples) -> Fitted:
        """Fit an unfitted model of odds; labels are 0 and 1.

        The held-out rows are the last ones; a row before them whose label had not ended by the first of their decisions
        is dropped.

        Raises
        ------
        ShortHistory : fewer than 60 rows would be held out
        InvalidInput : one class among the rows fitted on, or among those held out; weights that cannot be made
        """
        learned, later = self._parted(examples)
        curation = None
        if self.curation is not None:
            curation = curate(
                learned.X,
                learned.y,
                self.columns,
                np.arange(len(learned.y)),
                gap=learned.horizon,
                seed=self.seed,
                rules=self.curation.rules(),
                runs=(learned.decision, learned.label_end, learned.moments),
            )
        bundle = self._shell(model, learned, None if curation is None else curation.kept)
        counted = self._weights(learned, odds=True)
        inputs = bundle.inputs(learned.X)
        if bundle.kept == ():
            bundle = replace(bundle, model=BaseRate().fit(inputs, learned.y, weights=counted))
        elif later is None:
            model.fit(inputs, learned.y, weights=counted)
        else:
            assert self.early_stop is not None
            assert isinstance(model, BoostedTrees | XGBoostTrees)
            held = HeldOut(bundle.inputs(later.X), later.y, self.early_stop.patience)
            model.fit(inputs, learned.y, weights=counted, held_out=held)
        moved = -self._balance_shift(learned.y)
        return Fitted(replace(bundle, log_odds_shift=moved), 0 if later is None else len(later.y), curation, counted)

    def fit_quantiles(self, model: QuantileModel, examples: Examples) -> Fitted:
        """Fit an unfitted model of quantiles; targets are real numbers. Nothing is held out, and no column is curated."""
        bundle = self._shell(model, examples, None)
        counted = self._weights(examples, odds=False)
        model.fit(bundle.inputs(examples.X), examples.y, weights=counted)
        return Fitted(bundle, 0, None, counted)

    def _parted(self, examples: Examples) -> tuple[Examples, Examples | None]:
        """The rows to learn from, and those held out after them."""
        if self.early_stop is None:
            return examples, None
        cut = round(len(examples.y) * (1.0 - self.early_stop.share))
        fitted = np.arange(cut)
        if cut < len(examples.y):
            fitted = fitted[examples.label_end[:cut] <= examples.decision[cut]]
        return examples.at(fitted), examples.at(slice(cut, None))

    def _shell(self, model: OddsModel | QuantileModel, learned: Examples, kept: tuple[str, ...] | None) -> Bundle:
        """The unfitted model with its columns and the normaliser of these rows."""
        normaliser = None
        seen = self.columns if kept is None else kept
        if self.normalise is not None and seen:
            table = learned.X[:, [self.columns.index(name) for name in seen]]
            bounded = [name for name in seen if self.normalise.keep_bounded and _bounded(name)]
            normaliser = normalise.fit(self.normalise.kind, table, seen, np.arange(len(table)), bounded=bounded)
        return Bundle(model, self.columns, normaliser, kept=kept)

    def _weights(self, learned: Examples, *, odds: bool) -> Array | None:
        """Weights of these rows by the rows themselves."""
        part = self.weights
        if part is None:
            return None
        made: list[Array] = []
        if part.uniqueness:
            made.append(weights.uniqueness(learned.decision, learned.label_end, moments=learned.moments))
        if part.half_life is not None:
            age = np.searchsorted(learned.moments, learned.decision[-1]) - np.searchsorted(learned.moments, learned.decision)
            made.append(weights.time_decay(age, part.half_life))
        if part.volatility:
            made.append(weights.volatility(learned.sigma))
        if part.energy is not None:
            values = learned.X[:, self.columns.index(part.energy.column)]
            try:
                made.append(weights.energy(values, part.energy.power))
            except InvalidInput as error:
                raise InvalidInput(f"weights by the energy in {part.energy.column}: {error}") from None
        if odds and part.balance is not None:
            made.append(weights.balance(learned.y, part.balance))
        return weights.combined(*made) if made else None

    def _balance_shift(self, y: Array) -> float:
        """log(w_1 / w_0) of the class weights."""
        if self.weights is None or self.weights.balance is None:
            return 0.0
        balanced = weights.balance(y, self.weights.balance)
        return float(np.log(balanced[y == 1.0][0] / balanced[y == 0.0][0]))


def _bounded(name: str) -> bool:
    column = REGISTRY[name]
    return column.low is not None and column.high is not None
