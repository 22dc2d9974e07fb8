"""Fits the prior of the change-point detector: how often stretches begin anew, and what a new one may look like.

The detector (`fields.regime.filtered.change_point_odds`) is exact given hazard H and a normal-gamma prior (m, w, a, b). Its
evidence

    log p(x_1 … x_n) = Σ_t log Σ_r P(run_{t−1} = r) p(x_t | run)

is a by-product of the filter, so that the prior can be chosen by it on training rows, without a label: empirical Bayes over a
small declared grid of H and the shape a, then frozen. The scale follows from the rows' variance, b = a · variance, and the
mean is theirs.

Sources: Adams and MacKay, arXiv 0710.3742 (2007); normal-gamma: DeGroot, Optimal Statistical Decisions (1970), 9.6.
"""

from __future__ import annotations

from datetime import datetime
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.regime.parameters import ChangePointParameters
from fieldcast.ground import InvalidInput, MissingData

LEAST_ROWS = 250
HAZARDS = (1 / 21, 1 / 63, 1 / 126, 1 / 252)  # a stretch of a month, a quarter, half a year, a year
SHAPES = (1.0, 2.0, 4.0, 8.0)
WEIGHT = 1.0  # the prior mean counts as one observation


def fit_change_points(
    returns: ArrayLike,
    *,
    instrument: str,
    fitted_until: datetime,
    simulated: bool = False,
    hazards: tuple[float, ...] = HAZARDS,
    shapes: tuple[float, ...] = SHAPES,
    longest: int = 500,
    recent: int = 5,
) -> ChangePointParameters:
    """The prior with the highest evidence on the rows, out of hazards × shapes.

    Parameters
    ----------
    returns : (n,) log returns in %; unknown ones (NaN) are left out
    instrument, fitted_until, simulated : stamped on the result
    longest, recent : rows, see `ChangePointParameters`

    Raises
    ------
    MissingData : fewer than 250 returns are known
    InvalidInput : an infinite return, returns that never move, or an empty grid
    """
    from fieldcast.fields.regime._kernels import run_filter

    values = np.asarray(returns, np.float64)
    if values.ndim != 1 or np.isinf(values).any() or not hazards or not shapes:
        raise InvalidInput(f"expected a vector of returns without infinities and a grid, found {values.shape}")
    values = np.ascontiguousarray(values[np.isfinite(values)])
    if values.size < LEAST_ROWS:
        raise MissingData(f"expected at least {LEAST_ROWS} known returns to fit change points, found {values.size}")
    mean, variance = float(values.mean()), float(values.var())
    if not variance > 0:
        raise InvalidInput("expected returns that move, found a constant series")
    scratch = np.empty(values.size), np.empty(values.size)

    def evidence(hazard: float, shape: float) -> float:
        prior = np.array([mean, WEIGHT, shape, shape * variance])
        return float(run_filter(values, hazard, prior, longest, recent, *scratch))

    found = {(hazard, shape): evidence(hazard, shape) for hazard, shape in product(hazards, shapes)}
    hazard, shape = max(found, key=lambda pair: found[pair])
    return ChangePointParameters(
        instrument=instrument,
        fitted_until=fitted_until,
        rows=values.size,
        simulated=simulated,
        hazard=hazard,
        mean=mean,
        weight=WEIGHT,
        shape=shape,
        scale=shape * variance,
        log_evidence=found[hazard, shape],
        longest=longest,
        recent=recent,
    )
