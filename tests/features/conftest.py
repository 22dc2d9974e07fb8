"""Simulated daily bars for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.market import BARS, STAMP, conform


def make_bars(n: int, seed: int = 0, *, volatility: float = 0.012, price: float = 100.0) -> pl.DataFrame:
    """n bars of a geometric random walk with clustered volatility, on weekdays, closing at 21:00 UTC."""
    random = np.random.default_rng(seed)
    days = np.arange(n) + 2 * (np.arange(n) // 5)  # from Monday 2001-01-01, five days a week
    ts = [datetime(2001, 1, 1, 21, tzinfo=UTC) + timedelta(days=int(day)) for day in days]
    sigma = volatility * np.exp(0.5 * np.sin(np.arange(n) / 50.0))
    step = sigma * random.standard_normal(n)
    close = price * np.exp(np.cumsum(step))
    opened = close * np.exp(-0.7 * step)
    frame = pl.DataFrame(
        {
            "instrument": ["XTST:SIM"] * n,
            "ts": pl.Series(ts, dtype=STAMP),
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(0.5 * sigma * random.random(n)),
            "low": np.minimum(opened, close) * np.exp(-0.5 * sigma * random.random(n)),
            "close": close,
            "volume": 1e6 * np.exp(0.4 * random.standard_normal(n)),
            "reasons": pl.Series([None] * n, dtype=pl.String),
        }
    ).with_columns(available_at="ts")
    return conform(frame, BARS)


def make_vix(bars: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """A mean-reverting VIX on the rows of `bars`, known 15 minutes after their close."""
    random = np.random.default_rng(seed)
    level = np.empty(bars.height)
    level[0] = 2.9
    for row in range(1, bars.height):
        level[row] = 2.9 + 0.96 * (level[row - 1] - 2.9) + 0.07 * random.standard_normal()
    return bars.select("ts", available_at=pl.col("ts") + timedelta(minutes=15), close=pl.Series(np.exp(level)))


@pytest.fixture(scope="session")
def bars_of() -> Callable[..., pl.DataFrame]:
    return make_bars


@pytest.fixture(scope="session")
def vix_of() -> Callable[..., pl.DataFrame]:
    return make_vix
