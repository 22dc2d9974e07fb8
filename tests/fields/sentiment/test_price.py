"""Wilder's RSI through the field table, trend in its own standard deviations, compression and expansion."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import talib

from fieldcast.fields import build_field_table, sentiment


def test_rsi_of_the_table_is_talibs(bars: pl.DataFrame) -> None:
    column = build_field_table(bars)["sentiment.rsi"]
    assert column.null_count() == sentiment.RSI_MEMORY
    oracle = talib.RSI(bars["close"].to_numpy(), 14)
    np.testing.assert_allclose(column[sentiment.RSI_MEMORY :], oracle[sentiment.RSI_MEMORY :], atol=1e-8)


def test_trend_counts_its_own_standard_deviations(bars: pl.DataFrame) -> None:
    returns = bars["close"].log().diff()[481:501]
    expected = returns.sum() / (returns.std(ddof=0) * np.sqrt(20))
    assert build_field_table(bars)["sentiment.trend"][500] == pytest.approx(expected)


def test_range_ratio_by_hand() -> None:
    close = np.full(70, 100.0)
    wide = np.where(np.arange(70) < 60, 2.0, 1.0)  # ranges of 4 % of the close, then 2 %
    ratio = sentiment.range_ratio(close + wide, close - wide, close)
    assert np.isnan(ratio[:60]).all()
    assert ratio[60] == pytest.approx(np.log((9 * 4 + 2) / 10 / 4))  # the first narrow bar is in the mean of ten
    assert ratio[69] == pytest.approx(np.log(2 / 4))


def test_compression_is_negative_and_expansion_positive(make_bars) -> None:
    bars = make_bars(300, seed=9)
    late, close = pl.int_range(pl.len()) >= 290, pl.col("close")
    for factor, sign in ((0.2, -1), (6.0, 1)):
        scaled = {
            name: pl.when(late).then(close.shift(1) * (1 + factor * (pl.col(name) / close.shift(1) - 1))).otherwise(name)
            for name in ("high", "low")
        }
        level = pl.when(late).then(pl.col("close").clip(pl.col("low"), pl.col("high"))).otherwise("close")
        changed = bars.with_columns(**scaled).with_columns(close=level)
        assert sign * build_field_table(changed)["sentiment.range_ratio"][-1] > 0.3


def test_what_does_not_move_has_no_rsi_and_no_trend(make_bars) -> None:
    flat = make_bars(500).with_columns(open=pl.lit(100.0), high=pl.lit(101.0), low=pl.lit(99.0), close=pl.lit(100.0))
    row = build_field_table(flat).row(-1, named=True)
    assert row["sentiment.rsi"] is None
    assert row["sentiment.trend"] is None
    assert row["sentiment.range_ratio"] == pytest.approx(0, abs=1e-12)
    assert "sentiment.rsi:undefined" in row["reasons"].split(",")


def test_money_flow_of_the_table_is_talibs(bars: pl.DataFrame) -> None:
    column = build_field_table(bars)["sentiment.mfi"]
    assert column.null_count() == sentiment.MFI
    prices = (bars[name].to_numpy() for name in ("high", "low", "close", "volume"))
    np.testing.assert_allclose(column[sentiment.MFI :], talib.MFI(*prices, 14)[sentiment.MFI :], atol=1e-9)


def test_money_flow_by_hand() -> None:
    """Typical prices 10, 11, 10.5, 10.5 at volumes 1, 2, 4, 8: 22 up, 42 down, and what did not move counts on neither side."""
    price, volume = np.array([10.0, 11.0, 10.5, 10.5]), np.array([1.0, 2.0, 4.0, 8.0])
    assert sentiment.money_flow(price, price, price, volume, 3)[3] == pytest.approx(100 * 22 / 64)


def test_money_flow_ignores_the_rounding_of_its_typical_price() -> None:
    """10.01 + 10.02 + 10.03 and three times 10.02 differ in the last bit of the sum, and are one price."""
    high, low = np.array([10.03, 10.02] * 20), np.array([10.01, 10.02] * 20)
    close, volume = np.full(40, 10.02), np.ones(40)
    assert np.isnan(sentiment.money_flow(high, low, close, volume)).all()


def test_money_flow_is_unknown_without_trading_and_100_where_all_rose() -> None:
    rising = np.linspace(10, 20, 30)
    assert sentiment.money_flow(rising, rising, rising, np.ones(30))[-1] == 100.0
    assert np.isnan(sentiment.money_flow(rising, rising, rising, np.zeros(30))).all()
