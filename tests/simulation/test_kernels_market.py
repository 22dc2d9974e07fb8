"""The pass over a market's prices says what the slow reading of them says: decimals, bars that cannot be, stamps out of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.simulation import _kernels_market as kernels
from fieldcast.simulation.units import SCALES


@given(whole=st.integers(0, 2**53), place=st.integers(0, 8))
def test_a_quotient_by_a_power_of_ten_is_the_division_s(whole: int, place: int) -> None:
    scale = 10.0**place
    assert kernels.divided(float(whole), scale, 1.0 / scale) == whole / scale


@pytest.mark.parametrize("place", range(9))
def test_no_quotient_of_many_differs_from_the_division_s(place: int) -> None:
    rng, scale = np.random.default_rng(place), 10.0**place
    for top in (1e3, 1e6, 1e9, 2.0**53, 1e25):
        whole = np.rint(rng.random(2000) * top)
        found = [kernels.divided(one, scale, 1.0 / scale) for one in whole]
        np.testing.assert_array_equal(found, whole / scale)


def needed(prices: np.ndarray, start: int) -> int:
    """The fewest decimals, price by price, as they are defined."""
    place = start
    for price in prices[prices > 0].tolist():
        while place < 8 and round(price * 10.0**place) / 10.0**place != price:
            place += 1
    return place


@given(
    prices=st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 9)), min_size=1, max_size=60), start=st.integers(0, 8),
    gaps=st.sets(st.integers(0, 59)), off=st.booleans(),
)  # fmt: skip
def test_decimals_are_those_of_every_single_price(prices, start, gaps, off) -> None:
    values = np.array([whole / 10.0**places for whole, places in prices])
    values[[at for at in gaps if at < len(values)]] = np.nan
    if off:
        values[-1] = np.nextafter(values[-1], np.inf)  # a price that is a hair from a round one keeps its own decimals
    assert kernels.decimals_needed(values, start, SCALES) == needed(values, start)


def test_decimals_are_found_in_every_block() -> None:
    for at in (0, 1023, 1024, 5000, 6143):
        values = np.full(6144, 12.5)
        values[at] = 12.125
        assert kernels.decimals_needed(values, 0, SCALES) == 3


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("open", 0.0, 1), ("low", -1.0, 1), ("high", np.inf, 1), ("high", 99.0, 2), ("low", 101.0, 2), ("volume", -1.0, 3),
        ("close", np.nan, 4),
    ],
)  # fmt: skip
@pytest.mark.parametrize("gap", [False, True])
def test_a_bad_bar_is_found_where_it_is(field: str, value: float, what: int, gap: bool) -> None:
    """A row without a gap is looked at as a whole first; one with a missing bar bar by bar."""
    bars = {name: np.full((2, 3000), 100.0) for name in ("open", "high", "low", "close", "volume")}
    if gap:
        for name in bars:
            bars[name][1, 5] = np.nan
    arrays = [bars[name] for name in ("open", "high", "low", "close", "volume")]
    assert kernels.first_bad_bar(*arrays)[2] == 0
    bars[field][1, 2999] = value
    assert kernels.first_bad_bar(*arrays) == (1, 2999, what)


def test_a_stamp_out_of_place_is_found_wherever_it_is() -> None:
    def found(**changed: tuple[int, int]) -> bool:
        ts = np.arange(1, 101, dtype=np.int64) * 10
        stamps = {"ts": ts, "open_ts": ts - 10, "session": ts // 500}
        for name, (at, value) in changed.items():
            stamps[name][at] = value
        return bool(kernels.out_of_order(stamps["ts"], stamps["open_ts"], stamps["session"])[0])

    assert not found()
    for at in (0, 50, 99):
        assert found(open_ts=(at, 10 * at + 11))
    for at in (1, 50, 99):
        assert found(open_ts=(at, 10 * at - 1))
        assert found(session=(at, -1))
    assert found(ts=(50, 500), open_ts=(50, 500))


def surveyed(bars: dict[str, np.ndarray]) -> tuple[bool, int, float]:
    plain, places, tops = np.empty(1, np.bool_), np.empty(1, np.int64), np.empty(1)
    rows = [bars[name].reshape(1, -1) for name in ("open", "high", "low", "close", "volume")]
    kernels.survey(*rows, SCALES, plain, places, tops)
    return bool(plain[0]), int(places[0]), float(tops[0])


@given(
    closes=st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 9)), min_size=1, max_size=40),
    reach=st.integers(0, 50), repeat=st.sampled_from([1, 40]), volume=st.booleans(),
)  # fmt: skip
def test_one_pass_finds_what_the_single_readings_find(closes, reach, repeat, volume) -> None:
    close = np.tile([whole / 10.0**places for whole, places in closes], repeat)      # within a part, and across parts
    bars = {"open": close[::-1].copy(), "close": close, "volume": np.full(close.size, np.nan)[: close.size if volume else 0]}
    bars["high"] = np.maximum(bars["open"], close) + reach / 100.0
    bars["low"] = np.minimum(bars["open"], close)
    plain, places, top = surveyed(bars)
    assert plain
    assert top == bars["high"].max()
    place = 0
    for name in ("close", "open", "high", "low"):
        place = kernels.decimals_needed(bars[name], place, SCALES)
    assert places == place


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0, np.inf])
@pytest.mark.parametrize("at", [0, 700, 1_499])
def test_one_price_that_is_missing_or_cannot_be_is_seen_anywhere(name: str, value: float, at: int) -> None:
    bars = {one: np.full(1_500, 100.0) for one in ("open", "high", "low", "close", "volume")}
    assert surveyed(bars) == (True, 0, 100.0)
    bars[name][at] = value
    assert not surveyed(bars)[0]


def test_a_volume_below_zero_is_seen_and_one_that_is_not_known_is_none() -> None:
    bars = {one: np.full(1_500, 100.0) for one in ("open", "high", "low", "close", "volume")}
    bars["volume"][:] = np.nan
    assert surveyed(bars)[0]
    bars["volume"][1_400] = -1.0
    assert not surveyed(bars)[0]


def test_the_shortest_step_is_found_with_the_order() -> None:
    ts = np.array([10, 20, 23, 40], dtype=np.int64)
    none = np.empty(0, dtype=np.int64)
    bad, shortest = kernels.out_of_order(ts, ts - 1, none)
    assert (bool(bad), int(shortest)) == (False, 3)
    assert bool(kernels.out_of_order(ts[::-1].copy(), ts[::-1] - 1, none)[0])
