"""A simulated market with known volatility, for volatility models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.market import BARS, conform


@dataclass(frozen=True)
class Known:
    """Bars whose true daily volatility is known: sigma[t] is that of the session t itself."""

    bars: pl.DataFrame
    sigma: np.ndarray

    @property
    def ret(self) -> np.ndarray:
        return np.r_[np.nan, np.diff(np.log(self.bars["close"].to_numpy()))]


def simulate(n: int, seed: int, *, annual: float = 0.2, wander: float = 0.0, steps: int = 78) -> Known:
    """Log prices by Brownian motion over `steps` moments a session; log variance is an AR(1) of sd `wander`."""
    rng = np.random.default_rng(seed)
    log_variance = np.zeros(n)
    for t in range(1, n):
        log_variance[t] = 0.97 * log_variance[t - 1] + wander * np.sqrt(1 - 0.97**2) * rng.normal()
    sigma = annual / np.sqrt(252.0) * np.exp(0.5 * log_variance)
    moves = rng.normal(size=(n, steps)) * (sigma / np.sqrt(steps))[:, None]
    inside = np.cumsum(moves, axis=1)
    start = np.log(100.0) + np.r_[0.0, np.cumsum(inside[:-1, -1])]
    path = np.column_stack([start, start[:, None] + inside])
    ts = [datetime(2000, 1, 3, 21, tzinfo=UTC) + timedelta(days=i) for i in range(n)]
    bars = pl.DataFrame(
        {
            "instrument": ["XSIM:KNOWN"] * n,
            "ts": ts,
            "available_at": ts,
            "open": np.exp(path[:, 0]),
            "high": np.exp(path.max(axis=1)),
            "low": np.exp(path.min(axis=1)),
            "close": np.exp(path[:, -1]),
            "volume": np.full(n, 1e6),
            "reasons": pl.Series([None] * n, dtype=pl.String),
        }
    )
    return Known(conform(bars, BARS), sigma)


@pytest.fixture(scope="session")
def steady() -> Known:
    return simulate(2000, 11)


@pytest.fixture(scope="session")
def wandering() -> Known:
    return simulate(3000, 12, wander=0.8)
