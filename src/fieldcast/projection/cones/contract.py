"""What every quantile forecaster of a panel is given and gives.

    quantiles(panel, sigma, horizon, levels) -> (T, N, L)

Row t holds quantiles of the log return close(t) → close(t + h) of N instruments, made from rows up to t and from outcomes that
had ended by t: a panel cut at t gives the same row t. Units are those of sigma, log returns (0.01 = 1 %).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from numpy.typing import ArrayLike

from fieldcast.features.panel import Panel
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats


class QuantileForecaster(Protocol):
    """One way to forecast the quantiles of a panel's returns."""

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """(T, N, L) ascending along L; a row of an instrument is NaN in all levels or in none."""
        ...
