"""What every agent answers with, and what its three figures mean.

    mu          expected log return over the horizon
    sigma       standard deviation of what the agent cannot foresee of it
    confidence  share of its effect that stands against its own noise, in [0, 1]

For an agent that is a line through a signal z, y = a + b z + e with y the return in units of its volatility s, least squares give
b and its standard error on rows whose horizon has ended. If true slopes are spread as N(0, tau^2), the best estimate of b is

    E[b | b_hat] = w b_hat,    w = tau^2 / (tau^2 + se^2),    tau^2 estimated by max(b_hat^2 - se^2, 0)

so w = max(0, 1 - se^2 / b_hat^2) is the confidence: 0 where the slope could be noise, near 1 where it stands many errors away.
This is the positive-part rule of W. James and C. Stein (1961) as an empirical Bayes estimate (B. Efron and C. Morris, JASA 68,
1973). Horizons of h rows overlap: n rows are worth n / h, and se grows by sqrt(h).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]
FIRST = 252         # ended outcomes before a line is drawn through them


@dataclass(frozen=True)
class AgentPath:
    """One agent over n rows; all three NaN where it has no view.

    Parameters
    ----------
    mu, sigma : (n,) log return over the horizon
    confidence : (n,) in [0, 1]
    """

    name: str
    mu: Floats
    sigma: Floats
    confidence: Floats

    def __post_init__(self) -> None:
        known = np.isfinite(self.mu)
        same = all(np.array_equal(known, np.isfinite(line)) for line in (self.sigma, self.confidence))
        sure = self.confidence[known]
        if not same or not (self.sigma[known] > 0.0).all() or not ((sure >= 0.0) & (sure <= 1.0)).all():
            raise InvalidInput(f"expected {self.name} to have mu, sigma above 0 and confidence in [0, 1] on the same rows")

    def at(self, row: int) -> Mapping[str, Any] | None:
        """mu, sigma and confidence of a row; None without a view."""
        if not np.isfinite(self.mu[row]):
            return None
        return {"mu": float(self.mu[row]), "sigma": float(self.sigma[row]), "confidence": float(self.confidence[row])}


def line_agent(name: str, signal: ArrayLike, returns: ArrayLike, volatility: ArrayLike, horizon: int) -> AgentPath:
    """The agent of one signal: an expanding line through it, shrunk by its own noise.

    Parameters
    ----------
    signal : (n,) known at each row, NaN where it is not
    returns : (n,) log return of the `horizon` rows ahead, NaN where not known yet
    volatility : (n,) standard deviation of that return as known at the row

    Returns
    -------
    AgentPath : at row t from pairs (signal, return) of rows s with s + horizon <= t
    """
    z, r, s = (np.asarray(line, dtype=np.float64) for line in (signal, returns, volatility))
    if not (z.shape == r.shape == s.shape and z.ndim == 1) or horizon < 1:
        raise InvalidInput(f"expected three lines of one length and a horizon from 1 on, found {z.shape}, {r.shape}, {s.shape}")
    with np.errstate(invalid="ignore", divide="ignore"):
        y = r / s
    ended = np.isfinite(z) & np.isfinite(y)

    def until(values: Floats) -> Floats:
        total = np.cumsum(np.where(ended, values, 0.0))
        known = np.zeros_like(total)
        known[horizon:] = total[:-horizon]
        return known

    shift = float(z[np.isfinite(z)][0]) if np.isfinite(z).any() else 0.0      # sums about a value of the size of z lose no digits
    x = z - shift
    n, sx, sy = until(np.ones_like(z)), until(x), until(y)
    sxx, sxy, syy = until(x * x), until(x * y), until(y * y)
    with np.errstate(invalid="ignore", divide="ignore"):
        cxx, cxy, cyy = sxx - sx * sx / n, sxy - sx * sy / n, syy - sy * sy / n
        slope = cxy / cxx
        residual = np.maximum(cyy - slope * cxy, 0.0) / (n - 2.0)
        noise = horizon * residual / cxx                                      # squared standard error of the slope
        confidence = np.clip(1.0 - noise / slope**2, 0.0, 1.0)
        mu = s * (sy / n + confidence * slope * (x - sx / n))
        sigma = s * np.sqrt(residual)
    known = (n >= FIRST) & np.isfinite(mu) & (sigma > 0.0) & np.isfinite(confidence)
    return AgentPath(name, *(np.where(known, line, np.nan) for line in (mu, sigma, confidence)))


def null_agent(quality: ArrayLike, volatility: ArrayLike, *, name: str = "data_quality") -> AgentPath:
    """It expects nothing, and is the surer of that the worse the data: with bad data every view is drawn towards none.

    Parameters
    ----------
    quality : (n,) score of the data at each row, in [0, 1]
    volatility : (n,) standard deviation of the return over the horizon
    """
    score, sigma = np.asarray(quality, dtype=np.float64), np.asarray(volatility, dtype=np.float64)
    if ((score < 0.0) | (score > 1.0)).any():
        raise InvalidInput("expected quality scores in [0, 1]")
    known = np.isfinite(score) & np.isfinite(sigma) & (sigma > 0.0)
    return AgentPath(name, *(np.where(known, line, np.nan) for line in (np.zeros_like(score), sigma, 1.0 - score)))


def from_projection(mean_bps: ArrayLike, sigma_bps: ArrayLike, reliability: ArrayLike, *, name: str = "projection") -> AgentPath:
    """The fitted models' view: mean and sigma of the projected cone in basis points, its reliability as confidence; each (n,)."""
    mu, sigma, confidence = (np.asarray(line, dtype=np.float64) for line in (mean_bps, sigma_bps, reliability))
    known = np.isfinite(mu) & (sigma > 0.0) & np.isfinite(confidence)
    return AgentPath(name, *(np.where(known, line, np.nan) for line in (mu / 1e4, sigma / 1e4, confidence)))
