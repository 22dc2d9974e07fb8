"""How well a score orders what happened: AUC, DeLong's variance, information coefficient.

    AUC = P(score of a positive > score of a negative) + 1/2 P(equal)

Ties count half, so a constant forecast scores exactly 0.5. Sources: DeLong, DeLong, Clarke-Pearson (1988); Sun and
Xu (2014) for the computation from mid-ranks. DeLong's variance holds for independent rows only: use it for
cross-sections, and the date bootstrap of `intervals` for time series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.evaluation._checks import Array, binary, finite, normal_cdf, same_length
from fieldcast.ground import InvalidInput, MissingData


def auc(score: ArrayLike, y: ArrayLike) -> float:
    """Area under the ROC curve, ties half.

    Parameters
    ----------
    score : (n,) any monotone score of y = 1
    y : (n,) 0 or 1

    Raises
    ------
    MissingData : all rows belong to one class, so there is no pair to compare
    """
    score, y = finite("score", score), binary("y", y)
    same_length(score=score, y=y)
    positives, negatives = score[y == 1.0], np.sort(score[y == 0.0])
    concordant, pairs = concordance(positives, negatives)
    if pairs == 0.0:
        raise MissingData(f"expected both outcomes, found {positives.size} of 1 and {negatives.size} of 0")
    return concordant / pairs


def concordance(positives: Array, negatives: Array) -> tuple[float, float]:
    """Concordant pairs (ties half) and all pairs; `negatives` ascending."""
    below = np.searchsorted(negatives, positives, side="left") + np.searchsorted(negatives, positives, side="right")
    return 0.5 * float(below.sum()), float(positives.size * negatives.size)


@dataclass(frozen=True)
class DeLong:
    """AUCs of k scores on the same rows, with their covariance.

    `z` and `p_value` (two-sided) test the difference of the first two; None where there is one score only, or where the
    variance of the difference is zero and the test therefore says nothing.
    """

    auc: tuple[float, ...]
    covariance: Array
    z: float | None
    p_value: float | None

    @property
    def variance(self) -> tuple[float, ...]:
        return tuple(float(v) for v in np.diag(self.covariance))


def delong(scores: Sequence[ArrayLike] | Array, y: ArrayLike) -> DeLong:
    """DeLong's covariance of AUCs for independent rows.

    Parameters
    ----------
    scores : k scores of length n each, or an array (k, n)
    y : (n,) 0 or 1

    Raises
    ------
    MissingData : fewer than two rows of a class, so that no variance exists
    """
    y = binary("y", y)
    if len(scores) == 0:
        raise InvalidInput("expected at least one score, found none")
    placed = [_placements(finite("score", score), y) for score in scores]
    positives = np.vstack([p for p, _ in placed])
    negatives = np.vstack([q for _, q in placed])
    m, n = positives.shape[1], negatives.shape[1]
    if min(m, n) < 2:
        raise MissingData(f"expected at least two rows of each class, found {m} of 1 and {n} of 0")
    areas = positives.mean(axis=1)
    covariance = np.atleast_2d(np.cov(positives)) / m + np.atleast_2d(np.cov(negatives)) / n
    z = p_value = None
    if len(areas) > 1:
        variance = covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1]
        if variance > 1e-15:
            z = float((areas[0] - areas[1]) / math.sqrt(variance))
            p_value = 2.0 * normal_cdf(-abs(z))
    return DeLong(tuple(float(a) for a in areas), covariance, z, p_value)


def _placements(score: Array, y: Array) -> tuple[Array, Array]:
    """Share of the other class that each positive, and each negative, is rightly ordered against."""
    same_length(score=score, y=y)
    positives, negatives = score[y == 1.0], score[y == 0.0]
    if not positives.size or not negatives.size:
        raise MissingData(f"expected both outcomes, found {positives.size} of 1 and {negatives.size} of 0")
    low, high = np.sort(negatives), np.sort(positives)
    above = np.searchsorted(low, positives, "left") + np.searchsorted(low, positives, "right")
    below = np.searchsorted(high, negatives, "left") + np.searchsorted(high, negatives, "right")
    return above / (2.0 * negatives.size), 1.0 - below / (2.0 * positives.size)


def midranks(values: ArrayLike) -> Array:
    """Ranks from 1, tied values sharing the mean of theirs."""
    array = finite("values", values)
    ordered = np.sort(array)
    return (np.searchsorted(ordered, array, "left") + np.searchsorted(ordered, array, "right") + 1) / 2.0


def information_coefficient(
    score: ArrayLike, outcome: ArrayLike, *, method: Literal["spearman", "pearson"] = "spearman"
) -> float:
    """Correlation of score and realised return, of ranks unless `method` says otherwise; 0 where either is constant."""
    a, b = finite("score", score), finite("outcome", outcome)
    same_length(score=a, outcome=b)
    if method == "spearman":
        a, b = midranks(a), midranks(b)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0.0 else 0.0
