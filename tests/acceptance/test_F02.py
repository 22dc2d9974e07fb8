"""F02 Liquidity profile and structure: POC, 70 % value area, HVN/LVN, voids, absorption zones, session and anchored VWAP,
swings with confirmation time, gaps, Wyckoff phase, squeeze.

Done when: "Value area holds at least 70 % of volume on 1,000 random profiles, and no swing is visible before its
confirmation bar".
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import build_field_table, liquidity
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("F02", part="profile, nodes, rolling and anchored VWAP, swings, gaps")

OPEN_PARTS: tuple[str, ...] = ("voids", "absorption zones", "session VWAP of intraday bars", "Wyckoff phase", "squeeze")


def random_bars(n: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(0.02 * random.standard_t(4, n)))
    high = close * np.exp(0.01 * np.abs(random.standard_t(3, n)))
    low = close * np.exp(-0.01 * np.abs(random.standard_t(3, n)))
    first = datetime(2000, 1, 3, 21, tzinfo=UTC)
    ts = pl.select(pl.lit(first).cast(BARS["ts"]) + pl.duration(days=pl.int_range(n))).to_series()
    return pl.DataFrame(
        {
            "instrument": ["XNAS:TEST"] * n,
            "ts": ts,
            "available_at": ts,
            "open": close,
            "high": high,
            "low": low,
            "close": close,
            "volume": random.lognormal(15, 1.5, n),
            "reasons": [None] * n,
        },
        schema=BARS,
    )


def test_value_area_holds_at_least_70_percent_on_1000_random_profiles() -> None:
    """Each of 1,000 profiles: random bars, window and bins; its volume is counted again from the bars themselves."""
    random = np.random.default_rng(1)
    for _ in range(1000):
        n, bins = int(random.integers(1, 120)), int(random.integers(2, 100))
        low = random.lognormal(4, random.uniform(0, 0.5), n)
        high = low * (1 + random.exponential(random.uniform(1e-4, 0.1), n))
        volume = random.lognormal(random.uniform(0, 25), 2, n) * (random.random(n) > 0.1)
        if volume.sum() == 0:
            continue
        profile = liquidity.volume_profile(high, low, low, volume, window=n, bins=bins)
        poc, val, vah, share = (profile[name][-1] for name in ("poc", "val", "vah", "value_area_share"))
        assert val <= poc <= vah
        assert 0.70 <= share <= 1
        inside = np.clip(np.minimum(high, vah) - np.maximum(low, val), 0, None) / (high - low)
        assert (inside * volume).sum() / volume.sum() == pytest.approx(share, abs=1e-6)


def test_no_swing_is_visible_before_its_confirmation_bar() -> None:
    """A table that ends before the confirming bar knows nothing of the swing; with that bar it does."""
    bars = random_bars(300, seed=2)
    turns = liquidity.swings(bars)
    row = {ts: number for number, ts in enumerate(bars["ts"])}
    seen = 0
    for turn in turns.iter_rows(named=True):
        confirmed = row[turn["confirmed_at"]]
        assert confirmed == row[turn["ts"]] + liquidity.SWING
        if confirmed < 80:
            continue
        column = f"liquidity.swing_{turn['kind']}"
        before = build_field_table(bars.head(confirmed))
        now = build_field_table(bars.head(confirmed + 1))
        stamp = f"{column}_confirmed_at"
        assert turn["confirmed_at"] not in before[stamp].to_list()
        assert before[column][-1] != turn["price"]
        assert now[column][-1] == turn["price"]
        assert now[stamp][-1] == turn["confirmed_at"]
        assert liquidity.swings(bars.head(confirmed)).filter(pl.col("ts") == turn["ts"], kind=turn["kind"]).is_empty()
        seen += 1
    assert seen >= 40
