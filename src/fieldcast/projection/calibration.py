"""Calibration of a model: the map that held-out rows of its own block prefer, tied to this very model.

Among several calibrators the one with the least held-out log loss inside the block is chosen (contiguous folds, with a gap for
labels that overlap) and fitted again on the whole block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import ConflictError, InvalidInput
from fieldcast.models import OddsModel
from fieldcast.projection.calibrators import CALIBRATORS, Calibrator, Floats, checked_block


@dataclass(frozen=True)
class Choice:
    """The chosen calibrator, fitted on the whole block, and the held-out log loss of every candidate."""

    calibrator: Calibrator
    held_out: Mapping[str, float]

    @property
    def name(self) -> str:
        """Name of the chosen method."""
        return self.calibrator.kind

    def apply(self, p: ArrayLike) -> Floats:
        """Calibrated odds (m,) of the model's odds p (m,)."""
        return self.calibrator.predict(p)


def choose_calibrator(
    p: ArrayLike,
    y: ArrayLike,
    *,
    methods: Sequence[str] = ("platt", "isotonic"),
    folds: int = 4,
    gap: int = 0,
) -> Choice:
    """Choose by held-out log loss inside the calibration block; the first of `methods` wins a tie.

    Parameters
    ----------
    p, y : (n,) the model's odds on the block and what happened, in time order
    methods : names out of `CALIBRATORS`
    folds : contiguous parts of the block; each is scored by a fit on the others
    gap : rows left out on both sides of the scored part; horizon - 1 for labels that overlap

    Raises
    ------
    InvalidInput : an unknown method, or too few rows to leave 20 for each fit
    """
    odds, labels = checked_block(p, y)
    unknown = [name for name in methods if name not in CALIBRATORS]
    if unknown or not methods or folds < 2 or gap < 0:
        raise InvalidInput(
            f"expected methods out of {', '.join(CALIBRATORS)}, folds >= 2 and gap >= 0, found {list(methods)}, "
            f"{folds}, {gap}"
        )
    if len(methods) == 1:
        return Choice(CALIBRATORS[methods[0]]().fit(odds, labels), {})
    n = len(odds)
    edges = np.linspace(0, n, folds + 1).astype(int)
    total = dict.fromkeys(methods, 0.0)
    for begin, end in pairwise(edges.tolist()):
        rest = np.ones(n, dtype=bool)
        rest[max(0, begin - gap) : end + gap] = False
        for name in methods:
            calibrated = CALIBRATORS[name]().learn(odds[rest], labels[rest]).answer(odds[begin:end])
            total[name] += _log_loss(calibrated, labels[begin:end])
    best = min(methods, key=lambda name: total[name])
    return Choice(CALIBRATORS[best]().learn(odds, labels), {name: value / n for name, value in total.items()})


@dataclass(frozen=True)
class CalibratedModel:
    """A model and the calibrator that was fitted on this very model's odds; one cannot be had without the other."""

    model: OddsModel
    calibrator: Calibrator
    model_hash: str
    held_out: Mapping[str, float]

    @classmethod
    def fit(
        cls,
        model: OddsModel,
        X: ArrayLike,
        y: ArrayLike,
        *,
        methods: Sequence[str] = ("platt", "isotonic"),
        gap: int = 0,
    ) -> CalibratedModel:
        """Calibrate a fitted model on later rows X (n, p), y (n,) that it has not seen."""
        choice = choose_calibrator(model.predict(X), y, methods=methods, gap=gap)
        return cls(model, choice.calibrator, model.hash, choice.held_out)

    def predict(self, X: ArrayLike) -> Floats:
        """Calibrated P(y = 1) of each row.

        Raises
        ------
        ConflictError : the model has been fitted again since its calibration
        """
        if self.model.hash != self.model_hash:
            raise ConflictError(
                f"expected the model {self.model_hash[:12]} that the calibrator was fitted on, found "
                f"{self.model.hash[:12]}; calibrate again"
            )
        return self.calibrator.predict(self.model.predict(X))


def _log_loss(p: Floats, y: Floats) -> float:
    return float(-(np.log(np.where(y == 1.0, p, 1.0 - p))).sum())
