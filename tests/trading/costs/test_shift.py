"""The shift of a fill, the square-root law, and a model that speaks the same as the kernel."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.trading import CostModel, CostParts, Side
from fieldcast.trading.costs import impact_coefficient_bps
from fieldcast.trading.costs._kernels import NO_PRICE, shift_hundredths, total_shift_bps

figures = st.floats(0, 500, allow_nan=False)
amounts = st.floats(1e-6, 1e9, allow_nan=False)


def test_the_parts_add_up_by_hand() -> None:
    """A quarter of the volume at 20 bp for the whole volume is 20 * sqrt(1/4) = 10 bp, beside 1.5 and 0.5."""
    assert total_shift_bps(1.5, 0.5, 20.0, 25.0, 100.0) == 12.0


@given(figures, figures, figures, amounts, amounts, st.floats(1.0, 1e6))
def test_the_shift_never_falls_when_volume_falls(
    half: float, slip: float, impact: float, quantity: float, volume: float, times: float
) -> None:
    assert total_shift_bps(half, slip, impact, quantity, volume / times) >= total_shift_bps(half, slip, impact, quantity, volume)


@given(figures, figures, figures, amounts, amounts, st.floats(1.0, 1e6))
def test_the_shift_never_falls_when_the_order_grows(
    half: float, slip: float, impact: float, quantity: float, volume: float, times: float
) -> None:
    assert total_shift_bps(half, slip, impact, quantity * times, volume) >= total_shift_bps(half, slip, impact, quantity, volume)


@pytest.mark.parametrize("volume", [0.0, -1.0])
def test_impact_without_volume_has_no_price(volume: float) -> None:
    assert shift_hundredths(total_shift_bps(1.0, 1.0, 5.0, 10.0, volume)) == NO_PRICE


def test_an_unknown_volume_is_no_zero_impact() -> None:
    assert math.isnan(total_shift_bps(1.0, 1.0, 5.0, 10.0, math.nan))
    assert shift_hundredths(math.nan) == NO_PRICE
    assert total_shift_bps(1.0, 1.0, 0.0, 10.0, math.nan) == 2.0, "a model without impact needs no volume"


@given(st.decimals(0, 9999, places=2, allow_nan=False))
def test_a_decimal_of_hundredths_survives_binary_noise(bps: Decimal) -> None:
    assert shift_hundredths(float(bps)) == int(bps * 100)
    assert shift_hundredths(float(bps / 3) * 3.0) == int(bps * 100)


def test_a_shift_between_hundredths_is_rounded_against_the_trader() -> None:
    assert shift_hundredths(1.001) == 101


@pytest.mark.parametrize("bps", [10_000.0, 9_999.999, -0.01, math.inf])
def test_the_whole_price_is_no_shift(bps: float) -> None:
    assert shift_hundredths(bps) == NO_PRICE


@given(figures, figures, figures, st.integers(1, 10**6), st.integers(1, 10**9), st.sampled_from(Side))
def test_the_model_charges_what_the_kernel_says(
    half: float, slip: float, impact: float, quantity: int, volume: int, side: Side
) -> None:
    """The price of the model, recomputed from the kernel's own number in fractions."""
    hundredths = shift_hundredths(total_shift_bps(half, slip, impact, float(quantity), float(volume)))
    parts, reference, tick = CostParts(half, slip, impact), Decimal("812.34"), Decimal("0.01")
    if hundredths == NO_PRICE:
        with pytest.raises(InvalidInput, match="whole price"):
            CostModel().fill_price(side, reference, tick, parts=parts, quantity=Decimal(quantity), volume=float(volume))
        return
    price = CostModel().fill_price(side, reference, tick, parts=parts, quantity=Decimal(quantity), volume=float(volume))
    exact = reference * (1_000_000 + side.sign * hundredths) / 1_000_000
    assert 0 <= side.sign * (price - exact) < tick or price == tick
    assert price % tick == 0


def test_the_impact_of_a_day_and_of_a_bar_agree_where_variance_follows_volume() -> None:
    """sigma * sqrt(Q / V) with a hundredth of the variance and of the volume is the same number."""
    day = total_shift_bps(0.0, 0.0, impact_coefficient_bps(0.02), 1e4, 1e6)
    bar = total_shift_bps(0.0, 0.0, impact_coefficient_bps(0.002), 1e4, 1e4)
    assert day == pytest.approx(20.0) == bar


def test_impact_refuses_an_unknown_volatility() -> None:
    with pytest.raises(InvalidInput, match="sigma"):
        impact_coefficient_bps(np.array([0.01, np.nan]))
