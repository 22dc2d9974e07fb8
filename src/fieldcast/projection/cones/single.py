"""Cones of one instrument for the composer: the same `run` as `projection.AdaptiveConformal`, other ways to find the quantiles.

    adaptive    DtACI on scores r / sigma: no step has to be chosen
    experts     Bernstein online aggregation, level by level, of
                    the newest 250 returns over the horizon
                    sigma times its last 250, its last 1,000 and all its scores
                    an exponentially weighted sigma (0.94) times its last 1,000 scores
                    sigma times normal quantiles with the last 250 scores' mean and deviation
                    ACI and PID on the scores
                then a slow recalibration of each band's width (`BandScale`)

Both are capped at what has been seen, flagged `saturated`, rearranged and set strictly apart, as a packet asks. The first
`minimum` scores give no cone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import Floats, panel_values, rearranged, scaled
from fieldcast.projection.cones.aggregate import Experts
from fieldcast.projection.cones.recalibrate import BandScale
from fieldcast.projection.cones.trackers import Aci, DtAci, Pid, Tracker, window_quantiles
from fieldcast.projection.conformal import QUANTILE_LEVELS, AdaptiveConformal, ConePath, cone_quantiles

Forecaster = Literal["conformal", "adaptive", "experts"]
DECAY = 0.94
SHORT, LONG = 250, 1000
TAU = np.array(QUANTILE_LEVELS)


def cone_forecaster(kind: Forecaster, minimum: int = 100) -> AdaptiveConformal | AdaptiveScores | ExpertCones:
    """The cone maker that an experiment names."""
    if kind == "conformal":
        return AdaptiveConformal(minimum=minimum)
    return AdaptiveScores(DtAci(minimum=minimum)) if kind == "adaptive" else ExpertCones(minimum)


class AdaptiveScores:
    """Sigma times the score quantiles of a tracker."""

    def __init__(self, tracker: Tracker | None = None) -> None:
        self.tracker = DtAci() if tracker is None else tracker

    def run(self, ret: ArrayLike, sigma: ArrayLike, *, horizon: int, first: int = 0) -> ConePath:
        """Cones at rows first..n-1; see `projection.AdaptiveConformal.run` (trackers here move on earlier rows too).

        Raises
        ------
        InvalidInput : shapes differ, sigma is not positive, or an infinity
        """
        r, s = _vectors(ret, sigma, horizon, first)
        found = self.tracker.run(scaled(r, s), horizon=horizon, levels=QUANTILE_LEVELS)
        return cone_path(found.quantiles[:, 0] * s, found.levels[:, 0], found.saturated[:, 0], found.known[:, 0], horizon, first)


class ExpertCones:
    """Aggregated and recalibrated experts of one instrument.

    Parameters
    ----------
    minimum : known scores below which there is no cone
    step : of the recalibration, see `BandScale`
    """

    def __init__(self, minimum: int = 100, step: float = 0.01) -> None:
        if minimum < 20:
            raise InvalidInput(f"expected a minimum of 20 or more, found {minimum}")
        self.minimum, self.recalibration = int(minimum), BandScale(step)

    def run(self, ret: ArrayLike, sigma: ArrayLike, *, horizon: int, first: int = 0) -> ConePath:
        """Cones at rows first..n-1; see `projection.AdaptiveConformal.run` (weights move on earlier rows too).

        Raises
        ------
        InvalidInput : shapes differ, sigma is not positive, or an infinity
        """
        r, s = _vectors(ret, sigma, horizon, first)
        known = Aci(0.0, max(len(r), self.minimum), self.minimum).run(scaled(r, s), horizon=horizon, levels=[0.5]).known[:, 0]
        made, capped = self.experts(r, s, horizon)
        mixed = Experts(smooth=1.0).combine(made, r, s, horizon=horizon, levels=QUANTILE_LEVELS)
        layered = self.recalibration.run(mixed.quantiles, r, horizon=horizon, levels=QUANTILE_LEVELS)
        levels = np.broadcast_to(TAU, (len(r), TAU.size)).copy()
        levels[np.isnan(layered.quantiles[:, 0, 0])] = np.nan
        return cone_path(layered.quantiles[:, 0], levels, capped | layered.saturated[:, 0], known, horizon, first)

    def experts(self, r: Floats, s: Floats, horizon: int) -> tuple[list[Floats], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """Each expert's quantiles (n, 1, 7), and the rows (n,) where a tracker was capped.

        An expert that needs a longer past than `minimum` speaks with what there is.
        """
        least, everything = self.minimum, max(len(r), LONG)
        z = scaled(r, s)
        weighted = _weighted_sigma(r, horizon)
        short, wide = min(SHORT, 10**9), LONG

        def shape(scores: Floats, window: int) -> Floats:
            return window_quantiles(scores, horizon, max(window, least), least, TAU)

        trackers = [
            tracker.run(z, horizon=horizon, levels=QUANTILE_LEVELS) for tracker in (Aci(0.01, wide, least), Pid(minimum=least))
        ]
        scale, own = s[..., None], weighted[..., None]
        made = [
            window_quantiles(r, horizon, max(short, least), least, TAU),
            scale * shape(z, short),
            scale * shape(z, wide),
            scale * shape(z, everything),
            own * shape(r / weighted, wide),
            scale * _normal_shape(z, horizon, max(short, least), least),
            *(rearranged(scale * tracker.quantiles) for tracker in trackers),
        ]
        return made, trackers[0].saturated[:, 0] | trackers[1].saturated[:, 0]


def _vectors(ret: ArrayLike, sigma: ArrayLike, horizon: int, first: int) -> tuple[Floats, Floats]:
    r, s = np.asarray(ret, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    if r.ndim != 1 or r.shape != s.shape or horizon < 1 or first < 0:
        raise InvalidInput(f"expected two equal vectors, horizon >= 1 and first >= 0, found {r.shape}, {s.shape}")
    return panel_values("returns", r), panel_values("sigma", s)


def cone_path(quantiles: Floats, levels: Floats, saturated: np.ndarray, known: np.ndarray, horizon: int, first: int) -> ConePath:
    """Quantiles (n, 7) as a packet asks for them: nothing before `first`, strictly apart, and no flags where there are none."""
    q, asked, flags, count = quantiles.copy(), levels.copy(), saturated.copy(), known.copy()
    q[:first] = asked[:first] = np.nan
    unknown = np.isnan(q).any(axis=1)
    asked[unknown], flags[unknown], count[unknown] = np.nan, False, 0
    return ConePath(cone_quantiles(q, np.ones(len(q))), asked, flags, count, horizon)


def _weighted_sigma(r: Floats, horizon: int) -> Floats:
    """(n, 1) root of the exponentially weighted mean square of returns over the horizon that had ended at each row."""
    out = np.full(r.shape, np.nan)
    value = np.nan
    for t in range(horizon, len(r)):
        past = r[t - horizon, 0]
        if past == past:
            square = past * past
            value = square if value != value else DECAY * value + (1.0 - DECAY) * square
        out[t, 0] = np.sqrt(value) if value > 0.0 else np.nan
    return out


def _normal_shape(z: Floats, horizon: int, window: int, minimum: int) -> Floats:
    """Normal quantiles with the mean and deviation of the newest scores known at each row: (n, 1, 7)."""
    from scipy.special import ndtri

    out = np.full((*z.shape, TAU.size), np.nan)
    known: list[float] = []
    for t in range(horizon, len(z)):
        if z[t - horizon, 0] == z[t - horizon, 0]:
            known.append(z[t - horizon, 0])
        if len(known) >= minimum:
            newest = np.array(known[-window:])
            out[t, 0] = newest.mean() + newest.std() * ndtri(TAU)
    return out
