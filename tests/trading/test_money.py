"""Rounding: which way, and never where it is not said."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import ConfigError, InvalidInput
from fieldcast.trading import CostModel, Side, exact_product, exact_sum, price_from_bar, ratio_down, to_lots, to_tick

amounts = st.decimals(min_value=Decimal("-1e12"), max_value=Decimal("1e12"), allow_nan=False, places=8)
prices = st.decimals(min_value=Decimal("0.01"), max_value=Decimal("1e6"), allow_nan=False, places=4)
steps = st.sampled_from([Decimal(1), Decimal("0.01"), Decimal("0.00001"), Decimal("0.25"), Decimal(100)])
rates = st.decimals(min_value=0, max_value=500, allow_nan=False, places=3)


@given(amounts, amounts, amounts)
def test_sums_and_products_are_exact(a: Decimal, b: Decimal, c: Decimal) -> None:
    assert Fraction(exact_sum(a, b, c)) == Fraction(a) + Fraction(b) + Fraction(c)
    assert Fraction(exact_product(a, b)) == Fraction(a) * Fraction(b)


def test_a_product_that_does_not_fit_is_an_error_and_not_a_lost_digit() -> None:
    with pytest.raises(InvalidInput, match="60 digits"):
        exact_product(Decimal("1." + "1" * 40), Decimal("1." + "1" * 40))


@given(amounts, steps)
def test_lots_round_towards_zero(quantity: Decimal, lot: Decimal) -> None:
    rounded = to_lots(quantity, lot)
    assert rounded % lot == 0
    assert abs(rounded) <= abs(quantity)
    assert abs(quantity) - abs(rounded) < lot
    assert rounded * quantity >= 0


@given(prices, st.sampled_from([Decimal("0.01"), Decimal("0.25"), Decimal("0.00001")]))
def test_ticks_round_against_the_trader(price: Decimal, tick: Decimal) -> None:
    up, down = to_tick(price, tick, up=True), to_tick(price, tick, up=False)
    assert up % tick == 0
    assert down % tick == 0
    assert up >= price
    assert up - price < tick
    assert down <= max(price, tick)
    assert down >= tick


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_bars_price_keeps_eight_places(value: float) -> None:
    price = price_from_bar(value)
    assert abs(Fraction(price) - Fraction(value)) <= Fraction(1, 2 * 10**8) + Fraction(value) / 10**15


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), 1e-12])
def test_a_bar_without_a_price_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput):
        price_from_bar(bad)


def test_a_round_price_has_no_exponent() -> None:
    assert str(price_from_bar(7000.0)) == "7000"
    assert str(price_from_bar(7000.25)) == "7000.25"


@given(amounts.filter(lambda amount: amount >= 0), prices)
def test_ratio_down_never_buys_more_than_there_is(amount: Decimal, unit: Decimal) -> None:
    assert Fraction(ratio_down(amount, unit)) <= Fraction(amount) / Fraction(unit)


@given(rates, rates, rates, prices, st.integers(1, 10_000), st.sampled_from(Side))
def test_costs_are_never_negative(
    half: Decimal, slip: Decimal, commission: Decimal, price: Decimal, quantity: int, side: Side
) -> None:
    costs = CostModel(half, slip, commission)
    filled = costs.fill_price(side, price, Decimal("0.0001"))
    assert side.sign * (filled - price) >= 0
    assert costs.commission(filled, Decimal(quantity), Decimal(1)) >= 0


def test_the_default_costs_of_an_index_unit_by_hand() -> None:
    """7000 * (1 + 2 bp) = 7001.40; 10 units at 0.5 bp of 70 014.00 = 3.5007, up to 3.51."""
    costs = CostModel()
    assert costs.fill_price(Side.BUY, Decimal(7000), Decimal("0.01")) == Decimal("7001.40")
    assert costs.fill_price(Side.SELL, Decimal(7000), Decimal("0.01")) == Decimal("6998.60")
    assert costs.commission(Decimal("7001.40"), Decimal(10), Decimal(1)) == Decimal("3.51")


@pytest.mark.parametrize("name", ["half_spread_bps", "slippage_bps", "commission_bps", "minimum_commission"])
def test_a_negative_cost_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        CostModel(**{name: Decimal("-0.1")})


def test_a_minimum_commission_holds() -> None:
    costs = CostModel(minimum_commission=Decimal("1.25"))
    assert costs.commission(Decimal(10), Decimal(1), Decimal(1)) == Decimal("1.25")
