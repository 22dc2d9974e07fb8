"""Whether further columns are worth having: a paired comparison out of sample, and the rule that admits them.

Both models score the same rows of the same folds, each fitted on the folds' training rows alone. A row is a hit where the odds
stand on the side of what came (odds of exactly one half are half a hit). With d the difference of hits on a row,

    uplift = mean d                              a share: 0.02 is two points of accuracy

admitted where the uplift is at least `least` and more than zero with 95 % confidence, by a bootstrap over blocks of dates that
keeps both models' rows together. Refused otherwise; where there are too few dates for an interval, nobody can judge, and what
cannot be judged is not admitted.

Source: crpbot, which keeps higher timeframes only for two points of accuracy; intervals as in `evaluation.intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation.intervals import BLOCK, DRAWS, Interval, diff_interval
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.models.contract import Floats, check_labels
from fieldcast.models.tasks import OutOfFold

LEAST = 0.02


class Admission(StrEnum):
    """What became of the further columns."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    CANNOT_JUDGE = "cannot_judge"


@dataclass(frozen=True)
class Uplift:
    """A paired comparison of two models out of sample.

    Parameters
    ----------
    base, extended : share of hits of each on the same rows
    interval : of their difference; None where there are too few dates
    least : uplift that the rule asks for
    n : rows
    """

    base: float
    extended: float
    interval: Interval | None
    least: float
    n: int

    @property
    def gain(self) -> float:
        """Difference of the two shares."""
        return self.extended - self.base

    @property
    def admission(self) -> Admission:
        """The verdict of the rule."""
        if self.interval is None:
            return Admission.CANNOT_JUDGE
        enough = self.interval.estimate >= self.least and self.interval.lower_one_sided > 0.0
        return Admission.ADMITTED if enough else Admission.REFUSED

    @property
    def admitted(self) -> bool:
        return self.admission is Admission.ADMITTED


def paired_uplift(
    base: OutOfFold,
    extended: OutOfFold,
    y: ArrayLike,
    *,
    least: float = LEAST,
    dates: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
) -> Uplift:
    """The uplift of one model over another.

    Parameters
    ----------
    base, extended : out-of-fold odds of both on the same folds, from `models.out_of_fold`; in-sample odds are refused
    y : (n,) labels; read on the rows that were scored alone
    least : share of hits that the further columns must bring
    dates : (n,) stamp of each row; None = every row is its own date
    block, draws, seed : of the bootstrap; a block at least as long as the label's horizon

    Raises
    ------
    InvalidInput : odds of unknown origin, other folds, or `least` not above zero
    """
    if not isinstance(base, OutOfFold) or not isinstance(extended, OutOfFold):
        raise InvalidInput("expected out-of-fold odds of both models, made by models.out_of_fold; in-sample odds are refused")
    if not np.array_equal(base.fold, extended.fold):
        raise InvalidInput("expected both models to be scored on the same rows of the same folds; pass both one list")
    if not 0.0 < least < 1.0:
        raise InvalidInput(f"expected the least uplift as a share in (0, 1), found {least}")
    rows = base.fold >= 0
    given = np.asarray(y, dtype=np.float64)
    if given.shape != rows.shape or not rows.any():
        raise InvalidInput(f"expected {rows.size} labels and at least one scored row, found {given.shape} and {int(rows.sum())}")
    labels = check_labels(given[rows], int(rows.sum()), both_classes=False)
    hits = [_hits(model.odds[rows], labels) for model in (extended, base)]
    stamps = None if dates is None else np.asarray(dates)[rows]
    try:
        interval = diff_interval(hits[0], hits[1], dates=stamps, block=block, draws=draws, seed=seed)
    except MissingData:  # too few dates: nobody can judge, and the verdict says so
        interval = None
    return Uplift(float(hits[1].mean()), float(hits[0].mean()), interval, least, int(rows.sum()))


def _hits(odds: Floats, y: Floats) -> Floats:
    """(n,) 1 where the odds stand on the right side, 0 on the wrong one, one half between."""
    side: Floats = np.where(odds == 0.5, 0.5, ((odds > 0.5) == (y == 1.0)).astype(np.float64))
    return side
