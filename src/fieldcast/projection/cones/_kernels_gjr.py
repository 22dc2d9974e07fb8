"""Loops of GJR-GARCH: the variance filter and simulated returns over a horizon. Each has a plain twin in its test."""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(cache=True)
def filter_variance(residuals: Floats, omega: float, alpha: float, gamma: float, beta: float, before: float, out: Floats) -> None:
    """Fill (n + 1,): s_0 = omega + (alpha + gamma / 2 + beta) before, s_{t+1} = omega + (alpha + gamma 1[e<0]) e^2 + beta s_t."""
    value = omega + (alpha + 0.5 * gamma + beta) * before
    out[0] = value
    for t in range(residuals.shape[0]):
        shock = residuals[t] * residuals[t]
        news = alpha + gamma if residuals[t] < 0.0 else alpha
        value = omega + news * shock + beta * value
        out[t + 1] = value


@njit(cache=True)
def skewt_loss(z: Floats, variance: Floats, nu: float, skew: float) -> float:
    """Negative log likelihood of residuals sqrt(variance) z under Hansen's skewed t, but for the terms that z does not enter.

    With c = Gamma((nu + 1) / 2) / (sqrt(pi (nu - 2)) Gamma(nu / 2)), a = 4 skew c (nu - 2) / (nu - 1), b^2 = 1 + 3 skew^2 - a^2.
    """
    logc = math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(math.pi * (nu - 2.0))
    a = 4.0 * skew * math.exp(logc) * (nu - 2.0) / (nu - 1.0)
    b = math.sqrt(1.0 + 3.0 * skew * skew - a * a)
    total = 0.0
    for t in range(z.shape[0]):
        x = b * z[t] + a
        side = 1.0 - skew if x < 0.0 else 1.0 + skew
        total += 0.5 * (nu + 1.0) * math.log1p((x / side) ** 2 / (nu - 2.0)) + 0.5 * math.log(variance[t])
    loss: float = total - z.shape[0] * (logc + math.log(b))
    return loss


@njit(cache=True)
def simulate_sums(
    variance: Floats, mu: float, omega: float, alpha: float, gamma: float, beta: float, shocks: Floats, out: Floats
) -> None:
    """Fill (T, M) with sums of h simulated returns from the next day's variance (T,); shocks (M, h) are shared by all rows."""
    for t in range(variance.shape[0]):
        for m in range(shocks.shape[0]):
            value, total = variance[t], 0.0
            for k in range(shocks.shape[1]):
                residual = math.sqrt(value) * shocks[m, k]
                total += mu + residual
                news = alpha + gamma if residual < 0.0 else alpha
                value = omega + news * residual * residual + beta * value
            out[t, m] = total
