"""The volume profile against a slow twin, swings against a loop, gaps and Amihud by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields import build_field_table, liquidity
from fieldcast.ground import InvalidInput


def slow_profile(high, low, close, volume, bins=50, share=0.7):
    """The profile of one window, written as its definition: overlap of every bar with every bin."""
    bottom, top = low.min(), high.max()
    edges = bottom + (top - bottom) / bins * np.arange(bins + 1)
    held = np.zeros(bins)
    for h, l, v in zip(high, low, volume, strict=True):  # noqa: E741
        overlap = np.minimum(h, edges[1:]) - np.maximum(l, edges[:-1])
        held += v * np.clip(overlap, 0, None) / (h - l)
    ties = held >= held.max() * (1 - 1e-9)
    first = int(ties.argmax())
    last = first
    while last + 1 < bins and ties[last + 1]:
        last += 1
    inside = {(first + last) // 2}
    centre = (first + last) // 2
    while held[sorted(inside)].sum() < share * held.sum() * (1 + 1e-9):
        above, below = max(inside) + 1, min(inside) - 1
        candidates = [k for k in (above, below) if 0 <= k < bins]
        if not candidates:
            break
        best = max(held[k] for k in candidates)
        inside.add(next(k for k in candidates if held[k] >= best - 1e-9 * held.max()))
    typical = (high + low + close) / 3
    return {
        "poc": (edges[centre] + edges[centre + 1]) / 2,
        "val": edges[min(inside)],
        "vah": edges[max(inside) + 1],
        "value_area_share": held[sorted(inside)].sum() / held.sum(),
        "vwap": (typical * volume).sum() / volume.sum(),
    }


@pytest.mark.parametrize("seed", range(5))
def test_profile_equals_its_slow_twin_at_every_row(make_bars, seed: int) -> None:
    table = make_bars(130, seed=seed, tick=0.01)
    arrays = [table[name].to_numpy() for name in ("high", "low", "close", "volume")]
    profile = liquidity.volume_profile(*arrays, window=20)
    for row in range(19, 130):
        twin = slow_profile(*(values[row - 19 : row + 1] for values in arrays))
        for name, value in twin.items():
            assert profile[name][row] == pytest.approx(value, rel=1e-9), (row, name)
    assert np.isnan(profile["poc"][:19]).all()


def test_profile_of_a_hand_case() -> None:
    # 10 bins of 1 from 10 to 20: 100 shares over 10 … 20 put 10 in each, 60 more over 13 … 15 put 30 more in two of them
    high, low, volume = np.array([20.0, 15.0]), np.array([10.0, 13.0]), np.array([100.0, 60.0])
    profile = liquidity.volume_profile(high, low, (high + low) / 2, volume, window=2, bins=10)
    assert profile["poc"][1] == pytest.approx(13.5)  # the two heavy bins tie; the middle one of two is the lower
    # 70 % of 160 is 112: 40 + 40 in the heavy bins, then upward where neighbours tie: 15, 16, 17, 18 → 80 + 40 = 120
    assert (profile["val"][1], profile["vah"][1]) == (pytest.approx(13.0), pytest.approx(19.0))
    assert profile["value_area_share"][1] == pytest.approx(120 / 160)
    assert profile["vwap"][1] == pytest.approx((100 * 15 + 60 * 14) / 160)


def test_nodes_lie_where_volume_is_heavy_and_light() -> None:
    # two clusters, 10 … 12 and 18 … 20, and a thin valley between them
    high = np.array([12.0, 20.0, 18.0, 15.0])
    low = np.array([10.0, 18.0, 12.0, 14.0])
    volume = np.array([500.0, 500.0, 6.0, 0.0])
    profile = liquidity.volume_profile(high, low, np.array([11.0, 19.0, 13.0, 14.5]), volume, window=4, bins=10)
    assert profile["hvn_below"][3] == pytest.approx(11.0)
    assert profile["hvn_above"][3] == pytest.approx(19.0)
    assert profile["lvn_above"][3] == pytest.approx(15.0)  # the valley 12 … 18, above the close at 14.5
    assert np.isnan(profile["lvn_below"][3])


def test_one_price_is_its_own_value_area() -> None:
    same = np.full(5, 10.0)
    profile = liquidity.volume_profile(same, same, same, np.ones(5), window=3)
    assert [profile[name][4] for name in ("poc", "val", "vah", "value_area_share", "vwap")] == [10, 10, 10, 1, 10]


def test_no_volume_in_the_window_gives_no_profile() -> None:
    price = np.linspace(10, 11, 6)
    profile = liquidity.volume_profile(price, price - 0.1, price, np.array([1.0, 1, 0, 0, 0, 1]), window=3)
    assert np.isnan(profile["poc"][4])
    assert np.isfinite(profile["poc"][[2, 3, 5]]).all()


@given(data=st.data(), n=st.integers(2, 40), bins=st.integers(2, 80))
def test_value_area_holds_its_share_and_the_poc(data: st.DataObject, n: int, bins: int) -> None:
    price = st.floats(1, 1e4, allow_nan=False)
    low = np.array(data.draw(st.lists(price, min_size=n, max_size=n)))
    reach = np.array(data.draw(st.lists(st.floats(0, 1e3), min_size=n, max_size=n)))
    volume = np.array(data.draw(st.lists(st.floats(0, 1e9), min_size=n, max_size=n)))
    high = low + reach
    profile = {
        k: v[-1] for k, v in liquidity.volume_profile(high, low, low, volume, window=n, bins=bins).items()
    }
    if volume.sum() == 0:
        assert np.isnan(profile["poc"])
        return
    ulp = 1e-9 * high.max()
    assert 0.7 <= profile["value_area_share"] <= 1
    assert low.min() - ulp <= profile["val"] <= profile["poc"] <= profile["vah"] <= high.max() + ulp
    assert low.min() - ulp <= profile["vwap"] <= high.max() + ulp


@pytest.mark.parametrize("factor", [1 / 7.3, 2.0, 31.7])
def test_profile_moves_with_prices_and_not_with_units_of_volume(make_bars, factor: float) -> None:
    table = make_bars(200, seed=3, tick=0.05)
    high, low, close, volume = (table[name].to_numpy() for name in ("high", "low", "close", "volume"))
    before = liquidity.volume_profile(high, low, close, volume)
    after = liquidity.volume_profile(high * factor, low * factor, close * factor, volume / factor)
    for name in ("poc", "val", "vah", "vwap", "hvn_above", "lvn_below"):
        np.testing.assert_allclose(after[name], before[name] * factor, rtol=1e-9)
    np.testing.assert_allclose(after["value_area_share"], before["value_area_share"], rtol=1e-9)


def test_profile_refuses_what_is_unknown() -> None:
    with pytest.raises(InvalidInput, match="finite"):
        liquidity.volume_profile(np.array([1.0, np.nan]), np.ones(2), np.ones(2), np.ones(2), window=1)


# swings -------------------------------------------------------------------------------------------------------------


@given(
    highs=st.lists(st.integers(1, 6), min_size=1, max_size=40),
    left=st.integers(1, 3),
    right=st.integers(1, 3),
)
def test_swings_are_what_a_loop_finds(highs: list[int], left: int, right: int) -> None:
    values = np.array(highs, dtype=float)
    found = list(liquidity._pivots(values, left, right))
    expected = [
        row
        for row in range(left, len(highs) - right)
        if all(highs[row] > highs[row - k] for k in range(1, left + 1))
        and all(highs[row] >= highs[row + k] for k in range(1, right + 1))
    ]
    assert found == expected


def test_swings_carry_the_bar_that_confirmed_them(bars: pl.DataFrame) -> None:
    swings = liquidity.swings(bars, left=2, right=4)
    row = dict(zip(bars["ts"], range(bars.height), strict=True))
    assert set(swings["kind"]) == {"high", "low"}
    for turn in swings.iter_rows(named=True):
        assert row[turn["confirmed_at"]] - row[turn["ts"]] == 4
        assert turn["price"] == bars[turn["kind"]][row[turn["ts"]]]


def test_no_swing_of_the_table_is_seen_before_its_confirmation(bars: pl.DataFrame) -> None:
    """Cut at every row: the last swing of the table is one that the bars until then confirm, with the right stamp."""
    table = build_field_table(bars)
    swings = liquidity.swings(bars)
    for kind in ("high", "low"):
        turns = swings.filter(pl.col("kind") == kind)
        for row in range(70, bars.height, 7):
            now = bars["ts"][row]
            known = turns.filter(pl.col("confirmed_at") <= now).tail(1)
            assert table[f"liquidity.swing_{kind}"][row] == known["price"][0]
            assert table[f"liquidity.swing_{kind}_confirmed_at"][row] == known["confirmed_at"][0]
            age = table[f"liquidity.swing_{kind}_age"][row]
            assert bars["ts"][row - int(age)] == known["ts"][0]


def test_anchored_vwap_starts_at_the_swing(bars: pl.DataFrame) -> None:
    table = build_field_table(bars)
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    for row in (100, 333, 899):
        start = row - int(table["liquidity.swing_low_age"][row])
        volume = bars["volume"][start : row + 1]
        expected = (typical[start : row + 1] * volume).sum() / volume.sum()
        assert table["liquidity.anchored_vwap_low"][row] == pytest.approx(expected, rel=1e-10)


# gaps and Amihud ----------------------------------------------------------------------------------------------------


@given(moves=st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 4)), min_size=3, max_size=60))
def test_open_gaps_are_what_a_loop_finds(moves: list[tuple[int, int]]) -> None:
    low = 1000.0 + np.cumsum([step for step, _ in moves])
    high = low + np.array([reach for _, reach in moves])
    up, down = liquidity._open_gaps(low, high), -liquidity._open_gaps(-high, -low)
    for row in range(len(moves)):
        reach = range(max(1, row - liquidity.WINDOW + 1), row + 1)
        below = [high[j - 1] for j in reach if low[j : row + 1].min() > high[j - 1]]
        above = [low[j - 1] for j in reach if high[j : row + 1].max() < low[j - 1]]
        np.testing.assert_equal(up[row], max(below, default=np.nan))
        np.testing.assert_equal(down[row], min(above, default=np.nan))


def test_amihud_is_the_mean_price_move_for_a_billion_traded(bars: pl.DataFrame) -> None:
    table = build_field_table(bars)
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    impact = np.abs(np.diff(np.log(close))) / (close[1:] * volume[1:] / 1e9)
    assert table["liquidity.amihud"][20] == pytest.approx(impact[:20].mean())
    assert table["liquidity.amihud_ratio"][400] == pytest.approx(np.log(impact[380:400].mean() / impact[150:400].mean()))


def test_a_session_without_trading_has_no_impact_to_measure(bars: pl.DataFrame) -> None:
    halted = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 50).then(0.0).otherwise("volume"))
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    impact = np.abs(np.diff(np.log(close))) / (close[1:] * volume[1:] / 1e9)
    window = np.delete(impact[35:55], 14)  # rows 36 … 55 without row 50
    assert build_field_table(halted)["liquidity.amihud"][55] == pytest.approx(window.mean())
