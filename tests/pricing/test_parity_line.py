"""The compiled robust line against its plain twin in numpy, and against a line that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.pricing._parity_line import BIWEIGHT, Line, Pairs, fitted_line


def plain(pairs: Pairs, value: np.ndarray, discount: float | None) -> Line:
    """The same, one numpy expression a step."""
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


def pairs_of(strike: np.ndarray, half: np.ndarray) -> Pairs:
    return Pairs(strike, np.zeros_like(strike), np.zeros_like(strike), half / 2, half / 2)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 80), known=st.booleans(), outliers=st.integers(0, 2))
def test_the_compiled_line_is_the_plain_one(seed: int, n: int, known: bool, outliers: int) -> None:
    chance = np.random.default_rng(seed)
    strike = np.sort(chance.choice(np.arange(50, 400), n, replace=False)).astype(float)
    half = chance.uniform(0.01, 0.5, n)
    value = 0.97 * (200.0 - strike) + half * chance.standard_normal(n)
    value[:outliers] += 50.0
    discount = 0.97 if known else None
    found, expected = (fit(pairs_of(strike, half), value, discount) for fit in (fitted_line, plain))
    for name in ("forward", "discount", "forward_error", "discount_error", "residual"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-12), name
    assert (found.outliers, found.freedom) == (expected.outliers, expected.freedom)


def test_a_line_without_noise_is_found_and_wild_pairs_are_left_out() -> None:
    strike = np.arange(90.0, 111.0)
    value = 0.98 * (101.0 - strike)
    value[3] += 5.0
    found = fitted_line(pairs_of(strike, np.full(21, 0.1)), value, None)
    assert found.forward == pytest.approx(101.0, abs=1e-9)
    assert found.discount == pytest.approx(0.98, abs=1e-9)
    assert found.outliers == 1
