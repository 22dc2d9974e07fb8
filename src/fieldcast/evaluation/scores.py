"""Proper scores of probabilities and of predictive distributions; lower is better throughout.

    Brier     (p - y)^2                                   = reliability - resolution + uncertainty   (Murphy 1973)
    log loss  -y ln p - (1 - y) ln(1 - p)                                                          [nats]
    pinball   max(tau (y - q), (tau - 1)(y - q))                                                   [unit of y]
    CRPS      2 * integral over tau of the pinball loss                                            [unit of y]
    interval  (u - l) + 2/alpha (l - y)+ + 2/alpha (y - u)+                                        [unit of y]

`brier` and `log_loss` are means; `brier_rows` and `log_loss_rows`, and every score of a distribution, give one
value a row, which is what the date bootstrap of `intervals` needs. Murphy's split is exact only where forecasts
take few values; elsewhere the isotonic split of Dimitriadis, Gneiting, Jordan (2021) is used: miscalibration -
discrimination + uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.evaluation._checks import Array, binary, finite, probability, same_length
from fieldcast.ground import InvalidInput

FLOOR = 1e-12          # a probability of 0 that happens costs 27.6 nats, not infinity
FEW_VALUES = 20        # distinct forecasts up to which Murphy's split is taken over them
QUANTILE_LEVELS = (0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95)
CENTRAL_LEVELS = (0.50, 0.75, 0.90)


def brier_rows(p: ArrayLike, y: ArrayLike) -> Array:
    """Squared error of each probability; (n,)."""
    p, y = probability("p", p), binary("y", y)
    same_length(p=p, y=y)
    squared: Array = np.square(p - y)
    return squared


def brier(p: ArrayLike, y: ArrayLike) -> float:
    """Mean squared error of probabilities."""
    return float(brier_rows(p, y).mean())


def log_loss_rows(p: ArrayLike, y: ArrayLike) -> Array:
    """Negative log likelihood of each outcome, nats; (n,). Probabilities are kept within [1e-12, 1 - 1e-12]."""
    p, y = probability("p", p), binary("y", y)
    same_length(p=p, y=y)
    loss: Array = -np.log(np.clip(np.where(y == 1.0, p, 1.0 - p), FLOOR, 1.0))
    return loss


def log_loss(p: ArrayLike, y: ArrayLike) -> float:
    """Mean negative log likelihood, nats."""
    return float(log_loss_rows(p, y).mean())


def skill(score: float, reference: float) -> float:
    """Share of the reference's loss that is saved: 1 - score / reference."""
    if not (math.isfinite(score) and math.isfinite(reference)) or reference <= 0.0:
        raise InvalidInput(f"expected finite losses with a positive reference, found {score} and {reference}")
    return 1.0 - score / reference


@dataclass(frozen=True)
class ScoreSplit:
    """score = reliability - resolution + uncertainty.

    `method` is `groups` (Murphy, over equal forecasts) or `isotonic` (miscalibration, discrimination, uncertainty).
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    method: Literal["groups", "isotonic"]


def brier_decomposition(p: ArrayLike, y: ArrayLike) -> ScoreSplit:
    """Murphy's split over equal forecasts where there are at most 20 of them, else the isotonic split."""
    p, y = probability("p", p), binary("y", y)
    same_length(p=p, y=y)
    values, group = np.unique(p, return_inverse=True)
    if values.size > FEW_VALUES:
        return _isotonic_split(p, y, brier)
    n = np.bincount(group)
    hit = np.bincount(group, weights=y) / n
    base = float(y.mean())
    weight = n / y.size
    return ScoreSplit(
        score=brier(p, y),
        reliability=float(weight @ np.square(values - hit)),
        resolution=float(weight @ np.square(hit - base)),
        uncertainty=base * (1.0 - base),
        method="groups",
    )


def log_loss_decomposition(p: ArrayLike, y: ArrayLike) -> ScoreSplit:
    """Isotonic split of the log loss: miscalibration - discrimination + uncertainty."""
    p, y = probability("p", p), binary("y", y)
    same_length(p=p, y=y)
    return _isotonic_split(p, y, log_loss)


def _isotonic_split(p: Array, y: Array, loss: Callable[[Array, Array], float]) -> ScoreSplit:
    from scipy.optimize import isotonic_regression

    group = np.unique(p, return_inverse=True)[1]
    n = np.bincount(group).astype(np.float64)
    recalibrated = isotonic_regression(np.bincount(group, weights=y) / n, weights=n).x[group].clip(0.0, 1.0)
    given, best, base = loss(p, y), loss(recalibrated, y), loss(np.full(y.size, y.mean()), y)
    return ScoreSplit(given, given - best, base - best, base, "isotonic")


def pinball(quantile: ArrayLike, y: ArrayLike, level: float) -> Array:
    """Pinball loss of one forecast quantile a row; (n,) in the unit of y."""
    q, y = finite("quantile", quantile), finite("y", y)
    same_length(quantile=q, y=y)
    _levels(np.array([level]))
    error = y - q
    return np.maximum(level * error, (level - 1.0) * error)


def crps_normal(mean: ArrayLike, sigma: ArrayLike, y: ArrayLike) -> Array:
    """CRPS of N(mean, sigma^2), closed form (Gneiting and Raftery 2007, eq. 5); (n,) in the unit of y."""
    from scipy.special import ndtr

    mean, sigma, y = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (mean, sigma, y)))
    mean, sigma, y = finite("mean", mean), finite("sigma", sigma), finite("y", y)
    if sigma.min() <= 0.0:
        raise InvalidInput(f"expected sigma above 0, found {sigma.min():g}")
    z = (y - mean) / sigma
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    result: Array = sigma * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))
    return result


def crps_quantiles(quantiles: ArrayLike, y: ArrayLike, levels: ArrayLike = QUANTILE_LEVELS) -> Array:
    """CRPS of a forecast that is known at a few quantiles; (n,) in the unit of y.

    Twice the pinball losses, each weighted with the part of (0, 1) that is nearest to its level; with levels (i -
    1/2)/k that is twice their mean. Compare only forecasts at the same levels: the tails beyond the outer ones
    count as those.
    """
    q, y = finite("quantiles", quantiles, ndim=2), finite("y", y)
    tau = np.asarray(levels, dtype=np.float64)
    same_length(quantiles=q, y=y)
    _levels(tau)
    if q.shape[1] != tau.size or (np.diff(q, axis=1) < 0.0).any():
        raise InvalidInput(f"expected {tau.size} quantiles a row that do not cross, found shape {q.shape}")
    edges = np.concatenate(([0.0], (tau[1:] + tau[:-1]) / 2.0, [1.0]))
    error = y[:, None] - q
    result: Array = 2.0 * np.maximum(tau * error, (tau - 1.0) * error) @ np.diff(edges)
    return result


def interval_score(low: ArrayLike, high: ArrayLike, y: ArrayLike, level: float) -> Array:
    """Winkler's score of a central interval that should cover with probability `level`; (n,) in the unit of y."""
    low, high, y = finite("low", low), finite("high", high), finite("y", y)
    same_length(low=low, high=high, y=y)
    _levels(np.array([level]))
    if (high < low).any():
        raise InvalidInput(f"expected low <= high, found {np.count_nonzero(high < low)} crossed intervals")
    penalty = 2.0 / (1.0 - level)
    return (high - low) + penalty * np.maximum(low - y, 0.0) + penalty * np.maximum(y - high, 0.0)


def mean_interval_score(quantiles: ArrayLike, y: ArrayLike, levels: ArrayLike = QUANTILE_LEVELS) -> Array:
    """Interval score averaged over the 50, 75 and 90 % bands that the quantiles hold; (n,) in the unit of y."""
    q = finite("quantiles", quantiles, ndim=2)
    bands = [interval_score(*central_band(q, level, levels), y, level) for level in CENTRAL_LEVELS]
    average: Array = np.mean(np.vstack(bands), axis=0)
    return average


def central_band(quantiles: Array, level: float, levels: ArrayLike = QUANTILE_LEVELS) -> tuple[Array, Array]:
    """Lower and upper edge of the central band of probability `level`, out of the quantile columns."""
    tau = np.asarray(levels, dtype=np.float64)
    edges = []
    for wanted in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        found = np.flatnonzero(np.isclose(tau, wanted, atol=1e-9))
        if not found.size:
            raise InvalidInput(f"expected the level {wanted:g} among the quantiles, found {tau.tolist()}")
        edges.append(quantiles[:, found[0]])
    return edges[0], edges[1]


def _levels(levels: Array) -> None:
    if not ((levels > 0.0) & (levels < 1.0)).all() or (np.diff(levels) <= 0.0).any():
        raise InvalidInput(f"expected ascending levels between 0 and 1, found {levels.tolist()}")
