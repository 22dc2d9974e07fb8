"""Conformal cones: quantiles of past scores r / sigma, at levels that adapt to their own misses.

The score of row s over horizon h is z_s = r_{s,h} / sigma_s, known when its label ends, at row s + h. The cone at row
t is sigma_t times seven quantiles of the newest known scores. Each quantile but the median is tracked on its own side
(so a cone may be skewed) by adaptive conformal inference:

    lower tau:  a_{t+h} = a_t + g (tau - 1[z_t < q_t])            upper tau:  the mirror image with 1 - tau

a is the tail mass the tracker aims at. With h > 1 there are h interleaved trackers, each of which sees every h-th
row: a tracker is updated by a row exactly when that row's label has ended, and its own next forecast is due. Then
over T updates of one tracker |miss rate - a| <= (max(a_1, 1 - a_1) + g) / (g T) for any sequence whatever (Gibbs and
Candes 2021), if the set may be infinite when a <= 0 and empty when a >= 1. `RawTracker` is that object, and the
trackers here learn from their raw sets too. A packet's cone has to be finite: where a tracker asks for more than the
sample holds, the cone is capped at the most extreme score and flagged `saturated`.

Order statistics follow split conformal: the lower quantile at mass a among n scores is number floor((n + 1) a), the
upper one is its mirror image.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]

QUANTILE_LEVELS = (0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95)  # edges of the 50, 75 and 90 % bands, and the median
BANDS = (0.50, 0.75, 0.90)
MINIMUM_GAP_BPS = 1e-6  # quantiles that tie are set apart by so much: strictly ordered, below any price's tick
_BPS = 1e4


class RawTracker:
    """Adaptive conformal inference on miss indicators alone, with infinite and empty sets allowed.

    `mass` is a_t: a caller forms its set at that level (everything where a_t <= 0, nothing where a_t >= 1) and
    reports whether it missed.

    Parameters
    ----------
    alpha : the miss rate that is aimed at, in (0, 1)
    gamma : step, > 0
    start : first level; None = alpha
    """

    def __init__(self, alpha: float, gamma: float, start: float | None = None) -> None:
        if not 0.0 < alpha < 1.0 or not gamma > 0.0:
            raise InvalidInput(f"expected alpha in (0, 1) and gamma > 0, found {alpha} and {gamma}")
        self.alpha, self.gamma = float(alpha), float(gamma)
        self.mass = self.start = float(alpha if start is None else start)
        self.updates = self.misses = 0

    @property
    def infinite(self) -> bool:
        """True where the set is everything, so that it cannot miss."""
        return self.mass <= 0.0

    @property
    def empty(self) -> bool:
        """True where the set is nothing, so that it must miss."""
        return self.mass >= 1.0

    def update(self, *, missed: bool) -> None:
        """Learn whether the last set missed.

        Raises
        ------
        InvalidInput : an infinite set is said to have missed, or an empty one to have covered
        """
        if (self.infinite and missed) or (self.empty and not missed):
            kind = "infinite set cannot miss" if missed else "empty set cannot cover"
            raise InvalidInput(f"expected an outcome that is possible at level {self.mass:.4f}: an {kind}")
        self.mass += self.gamma * (self.alpha - float(missed))
        self.updates += 1
        self.misses += missed

    @property
    def bound(self) -> float:
        """The largest possible |miss rate - alpha| after the updates so far."""
        if self.updates == 0:
            return 1.0
        return (max(self.start, 1.0 - self.start) + self.gamma) / (self.gamma * self.updates)


@dataclass(frozen=True)
class ConePath:
    """A cone at every row; NaN where there is none yet.

    quantiles_bps : (n, 7) log return over the horizon in basis points, strictly ascending
    levels : (n, 7) the cumulative levels that the trackers asked for (may leave [0, 1])
    saturated : (n,) a quantile was capped at the most extreme score
    scores : (n,) past scores the cone rests on
    """

    quantiles_bps: Floats
    levels: Floats
    saturated: NDArray[np.bool_]
    scores: NDArray[np.int64]
    horizon: int

    def band(self, share: float) -> tuple[Floats, Floats]:
        """Lower and upper edge in bps of the central band: 0.50, 0.75 or 0.90."""
        if share not in BANDS:
            raise InvalidInput(f"expected a band out of {BANDS}, found {share}")
        place = BANDS.index(share)
        return self.quantiles_bps[:, 2 - place], self.quantiles_bps[:, 4 + place]


class AdaptiveConformal:
    """Seven-quantile cones, strictly online.

    Parameters
    ----------
    gamma : step of the level trackers; 0 = plain rolling split conformal
    window : newest known scores that count; None = all
    minimum : known scores below which there is no cone (row: short history)
    """

    def __init__(self, gamma: float = 0.005, window: int | None = 1000, minimum: int = 100) -> None:
        if not 0.0 <= gamma < 1.0 or minimum < 20 or (window is not None and window < minimum):
            raise InvalidInput(
                f"expected gamma in [0, 1), minimum >= 20 and window >= minimum, found {gamma}, {minimum}, {window}"
            )
        self.gamma, self.window, self.minimum = float(gamma), window, int(minimum)

    def run(self, ret: ArrayLike, sigma: ArrayLike, *, horizon: int, first: int = 0) -> ConePath:
        """Cones at rows first..n-1.

        Parameters
        ----------
        ret : (n,) log return over the horizon *from* each row (t to t + h), NaN where not known; the last h rows are
        sigma : (n,) forecast, made at each row, of that return's standard deviation, NaN where unknown
        horizon : h; the score of row s enters at row s + h and not before
        first : first row that gets a cone; earlier rows give scores only (and no tracker moves on them)

        Raises
        ------
        InvalidInput : shapes differ, sigma is not positive, or an infinity
        """
        r, s = np.asarray(ret, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
        if r.ndim != 1 or r.shape != s.shape or horizon < 1 or first < 0:
            raise InvalidInput(f"expected two equal vectors, horizon >= 1 and first >= 0, found {r.shape}, {s.shape}")
        if np.isinf(r).any() or np.isinf(s).any() or (s <= 0).any():
            raise InvalidInput("expected finite returns and positive sigma (NaN where unknown)")
        n = len(r)
        z = (r / s).tolist()
        has_sigma = np.isfinite(s).tolist()
        state = self.state(horizon)
        quantile = np.full((n, len(QUANTILE_LEVELS)), np.nan)
        levels = np.full((n, len(QUANTILE_LEVELS)), np.nan)
        saturated = np.zeros(n, dtype=np.bool_)
        count = np.zeros(n, dtype=np.int64)
        for t in range(n):
            score = z[t - horizon] if t >= horizon else math.nan
            cone = state.advance(score, wanted=has_sigma[t] and t >= first)
            if cone is not None:
                quantile[t], levels[t], saturated[t], count[t] = cone
        return ConePath(cone_quantiles(quantile, s), levels, saturated, count, horizon)

    def state(self, horizon: int) -> ConformalState:
        """What the cones know before the first row; advanced row by row it gives the very cones of `run`."""
        return ConformalState(self.gamma, self.window, self.minimum, horizon)


class ConformalState:
    """Past scores and level trackers between two rows; see `AdaptiveConformal`."""

    def __init__(self, gamma: float, window: int | None, minimum: int, horizon: int) -> None:
        self.gamma, self.window, self.minimum, self.horizon = gamma, window, minimum, horizon
        self._known: list[float] = []  # ascending
        self._ages: deque[float] = deque()
        self._mass = [[min(tau, 1.0 - tau) for tau in QUANTILE_LEVELS] for _ in range(horizon)]
        self._raw: list[list[float] | None] = [None] * horizon  # quantiles of the last rows, by row modulo the horizon
        self._row = 0

    def advance(self, score: float, *, wanted: bool) -> tuple[list[float], list[float], bool, int] | None:
        """Learn the score that became known at this row, and give the row its quantiles.

        Parameters
        ----------
        score : (return - drift) / sigma of the row `horizon` rows ago, NaN where it is not known
        wanted : False where the row gets no cone, as without a sigma

        Returns
        -------
        Quantiles of the score at `QUANTILE_LEVELS`, the levels asked for, whether one was capped at the most extreme score, and
        how many scores they rest on; None without a cone
        """
        known, place = self._known, self._row % self.horizon
        self._row += 1
        tracker = self._mass[place]
        if score == score:
            insort(known, score)
            self._ages.append(score)
            if self.window is not None and len(self._ages) > self.window:
                del known[bisect_left(known, self._ages.popleft())]
            past = self._raw[place]
            if past is not None:
                self._adapt(tracker, past, score)
        self._raw[place] = None
        if not wanted or len(known) < self.minimum:
            return None
        capped, unlimited = _order_statistics(known, tracker)
        self._raw[place] = unlimited
        levels = [a if tau <= 0.5 else 1.0 - a for a, tau in zip(tracker, QUANTILE_LEVELS, strict=True)]
        return capped, levels, capped != unlimited, len(known)

    def _adapt(self, mass: list[float], quantiles: list[float], score: float) -> None:
        """One delayed update of the tracker that made these quantiles."""
        for place, tau in enumerate(QUANTILE_LEVELS):
            if tau == 0.5:
                continue
            aim = min(tau, 1.0 - tau)
            missed = score < quantiles[place] if tau < 0.5 else score > quantiles[place]
            mass[place] += self.gamma * (aim - missed)


def _order_statistics(known: list[float], mass: list[float]) -> tuple[list[float], list[float]]:
    """The seven score quantiles at these tail masses: capped at the sample's extremes, and raw with infinities."""
    n = len(known)
    capped, raw = [], []
    for tau, a in zip(QUANTILE_LEVELS, mass, strict=True):
        if tau == 0.5:
            value = unlimited = 0.5 * (known[(n - 1) // 2] + known[n // 2])
        else:
            rank = math.floor((n + 1) * a)
            place = min(max(rank, 1), n)
            outward = -math.inf if tau < 0.5 else math.inf
            value = known[place - 1] if tau < 0.5 else known[n - place]
            unlimited = outward if rank < 1 else -outward if rank > n else value
        capped.append(value)
        raw.append(unlimited)
    return capped, raw


def cone_quantiles(scores: ArrayLike, sigma: ArrayLike) -> Floats:
    """Score quantiles times sigma, in bps, rearranged to be monotone and set strictly apart.

    Parameters
    ----------
    scores : (n, 7) or (7,) quantiles of r / sigma at `QUANTILE_LEVELS`, NaN rows where there is no cone
    sigma : (n,) standard deviation of the log return over the horizon

    Returns
    -------
    (n, 7) bps; a row is NaN in all places or in none
    """
    s = np.asarray(sigma, dtype=np.float64)
    z = np.asarray(scores, dtype=np.float64)
    z = np.broadcast_to(z, (len(s), len(QUANTILE_LEVELS)))
    q = np.sort(_BPS * z * s[:, None], axis=1)
    q[np.isnan(q).any(axis=1)] = np.nan
    if np.isinf(q).any():
        raise InvalidInput("expected finite score quantiles and sigma")
    for place in range(1, q.shape[1]):
        q[:, place] = np.fmax(q[:, place], q[:, place - 1] + MINIMUM_GAP_BPS)
    return q


def normal_quantiles(sigma: ArrayLike, mean: ArrayLike = 0.0, levels: Sequence[float] = QUANTILE_LEVELS) -> Floats:
    """Quantiles in bps of a normal log return: (n, 7) from sigma (n,) and mean (n,) or a number; NaN stays NaN."""
    from scipy.special import ndtri

    s = np.asarray(sigma, dtype=np.float64)
    centre = np.broadcast_to(np.asarray(mean, dtype=np.float64), s.shape)
    q: Floats = _BPS * (centre[:, None] + s[:, None] * ndtri(np.asarray(levels)))
    return q
