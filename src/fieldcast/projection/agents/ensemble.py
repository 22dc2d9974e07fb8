"""One view from several agents, weaker the less they agree.

    mu     = D sum_i c_i mu_i / sum_i c_i              c_i: confidence
    sigma  = sqrt(sum_i c_i sigma_i^2 / sum_i c_i + V)   what they cannot foresee, and what they do not agree on
    V      = sum_i c_i (mu_i - mean)^2 / sum_i c_i
    D      = exp(-1/2 V / S^2),   S^2 = sum_i c_i sigma_i^2 / sum_i c_i

An agent far from the others is told by its robust z score, 0.6745 (mu_i - median) / MAD (B. Iglewicz and D. Hoaglin, "How to
detect and handle outliers", 1993); where the MAD is 0, more than half of the agents say the same, and the mean absolute deviation
takes its place with their 0.7979; where that is 0 too, all say the same and every score is 0. An agent beyond OUTLIER, and
further from the median than the agents' median sigma, has no vote: views that differ by less than nobody can foresee are not
far apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.projection.agents.contract import AgentPath

Floats = NDArray[np.float64]
OUTLIER = 3.5
NORMAL_MAD, NORMAL_MEAN = 0.6744897501960817, 0.7978845608028654        # MAD and mean absolute deviation of N(0, 1)


@dataclass(frozen=True)
class Ensemble:
    """The common view of one row.

    Parameters
    ----------
    mu, sigma : log return over the horizon; None where no agent with confidence has a view
    agreement : D, in (0, 1]; None with them
    confidence : mean confidence of the agents that voted
    voted, outliers, silent : names: with a vote; with a view too far away; without a view or without confidence
    """

    mu: float | None
    sigma: float | None
    agreement: float | None
    confidence: float | None
    voted: tuple[str, ...]
    outliers: tuple[str, ...]
    silent: tuple[str, ...]


def mad_z(values: ArrayLike) -> Floats:
    """Robust z scores of finite values (k,); see the module for a MAD of 0."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise InvalidInput(f"expected finite values in one dimension, found shape {x.shape}")
    if not x.size:
        return x.copy()
    off = x - np.median(x)
    for spread, normal in ((np.median(np.abs(off)), NORMAL_MAD), (np.mean(np.abs(off)), NORMAL_MEAN)):
        if spread > 0.0:
            with np.errstate(over="ignore"):
                return np.asarray(normal * (off / spread), dtype=np.float64)
    return np.zeros_like(x)


def disagreement(mu: ArrayLike, sigma: ArrayLike, weight: ArrayLike) -> tuple[float, float]:
    """(V, D) of views (k,); see the module.

    Raises
    ------
    InvalidInput : no weight above 0
    """
    m, s, c = (np.asarray(line, dtype=np.float64) for line in (mu, sigma, weight))
    total = c.sum()
    if not total > 0.0:
        raise InvalidInput("expected at least one agent with a confidence above 0")
    mean = float(c @ m / total)
    variance = float(c @ (m - mean) ** 2 / total)
    return variance, float(np.exp(-0.5 * variance / (c @ s**2 / total)))


def combine(agents: Sequence[AgentPath], row: int) -> Ensemble:
    """The ensemble at one row of agents over the same rows."""
    views = {agent.name: agent.at(row) for agent in agents}
    heard = {name: view for name, view in views.items() if view is not None and view["confidence"] > 0.0}
    silent = tuple(name for name in views if name not in heard)
    if not heard:
        return Ensemble(None, None, None, None, (), (), silent)
    names = list(heard)
    mu, sigma, confidence = (np.array([heard[name][key] for name in names]) for key in ("mu", "sigma", "confidence"))
    inside = (np.abs(mad_z(mu)) <= OUTLIER) | (np.abs(mu - np.median(mu)) <= np.median(sigma))
    mu, sigma, confidence = mu[inside], sigma[inside], confidence[inside]
    variance, agreement = disagreement(mu, sigma, confidence)
    weight = confidence / confidence.sum()
    return Ensemble(
        mu=agreement * float(weight @ mu),
        sigma=float(np.sqrt(weight @ sigma**2 + variance)),
        agreement=agreement,
        confidence=float(confidence.mean()),
        voted=tuple(name for name, kept in zip(names, inside, strict=True) if kept),
        outliers=tuple(name for name, kept in zip(names, inside, strict=True) if not kept),
        silent=silent,
    )
