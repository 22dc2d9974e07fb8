"""Bars for the tests of fields: random walks with opens, ranges, volume and real session stamps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.market import BARS, sessions

INSTRUMENT = "XNAS:TEST"


def random_bars(n: int, seed: int = 0, *, sigma: float = 0.01, drift: float = 0.0, tick: float = 0.0) -> pl.DataFrame:
    """n daily bars on XNYS sessions from 2005 on; `tick` rounds prices, so that equal prices occur."""
    random = np.random.default_rng(seed)
    volatility = sigma * np.exp(0.3 * np.cumsum(random.standard_normal(n) * 0.1))
    close = 100 * np.exp(np.cumsum(drift + volatility * random.standard_normal(n)))
    previous = np.concatenate(([100.0], close[:-1]))
    opened = previous * np.exp(0.4 * volatility * random.standard_normal(n))
    high = np.maximum(opened, close) * np.exp(0.4 * volatility * np.abs(random.standard_normal(n)))
    low = np.minimum(opened, close) * np.exp(-0.4 * volatility * np.abs(random.standard_normal(n)))
    prices = {"open": opened, "high": high, "low": low, "close": close}
    if tick:
        prices = {name: np.maximum(np.round(values / tick) * tick, tick) for name, values in prices.items()}
    ts = sessions("XNYS").filter(pl.col("session").dt.year() >= 2005)["close"].head(n)
    return pl.DataFrame(
        {
            "instrument": [INSTRUMENT] * n,
            "ts": ts,
            "available_at": ts + timedelta(minutes=5),
            **prices,
            "volume": np.round(random.lognormal(13, 0.5, n)),
            "reasons": [None] * n,
        },
        schema=BARS,
    )


@pytest.fixture
def make_bars() -> Callable[..., pl.DataFrame]:
    return random_bars


@pytest.fixture(scope="session")
def bars() -> pl.DataFrame:
    return random_bars(900, seed=7)
