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
    """Robust weighted line through value = D (F − strike); with `discount` given, its crossing alone."""
    strike, n = pairs.strike, len(pairs.strike)
    half = pairs.call_half + pairs.put_half
    half = np.maximum(half, max(1e-12, 0.1 * float(np.median(half))))  # a locked quote is not infinitely good
    if discount is None:
        gap = n // 2
        slope = float(np.median((value[gap:] - value[: n - gap]) / (strike[gap:] - strike[: n - gap])))
    else:
        slope = -discount
    level = float(np.median(value - slope * strike))
    freedom = n - (2 if discount is None else 1)
    centre = float(np.median(strike))
    x = strike - centre
    base = 1 / half**2
    weight = base
    for _ in range(25):
        error = (value - level - slope * strike) / half
        scale = max(1.4826 * float(np.median(np.abs(error))), 1e-6)  # of half a spread: rounding is no outlier
        trust = np.clip(1 - (error / (BIWEIGHT * scale)) ** 2, 0, None) ** 2
        weight = base * trust
        total = weight.sum()
        mean_x, mean_y = float((weight * x).sum() / total), float((weight * value).sum() / total)
        spread = float((weight * (x - mean_x) ** 2).sum())
        new = slope
        if discount is None and spread > 0:
            new = float((weight * (x - mean_x) * (value - mean_y)).sum()) / spread
        moved = abs(new - slope) + abs(mean_y - new * (mean_x + centre) - level) / centre
        slope, level = new, mean_y - new * (mean_x + centre)
        if moved < 1e-13:
            break
    inside = trust > 0
    error = value - level - slope * strike
    freedom = max(1, freedom - int((~inside).sum()))
    variance = float((weight * error**2).sum()) / freedom
    # the crossing F = −level/slope; where F lies from the pairs' centre its error grows with that of the slope
    forward = -level / slope if slope else float("nan")
    slope_error = np.sqrt(variance / spread) if discount is None and spread > 0 else 0.0
    at = forward - centre - mean_x
    forward_error = float(np.sqrt(variance / total + (at * slope_error) ** 2)) / abs(slope) if slope else float("nan")
    residual = float(np.sqrt((weight * error**2).sum() / total))
    return Line(forward, -slope, forward_error, float(slope_error), int((~inside).sum()), residual, freedom)
