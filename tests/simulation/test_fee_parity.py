"""The simulated venue's fees in whole numbers are those of the schedule in decimals, to the minimal unit."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.simulation._charges import fee_row
from fieldcast.simulation._kernels_fill import commission, fees
from fieldcast.simulation.settings import VenueSettings
from fieldcast.trading import CostModel, FeeSchedule, Side
from fieldcast.trading.costs import VENUES

ONE = Decimal(1)


def charged(costs: CostModel, price: Decimal, lots: int, side: Side, *, maker: bool, lot: Decimal = ONE) -> Decimal:
    """What the kernel takes, in currency units; minimal units as fine as the schedule's step, and at least 10^-6."""
    decimals = 6 if costs.fees is None or costs.fees.step >= Decimal("0.000001") else 8
    units = SimpleNamespace(lot=[lot], cash_decimals=decimals)
    row = fee_row(VenueSettings(costs=costs), units, 0)  # type: ignore[arg-type]
    value = int((price * lots * lot).scaleb(decimals))
    return Decimal(int(fees(value, lots, side.sign, maker, row))).scaleb(-decimals)


@pytest.mark.parametrize("name", VENUES)
@given(st.decimals("0.01", "3000", places=2), st.integers(1, 100_000), st.sampled_from(Side), st.booleans())
def test_every_preset_costs_the_same_in_the_venue(name: str, price: Decimal, lots: int, side: Side, maker: bool) -> None:
    schedule = VENUES[name]
    expected = schedule.total(price, Decimal(lots), ONE, side=side, maker=maker)
    assert charged(CostModel(fees=schedule), price, lots, side, maker=maker) == expected


@given(
    st.decimals("0.01", "3000", places=2),
    st.integers(1, 100_000),
    st.decimals(0, "0.9", places=4),
    st.decimals(0, 90, places=1),
    st.decimals(0, 20, places=2),
    st.none() | st.decimals("0.001", "0.05", places=3),
    st.sampled_from(["1", "0.01", "0.001"]),
)
def test_a_schedule_of_ones_own_costs_the_same_in_the_venue(
    price: Decimal, lots: int, unit: Decimal, bps: Decimal, minimum: Decimal, most: Decimal | None, lot: str
) -> None:
    schedule = FeeSchedule("own", per_unit=unit, value_bps=bps, minimum=minimum, maximum_share=most)
    expected = schedule.total(price, lots * Decimal(lot), ONE)
    assert charged(CostModel(fees=schedule), price, lots, Side.BUY, maker=False, lot=Decimal(lot)) == expected


@given(st.decimals("0.01", "3000", places=2), st.integers(1, 10**6), st.decimals(0, 90, places=1), st.decimals(0, 20, places=2))
def test_the_plain_commission_costs_the_same_in_the_venue(price: Decimal, lots: int, bps: Decimal, minimum: Decimal) -> None:
    costs = CostModel(commission_bps=bps, minimum_commission=minimum)
    assert charged(costs, price, lots, Side.SELL, maker=False) == costs.commission(price, Decimal(lots), ONE)


@pytest.mark.parametrize("lots", [10_000, 20_000_000])
@pytest.mark.parametrize("decimals", [4, 8])
def test_a_rate_for_each_contract_never_overflows(lots: int, decimals: int) -> None:
    """0.65 a contract in units of 1e-8, as parts of 1e8, times the contracts needs more than 63 bits."""
    rate = 65 * 10 ** (decimals - 2) * 10**8
    fee = commission(10**15, lots, 0, rate, 0, 0, 10 ** (decimals - 2))
    assert Decimal(int(fee)).scaleb(-decimals) == Decimal("0.65") * lots
