"""Bands that hold a whole path at once: simultaneous coverage over horizons 1..H.

The score of row t is the worst of its horizons, on each one's own scale about the median,

    m_t = max_h  max( (c_h - r_h) / (c_h - l_h), (r_h - c_h) / (u_h - c_h) )        c: median, l and u: a marginal band's edges

so that the band [c - k (c - l), c + k (u - c)] holds every horizon at once exactly where m_t <= k. k is the split-conformal
quantile of the scores whose longest horizon had ended: number ceil((n + 1) p) of n (max-score conformal; the shape of the
marginal bands stays, one factor widens them all). With exchangeable rows the path lies inside with probability p at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import Floats
from fieldcast.projection.cones.trackers import split


@dataclass(frozen=True)
class PathBand:
    """Joint band of N instruments: `low`, `high` (T, N, H) in the unit of the returns, NaN before there is one.

    factor : (T, N) the common factor on the marginal bands
    inside : (T, N) 1 where every horizon's outcome lay inside, 0 where one did not, NaN where one is not known
    saturated : (T, N) the factor was capped at the largest score so far
    """

    horizons: tuple[int, ...]
    level: float
    low: Floats
    high: Floats
    factor: Floats
    inside: Floats
    saturated: NDArray[np.bool_]


def path_band(
    quantiles: Mapping[int, Floats],
    outcome: Mapping[int, Floats],
    edges: tuple[int, int, int],
    *,
    level: float = 0.9,
    window: int = 1000,
    minimum: int = 100,
) -> PathBand:
    """Joint band over the horizons that are given.

    Parameters
    ----------
    quantiles : of each horizon, (T, N, L) made at each row
    outcome : of each horizon, (T, N) returns from each row
    edges : places of the lower edge, the median and the upper edge among the L levels
    level : probability that the whole path lies inside
    window, minimum : of the scores

    Raises
    ------
    InvalidInput : horizons that differ, or a band without width
    """
    horizons = tuple(sorted(quantiles))
    if not horizons or horizons != tuple(sorted(outcome)) or not 0.5 < level < 1.0:
        raise InvalidInput(
            f"expected the same horizons twice and a level in (0.5, 1), found {horizons}, {sorted(outcome)}, {level}"
        )
    low, middle, high = (np.stack([quantiles[h][..., place] for h in horizons], axis=-1) for place in edges)
    happened = np.stack([outcome[h] for h in horizons], axis=-1)
    if happened.shape != low.shape:
        raise InvalidInput(f"expected outcomes {low.shape}, found {happened.shape}")
    if (low >= middle).any() or (high <= middle).any():
        raise InvalidInput("expected marginal bands with width on both sides of the median")
    reach = np.maximum((middle - happened) / (middle - low), (happened - middle) / (high - middle)).max(axis=-1)
    found = split(window, minimum).run(reach, horizon=horizons[-1], levels=[level])
    factor = found.quantiles[..., 0]
    below = middle - factor[..., None] * (middle - low)
    above = middle + factor[..., None] * (high - middle)
    unknown = np.isnan(reach) | np.isnan(factor)
    inside = np.where(unknown, np.nan, (reach <= factor).astype(np.float64))
    return PathBand(horizons, level, below, above, factor, inside, found.saturated)
