"""Online blend of volatility forecasters, weighted by what their QLIKE has been.

    log f_t = sum_j w_{j,t} log f_{j,t},   f = sigma^2

QLIKE is convex in log f, so a blend of logs can be held against its experts by linear losses. At row t the outcomes of the
forecasts made at t - h have just ended; with g_i = 1 - V_i / f_i, the derivative of QLIKE by log f at instrument i's blend,

    regret of expert j     r_j = mean_i  g_i (log f_i - log f_{j,i})
    rate                   eta_j = min( 1 / (2 max |r_j|), sqrt( log K / sum r_j^2 ) )
    weight                 w_j  proportional to  pi_j eta_j exp( eta_j sum (r_j - eta_j r_j^2) )

(Bernstein online aggregation with the gradient trick and adaptive rates), so the weights at t know only outcomes that have
ended by t. One set of weights for the whole panel: the regrets of a date are averaged over its instruments, and |g| is
clipped at `CLIP`, so that one session of one instrument moves no more than its share. An expert that is silent in a cell leaves
its weight to the others there; one that is silent on a whole date has no regret. With outcomes overlapping, h > 1, the regrets
are those of delayed feedback.
Sources: Wintenberger 2017 (Bernstein online aggregation); Gaillard, Stoltz and van Erven 2014 (second-order rates).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility.contract import VolatilityForecaster, ahead, checked_horizon, realised_variance

Mask = npt.NDArray[np.bool_]

CLIP = 5.0  # of |g|: an outcome six times its forecast or more counts as six


@dataclass(frozen=True)
class Aggregate:
    """What online aggregation made of K experts' paths."""

    names: tuple[str, ...]
    sigma: Floats  # (T, N); NaN where no expert speaks
    weights: Floats  # (T, K) in force at each row, rows sum to 1


def aggregate(paths: Mapping[str, Floats], realised: Floats, horizon: int) -> Aggregate:
    """Blend sigma paths online.

    Parameters
    ----------
    paths : expert -> (T, N) sigma over the horizon, NaN where unknown
    realised : (T, N) variance of sessions t+1..t+h in row t (`volatility.ahead`), NaN where it has not ended or is unknown
    horizon : sessions ahead

    Raises
    ------
    InvalidInput : no expert, shapes differ, or a sigma is not positive
    """
    steps = checked_horizon(horizon)
    names = tuple(paths)
    if not names:
        raise InvalidInput("expected at least one expert to blend, found none")
    sigma = np.stack([np.asarray(paths[name], dtype=np.float64) for name in names])
    if any(np.shape(paths[name]) != realised.shape for name in names) or realised.ndim != 2:
        raise InvalidInput(f"expected paths of the shape {realised.shape} of the outcomes, found {sigma.shape[1:]}")
    if (sigma <= 0).any() or np.isinf(sigma).any():
        raise InvalidInput("expected positive finite sigmas (NaN where unknown)")
    logs = 2.0 * np.log(sigma)
    known = np.isfinite(logs)
    experts, rows = len(names), realised.shape[0]
    total, squares, largest = np.zeros(experts), np.zeros(experts), np.zeros(experts)
    weights = np.empty((rows, experts))
    blended = np.full(realised.shape, np.nan)
    for row in range(rows):
        ended = row - steps
        if ended >= 0:
            regret, spoke = _regret(logs[:, ended], known[:, ended], blended[ended], realised[ended])
            largest = np.maximum(largest, np.abs(regret))
            squares += regret**2
            rate = _rates(squares, largest, experts)
            total += np.where(spoke, regret - rate * regret**2, 0.0)
        rate = _rates(squares, largest, experts)
        score = np.log(rate) + rate * total
        weight = np.exp(score - score.max())
        weights[row] = weight / weight.sum()
        share = np.where(known[:, row], weights[row][:, None], 0.0)
        mass = share.sum(axis=0)
        spoken = mass > 0.0
        mix = (share * np.where(known[:, row], logs[:, row], 0.0)).sum(axis=0)
        blended[row, spoken] = mix[spoken] / mass[spoken]
    return Aggregate(names, np.exp(0.5 * blended), weights)


def _regret(logs: Floats, known: Mask, blended: Floats, realised: Floats) -> tuple[Floats, Mask]:
    """Linearised regret of each expert on one date (K,), and whether it spoke at all."""
    cells = np.isfinite(blended) & np.isfinite(realised)
    use = known & cells
    spoke: Mask = np.asarray(use.any(axis=1), dtype=np.bool_)
    if not spoke.any():
        return np.zeros(len(logs)), spoke
    slope = np.clip(1.0 - realised[cells] * np.exp(-blended[cells]), -CLIP, CLIP)
    gap = np.where(use[:, cells], blended[cells] - logs[:, cells], 0.0)
    return (gap * slope).sum(axis=1) / np.maximum(use.sum(axis=1), 1), spoke


def _rates(squares: Floats, largest: Floats, experts: int) -> Floats:
    """Adaptive learning rate of each expert."""
    cap = 1.0 / (2.0 * np.maximum(largest, 1e-6))
    rate: Floats = np.minimum(cap, np.sqrt(np.log(max(experts, 2)) / np.maximum(squares, 1e-12)))
    return rate


class Blend(VolatilityForecaster):
    """Online aggregation of forecasters.

    Parameters
    ----------
    experts : the forecasters; their names must differ
    """

    def __init__(self, experts: Sequence[VolatilityForecaster]) -> None:
        names = [expert.name for expert in experts]
        if not names or len(set(names)) != len(names):
            raise InvalidInput(f"expected experts of different names, found {', '.join(names) or 'none'}")
        self.experts = tuple(experts)

    @property
    def name(self) -> str:
        return "blend"

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        return self.aggregate(panel, horizon, first).sigma

    def aggregate(self, panel: Panel, horizon: int, first: int | None = None) -> Aggregate:
        """The blend with its weights; arguments as in `path`."""
        paths = {expert.name: expert.path(panel, horizon, first) for expert in self.experts}
        return aggregate(paths, ahead(realised_variance(panel), checked_horizon(horizon)), horizon)
