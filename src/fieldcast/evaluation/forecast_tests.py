"""Is one forecast better than another? Tests on the difference of two losses, d = loss(a) - loss(b).

Diebold and Mariano (1995), with the correction of Harvey, Leybourne and Newbold (1997):

    V     c_0 + 2 sum_{k<h} c_k                                  c_k: autocovariances of d; h-step errors overlap h - 1 rows
    DM    mean d / sqrt(V / n) * sqrt((n + 1 - 2h + h(h-1)/n) / n)            ~ t(n - 1)

Giacomini and White (2006) ask whether the difference can be foreseen, and allow models that are estimated again and again:

    Z_t   x_t d_{t+h},  x_t = (1, d_t)                           what was known at t
    GW    n mean(Z)' O^-1 mean(Z)                                ~ chi2(q),  O: covariances of Z up to lag h - 1, like V

Where V is not positive, or O not positive definite, Bartlett weights (Newey and West 1987) take their place: with those, neither
can be, but they see too little of the overlap and are not the first choice. Rows of one date are averaged
first: a panel is one series of dates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, finite, same_length
from fieldcast.evaluation.dependence import date_means
from fieldcast.evaluation.intervals import date_positions
from fieldcast.ground import InvalidInput, MissingData

Alternative = Literal["two_sided", "less", "greater"]
LEAST = 30  # dates below which neither approximation holds


@dataclass(frozen=True)
class ForecastTest:
    """A test that two forecasts lose alike.

    `difference` is the mean of loss(a) - loss(b) over `n` rows on `dates` dates: below zero, a is better. `statistic` follows
    Student's t with `degrees` degrees of freedom (Diebold-Mariano) or chi-square with so many (Giacomini-White).
    """

    name: str
    difference: float
    statistic: float
    p_value: float
    degrees: int
    n: int
    dates: int
    horizon: int

    def __str__(self) -> str:
        return (
            f"{self.name}: difference {self.difference:.6g}, statistic {self.statistic:.3f}, p {self.p_value:.4f} "
            f"(n={self.n}, dates={self.dates}, h={self.horizon})"
        )


def diebold_mariano(
    a: ArrayLike,
    b: ArrayLike,
    *,
    horizon: int = 1,
    dates: NDArray[Any] | None = None,
    alternative: Alternative = "two_sided",
) -> ForecastTest:
    """Do two forecasts lose alike on average?

    Parameters
    ----------
    a, b : (n,) losses on identical rows, in time order where `dates` is not given
    horizon : steps that the forecasts look ahead, in dates
    dates : (n,) stamp of each row; rows that share one are averaged
    alternative : what a small p-value speaks for; "less" = a loses less

    Raises
    ------
    MissingData : fewer than 30 dates, a horizon of half of them or more, or losses that never differ
    """
    from scipy.special import stdtr

    if alternative not in ("two_sided", "less", "greater"):
        raise InvalidInput(f"expected alternative two_sided, less or greater, found {alternative!r}")
    rows, series = _difference(a, b, dates, horizon)
    n = series.size
    centred = series - series.mean()
    covariance = np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(horizon)])
    variance = covariance[0] + 2.0 * covariance[1:].sum()
    if variance <= 1e-12 * covariance[0]:
        variance = covariance[0] + 2.0 * float((1.0 - np.arange(1, horizon) / horizon) @ covariance[1:])
    correction = math.sqrt((n + 1.0 - 2.0 * horizon + horizon * (horizon - 1.0) / n) / n)
    statistic = float(series.mean()) / math.sqrt(variance / n) * correction
    # always a lower tail: one minus an upper one would round the smallest p-values to zero
    towards = {"two_sided": -abs(statistic), "less": statistic, "greater": -statistic}[alternative]
    p_value = float(stdtr(n - 1, towards)) * (2.0 if alternative == "two_sided" else 1.0)
    return ForecastTest("Diebold-Mariano", float(series.mean()), statistic, p_value, n - 1, rows, n, horizon)


def giacomini_white(
    a: ArrayLike,
    b: ArrayLike,
    *,
    horizon: int = 1,
    dates: NDArray[Any] | None = None,
    instruments: ArrayLike | None = None,
) -> ForecastTest:
    """Can it be foreseen which of two forecasts will lose less?

    Parameters
    ----------
    a, b, horizon, dates : as in `diebold_mariano`
    instruments : (dates, q) what was known on each date when its forecast was made; none = a constant and the newest loss
        difference that was known then, that of `horizon` dates before

    Raises
    ------
    MissingData : fewer than 30 dates, losses that never differ, or instruments that say the same thing twice
    """
    from scipy.special import chdtrc

    rows, series = _difference(a, b, dates, horizon)
    if instruments is None:
        known = np.column_stack((np.ones(series.size - horizon), series[:-horizon]))
        used = series[horizon:]
    else:
        known, used = finite("instruments", instruments, ndim=2), series
        same_length(instruments=known, dates=used)
    z = known * used[:, None]
    n, q = z.shape
    spread = _spread(z, horizon, bartlett=False)
    if np.linalg.eigvalsh(spread)[0] <= 1e-9 * np.trace(spread):
        spread = _spread(z, horizon, bartlett=True)
    if np.linalg.matrix_rank(spread, hermitian=True) < q:
        raise MissingData(f"expected {q} instruments that each say something of their own, found fewer on {n} dates")
    mean = z.mean(axis=0)
    statistic = float(n * mean @ np.linalg.solve(spread, mean))
    return ForecastTest(
        "Giacomini-White", float(series.mean()), statistic, float(chdtrc(q, statistic)), q, rows, series.size, horizon
    )


def _spread(z: Array, horizon: int, *, bartlett: bool) -> Array:
    """Long-run covariance of (n, q) values under the null, where their mean is zero: they are not centred."""
    n = len(z)
    found: Array = z.T @ z / n
    for lag in range(1, horizon):
        cross = z[lag:].T @ z[: n - lag] / n
        found = found + (1.0 - lag / horizon if bartlett else 1.0) * (cross + cross.T)
    return found


def _difference(a: ArrayLike, b: ArrayLike, dates: NDArray[Any] | None, horizon: int) -> tuple[int, Array]:
    """Rows, and the loss difference by date."""
    a, b = finite("a", a), finite("b", b)
    rows = same_length(a=a, b=b)
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1, found {horizon}")
    position, n = date_positions(rows, dates)
    if n < LEAST or 2 * horizon >= n:
        raise MissingData(f"expected at least {LEAST} dates and more than two horizons of {horizon}, found {n} dates")
    series = date_means((a - b)[:, None], position, n)[:, 0]
    if np.ptp(series) <= 1e-15 * max(1.0, float(np.abs(a).max())):
        raise MissingData("expected losses whose difference varies, found one that never does: nothing to test")
    return rows, series
