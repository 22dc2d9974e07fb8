"""Quantile forecasters without a fit: the returns' own past, or sigma times a shape.

    rolling     q_t(tau) = empirical tau of the newest 250 returns over the horizon that have ended
    scaled      q_t(tau) = sigma_t * empirical tau of past scores z = r / sigma                  per instrument
    pooled      the same, of the scores of all instruments together
    normal      q_t(tau) = sigma_t N^-1(tau)
    tracked     q_t(tau) = sigma_t * what a conformal tracker asks for                           ACI, DtACI, PID, split

All are `contract.QuantileForecaster`s; empirical quantiles interpolate linearly (Hyndman and Fan's type 7).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.features.panel import Panel
from fieldcast.projection.cones._checks import (
    CONE_LEVELS,
    Floats,
    check_levels,
    check_window,
    panel_values,
    rearranged,
    same_panel,
    scaled,
)
from fieldcast.projection.cones.trackers import Tracker, window_quantiles


class Rolling:
    """The newest `window` returns themselves; sigma is not used."""

    def __init__(self, window: int = 250) -> None:
        check_window(window, window, 1)
        self.window = int(window)

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`; NaN before `window` returns are known and where there is no close."""
        return rolling_quantiles(panel.log_return(horizon), horizon, check_levels(levels), self.window)


def rolling_quantiles(outcome: Floats, horizon: int, tau: Floats, window: int = 250) -> Floats:
    """(T, N, L) empirical quantiles of the newest `window` outcomes (T, N) that had ended at each row."""
    found = window_quantiles(outcome, horizon, window, window, tau)
    return found


class ScaledEmpirical:
    """Sigma times the instrument's own past scores.

    Parameters
    ----------
    window : newest scores that count
    minimum : scores below which there is no forecast
    """

    def __init__(self, window: int = 1000, minimum: int = 250) -> None:
        check_window(window, minimum, 1)
        self.window, self.minimum = int(window), int(minimum)

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`."""
        scale = panel_values("sigma", sigma)
        z = scaled(panel.log_return(horizon), scale)
        shape = window_quantiles(z, horizon, self.window, self.minimum, check_levels(levels))
        out: Floats = scale[..., None] * shape
        return out


class PooledEmpirical:
    """Sigma times the past scores of all instruments together: a steadier shape.

    Parameters
    ----------
    window : newest rows that count
    minimum : rows below which there is no forecast
    """

    def __init__(self, window: int = 750, minimum: int = 100) -> None:
        check_window(window, minimum, 1)
        self.window, self.minimum = int(window), int(minimum)

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`."""
        tau, scale = check_levels(levels), panel_values("sigma", sigma)
        check_window(self.window, self.minimum, horizon)
        z = scaled(panel.log_return(horizon), scale)
        shape = np.full((len(z), tau.size), np.nan)
        for t in range(self.minimum + horizon, len(z)):
            known = z[max(0, t - horizon + 1 - self.window) : t - horizon + 1]
            known = known[np.isfinite(known)]
            if known.size >= self.minimum:
                shape[t] = np.quantile(known, tau)
        out: Floats = scale[..., None] * shape[:, None, :]
        return out


class Normal:
    """Sigma times the normal distribution's quantiles, without drift."""

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`."""
        from scipy.special import ndtri

        scale = panel_values("sigma", sigma)
        same_panel(sigma=scale, close=panel_values("close", panel.close))
        out: Floats = scale[..., None] * ndtri(check_levels(levels))
        return out


class TrackedScores:
    """Sigma times the score quantiles of a conformal tracker, rearranged."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`."""
        scale = panel_values("sigma", sigma)
        found = self.tracker.run(scaled(panel.log_return(horizon), scale), horizon=horizon, levels=levels)
        return rearranged(scale[..., None] * found.quantiles)
