"""Prices on a grid of ticks tie all the time; a change of scale rounds the ties, and must move nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.indicators import _kernels_complexity, _kernels_paths, adx


@pytest.fixture(scope="module")
def prices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """High, low and close in ticks of 0.05, whose sums are not exact."""
    random = np.random.default_rng(12)
    close = 1100.0 + 0.05 * np.cumsum(random.integers(-3, 4, 3000))
    high, low = close + 0.05 * random.integers(0, 4, 3000), close - 0.05 * random.integers(0, 4, 3000)
    return high, low, close


def exact_moves(high: np.ndarray, low: np.ndarray) -> float:
    """Share of rows whose two moves are equal in whole ticks."""
    up, down = np.diff(np.round(high / 0.05)), -np.diff(np.round(low / 0.05))
    return float(((up == down) & (up > 0)).mean())


@pytest.mark.parametrize("scale", [1.37, 1 / 3, 7e-4, 1e5 / 7])
def test_directional_movement_is_the_same_at_every_scale(scale: float, prices: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    high, low, close = prices
    assert exact_moves(high, low) > 0.02  # there is something to break
    np.testing.assert_allclose(adx(high * scale, low * scale, close * scale), adx(high, low, close), rtol=1e-9)
    lines = np.full((4, len(close)), np.nan)
    _kernels_paths.directional_shares(high, low, close, 14, lines[0], lines[1])
    _kernels_paths.directional_shares(high * scale, low * scale, close * scale, 14, lines[2], lines[3])
    np.testing.assert_allclose(lines[2:], lines[:2], rtol=1e-9, atol=1e-15)


def test_a_move_up_and_the_same_down_count_for_neither_side(prices: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """By whole ticks, counted by hand."""
    high, low, close = prices
    ticks = [np.round(part / 0.05) for part in prices]
    np.testing.assert_allclose(adx(high, low, close), adx(*ticks), rtol=1e-9)


@pytest.mark.parametrize("scale", [1.37, 1 / 3, 7e-4])
def test_the_order_of_sizes_is_the_same_at_every_scale(scale: float, prices: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    out = np.full((2, len(prices[2])), np.nan)
    for place, factor in enumerate((1.0, scale)):
        size = np.abs(np.diff(np.log(prices[2] * factor), prepend=np.nan))
        _kernels_complexity.permutation_entropy(size, 60, 3, out[place])
    np.testing.assert_allclose(out[1], out[0], rtol=1e-12)
