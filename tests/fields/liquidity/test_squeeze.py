"""The squeeze against TA-Lib's bands, numpy's lines and a count by loop."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import talib

from fieldcast.fields import build_field_table


def arrays(bars: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return bars["high"].to_numpy(), bars["low"].to_numpy(), bars["close"].to_numpy()


def ratio(bars: pl.DataFrame) -> np.ndarray:
    high, low, close = arrays(bars)
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    reach = talib.SMA(talib.TRANGE(high, low, close), 20)
    return np.log((upper - lower) / (3 * reach))


def test_the_ratio_is_that_of_bollinger_bands_and_keltner_channels(bars: pl.DataFrame) -> None:
    table, expected = build_field_table(bars), ratio(bars)
    np.testing.assert_allclose(table["liquidity.squeeze"][20:], expected[20:], rtol=1e-8, atol=1e-9)
    assert 0.02 < (expected[20:] < 0).mean() < 0.98  # both states occur


def test_ages_count_the_bars_on_and_the_bars_since(bars: pl.DataFrame) -> None:
    table, on = build_field_table(bars), ratio(bars) < 0
    for row in range(79, bars.height):
        age = next((k for k in range(60) if not on[row - k]), 60)
        since = next((k for k in range(60) if on[row - k]), None)
        assert table["liquidity.squeeze_age"][row] == age
        assert table["liquidity.squeeze_since"][row] == since
        assert (age > 0) == (since == 0)


def test_momentum_is_the_end_of_a_fitted_line(bars: pl.DataFrame) -> None:
    high, low, close = arrays(bars)
    middle = ((talib.MAX(high, 20) + talib.MIN(low, 20)) / 2 + talib.SMA(close, 20)) / 2
    reach = talib.SMA(talib.TRANGE(high, low, close), 20)
    table = build_field_table(bars)
    for row in (38, 200, 899):
        slope, level = np.polyfit(np.arange(20), (close - middle)[row - 19 : row + 1], 1)
        assert table["liquidity.squeeze_momentum"][row] == pytest.approx((level + 19 * slope) / reach[row], rel=1e-8)


def test_a_market_without_any_range_has_no_squeeze(bars: pl.DataFrame) -> None:
    flat = bars.head(120).with_columns(pl.lit(50.0).alias(name) for name in ("open", "high", "low", "close"))
    table = build_field_table(flat)
    assert table["liquidity.squeeze"].null_count() == 120
    assert table["liquidity.squeeze_momentum"].null_count() == 120
    assert table["liquidity.squeeze_age"][-1] == 0
