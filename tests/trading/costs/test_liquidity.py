"""Slippage out of depth, illiquidity and movement energy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.trading import Side
from fieldcast.trading.costs import LiquidityState, liquidity_slippage

dollars = st.floats(1.0, 1e12, allow_nan=False)
maybe = st.none() | dollars


def state(depth: float | None, amihud: float | None, energy: float | None) -> LiquidityState:
    return LiquidityState(
        depth_notional=depth,
        depth_bps=None if depth is None else 10.0,
        amihud=amihud,
        energy_dollars=energy,
        energy_move_bps=None if energy is None else 100.0,
    )


@given(dollars, dollars, st.none() | st.floats(0, 10), maybe, st.floats(1.0, 1e6))
def test_slippage_never_falls_when_depth_falls(
    notional: float, depth: float, amihud: float | None, energy: float | None, times: float
) -> None:
    shallow, deep = state(depth / times, amihud, energy), state(depth, amihud, energy)
    assert liquidity_slippage(notional, shallow).bps >= liquidity_slippage(notional, deep).bps


@given(dollars, dollars, maybe, st.floats(1.0, 1e6))
def test_slippage_never_falls_when_less_energy_resists(notional: float, energy: float, depth: float | None, times: float) -> None:
    weak, strong = state(depth, None, energy / times), state(depth, None, energy)
    assert liquidity_slippage(notional, weak).bps >= liquidity_slippage(notional, strong).bps


@given(dollars, dollars, st.floats(1.0, 100.0))
def test_slippage_never_falls_when_the_order_grows(notional: float, depth: float, times: float) -> None:
    known = state(depth, 0.1, depth)
    assert liquidity_slippage(notional * times, known).bps >= liquidity_slippage(notional, known).bps


def test_the_energy_of_a_book_alone_gives_the_slippage_of_its_depth() -> None:
    """2 million evenly within 100 bp: walking it costs 2e6 * 0.01 / 2 = 10 000 dollars; an order of 50 000 pays 1.25 bp."""
    found = liquidity_slippage(
        50_000.0, LiquidityState(depth_notional=2e6, depth_bps=100.0, energy_dollars=10_000.0, energy_move_bps=100.0)
    )
    assert found.by["depth"] == pytest.approx(1.25)
    assert found.by["energy"] == pytest.approx(1.25)


def test_the_average_of_a_walk_through_an_even_book() -> None:
    """Brute force: fill 50 000 level by level where each of 10 000 levels within 100 bp holds 200 dollars."""
    left, paid, level = 50_000.0, 0.0, 0
    while left > 0:
        taken = min(left, 200.0)
        paid += taken * (level + 0.5) * 0.01
        left, level = left - taken, level + 1
    found = liquidity_slippage(50_000.0, LiquidityState(depth_notional=2e6, depth_bps=100.0))
    assert found.bps == pytest.approx(paid / 50_000.0)


def test_the_largest_of_what_is_known_counts() -> None:
    found = liquidity_slippage(1e6, state(1e9, 0.2, 1e9))
    assert found.by["amihud"] == pytest.approx(0.5 * 1e4 * 0.2 * 1e6 / 1e9)
    assert found.bps == max(found.by.values()) == found.by["amihud"]


def test_nothing_known_is_no_zero() -> None:
    with pytest.raises(MissingData, match="found none"):
        liquidity_slippage(1e6, LiquidityState())


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth_notional": 0.0, "depth_bps": 10.0},
        {"depth_notional": 1e6},
        {"energy_dollars": -5.0, "energy_move_bps": 100.0},
        {"amihud": float("nan")},
    ],
)
def test_impossible_states_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        LiquidityState(**wrong)


def test_a_field_map_gives_the_side_that_is_traded_against() -> None:
    liquidity = {"book_depth_ask_5bps": 1e5, "book_depth_ask_25bps": 9e5, "book_depth_bid_25bps": 3e5, "amihud": 0.01}
    elasticity = {"energy_up_1pct": 4e6, "energy_down_1pct": -2e6}
    buying = LiquidityState.of_fields(liquidity, elasticity, Side.BUY)
    selling = LiquidityState.of_fields(liquidity, elasticity, Side.SELL)
    assert (buying.depth_notional, buying.depth_bps, buying.energy_dollars) == (9e5, 25.0, 4e6)
    assert (selling.depth_notional, selling.energy_dollars) == (3e5, None), "what feeds a move is no resistance to it"
