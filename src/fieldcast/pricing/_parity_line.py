"""The robust line through call less put over the strike: what `forwards` fits, on arrays alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BIWEIGHT = 4.685  # Tukey's constant: 95 % efficient for Gaussian errors


@dataclass(frozen=True)
class Pairs:
    """Strikes of one expiry with both sides quoted."""

    strike: Floats
    call: Floats
    put: Floats
    call_half: Floats
    put_half: Floats

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Pairs:
        return Pairs(*(part[rows] for part in (self.strike, self.call, self.put, self.call_half, self.put_half)))


@dataclass(frozen=True)
class Line:
    """value = D (F − strike)."""

    forward: float
    discount: float
    forward_error: float
    discount_error: float
    outliers: int
    residual: float
    freedom: int


def fitted_line(pairs: Pairs, value: Floats, discount: float | None) -> Line:
    """Robust weighted line through value = D (F − strike); with `discount` given, its crossing alone.

    It starts from the median of slopes over half the range (Theil and Sen) and ends with Tukey's biweight.
    """
    from fieldcast.pricing._kernels_parity import fit_line

    n, known = len(pairs.strike), discount is not None
    slope, level, centre, mean_x, total, spread, squares, inside = fit_line(
        pairs.strike, pairs.call_half + pairs.put_half, value, discount or 0.0, known, BIWEIGHT
    )
    freedom = max(1, n - (1 if known else 2) - (n - inside))
    variance = squares / freedom
    # the crossing F = −level/slope; where F lies from the pairs' centre its error grows with that of the slope
    forward = -level / slope if slope else float("nan")
    slope_error = 0.0 if known or not spread > 0 else float(np.sqrt(variance / spread))
    at = forward - centre - mean_x
    forward_error = float(np.sqrt(variance / total + (at * slope_error) ** 2)) / abs(slope) if slope else float("nan")
    return Line(forward, -slope, forward_error, slope_error, n - inside, float(np.sqrt(squares / total)), freedom)
