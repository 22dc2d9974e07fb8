"""GARCH(1,1) with normal innovations: the benchmark that our cones have to beat.

    r_t = mu + e_t,   e_t ~ N(0, s_t^2),   s_{t+1}^2 = omega + alpha e_t^2 + beta s_t^2
    variance over h days:  sum_{k=1..h} E_t s_{t+k}^2,   E_t s_{t+k+1}^2 = omega + (alpha + beta) E_t s_{t+k}^2

Maximum likelihood by `arch`, renewed every 63 rows on all returns so far; between refits the parameters stand still
and the variance is filtered by the recursion above, from the same starting value as arch's. Variances in squared log
return.
Source: Bollerslev 1986; starting value: exponentially weighted (0.94) mean of the first 75 squared
deviations from the mean of the fit's returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats

_PERCENT = 100.0  # arch's optimiser is at ease with returns near 1
_BACKCAST_ROWS, _BACKCAST_DECAY = 75, 0.94
MINIMUM_ROWS = 250


@dataclass(frozen=True)
class GarchParameters:
    """One maximum-likelihood fit, in log-return units."""

    row: int  # the fit used returns up to and including this row
    mu: float
    omega: float
    alpha: float
    beta: float
    converged: bool  # False: the optimiser failed here and the previous parameters were kept


@dataclass(frozen=True)
class GarchPath:
    """Forecasts made at every row: NaN before `first`."""

    sigma: Floats  # (n, len(horizons)) standard deviation of the log return over each horizon
    mean: Floats  # (n, len(horizons)) mu times the horizon
    horizons: tuple[int, ...]
    first: int
    parameters: tuple[GarchParameters, ...]


def garch_variance(residuals: Floats, omega: float, alpha: float, beta: float, before: float) -> Floats:
    """Conditional variances of GARCH(1,1): (n + 1,), the last one the forecast for the row after the data.

    `before` stands for the squared residual and the variance of the row before the first. A plain loop: each value
    needs the one before it, and a path needs a few thousand steps a refit.
    """
    shocks = (omega + alpha * residuals**2).tolist()
    value = omega + (alpha + beta) * before
    out = [value]
    for shock in shocks:
        value = shock + beta * value
        out.append(value)
    return np.array(out)


def backcast(returns: Floats) -> float:
    """Variance before the first row: weighted mean of the first 75 squared deviations from the mean of all returns."""
    rows = min(_BACKCAST_ROWS, len(returns))
    decay = _BACKCAST_DECAY ** np.arange(rows)
    squares = (returns[:rows] - returns.mean()) ** 2
    return float(squares @ decay / decay.sum())


class GarchNormal:
    """Walk-forward GARCH(1,1)-normal.

    Parameters
    ----------
    refit : rows between fits
    window : newest rows to fit on; None = all so far
    """

    def __init__(self, refit: int = 63, window: int | None = None) -> None:
        if refit < 1 or (window is not None and window < MINIMUM_ROWS):
            raise InvalidInput(f"expected refit >= 1 and a window of at least {MINIMUM_ROWS} rows, or none")
        self.refit, self.window = refit, window

    def path(self, ret: ArrayLike, *, first: int, horizons: Sequence[int] = (1,)) -> GarchPath:
        """Forecasts at rows first..n-1 from returns up to each row.

        Parameters
        ----------
        ret : (n,) daily log returns; unknown (NaN) at the start only
        first : row of the first forecast and the first fit; at least 250 returns must be known by then
        horizons : sessions ahead

        Raises
        ------
        InvalidInput : NaN inside the series, too little history, returns that never move, or a first fit that fails
        """
        r = np.asarray(ret, dtype=np.float64)
        steps = tuple(int(h) for h in horizons)
        if r.ndim != 1 or not steps or min(steps) < 1:
            raise InvalidInput(f"expected a vector of returns and horizons >= 1, found {r.shape} and {steps}")
        known = np.flatnonzero(np.isfinite(r))
        start = int(known[0]) if len(known) else len(r)
        if np.isinf(r).any() or len(known) != len(r) - start:
            raise InvalidInput("expected finite returns after the first known one; drop the rows without a close")
        if first >= len(r) or first - start + 1 < MINIMUM_ROWS:
            raise InvalidInput(f"expected {MINIMUM_ROWS} returns by row {first} of {len(r)}, found {first - start + 1}")
        sigma = np.full((len(r), len(steps)), np.nan)
        mean = np.full((len(r), len(steps)), np.nan)
        fits: list[GarchParameters] = []
        for row in range(first, len(r), self.refit):
            begin = start if self.window is None else max(start, row + 1 - self.window)
            fit = self._fit(r[begin : row + 1], row, fits[-1] if fits else None)
            fits.append(fit)
            end = min(row + self.refit, len(r))
            before = backcast(r[begin : row + 1])
            ahead = garch_variance(r[begin:end] - fit.mu, fit.omega, fit.alpha, fit.beta, before)[row - begin + 1 :]
            total, value = np.zeros(end - row), ahead
            for k in range(1, max(steps) + 1):
                total = total + value
                value = fit.omega + (fit.alpha + fit.beta) * value
                for column, horizon in enumerate(steps):
                    if horizon == k:
                        sigma[row:end, column] = np.sqrt(total)
                        mean[row:end, column] = fit.mu * k
        return GarchPath(sigma, mean, steps, first, tuple(fits))

    @staticmethod
    def _fit(returns: Floats, row: int, previous: GarchParameters | None) -> GarchParameters:
        from arch.univariate import GARCH, ConstantMean, Normal

        scaled = _PERCENT * returns
        if not scaled.std() > 0:
            raise InvalidInput("expected returns that move, found a constant series: GARCH has no fit")
        model = ConstantMean(scaled, volatility=GARCH(1, 0, 1), distribution=Normal(), rescale=False)
        start = None if previous is None else _start(previous)
        result = model.fit(disp="off", show_warning=False, starting_values=start)
        if result.convergence_flag != 0 and start is not None:  # once more from arch's own grid
            result = model.fit(disp="off", show_warning=False)
        mu, omega, alpha, beta = (float(value) for value in np.asarray(result.params))
        usable = bool(np.isfinite([mu, omega, alpha, beta]).all()) and omega > 0 and alpha >= 0 and beta >= 0
        if result.convergence_flag == 0 and usable:
            return GarchParameters(row, mu / _PERCENT, omega / _PERCENT**2, alpha, beta, converged=True)
        if previous is None:
            raise InvalidInput(f"expected the first GARCH fit, at row {row}, to converge; give it more history")
        return GarchParameters(row, previous.mu, previous.omega, previous.alpha, previous.beta, converged=False)


def _start(previous: GarchParameters) -> Floats:
    """The last fit as starting values, moved off the edges alpha = 0 and alpha + beta = 1, where arch refuses them."""
    alpha, beta = max(previous.alpha, 1e-4), max(previous.beta, 1e-4)
    inside = min(1.0, 0.999 / (alpha + beta))
    omega = max(previous.omega, 1e-12) * _PERCENT**2
    return np.array([previous.mu * _PERCENT, omega, alpha * inside, beta * inside])
