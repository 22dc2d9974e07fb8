"""The pinned bars of the tier tests: generated, with gaps, calm and wild spells, and a volume that follows the range."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from fieldcast.market import BARS, STAMP, conform

ROWS, SEED = 1300, 20_260_725


def tier_bars(n: int = ROWS, seed: int = SEED) -> pl.DataFrame:
    """n weekday bars; open, high, low and close come from a path of 24 steps within each day behind an overnight gap."""
    random = np.random.default_rng(seed)
    sigma = 0.010 * np.exp(0.55 * np.sin(np.arange(n) / 37.0) + 0.25 * random.standard_normal(n))
    gap = 0.45 * sigma * random.standard_normal(n)
    steps = (sigma / np.sqrt(24.0))[:, None] * random.standard_normal((n, 24))
    path = np.cumsum(steps, axis=1)
    before = np.concatenate([[0.0], np.cumsum(gap + path[:, -1])[:-1]])
    start = 4.6 + before + gap
    whole = np.concatenate([np.zeros((n, 1)), path], axis=1) + start[:, None]
    reach = whole.max(axis=1) - whole.min(axis=1)
    day = np.arange(n) + 2 * (np.arange(n) // 5)
    ts = [datetime(2003, 1, 6, 21, tzinfo=UTC) + timedelta(days=int(k)) for k in day]
    frame = pl.DataFrame(
        {
            "instrument": ["XTST:TIER"] * n,
            "ts": pl.Series(ts, dtype=STAMP),
            "open": np.exp(whole[:, 0]),
            "high": np.exp(whole.max(axis=1)),
            "low": np.exp(whole.min(axis=1)),
            "close": np.exp(whole[:, -1]),
            "volume": np.round(1e6 * (reach / 0.015) ** 0.6 * np.exp(0.3 * random.standard_normal(n))),
            "reasons": pl.Series([None] * n, dtype=pl.String),
        }
    ).with_columns(available_at="ts")
    return conform(frame, BARS)


def tier_vix(bars: pl.DataFrame, seed: int = SEED + 1) -> pl.DataFrame:
    """A mean-reverting VIX on the rows of `bars`, known 15 minutes after their close."""
    random = np.random.default_rng(seed)
    level = np.empty(bars.height)
    level[0] = 2.9
    for row in range(1, bars.height):
        level[row] = 2.9 + 0.96 * (level[row - 1] - 2.9) + 0.07 * random.standard_normal()
    return bars.select("ts", available_at=pl.col("ts") + timedelta(minutes=15), close=pl.Series(np.exp(level)))
