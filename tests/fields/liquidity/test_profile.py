"""Volume profiles against a slow twin, by hand, and as a session grows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields import liquidity
from fieldcast.fields.liquidity import Profile, developing, profile_of
from fieldcast.ground import InvalidInput, MissingData


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
    profile = {k: v[-1] for k, v in liquidity.volume_profile(high, low, low, volume, window=n, bins=bins).items()}
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


# one profile, its nodes and voids --------------------------------------------------------------------------------------


def arrays(table: pl.DataFrame) -> list[np.ndarray]:
    return [table[name].to_numpy() for name in ("high", "low", "close", "volume")]


@pytest.mark.parametrize("seed", range(3))
def test_one_profile_is_the_rolling_one_of_the_same_bars(make_bars, seed: int) -> None:
    table = make_bars(60, seed=seed, tick=0.01)
    one, rolling = Profile.of(*arrays(table)), liquidity.volume_profile(*arrays(table))
    for name in ("poc", "val", "vah", "vwap", "value_area_share"):
        assert getattr(one, name) == pytest.approx(rolling[name][-1], rel=1e-12), name
    close = table["close"][-1]
    for name, nodes in (("hvn", one.high_volume), ("lvn", one.low_volume)):
        above, below = [n.price for n in nodes if n.price >= close], [n.price for n in nodes if n.price < close]
        np.testing.assert_allclose(rolling[f"{name}_above"][-1], min(above, default=np.nan), rtol=1e-12)
        np.testing.assert_allclose(rolling[f"{name}_below"][-1], max(below, default=np.nan), rtol=1e-12)
    assert one.held.sum() == pytest.approx(table["volume"].sum())
    assert one.table()["share"].sum() == pytest.approx(1)


def test_voids_are_the_prices_inside_the_range_at_which_nothing_was_traded() -> None:
    # 10 … 12 and 18 … 20 traded, nothing between; ten bins of one
    high, low = np.array([12.0, 20.0]), np.array([10.0, 18.0])
    profile = Profile.of(high, low, (high + low) / 2, np.array([240.0, 160.0]), bins=10)
    (void,) = profile.voids
    assert (void.low, void.high, void.price, void.share) == (pytest.approx(12), pytest.approx(18), pytest.approx(15), 0)
    assert [(node.low, node.high) for node in profile.low_volume] == [(pytest.approx(12), pytest.approx(18))]
    assert [node.share for node in profile.high_volume] == [pytest.approx(0.6), pytest.approx(0.4)]


def test_a_profile_needs_volume_and_leaves_unknown_bars_out(bars: pl.DataFrame) -> None:
    some = bars.head(30)
    holed = some.with_columns(volume=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise("volume"))
    assert profile_of(holed).poc == Profile.of(*arrays(some[5:])).poc
    assert profile_of(holed).bars == 25
    with pytest.raises(MissingData, match="with volume"):
        profile_of(some.with_columns(volume=pl.lit(0.0)))


# a session as it grows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_developing_profile_is_at_each_bar_the_profile_until_then(make_bars, seed: int) -> None:
    table = make_bars(90, seed=seed, tick=0.05)
    grown = developing(*arrays(table), bins=30)
    for row in (0, 1, 2, 7, 40, 89):
        until = Profile.of(*arrays(table[: row + 1]), bins=30)
        for name in ("poc", "val", "vah", "value_area_share"):
            assert grown[name][row] == pytest.approx(getattr(until, name), rel=1e-9), (row, name)


def test_a_developing_profile_knows_nothing_of_later_bars(bars: pl.DataFrame) -> None:
    full = developing(*arrays(bars[:200]))
    for row in (3, 50, 120):
        cut = developing(*arrays(bars[:row]))
        for name, values in cut.items():
            np.testing.assert_array_equal(values, full[name][:row], err_msg=name)


def test_a_session_begins_without_a_profile_until_something_trades() -> None:
    price = np.array([10.0, 10.0, 10.0, 11.0])
    grown = developing(price, price, price, np.array([0.0, 0.0, 5.0, 5.0]))
    assert np.isnan(grown["poc"][:2]).all()
    assert (grown["poc"][2], grown["val"][2], grown["vah"][2]) == (10, 10, 10)
    assert 10 <= grown["poc"][3] <= 11
