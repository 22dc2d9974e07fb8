"""Markets for the fast engine's tests: walks on a grid of 0.01, with gaps between close and open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market

DAY_US = 86_400_000_000


def walk(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> dict[str, np.ndarray]:
    close = np.round(np.maximum(100.0 * np.exp(np.cumsum(rng.normal(0.0, sigma, shape), axis=-1)), 1.0), 2)
    before = np.concatenate((close[..., :1], close[..., :-1]), axis=-1)
    opened = np.round(np.maximum(before * (1.0 + rng.normal(0.0, sigma / 4, shape)), 1.0), 2)
    high = np.round(np.maximum(opened, close) * (1.0 + np.abs(rng.normal(0.0, sigma / 3, shape))), 2)
    low = np.round(np.minimum(opened, close) * (1.0 - np.abs(rng.normal(0.0, sigma / 3, shape))), 2)
    return {
        "open": opened, "high": np.maximum(high, np.maximum(opened, close)), "low": np.minimum(low, np.minimum(opened, close)),
        "close": close,
    }  # fmt: skip


@pytest.fixture(scope="session")
def one() -> Callable[..., Market]:
    """One simulated share: `one(seed, bars, sigma)`."""

    def build(seed: int = 0, bars: int = 400, sigma: float = 0.01, step_us: int = DAY_US) -> Market:
        rng = np.random.default_rng(seed)
        arrays = walk(rng, (bars,), sigma)
        volume = rng.integers(1_000, 100_000, bars).astype(np.float64)
        ts = np.arange(1, bars + 1) * step_us
        return Market.of_arrays(Instrument("XNAS:WALK", Kind.EQUITY, simulated=True), ts, *arrays.values(), volume)

    return build


@pytest.fixture(scope="session")
def many() -> Callable[..., Market]:
    """Several simulated shares on one clock, with missing bars and opens that are no prints: `many(seed, instruments, bars)`."""

    def build(seed: int = 0, instruments: int = 4, bars: int = 200, gaps: bool = True) -> Market:
        rng = np.random.default_rng(seed)
        shape = (instruments, bars)
        arrays = walk(rng, shape, 0.02)
        arrays["volume"] = rng.integers(1_000, 100_000, shape).astype(np.float64)
        trusted = np.ones(shape, dtype=np.bool_)
        if gaps:
            missing = rng.random(shape) < 0.05
            for array in arrays.values():
                array[missing] = np.nan
            trusted = ~missing & (rng.random(shape) > 0.03)
        ts = np.arange(1, bars + 1) * DAY_US
        names = tuple(Instrument(f"XNAS:W{n}", Kind.EQUITY, simulated=True) for n in range(instruments))
        return Market(instruments=names, ts=ts, open_ts=ts - DAY_US, trusted_open=trusted, **arrays)

    return build
