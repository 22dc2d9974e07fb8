"""The lots to which an order is cut: the secant finds those of a bisection, and one lot more is refused."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fieldcast.market import Instrument, Kind
from fieldcast.simulation import _kernels_account as account
from fieldcast.simulation import _state as s
from fieldcast.simulation._account import Run
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.trading import CostModel

SHARE = Instrument("XNAS:ONE", Kind.EQUITY)
PRICES = np.array([100.0])


def run_of(cash: int, initial: str, spread: int, impact: int, commission: int, least: int) -> Run:
    market = Market.of_arrays(
        SHARE, np.array([60_000_000]), PRICES, PRICES, PRICES, PRICES, np.array([1e6]), open_ts=np.array([0])
    )
    costs = CostModel(
        half_spread_bps=Decimal(spread), slippage_bps=Decimal(1), impact_bps=Decimal(impact), commission_bps=Decimal(commission),
        minimum_commission=Decimal(least),
    )  # fmt: skip
    margin = Margin(initial=Decimal(initial), maintenance=Decimal(initial) / 2)
    return Run(market, VenueSettings(cash={"USD": Decimal(cash)}, costs=costs, margin=margin))


@pytest.mark.parametrize("side", [1, -1])
@settings(max_examples=150, deadline=None)
@given(
    cash=st.integers(1, 10**9), print_units=st.integers(1, 10**6), over=st.floats(1.0, 50.0), held=st.integers(-1000, 1000),
    initial=st.sampled_from(["1", "0.5", "0.25"]), spread=st.integers(0, 200), impact=st.sampled_from([0, 0, 30, 3000]),
    commission=st.integers(0, 300), least=st.sampled_from([0, 1, 500]),
)  # fmt: skip
def test_the_secant_and_the_bisection_find_the_same_lots(
    side, cash, print_units, over, held, initial, spread, impact, commission, least
):
    run = run_of(cash, initial, spread, impact, commission, least)
    state = run.state
    factor = int(state.instrument[0, s.I_FACTOR])
    lots = max(2, int(over * cash * 10**run.units.cash_decimals / (print_units * factor)))
    assume(lots * print_units * factor < 10**17)
    state.position[0, s.P_LOTS] = held
    state.position[0, s.P_BASIS] = held * print_units * factor
    state.position[0, s.P_MARK] = print_units
    s.remark(state, 0)
    arguments = (print_units, 0, 1e6)
    assume(account.affordable(state, 0, 0, side, lots, *arguments) in (s.W_CASH, s.W_MARGIN))
    _, missing = account.spare(state, 0, 0, side, lots, *arguments)
    found = account.cut_to_account(state, 0, 0, side, lots, missing, *arguments)
    assert found == account.cut_by_bisection(state, 0, 0, side, 0, lots, *arguments)
    assert found < lots
    assert account.affordable(state, 0, 0, side, found + 1, *arguments) != s.W_NONE
    if found > 0:
        assert account.affordable(state, 0, 0, side, found, *arguments) == s.W_NONE
