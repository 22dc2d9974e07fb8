"""A small panel whose volatility moves, with gaps where instruments are not listed yet."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.features.panel import Panel


def make_panel(rows: int = 900, width: int = 4, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    common = np.zeros(rows)
    for t in range(1, rows):
        common[t] = 0.97 * common[t - 1] + 0.15 * rng.normal()
    sigma = 0.01 * np.exp(0.5 * common[:, None] + 0.1 * rng.normal(size=(rows, width)))
    close = 100.0 * np.exp(np.cumsum(sigma * rng.standard_t(6, size=(rows, width)) / np.sqrt(1.5), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(0.3 * sigma * rng.normal(size=(rows, width)))
    reach = np.abs(sigma * rng.normal(size=(2, rows, width)))
    high, low = np.maximum(opened, close) * np.exp(reach[0]), np.minimum(opened, close) * np.exp(-reach[1])
    volume = 1e6 * np.exp(rng.normal(size=(rows, width)))
    for values in (opened, high, low, close, volume):
        values[:60, -1] = np.nan
    session = np.busday_offset(np.datetime64("2010-01-04"), np.arange(rows))
    decision = session.astype("datetime64[us]") + np.timedelta64(1290, "m")
    names = tuple(f"S{place}" for place in range(width))
    return Panel(names, session, decision, opened, high, low, close, volume, {"vix": 18.0 * np.exp(0.5 * common)})


@pytest.fixture(scope="session")
def panel() -> Panel:
    return make_panel()


@pytest.fixture(scope="session")
def sigma(panel: Panel) -> np.ndarray:
    """(T, N) standard deviation of the last 60 returns, from row 60 of an instrument on."""
    daily = np.vstack([np.full((1, panel.close.shape[1]), np.nan), np.diff(np.log(panel.close), axis=0)])
    out = np.full(daily.shape, np.nan)
    for t in range(60, len(daily)):
        out[t] = daily[t - 59 : t + 1].std(axis=0)
    return out
