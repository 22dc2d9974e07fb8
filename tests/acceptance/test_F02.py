"""F02 Liquidity profile and structure: POC, 70 % value area, HVN/LVN, voids, absorption zones, session and anchored VWAP,
swings with confirmation time, gaps, Wyckoff phase, squeeze.

Done when: "Value area holds at least 70 % of volume on 1,000 random profiles, and no swing is visible before its
confirmation bar".
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import build_field_table, liquidity
from fieldcast.fields.liquidity import Anchor, Profile, ZonePolicy
from fieldcast.market import BARS, Instrument, Kind, segments

pytestmark = pytest.mark.feature("F02")

OPEN_PARTS: tuple[str, ...] = ()


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


# the rest of the capability, one claim each; tests/fields/liquidity/ holds the oracles ------------------------------------


def test_nodes_and_voids_are_where_volume_is_heavy_light_and_absent() -> None:
    high, low = np.array([12.0, 20.0]), np.array([10.0, 18.0])
    profile = Profile.of(high, low, (high + low) / 2, np.array([240.0, 160.0]), bins=10)
    assert [node.price for node in profile.high_volume] == pytest.approx([11.0, 19.0])
    assert [node.price for node in profile.low_volume] == pytest.approx([15.0])
    assert [(void.low, void.high) for void in profile.voids] == [(pytest.approx(12.0), pytest.approx(18.0))]
    assert profile.value_area_share >= 0.70


def minutes(day: date) -> pl.DataFrame:
    ((start, end),) = segments("XNYS").filter(pl.col("session") == day).select("start", "end").rows()
    n = int((end - start) / timedelta(minutes=1))
    bars = random_bars(n, seed=day.day)
    ts = pl.Series([start + timedelta(minutes=k + 1) for k in range(n)]).cast(BARS["ts"])
    return bars.with_columns(ts=ts, available_at=ts)


def test_a_session_has_its_profile_and_vwap_with_bands_as_they_grow() -> None:
    """Two sessions, the second a half day; at noon nothing of the afternoon is known."""
    bars = pl.concat([minutes(date(2025, 11, 26)), minutes(date(2025, 11, 28))])
    found = liquidity.session_liquidity(bars, Instrument(id="XNAS:TEST", kind=Kind.EQUITY), bars["ts"][-1])
    assert found.developing.height == 210
    early = liquidity.session_liquidity(bars, Instrument(id="XNAS:TEST", kind=Kind.EQUITY), bars["ts"][-100])
    assert early.developing.equals(found.developing.head(111))
    assert found.developing["value_area_share"].min() >= 0.70
    bands = liquidity.vwap(bars, Anchor.SESSION)
    assert found.developing["vwap"].to_list() == pytest.approx(bands["vwap"][-210:].to_list())
    assert (bands["upper_1"] - bands["vwap"]).to_list() == pytest.approx(bands["sd"].to_list(), abs=1e-9)


def test_the_anchored_vwap_of_a_swing_is_not_visible_before_its_confirmation_bar() -> None:
    bars = random_bars(200, seed=4)
    for turn in liquidity.swings(bars).tail(10).iter_rows(named=True):
        table = liquidity.vwap(bars, turn["ts"] - timedelta(hours=1), known_since=turn["confirmed_at"])
        shown = table.filter(pl.col("vwap").is_not_null())
        assert shown["ts"][0] == turn["confirmed_at"]
        assert table.filter(pl.col("ts") == turn["confirmed_at"])["vwap"][0] > 0


def test_absorption_zones_gaps_phases_and_squeeze_stand_on_past_bars_alone() -> None:
    bars = random_bars(400, seed=5)
    zones = liquidity.zones(bars, ZonePolicy(absorption=0.3))
    assert zones.filter(pl.col("kind") == "absorption").height > 0
    cut = bars.head(300)
    for found, before in ((zones, liquidity.zones(cut, ZonePolicy(absorption=0.3))), (liquidity.gaps(bars), liquidity.gaps(cut))):
        assert found.filter(pl.col("ts") <= cut["ts"][-1])["ts"].to_list() == before["ts"].to_list()
    columns = [f"liquidity.wyckoff_{name}" for name in ("accumulation", "markup", "distribution", "markdown")]
    names = [*columns, "liquidity.squeeze", "liquidity.squeeze_age", "liquidity.squeeze_momentum", "liquidity.absorption"]
    table = build_field_table(bars).select(names)
    assert table.head(300).equals(build_field_table(cut).select(names))
    np.testing.assert_allclose(table.select(pl.sum_horizontal(columns)).to_series()[60:], 1, rtol=1e-12)
    assert table["liquidity.squeeze"].drop_nulls().len() > 300
