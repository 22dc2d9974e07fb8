"""The set of 31: against pandas, TA-Lib and plain loops; hours, ties and what is not known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast import features
from fieldcast.features._set31 import BLOCK, COLUMNS

Bars = Callable[..., pl.DataFrame]


def table_of(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    table = features.compute(bars, [BLOCK])
    return {name.removeprefix(f"{BLOCK}."): table[name].to_numpy() for name in table.columns if name != "ts"}


def test_prices_and_volumes_equal_pandas_and_ta_lib(bars_of: Bars) -> None:
    pandas, talib = pytest.importorskip("pandas"), pytest.importorskip("talib")
    bars = bars_of(700, seed=31)
    found = table_of(bars)
    high, low, close, volume = (pandas.Series(bars[name].to_numpy()) for name in ("high", "low", "close", "volume"))
    true = pandas.concat([high - low, (high - close.shift()).abs(), (low - close.shift()).abs()], axis=1).max(axis=1)
    true[0] = np.nan
    atr = true.rolling(14).mean()
    span = high - low
    mean, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    line, signal, difference = talib.MACD(close.to_numpy())
    expected = {
        "range_to_mean": np.log(span / span.rolling(50).mean()),
        "range_to_close": span / close,
        "atr_to_close": atr / close,
        "range_to_atr": span / atr,
        "volume_mean_20_100": np.log(volume.rolling(20).mean() / volume.rolling(100).mean()),
        "volume_ratio": volume / volume.rolling(20).mean(),
        "volume_trend": volume.rolling(20).apply(lambda v: np.polyfit(np.arange(20), v, 1)[0]) / volume.rolling(20).mean(),
        "rsi_14": pandas.Series(talib.RSI(close.to_numpy(), 14) / 100),
        "macd": line / close,
        "macd_signal": signal / close,
        "macd_difference": difference / close,
        "band_high": (mean + 2 * deviation) / close - 1,
        "band_low": 1 - (mean - 2 * deviation) / close,
        "band_width": 4 * deviation / mean,
        "band_position": (close - mean + 2 * deviation) / (4 * deviation),
        "volatility_high": (atr >= atr.rolling(20).quantile(0.67)).astype(float),
        "volatility_low": (atr < atr.rolling(20).quantile(0.33)).astype(float),
    }
    for w in (7, 14, 21, 50):
        average = close.rolling(w).mean()
        expected |= {f"close_to_sma_{w}": np.log(close / average), f"sma_{w}_way": np.log(average / average.shift(w))}
    for name, values in expected.items():
        known = ~np.isnan(found[name])
        assert known.sum() > 400, name
        np.testing.assert_allclose(found[name][known], values.to_numpy()[known], rtol=1e-9, atol=1e-12, err_msg=name)
    regime = found["volatility_low"] + found["volatility_medium"] + found["volatility_high"]
    assert (regime[~np.isnan(regime)] == 1).all()


def test_the_hours_are_those_of_the_bars_last_moment(bars_of: Bars) -> None:
    start = datetime(2024, 3, 1, 0, 0, tzinfo=UTC)  # a Friday
    ts = [start + timedelta(hours=4 * step) for step in range(1, 19)]
    bars = bars_of(18).with_columns(ts=pl.Series(ts).cast(pl.Datetime("us", "UTC"))).with_columns(available_at="ts")
    found = table_of(bars)
    desks = ["tokyo", "tokyo", "london", "london", "new_york", "new_york"] * 3
    for row, desk in enumerate(desks):
        assert [found[name][row] for name in ("tokyo", "london", "new_york")] == [
            name == desk for name in ("tokyo", "london", "new_york")
        ]
    assert found["day_of_week"].tolist() == [4.0] * 6 + [5.0] * 6 + [6.0] * 6
    assert found["weekend"].tolist() == [0.0] * 6 + [1.0] * 12


def test_every_value_lies_in_its_declared_range_and_warm_ups_are_null(bars_of: Bars) -> None:
    table = features.compute(bars_of(500, seed=3), [BLOCK])
    for column in COLUMNS:
        values = table[column.name]
        assert values[: column.warmup].null_count() == column.warmup
        assert values[column.warmup] is not None, column.name
        known = values.drop_nulls()
        assert column.low is None or known.min() >= column.low, column.name
        assert column.high is None or known.max() <= column.high, column.name


def test_a_market_that_stands_still_has_no_oscillators_and_is_not_low_volatility(bars_of: Bars) -> None:
    still = bars_of(400).with_columns(*(pl.lit(50.0).alias(name) for name in ("open", "high", "low", "close")))
    found = table_of(still)
    assert np.isnan(found["rsi_14"]).all()
    assert np.isnan(found["band_position"]).all()
    assert np.isnan(found["range_to_atr"]).all()
    assert found["macd"][-1] == pytest.approx(0.0, abs=1e-15)
    assert found["volatility_high"][-1] == 1.0  # at the percentile, not below it: ties count as reached


def test_an_unknown_volume_costs_the_volume_columns_alone(bars_of: Bars) -> None:
    bars = bars_of(500).with_columns(volume=pl.when(pl.int_range(pl.len()) == 450).then(None).otherwise(pl.col("volume")))
    found = table_of(bars)
    assert np.isnan(found["volume_ratio"][450:470]).all()
    assert np.isnan(found["volume_mean_20_100"][450:]).all()
    assert not np.isnan(found["close_to_sma_21"][450:]).any()
    assert not np.isnan(found["volume_ratio"][470:]).any()
