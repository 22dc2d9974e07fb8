"""Efficiency with equal spans, memberships that sum to 1, and a downtrend that lifts nothing upward."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields import build_field_table, regime

unit = st.floats(-1, 1)
z = st.floats(-20, 20)


def test_efficiency_spans_ten_steps_above_and_below() -> None:
    close = np.array([10.0, 11, 12, 11, 12, 13, 12, 13, 14, 13, 14, 15])
    efficiency = regime.efficiency_ratio(close)
    assert np.isnan(efficiency[:10]).all()
    assert efficiency[10] == pytest.approx((14 - 10) / 10)  # ten steps of 1, four of them net
    assert efficiency[11] == pytest.approx((15 - 11) / 10)
    assert regime.efficiency_ratio(close[::-1].copy())[11] == pytest.approx((11 - 15) / 10)


def test_a_straight_line_is_fully_efficient_and_standstill_is_undefined() -> None:
    assert regime.efficiency_ratio(np.linspace(50, 40, 11))[10] == -1
    assert np.isnan(regime.efficiency_ratio(np.full(11, 3.0))[10])


@given(strength=unit, range_z=z)
def test_memberships_sum_to_one(strength: float, range_z: float) -> None:
    parts = regime.memberships(np.array([strength]), np.array([range_z]))
    assert tuple(parts) == ("trend_up", "trend_down", "mean_revert", "expansion")
    assert abs(sum(part[0] for part in parts.values()) - 1) <= 1e-12
    assert all(0 <= part[0] <= 1 for part in parts.values())


@given(first=unit, second=unit, range_z=z)
def test_more_strength_never_lowers_trend_up(first: float, second: float, range_z: float) -> None:
    weaker, stronger = sorted((first, second))
    up = regime.memberships(np.array([weaker, stronger]), np.full(2, range_z))["trend_up"]
    assert up[0] <= up[1] * (1 + 1e-12)


@given(strength=unit, range_z=z)
def test_a_mirrored_trend_swaps_up_and_down(strength: float, range_z: float) -> None:
    parts = regime.memberships(np.array([strength, -strength]), np.full(2, range_z))
    assert parts["trend_up"][0] == pytest.approx(parts["trend_down"][1], rel=1e-12)
    assert parts["mean_revert"][0] == pytest.approx(parts["mean_revert"][1], rel=1e-12)


@given(efficiency=unit, alignment=unit)
def test_strength_needs_path_and_averages_to_agree(efficiency: float, alignment: float) -> None:
    strength = float(regime.trend_strength(np.array([efficiency]), np.array([alignment]))[0])
    if np.sign(efficiency) == np.sign(alignment):
        assert strength == efficiency * abs(alignment)
    else:
        assert strength == 0


@pytest.mark.parametrize("seed", range(4))
def test_no_falling_row_of_a_random_walk_has_raised_upward_odds(make_bars, seed: int) -> None:
    table = build_field_table(make_bars(1500, seed=seed)).drop_nulls("regime.trend_up")
    assert table.height > 900
    neutral = regime.memberships(np.zeros(table.height), table["regime.range_z"].to_numpy())["trend_up"]
    up, down = table["regime.trend_up"].to_numpy(), table["regime.trend_down"].to_numpy()
    falling = (table["regime.efficiency"].to_numpy() < 0) | (table["regime.ema_spread"].to_numpy() < 0)
    assert falling.sum() > 300
    assert (up[falling] <= neutral[falling]).all()
    assert (up[falling] <= down[falling]).all()


def test_steady_trends_are_named(make_bars) -> None:
    for drift, name in ((0.01, "trend_up"), (-0.01, "trend_down")):
        table = build_field_table(make_bars(900, seed=1, sigma=0.004, drift=drift)).drop_nulls("regime.trend_up")
        assert table[f"regime.{name}"].mean() > 0.8


def test_memberships_do_not_know_the_size_of_a_bar(make_bars) -> None:
    """The same path with every log move a twentieth as large, as on bars of minutes, reads the same."""
    bars = make_bars(900, seed=5)
    prices = ("open", "high", "low", "close")
    small = bars.with_columns((100 * (pl.col(name) / 100) ** 0.05).alias(name) for name in prices)
    large, fine = build_field_table(bars), build_field_table(small)
    # what differs is curvature: EMA and true range are taken of prices, not of logs
    assert (large["regime.atr_percent"] / fine["regime.atr_percent"]).mean() > 15
    for name in regime.NAMES:
        assert (large[f"regime.{name}"] - fine[f"regime.{name}"]).abs().max() < 0.1
        assert (large[f"regime.{name}"] - fine[f"regime.{name}"]).abs().mean() < 0.02


def test_range_z_compares_with_the_last_250_bars(make_bars) -> None:
    table = build_field_table(make_bars(900, seed=2))
    logs = np.log(table["regime.atr_percent"].to_numpy())
    window = logs[800 - 249 : 801]
    assert table["regime.range_z"][800] == pytest.approx((window[-1] - window.mean()) / window.std())


def test_a_burst_of_range_reads_as_expansion(make_bars) -> None:
    bars = make_bars(900, seed=3, sigma=0.002)
    wide = pl.int_range(pl.len()) >= 890
    bars = bars.with_columns(
        high=pl.when(wide).then(pl.col("high") * 1.05).otherwise("high"),
        low=pl.when(wide).then(pl.col("low") * 0.95).otherwise("low"),
    )
    assert build_field_table(bars)["regime.expansion"][-1] > 0.8
