"""The rounds of the robust line in one compiled loop: a chain has dozens of expiries, and each asks for up to 25 rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

ROUNDS = 25
SETTLED = 1e-13


@njit(cache=True)
def fit_line(strike: Any, half: Any, value: Any, discount: float, known: bool, biweight: float) -> Any:
    """Slope and level of the line, and the sums that its errors come from.

    Parameters
    ----------
    strike, half, value : (n,) x, half spread and y of each pair
    discount, known : the slope is −discount where that is known
    biweight : Tukey's constant

    Returns
    -------
    slope, level, centre of x, weighted mean of x about it, sums of weights, of squares about the mean and of squared errors, and
    how many pairs kept a weight
    """
    n = strike.size
    half = np.maximum(half, max(1e-12, 0.1 * np.median(half)))  # a locked quote is not infinitely good
    slope = -discount
    if not known:
        gap = n // 2
        slope = np.median((value[gap:] - value[: n - gap]) / (strike[gap:] - strike[: n - gap]))
    level = np.median(value - slope * strike)
    centre = np.median(strike)
    weight, error = np.empty(n), np.empty(n)
    total = spread = mean_x = 0.0
    inside = 0
    for _ in range(ROUNDS):
        for i in range(n):
            error[i] = (value[i] - level - slope * strike[i]) / half[i]
        scale = max(1.4826 * np.median(np.abs(error)), 1e-6)  # of half a spread: rounding is no outlier
        total = sum_x = sum_y = 0.0
        inside = 0
        for i in range(n):
            trust = max(1.0 - (error[i] / (biweight * scale)) ** 2, 0.0) ** 2
            inside += trust > 0.0
            weight[i] = trust / half[i] ** 2
            total += weight[i]
            sum_x += weight[i] * (strike[i] - centre)
            sum_y += weight[i] * value[i]
        mean_x, mean_y = sum_x / total, sum_y / total
        spread = product = 0.0
        for i in range(n):
            away = strike[i] - centre - mean_x
            spread += weight[i] * away * away
            product += weight[i] * away * (value[i] - mean_y)
        new = slope
        if not known and spread > 0.0:
            new = product / spread
        moved = abs(new - slope) + abs(mean_y - new * (mean_x + centre) - level) / centre
        slope, level = new, mean_y - new * (mean_x + centre)
        if moved < SETTLED:
            break
    squares = 0.0
    for i in range(n):
        squares += weight[i] * (value[i] - level - slope * strike[i]) ** 2
    return slope, level, centre, mean_x, total, spread, squares, inside
