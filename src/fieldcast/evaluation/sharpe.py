"""Sharpe ratios with their doubt: probabilistic, deflated, and how long a record must be.

    SR        mean / standard deviation, per period (never annualised here)
    PSR(b)    Phi[(SR - b) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2)]      g4: raw kurtosis, 3 for a normal
    MinTRL    1 + (1 - g3 SR + (g4 - 1)/4 SR^2) (z_{1-a} / (SR - b))^2                   periods
    SR0       sqrt(V) ((1 - g) z(1 - 1/N) + g z(1 - 1/(N e)))                            best of N worthless trials
    DSR       PSR(SR0)
    N_eff     (sum l)^2 / sum l^2, l the eigenvalues of the trials' return correlations

Sources: Bailey and Lopez de Prado (2012) for PSR and MinTRL, (2014) for DSR; N_eff is the participation ratio of
the eigenvalues. V is the variance of the trials' SR, and everything is per period.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, finite, normal_cdf, normal_quantile
from fieldcast.ground import InvalidInput, MissingData

EULER = 0.5772156649015329
LEAST_OVERLAP = 20     # shared dates below which two trials count as unrelated


@dataclass(frozen=True)
class SharpeMoments:
    """Per-period Sharpe ratio of n returns with their skewness and raw kurtosis."""

    sharpe: float
    n: int
    skew: float
    kurtosis: float

    def annual(self, periods_per_year: float = 252.0) -> float:
        """The same ratio by the year, for people; never put it into a formula of this module."""
        return self.sharpe * math.sqrt(periods_per_year)


def sharpe_moments(returns: ArrayLike) -> SharpeMoments:
    """Moments of a return series.

    Raises
    ------
    MissingData : fewer than two returns, or returns that do not vary
    """
    r = finite("returns", returns)
    spread = float(r.std())
    if r.size < 2 or spread <= 1e-12 * max(1.0, float(np.abs(r).max())):
        raise MissingData(f"expected at least two returns that vary, found {r.size} with spread {spread:g}")
    z = (r - r.mean()) / spread
    return SharpeMoments(float(r.mean() / r.std(ddof=1)), r.size, float((z**3).mean()), float((z**4).mean()))


def probabilistic_sharpe(moments: SharpeMoments, benchmark: float = 0.0) -> float:
    """Probability that the true per-period Sharpe ratio is above `benchmark`."""
    if moments.n < 2:
        raise MissingData(f"expected at least two returns, found {moments.n}")
    return normal_cdf((moments.sharpe - benchmark) * math.sqrt(moments.n - 1.0) / math.sqrt(_spread(moments)))


def min_track_record(moments: SharpeMoments, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Periods until PSR(benchmark) reaches `confidence`; infinite where the ratio is not above the benchmark."""
    if not 0.5 < confidence < 1.0:
        raise InvalidInput(f"expected a confidence between 0.5 and 1, found {confidence}")
    if moments.sharpe <= benchmark:
        return math.inf
    return 1.0 + _spread(moments) * (normal_quantile(confidence) / (moments.sharpe - benchmark)) ** 2


def expected_best_sharpe(variance: float, trials: float) -> float:
    """SR0: the per-period Sharpe ratio to expect from the best of `trials` worthless ones; 0 for a single trial.

    Parameters
    ----------
    variance : of the trials' per-period Sharpe ratios
    trials : their number, or effective number; at least 1
    """
    if not (math.isfinite(variance) and variance >= 0.0) or not (math.isfinite(trials) and trials >= 1.0):
        raise InvalidInput(f"expected a variance >= 0 and at least one trial, found {variance} and {trials}")
    if trials <= 1.0 or variance == 0.0:
        return 0.0
    best = (1.0 - EULER) * normal_quantile(1.0 - 1.0 / trials) + EULER * normal_quantile(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * max(best, 0.0)


def deflated_sharpe(moments: SharpeMoments, variance: float, trials: float) -> float:
    """DSR: probability that the Sharpe ratio is above what the best of `trials` worthless ones would show."""
    return probabilistic_sharpe(moments, expected_best_sharpe(variance, trials))


def effective_trials(correlation: ArrayLike) -> float:
    """Effective number of independent trials, 1 to N: trace and squared entries equal the eigenvalue sums."""
    c = finite("correlation", correlation, ndim=2)
    if c.shape[0] != c.shape[1] or not np.allclose(c, c.T, atol=1e-9) or not np.allclose(np.diag(c), 1.0, atol=1e-9):
        raise InvalidInput(f"expected a symmetric correlation matrix with ones on its diagonal, found {c.shape}")
    return float(np.clip(np.trace(c) ** 2 / np.square(c).sum(), 1.0, c.shape[0]))


def trial_correlations(series: Sequence[tuple[NDArray[np.datetime64], Array]]) -> Array:
    """Correlations of dated return series over the dates that each two share.

    Two series with fewer than 20 shared dates, or one that does not vary on them, count as unrelated: that raises
    the effective number of trials, which is the cautious side.
    """
    correlation = np.eye(len(series))
    groups: dict[bytes, list[int]] = {}      # most series of a family stand on the same dates: one product a pair of groups
    for place, (dates, _) in enumerate(series):
        groups.setdefault(dates.astype("datetime64[D]").tobytes(), []).append(place)
    placed = [(series[places[0]][0], np.array(places), np.stack([series[i][1] for i in places])) for places in groups.values()]
    for number, (days, mine, rows) in enumerate(placed):
        for other_days, others, columns in placed[: number + 1]:
            _, left, right = np.intersect1d(days, other_days, assume_unique=True, return_indices=True)
            if left.size < LEAST_OVERLAP:
                continue
            block = _standard(rows[:, left]) @ _standard(columns[:, right]).T
            correlation[np.ix_(mine, others)] = np.clip(block, -1.0, 1.0)
            correlation[np.ix_(others, mine)] = np.clip(block, -1.0, 1.0).T
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _standard(rows: Array) -> Array:
    """Each row less its mean, at length 1; zeros where it does not vary."""
    away = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((away * away).sum(axis=1, keepdims=True))
    found: Array = np.divide(away, length, out=np.zeros_like(away), where=length > 0.0)
    return found


def _spread(moments: SharpeMoments) -> float:
    """Variance factor of the Sharpe estimator."""
    if moments.kurtosis < moments.skew**2 + 1.0 - 1e-9:
        raise InvalidInput(
            f"expected raw kurtosis (3 for a normal) of at least skew^2 + 1, found {moments.kurtosis} with skew "
            f"{moments.skew}; add 3 to an excess kurtosis"
        )
    factor = 1.0 - moments.skew * moments.sharpe + (moments.kurtosis - 1.0) / 4.0 * moments.sharpe**2
    return max(factor, 1e-18)      # zero only for a two-point distribution at its own bound
