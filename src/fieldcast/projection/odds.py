"""Three-way odds from a cone and a sign: P(up), P(flat), P(down) of the log return over the horizon.

    P(flat) = F(b) - F(-b)                F: the cone's distribution function, b: the flat band in bps
    P(up)   = (1 - P(flat)) p             p: the calibrated odds that the return is above 0
    P(down) = (1 - P(flat)) (1 - p)

F is linear between the seven quantiles. Beyond the outer ones it is exponential, with the density that the
neighbouring segment has at the edge: F(x) = t exp(-k (q_1 - x) / (q_2 - q_1)) below q_1, where t = 0.05 and
k = (0.125 - 0.05) / 0.05 = 1.5; mirrored above. No tail parameter is invented, and F is continuous.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.projection.conformal import QUANTILE_LEVELS

Floats = NDArray[np.float64]

AGREEMENT_TOLERANCE = 0.05
UP, FLAT, DOWN = 0, 1, 2  # columns of the odds


def cone_cdf(quantiles_bps: ArrayLike, x_bps: ArrayLike, levels: ArrayLike = QUANTILE_LEVELS) -> Floats:
    """P(return <= x) of each row's cone.

    Parameters
    ----------
    quantiles_bps : (n, k) strictly ascending, or NaN in a whole row
    x_bps : (n,) or a number
    levels : (k,) cumulative levels of the columns

    Returns
    -------
    (n,) in (0, 1); NaN where the cone is
    """
    q, x, tau = _cone(quantiles_bps, x_bps, levels)
    rows = np.arange(len(q))
    below = (q < x[:, None]).sum(axis=1)  # quantiles below x
    right = np.clip(below, 1, q.shape[1] - 1)
    width = q[rows, right] - q[rows, right - 1]
    slope = (tau[right] - tau[right - 1]) / width
    inside = tau[right - 1] + slope * (x - q[rows, right - 1])
    with np.errstate(over="ignore", under="ignore"):
        left_tail = tau[0] * np.exp(np.minimum(slope / tau[0] * (x - q[:, 0]), 0.0))
        right_tail = 1.0 - (1.0 - tau[-1]) * np.exp(np.minimum(-slope / (1.0 - tau[-1]) * (x - q[:, -1]), 0.0))
    out: Floats = np.where(below == 0, left_tail, np.where(below == q.shape[1], right_tail, inside))
    return out


def cone_mean(quantiles_bps: ArrayLike, levels: ArrayLike = QUANTILE_LEVELS) -> Floats:
    """Mean in bps of each row's cone under the same distribution function: (n,), NaN where the cone is."""
    q, _, tau = _cone(quantiles_bps, 0.0, levels)
    inner = (np.diff(tau) * 0.5 * (q[:, 1:] + q[:, :-1])).sum(axis=1)
    left = (q[:, 1] - q[:, 0]) / (tau[1] - tau[0]) * tau[0]  # mean distance of the exponential tail from its edge
    right = (q[:, -1] - q[:, -2]) / (tau[-1] - tau[-2]) * (1.0 - tau[-1])
    mean: Floats = inner + tau[0] * (q[:, 0] - left) + (1.0 - tau[-1]) * (q[:, -1] + right)
    return mean


def cone_odds(quantiles_bps: ArrayLike, flat_band_bps: ArrayLike, levels: ArrayLike = QUANTILE_LEVELS) -> Floats:
    """(n, 3) P(up), P(flat), P(down) that the cone alone implies; NaN where the cone is."""
    band = _band(flat_band_bps)
    below, above = cone_cdf(quantiles_bps, -band, levels), cone_cdf(quantiles_bps, band, levels)
    return np.column_stack([1.0 - above, np.maximum(above - below, 0.0), below])


def compose_odds(p_up: ArrayLike, quantiles_bps: ArrayLike, flat_band_bps: ArrayLike) -> Floats:
    """Three-way odds: flat from the cone, the rest split by the calibrated sign odds.

    Parameters
    ----------
    p_up : (n,) calibrated P(return > 0 | return is not 0), NaN where unknown
    quantiles_bps : (n, 7) the cone
    flat_band_bps : (n,) or a number, >= 0

    Returns
    -------
    (n, 3) up, flat, down; each row sums to 1 or is NaN
    """
    p = np.asarray(p_up, dtype=np.float64)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise InvalidInput("expected a vector of sign odds in [0, 1] (NaN where unknown)")
    flat = cone_odds(quantiles_bps, flat_band_bps)[:, FLAT]
    up = (1.0 - flat) * p
    down = (1.0 - flat) * (1.0 - p)
    return np.column_stack([up, np.where(np.isnan(p), np.nan, flat), down])


def odds_and_cone_agree(
    odds: ArrayLike,
    quantiles_bps: ArrayLike,
    flat_band_bps: ArrayLike,
    *,
    tolerance: float = AGREEMENT_TOLERANCE,
) -> NDArray[np.bool_]:
    """True where P(up) and P(down) differ from the cone's by at most `tolerance`; (n,), False where unknown."""
    given = np.asarray(odds, dtype=np.float64)
    implied = cone_odds(quantiles_bps, flat_band_bps)
    if given.shape != implied.shape:
        raise InvalidInput(f"expected odds of shape {implied.shape}, found {given.shape}")
    gap = np.abs(given - implied)[:, [UP, DOWN]]
    return np.asarray((gap <= tolerance + 1e-12).all(axis=1), dtype=np.bool_)


def _band(flat_band_bps: ArrayLike) -> Floats:
    band = np.asarray(flat_band_bps, dtype=np.float64)
    if (band < 0).any() or np.isinf(band).any():
        raise InvalidInput("expected a flat band of 0 bps or more")
    return band


def _cone(quantiles_bps: ArrayLike, x_bps: ArrayLike, levels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    q, tau = np.asarray(quantiles_bps, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    if q.ndim != 2 or tau.shape != (q.shape[1],) or len(tau) < 3:
        raise InvalidInput(f"expected quantiles (n, {len(tau)}) for {len(tau)} levels, found {q.shape}")
    if (np.diff(q, axis=1) <= 0).any() or np.isinf(q).any():
        raise InvalidInput("expected strictly ascending finite quantiles; see projection.cone_quantiles")
    x = np.asarray(x_bps, dtype=np.float64)
    if x.ndim > 1 or (x.ndim == 1 and len(x) != len(q)):
        raise InvalidInput(f"expected one value or {len(q)} values in bps, found shape {x.shape}")
    x = np.broadcast_to(x, (len(q),))
    return q, np.where(np.isnan(q[:, 0]), np.nan, x), tau
