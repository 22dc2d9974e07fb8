"""How far a projection may be relied upon, in [0, 1]: the weakest of three parts.

    data         share of the model's inputs that are known at this time
    sample       n / (n + 250)                    n: outcomes scored so far, out of sample
    calibration  1 - debiased ECE / 0.10          ECE of the calibrated sign odds over those outcomes

Reliability is not conviction: conviction says how likely the called side is, reliability how much that figure can be
trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]

SAMPLE_HALF = 250.0  # outcomes at which the sample part is one half
ECE_LIMIT = 0.10  # debiased calibration error at which nothing is left


@dataclass(frozen=True)
class ReliabilityParts:
    """Reliability of n rows and its three parts, each (n,) in [0, 1]."""

    value: Floats
    data: Floats
    sample: Floats
    calibration: Floats


def reliability(data_coverage: ArrayLike, outcomes: ArrayLike, debiased_ece: ArrayLike) -> ReliabilityParts:
    """Combine the three parts; numbers and vectors broadcast.

    Parameters
    ----------
    data_coverage : share of inputs known, in [0, 1]
    outcomes : n >= 0 scored so far
    debiased_ece : may be below zero (its noise goes both ways): then the calibration part is 1; NaN while nothing has
    been
        scored: then it is 0, for nothing is known of the calibration

    Raises
    ------
    InvalidInput : coverage outside [0, 1], a negative count, NaN coverage, or NaN error with outcomes
    """
    coverage, n, ece = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in (data_coverage, outcomes, debiased_ece))
    )
    if not ((coverage >= 0) & (coverage <= 1)).all():
        raise InvalidInput("expected a data coverage in [0, 1]")
    if not (np.isfinite(n) & (n >= 0)).all():
        raise InvalidInput("expected counts of outcomes >= 0")
    if np.isinf(ece).any() or (np.isnan(ece) & (n > 0)).any():
        raise InvalidInput("expected a calibration error wherever outcomes have been scored")
    sample = n / (n + SAMPLE_HALF)
    calibration = np.where(np.isnan(ece), 0.0, np.clip(1.0 - ece / ECE_LIMIT, 0.0, 1.0))
    value = np.minimum(np.minimum(coverage, sample), calibration)
    return ReliabilityParts(value, coverage.copy(), sample, calibration)
