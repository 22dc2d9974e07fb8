"""GJR-GARCH with skewed-t innovations, and filtered historical simulation on the same filter.

    r_t = mu + e_t,  e_t = sqrt(s_t) z_t,   s_{t+1} = omega + (alpha + gamma 1[e_t < 0]) e_t^2 + beta s_t
    z ~ skewed t(nu, lambda), mean 0 and variance 1          Glosten, Jagannathan, Runkle 1993; Hansen 1994
    skewed t      one day: mu + sqrt(s) F^-1(tau);  h days: quantiles of sums simulated through the recursion
    filtered      the same with z drawn from the fit's own standardised residuals        Barone-Adesi, Giannopoulos, Vosper 1999

Maximum likelihood by L-BFGS from the last fit, on the newest `window` returns, every `refit` rows; between refits the parameters
stand still and the variance is filtered on. A fit that does not converge keeps the last one. The uniforms of a simulation are
drawn once from `seed`, so a row depends on its own past alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.garch import backcast
from fieldcast.projection.cones import _kernels_gjr as kernels
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, rearranged

_PERCENT = 100.0
MINIMUM_ROWS = 500
_MOST = 0.9999  # persistence alpha + gamma / 2 + beta stays below
_BOUNDS = [(-2.0, 2.0), (-6.0, 3.0), (-2.0, 9.0), (-7.0, 1.0), (-7.0, 7.0), (-2.3, 5.0), (-1.5, 1.5)]


@dataclass(frozen=True)
class GjrFit:
    """Parameters in log-return units; `loss` is the mean negative log likelihood of returns in per cent."""

    mu: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    skew: float
    loss: float
    converged: bool

    def variance(self, returns: Floats, before: float) -> Floats:
        """(n + 1,) conditional variances, the last that of the row after the data."""
        out = np.empty(len(returns) + 1)
        kernels.filter_variance(returns - self.mu, self.omega, self.alpha, self.gamma, self.beta, before, out)
        return out


def fit_gjr(returns: ArrayLike, start: GjrFit | None = None) -> GjrFit:
    """Maximum likelihood of GJR(1,1,1)-skewed-t.

    Parameters
    ----------
    returns : (n,) daily log returns, n >= 500
    start : an earlier fit to begin from

    Raises
    ------
    InvalidInput : too few returns, a NaN among them, or a series that does not move
    """
    from scipy.optimize import minimize

    r = _PERCENT * np.asarray(returns, dtype=np.float64)
    if r.ndim != 1 or len(r) < MINIMUM_ROWS or not np.isfinite(r).all() or not r.std() > 0.0:
        raise InvalidInput(f"expected {MINIMUM_ROWS} finite returns that move, found shape {r.shape}")
    before, total = backcast(r), float(r.var())
    variance = np.empty(len(r) + 1)

    def loss(x: Floats) -> float:
        mu, omega, alpha, gamma, beta, nu, skew = _parameters(x, total)
        residual = r - mu
        kernels.filter_variance(residual, omega, alpha, gamma, beta, before, variance)
        return float(kernels.skewt_loss(residual / np.sqrt(variance[:-1]), variance[:-1], nu, skew))

    first = _coordinates((r.mean(), 0.02 * total, 0.03, 0.1, 0.9, 7.0, -0.05), total)
    if start is not None:
        earlier = (start.mu * _PERCENT, start.omega * _PERCENT**2, start.alpha, start.gamma, start.beta, start.nu, start.skew)
        first = _coordinates(earlier, total)
    found = minimize(loss, first, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": 200, "ftol": 1e-9})
    converged = bool(np.isfinite(found.fun) and found.fun <= loss(first))
    mu, omega, alpha, gamma, beta, nu, skew = _parameters(found.x if converged else first, total)
    return GjrFit(mu / _PERCENT, omega / _PERCENT**2, alpha, gamma, beta, nu, skew, float(found.fun) / len(r), converged)


def _parameters(x: Floats, total: float) -> tuple[float, ...]:
    """mu, omega, alpha, gamma, beta, nu, skew of free coordinates: persistence < 1, alpha, gamma >= 0, nu > 2, |skew| < 1."""
    persistence, news, lever = (1.0 / (1.0 + np.exp(-value)) for value in x[2:5])
    persistence *= _MOST
    moved = persistence * news  # alpha + gamma / 2
    omega = total * (1.0 - persistence) * np.exp(x[1])
    values = (x[0], omega, moved * (1.0 - lever), 2.0 * moved * lever, persistence - moved, 2.05 + np.exp(x[5]), np.tanh(x[6]))
    return tuple(float(value) for value in values)


def _coordinates(parameters: tuple[float, ...], total: float) -> Floats:
    """The inverse of `_parameters`, inside its bounds."""
    mu, omega, alpha, gamma, beta, nu, skew = parameters
    moved = max(alpha + 0.5 * gamma, 1e-6)
    persistence = moved + beta

    def logit(value: float) -> float:
        inside = min(max(value, 1e-6), 1.0 - 1e-6)
        return float(np.log(inside / (1.0 - inside)))

    level = np.log(omega / (total * (1.0 - min(persistence, 0.99999))))
    x = np.array(
        [
            mu,
            level,
            logit(persistence / _MOST),
            logit(moved / persistence),
            logit(0.5 * gamma / moved),
            np.log(max(nu - 2.05, 1e-3)),
            np.arctanh(skew),
        ]
    )
    low, high = np.array(_BOUNDS).T
    out: Floats = np.clip(x, low, high)
    return out


class GjrQuantiles:
    """Quantiles of a walk-forward GJR-skewed-t; sigma is not used, the model has its own.

    Parameters
    ----------
    first : row of the first forecast; an instrument with fewer than 500 returns by a refit waits for the next
    innovations : `skewt`, the fitted distribution, or `filtered`, the fit's own standardised residuals
    refit, window : rows between fits, and newest returns that a fit uses
    paths, seed : simulated paths over more than one day
    """

    def __init__(
        self,
        first: int,
        innovations: Literal["skewt", "filtered"] = "skewt",
        *,
        refit: int = 63,
        window: int = 2520,
        paths: int = 2000,
        seed: int = 0,
    ) -> None:
        if first < 1 or refit < 1 or window < MINIMUM_ROWS or paths < 100 or innovations not in ("skewt", "filtered"):
            raise InvalidInput(
                f"expected first, refit >= 1, window >= {MINIMUM_ROWS}, paths >= 100, found {first}, {refit}, {window}, {paths}"
            )
        self.first, self.innovations, self.refit = int(first), innovations, int(refit)
        self.window, self.paths, self.seed = int(window), int(paths), int(seed)

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`."""
        tau = check_levels(levels)
        close = np.log(panel_values("close", panel.close))
        result = np.full((*close.shape, tau.size), np.nan)
        for place in range(close.shape[1]):
            known = np.flatnonzero(np.isfinite(close[:, place]))
            if not known.size:
                continue
            returns = np.diff(close[known, place])
            result[known[1:], place] = self._instrument(returns, int(np.searchsorted(known[1:], self.first)), horizon, tau)
        return result

    def _instrument(self, returns: Floats, first: int, horizon: int, tau: Floats) -> Floats:
        result = np.full((len(returns), tau.size), np.nan)
        uniforms = np.random.default_rng(self.seed).random((self.paths, horizon))
        fit: GjrFit | None = None
        for row in range(first, len(returns), self.refit):
            if row + 1 < MINIMUM_ROWS:
                continue
            begin, end = max(0, row + 1 - self.window), min(row + self.refit, len(returns))
            past = returns[begin : row + 1]
            fit = fit_gjr(past, fit)
            variance = fit.variance(returns[begin:end], backcast(_PERCENT * past) / _PERCENT**2)
            ahead = variance[row - begin + 1 :]
            standard = np.sort((past - fit.mu) / np.sqrt(variance[: len(past)]))
            result[row:end] = self._ahead(fit, ahead, standard, uniforms, horizon, tau)
        return result

    def _ahead(self, fit: GjrFit, variance: Floats, standard: Floats, uniforms: Floats, horizon: int, tau: Floats) -> Floats:
        filtered = self.innovations == "filtered"
        if horizon == 1:
            shape = np.quantile(standard, tau) if filtered else skewt_quantile(tau, fit.nu, fit.skew)
            return rearranged(fit.mu + np.sqrt(variance)[:, None] * shape)
        if filtered:
            shocks = standard[(uniforms * len(standard)).astype(np.int64)]
        else:
            shocks = skewt_quantile(uniforms, fit.nu, fit.skew)
        sums = np.empty((len(variance), len(uniforms)))
        kernels.simulate_sums(variance, fit.mu, fit.omega, fit.alpha, fit.gamma, fit.beta, np.ascontiguousarray(shocks), sums)
        return np.ascontiguousarray(np.quantile(sums, tau, axis=1).T)


def skewt_quantile(p: ArrayLike, nu: float, skew: float) -> Floats:
    """Quantiles of Hansen's skewed t with mean 0 and variance 1; p in (0, 1), nu > 2, skew in (-1, 1)."""
    from scipy.special import gammaln, stdtrit

    u = np.asarray(p, dtype=np.float64)
    c = float(np.exp(gammaln(0.5 * (nu + 1.0)) - gammaln(0.5 * nu)) / np.sqrt(np.pi * (nu - 2.0)))
    a = 4.0 * skew * c * (nu - 2.0) / (nu - 1.0)
    b = np.sqrt(1.0 + 3.0 * skew**2 - a**2)
    left = u < 0.5 * (1.0 - skew)
    inner = np.where(left, u / (1.0 - skew), 0.5 + (u - 0.5 * (1.0 - skew)) / (1.0 + skew))
    t = stdtrit(nu, inner) * np.sqrt(1.0 - 2.0 / nu)
    out: Floats = (np.where(left, 1.0 - skew, 1.0 + skew) * t - a) / b
    return out
