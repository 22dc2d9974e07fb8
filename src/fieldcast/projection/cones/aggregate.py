"""Online aggregation of quantile forecasters: Bernstein online aggregation on the pinball loss, level by level.

    forecast     Q_t = sum_k w_{t,k} q_{t,k}
    loss         l_k = g q_k / s,   g = 1[r < Q] - tau       the pinball's subgradient at the aggregate, per unit of scale
    regret       d_k = sum_j w_j l_j - l_k,   |d_k| <= B
    rate         e_k = min(1 / (2 B_k), sqrt(log K / V_k)),   V_k = sum of d_k^2
    weights      R_k += (d_k - e_k d_k^2 + B_k 1[e_k d_k > 1/2]) / 2,   w_k ~ e_k exp(e_k R_k) / K

Second-order regret bound: against the best fixed mixture it grows as sqrt(V log K). Row t rests on rows s with s + h <= t.
`pooled` adds the regrets of all instruments into one set of weights; `smooth` averages weights over neighbouring levels; a
`regime` of each row keeps weights of its own for each regime. Mixtures are rearranged so that they ascend.
Source: Wintenberger, "Optimal learning with Bernstein online aggregation", Machine Learning 106 (2017), with the constants of the
R package opera; smoothing over levels: Berrisch and Ziel 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, rearranged


@dataclass(frozen=True)
class Aggregated:
    """Quantiles (T, N, L) ascending, NaN where an expert has none; `weights` (T, N, L, K) that made them, each summing to 1."""

    quantiles: Floats
    weights: Floats


class Experts:
    """Bernstein online aggregation.

    Parameters
    ----------
    pooled : one set of weights for all instruments (their regrets are averaged), in place of one each
    smooth : width, in places of the list of levels, of the normal kernel that averages weights over levels; 0 = none
    share : mixed into the weights evenly at each use, so that no expert dies: in [0, 1)
    """

    def __init__(self, *, pooled: bool = False, smooth: float = 0.0, share: float = 0.0) -> None:
        if smooth < 0.0 or not 0.0 <= share < 1.0:
            raise InvalidInput(f"expected smooth >= 0 and a share in [0, 1), found {smooth} and {share}")
        self.pooled, self.smooth, self.share = bool(pooled), float(smooth), float(share)

    def combine(
        self,
        experts: Sequence[ArrayLike],
        outcome: ArrayLike,
        scale: ArrayLike,
        *,
        horizon: int,
        levels: Sequence[float] = CONE_LEVELS,
        regime: ArrayLike | None = None,
    ) -> Aggregated:
        """Aggregate K forecasters, strictly online.

        Parameters
        ----------
        experts : K quantile forecasts (T, N, L); a row counts where all of them are known
        outcome : (T, N) return over the horizon from each row, NaN where not known
        scale : (T, N) positive, in the unit of the return: makes losses of calm and wild rows alike
        regime : (T,) class of each row, 0, 1, …, known at its decision; None = one

        Raises
        ------
        InvalidInput : fewer than two experts, shapes that differ, or a class below 0
        """
        tau = check_levels(levels)
        q = np.stack([np.asarray(expert, dtype=np.float64) for expert in experts], axis=-1) if len(experts) else np.empty(0)
        r, s = panel_values("outcome", outcome), panel_values("scale", scale)
        if len(experts) < 2 or q.shape[:3] != (*r.shape, tau.size) or s.shape != r.shape:
            raise InvalidInput(
                f"expected two or more experts {(*r.shape, tau.size)} and a scale {r.shape}, found {q.shape}, {s.shape}"
            )
        state_of = np.zeros(len(r), dtype=np.int64) if regime is None else np.asarray(regime, dtype=np.int64)
        if state_of.shape != (len(r),) or state_of.min(initial=0) < 0:
            raise InvalidInput(f"expected a class of 0 or more for each of {len(r)} rows, found shape {state_of.shape}")
        return self._walk(q, r, s, tau, state_of, horizon)

    def _walk(self, q: Floats, r: Floats, s: Floats, tau: Floats, regime: NDArray[np.int64], horizon: int) -> Aggregated:
        length, width, n_levels, experts = q.shape
        groups = 1 if self.pooled else width
        states = int(regime.max(initial=0)) + 1
        memory = [_Bernstein((groups, n_levels, experts)) for _ in range(states)]
        kernel = _smoother(n_levels, self.smooth)
        weights = np.full(q.shape, np.nan)
        mixed = np.full(q.shape[:3], np.nan)
        known = np.isfinite(q).all(axis=(2, 3)) & np.isfinite(s)
        scored = known & np.isfinite(r)
        for t in range(length):
            past = t - horizon
            if past >= 0 and scored[past].any():
                error = np.where(r[past][:, None] < mixed[past], 1.0, 0.0) - tau
                loss = (error / s[past][:, None])[..., None] * q[past]
                regret = (weights[past] * loss).sum(axis=-1, keepdims=True) - loss
                regret = np.where(scored[past][:, None, None], regret, 0.0)
                if self.pooled:
                    regret = regret.sum(axis=0, keepdims=True) / scored[past].sum()
                memory[regime[past]].learn(regret)
            w = memory[regime[t]].weights()
            w = np.einsum("lm,gmk->glk", kernel, w)
            w = (1.0 - self.share) * w + self.share / experts
            weights[t] = w
            mixed[t] = np.where(known[t][:, None], (w * q[t]).sum(axis=-1), np.nan)
        return Aggregated(rearranged(mixed), weights)


class _Bernstein:
    """Regrets and rates of one set of weights (…, K)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.regret, self.squares, self.bound = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.rate = np.full(shape, np.inf)
        self.prior = math.log(shape[-1])

    def learn(self, d: Floats) -> None:
        self.bound = np.maximum(self.bound, np.where(np.abs(d) > self.bound, 2.0 ** np.ceil(np.log2(np.abs(d) + 1e-300)), 0.0))
        self.squares += d**2
        before = np.where(np.isfinite(self.rate), self.rate, 0.0)
        with np.errstate(divide="ignore"):
            self.rate = np.minimum(1.0 / (2.0 * self.bound), np.sqrt(self.prior / self.squares))
        self.regret += 0.5 * (d - before * d**2 + self.bound * (before * d > 0.5))

    def weights(self) -> Floats:
        """Ascending in regret; even while nothing has been learned."""
        rate = np.where(np.isfinite(self.rate), self.rate, 0.0)
        exponent = np.where(rate > 0.0, np.log(np.where(rate > 0.0, rate, 1.0)) + rate * self.regret, -np.inf)
        even = ~np.isfinite(exponent).any(axis=-1, keepdims=True)
        exponent = np.where(even, 0.0, exponent)
        raw = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
        out: Floats = raw / raw.sum(axis=-1, keepdims=True)
        return out


def _smoother(levels: int, width: float) -> Floats:
    """(L, L) rows that sum to 1."""
    if width == 0.0:
        return np.eye(levels)
    gap = np.subtract.outer(np.arange(levels), np.arange(levels))
    kernel = np.exp(-0.5 * (gap / width) ** 2)
    out: Floats = kernel / kernel.sum(axis=1, keepdims=True)
    return out
