"""Conformal trackers on scores z = r / sigma, many instruments and levels at once, each outcome used only when it has ended.

Every quantile but the median is tracked on its own side: aim a = min(tau, 1 - tau), the tail mass beyond it. What a level tracker
needs of an outcome is beta_t, the least tail mass at which the set made at t would have missed it: err_t(a) = 1[a >= beta_t].

    split    a_t = a
    ACI      a_{t+h} = a_t + g (a - err_t)                                           h interleaved trackers (Gibbs, Candes 2021)
    DtACI    a grid of ACI trackers with steps g_k, drawn together by weights       (Gibbs, Candes 2022, algorithm 1)
                 a_t = sum_k p_k a_t^k,   w_k <- (1 - s) w_k exp(-e l_k) + s W / K,   l_k = a (beta - a^k) - min(0, beta - a^k)
    PID      q_{t+1} = g_{t+1} + P_t + I_t                                          (Angelopoulos, Candes, Tibshirani 2023)
                 P_t = P_{t-1} + eta e_t,   I_t = K tan(x_t log(n) / (n C)),   e_t = 1[z > q] - (1 - tau),   x_t = sum of e
                 g: the scorecaster, here the window's own empirical quantile

The set is then the (n + 1) a order statistic of the newest known scores (split, ACI, DtACI) or q itself (PID). Errors are those
of the raw sets, where a tail mass of 0 or less is the whole line and one of 1 or more is empty, so that ACI's bound holds for any
sequence; what is returned is finite: capped at the window's most extreme score and flagged `saturated`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones import _kernels_scores as kernels
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, check_window, panel_values

DTACI_STEPS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)  # the grid of Gibbs and Candes 2022
DTACI_MEMORY = 500  # I: rows whose regret the weights are tuned to


@dataclass(frozen=True)
class Tracked:
    """Score quantiles at every row, NaN where there are none yet.

    quantiles : (T, N, L) in units of the score, finite, not yet rearranged
    levels : (T, N, L) cumulative levels that were asked for (may leave [0, 1]); for PID the nominal ones
    saturated : (T, N) a quantile was capped
    known : (T, N) scores in the window
    """

    quantiles: Floats
    levels: Floats
    saturated: NDArray[np.bool_]
    known: NDArray[np.int64]


class Tracker(Protocol):
    """What turns past scores into score quantiles."""

    def run(self, scores: ArrayLike, *, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Tracked:
        """Score quantiles (T, N, L) from scores (T, N); the score of row s is known at s + horizon and not before."""
        ...


class Aci:
    """Adaptive conformal inference; step 0 is rolling split conformal.

    Parameters
    ----------
    step : g
    window : newest known scores that count
    minimum : known scores below which there is nothing
    """

    def __init__(self, step: float = 0.005, window: int = 1000, minimum: int = 100) -> None:
        check_window(window, minimum, 1)
        if not 0.0 <= step < 1.0:
            raise InvalidInput(f"expected a step in [0, 1), found {step}")
        self.step, self.window, self.minimum = float(step), int(window), int(minimum)

    def run(self, scores: ArrayLike, *, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Tracked:
        """See `Tracker.run`.

        Raises
        ------
        InvalidInput : scores are not (T, N), or hold an infinity
        """
        z, tau = panel_values("scores", scores), check_levels(levels)
        check_window(self.window, self.minimum, horizon)
        beta = _beta(z, tau, horizon, self.window, self.minimum)
        mass = np.broadcast_to(_aims(tau), beta.shape).copy()
        if self.step > 0.0:
            _walk_masses(mass, beta, tau, self.step, horizon)
        return _sets(z, mass, tau, horizon, self.window, self.minimum)


def split(window: int = 1000, minimum: int = 100) -> Aci:
    """Rolling split conformal: ACI with a step of 0."""
    return Aci(0.0, window, minimum)


class DtAci:
    """Dynamically tuned ACI: no step has to be chosen.

    Parameters
    ----------
    steps : the grid g_k
    memory : I, rows over which the regret bound is tuned; the mixing share is 1 / (2 I) and the learning rate
        e = sqrt(3 / I) sqrt((log(K I) + 2) / ((1 - a)^2 a^3 + (1 - a)^3 a^2))
    window, minimum : as in `Aci`
    """

    def __init__(
        self, steps: Sequence[float] = DTACI_STEPS, memory: int = DTACI_MEMORY, window: int = 1000, minimum: int = 100
    ) -> None:
        check_window(window, minimum, 1)
        self.steps = np.asarray(steps, dtype=np.float64)
        if self.steps.ndim != 1 or not self.steps.size or not ((self.steps > 0) & (self.steps < 1)).all() or memory < 2:
            raise InvalidInput(f"expected steps inside (0, 1) and a memory of 2 or more, found {steps} and {memory}")
        self.memory, self.window, self.minimum = int(memory), int(window), int(minimum)

    def run(self, scores: ArrayLike, *, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Tracked:
        """See `Tracker.run`.

        Raises
        ------
        InvalidInput : scores are not (T, N), or hold an infinity
        """
        z, tau = panel_values("scores", scores), check_levels(levels)
        check_window(self.window, self.minimum, horizon)
        beta = _beta(z, tau, horizon, self.window, self.minimum)
        aim = _aims(tau)
        experts, share = self.steps.size, 1.0 / (2.0 * self.memory)
        rate = math.sqrt(3.0 / self.memory) * np.sqrt(
            (math.log(experts * self.memory) + 2.0) / ((1.0 - aim) ** 2 * aim**3 + (1.0 - aim) ** 3 * aim**2)
        )
        mass = np.broadcast_to(aim, beta.shape).copy()
        members = np.broadcast_to(aim[:, None], (horizon, *beta.shape[1:], experts)).copy()
        weights = np.full(members.shape, 1.0 / experts)
        used = np.full(members.shape, np.nan)  # each tracker's members when its set was made
        for t in range(len(beta)):
            place = t % horizon
            if t >= horizon:
                seen = beta[t - horizon][..., None]
                gap = seen - used[place]
                loss = aim[:, None] * gap - np.minimum(0.0, gap)
                moved = weights[place] * np.exp(-rate[:, None] * loss)
                total = moved.sum(axis=-1, keepdims=True)
                moved = (1.0 - share) * moved / total + share / experts
                stepped = members[place] + self.steps * (aim[:, None] - (gap <= 0.0))
                known = np.isfinite(seen) & np.isfinite(gap)
                weights[place] = np.where(known, moved, weights[place])
                members[place] = np.where(known, stepped, members[place])
            used[place] = members[place]
            mass[t] = (weights[place] * members[place]).sum(axis=-1)
        mass[:, :, tau == 0.5] = 0.5
        return _sets(z, mass, tau, horizon, self.window, self.minimum)


class Pid:
    """Conformal PID control: quantile tracking, an error integrator and a scorecaster.

    Parameters
    ----------
    rate : eta as a share of the largest absolute score of the window
    integral : K of the integrator in units of the score; 0 = no integrator
    saturation : C of the integrator: how soon its tangent runs to infinity
    scorecaster : whether the window's empirical quantile is the base that P and I correct; False = tracking alone
    window, minimum : as in `Aci`
    """

    def __init__(
        self,
        rate: float = 0.002,
        integral: float = 0.1,
        saturation: float = 5.0,
        *,
        scorecaster: bool = True,
        window: int = 1000,
        minimum: int = 100,
    ) -> None:
        check_window(window, minimum, 1)
        if not 0.0 < rate < 1.0 or integral < 0.0 or not saturation > 0.0:
            raise InvalidInput(
                f"expected rate in (0, 1), integral >= 0 and saturation > 0, found {rate}, {integral}, {saturation}"
            )
        self.rate, self.integral, self.saturation = float(rate), float(integral), float(saturation)
        self.scorecaster, self.window, self.minimum = bool(scorecaster), int(window), int(minimum)

    def run(self, scores: ArrayLike, *, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Tracked:
        """See `Tracker.run`; one tracker, whose updates arrive h rows late.

        Raises
        ------
        InvalidInput : scores are not (T, N), or hold an infinity
        """
        z, tau = panel_values("scores", scores), check_levels(levels)
        check_window(self.window, self.minimum, horizon)
        base = window_quantiles(z, horizon, self.window, self.minimum, tau)
        edges = window_quantiles(np.abs(z), horizon, self.window, self.minimum, np.array([1.0]))[..., 0]
        known = _known(z, horizon, self.window, self.minimum)
        raw = np.full((*z.shape, tau.size), np.nan)
        tracked = np.zeros((z.shape[1], tau.size)) if self.scorecaster else np.full((z.shape[1], tau.size), np.nan)
        excess, updates = np.zeros_like(tracked), np.zeros((z.shape[1], 1))
        for t in range(len(z)):
            if t >= horizon:
                outcome = z[t - horizon][:, None]
                counted = np.isfinite(outcome) & ~np.isnan(raw[t - horizon])
                error = np.where(counted, (outcome > raw[t - horizon]) - (1.0 - tau), 0.0)
                tracked = tracked + self.rate * np.nan_to_num(edges[t - horizon])[:, None] * error
                excess += error
                updates += counted[:, :1]
            if not self.scorecaster:
                tracked = np.where(np.isnan(tracked), base[t], tracked)
            raw[t] = (base[t] if self.scorecaster else 0.0) + tracked + self._integrator(excess, updates)
            raw[t, np.isnan(base[t, :, 0])] = np.nan
        bound = edges[..., None]
        with np.errstate(invalid="ignore"):
            saturated = np.asarray((np.abs(raw) > bound).any(axis=-1), dtype=np.bool_)
        capped = np.clip(raw, -bound, bound)
        return Tracked(capped, np.broadcast_to(tau, raw.shape).copy(), saturated, known)

    def _integrator(self, excess: Floats, updates: Floats) -> Floats:
        """K tan(x log(n + 1) / (n C)), infinite where the angle passes a right one."""
        if self.integral == 0.0:
            return np.zeros_like(excess)
        n = np.maximum(updates, 1.0)
        angle = excess * np.log(n + 1.0) / (n * self.saturation)
        finite: Floats = np.clip(angle, -1.5707, 1.5707)
        turn: Floats = self.integral * np.tan(finite)
        turn[angle >= 0.5 * math.pi], turn[angle <= -0.5 * math.pi] = np.inf, -np.inf
        return turn


def window_quantiles(scores: ArrayLike, horizon: int, window: int, minimum: int, levels: ArrayLike) -> Floats:
    """Interpolated quantiles (T, N, L) of the newest `window` scores known at each row; NaN before `minimum` are.

    Levels may reach 0 and 1, the window's extremes.
    """
    z, tau = panel_values("scores", scores), np.asarray(levels, dtype=np.float64)
    result = np.full((*z.shape, tau.size), np.nan)
    for place in range(z.shape[1]):
        kernels.window_quantiles(np.ascontiguousarray(z[:, place]), horizon, window, minimum, tau, result[:, place])
    return result


def _aims(tau: Floats) -> Floats:
    """Tail mass beyond each level; rounded, for 1 - 0.9 is less than 0.1 and (n + 1) a would fall short of a whole number."""
    return np.asarray(np.round(np.minimum(tau, 1.0 - tau), 12), dtype=np.float64)


def _beta(z: Floats, tau: Floats, horizon: int, window: int, minimum: int) -> Floats:
    """(T, N, L): the least tail mass that would miss; NaN where there was no set or no outcome."""
    beta = np.full((*z.shape, tau.size), np.nan)
    for place in range(z.shape[1]):
        below, above, counts = np.full(len(z), np.nan), np.full(len(z), np.nan), np.zeros(len(z), dtype=np.int64)
        kernels.ranks(np.ascontiguousarray(z[:, place]), horizon, window, minimum, below, above, counts)
        beta[:, place] = np.where(tau <= 0.5, below[:, None], above[:, None])
    return beta


def _known(z: Floats, horizon: int, window: int, minimum: int) -> NDArray[np.int64]:
    counts = np.zeros(z.shape, dtype=np.int64)
    for place in range(z.shape[1]):
        column, spare = np.zeros(len(z), dtype=np.int64), np.empty(len(z))
        kernels.ranks(np.ascontiguousarray(z[:, place]), horizon, window, minimum, spare, spare.copy(), column)
        counts[:, place] = column
    return counts


def _walk_masses(mass: Floats, beta: Floats, tau: Floats, step: float, horizon: int) -> None:
    """Fill (T, N, L) with the masses of h interleaved trackers; the median's stays."""
    aim = _aims(tau)
    moves = np.where(tau == 0.5, 0.0, step)
    for t in range(horizon, len(mass)):
        seen = beta[t - horizon]
        missed = mass[t - horizon] >= seen
        mass[t] = mass[t - horizon] + np.where(np.isfinite(seen), moves * (aim - missed), 0.0)


def _sets(z: Floats, mass: Floats, tau: Floats, horizon: int, window: int, minimum: int) -> Tracked:
    """The capped order statistics of every row; the median is the sample's."""
    result = np.full(mass.shape, np.nan)
    saturated = np.zeros(z.shape, dtype=np.bool_)
    upper = tau > 0.5
    sides = tau != 0.5
    for place in range(z.shape[1]):
        values = np.full((len(z), int(sides.sum())), np.nan)
        capped = np.zeros(len(z), dtype=np.bool_)
        column = np.ascontiguousarray(z[:, place])
        masses = np.ascontiguousarray(mass[:, place, sides])
        kernels.order_statistics(column, horizon, window, minimum, masses, upper[sides], values, capped)
        result[:, place, sides] = values
        saturated[:, place] = capped
    if not sides.all():
        result[..., ~sides] = window_quantiles(z, horizon, window, minimum, [0.5])
    levels = np.where(upper, 1.0 - mass, mass)
    levels[np.isnan(result)] = np.nan
    return Tracked(result, levels, saturated, _known(z, horizon, window, minimum))
