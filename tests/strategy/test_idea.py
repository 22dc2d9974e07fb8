"""Ideas: levels on the tick, costs of the model, and what a limit is compared with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind
from fieldcast.strategy import IdeaLimits, TradeIdea, trade_idea
from fieldcast.trading import CostModel, Side, client_id, fee_schedule

SPY = Instrument("ARCX:SPY", Kind.ETF)
AT = datetime(2024, 3, 1, 21, 30, tzinfo=UTC)
MODEL = CostModel(half_spread_bps=Decimal("0.5"), slippage_bps=Decimal("1.5"), commission_bps=Decimal(1))


def idea(side: Side = Side.BUY, **changes: Any) -> TradeIdea:
    given_ = {
        "as_of": AT, "reference": Decimal("500.00"), "stop_distance": Decimal("5"), "quantity": Decimal(10),
        "nav": Decimal(100_000), "costs": MODEL,
    }  # fmt: skip
    return trade_idea(SPY, side, **(given_ | changes))


def test_a_long_by_hand() -> None:
    """Half a spread of .5 bp of 500 is .025, up to .03; a round trip shifts by twice 2 bp: .20 a unit, and pays .50 twice."""
    found = idea()
    assert (found.entry_low, found.entry_high) == (Decimal("499.97"), Decimal("500.03"))
    assert (found.stop, found.target) == (Decimal(495), Decimal(510))
    assert found.costs is not None
    assert (found.costs.shift, found.costs.fees) == (Decimal("2.00"), Decimal("1.00"))
    assert found.costs.per_unit == Decimal("0.30")
    assert found.reward_risk == 2
    assert found.reward_risk_net == Decimal("1.8301")  # 9.70 / 5.30
    assert found.risk == Decimal(53)
    assert not found.blocked
    assert not found.warnings


def test_the_order_is_the_ideas_own() -> None:
    name = client_id("a", "p", "2024-03-01/daily", SPY.id, "main", 1)
    order = idea(Side.SELL).order(name, date(2024, 3, 4))
    assert (order.instrument, order.side, order.quantity, order.client_id) == (SPY.id, Side.SELL, Decimal(10), name)


@given(st.decimals("1", "900", places=4), st.decimals("0.001", "50", places=3), st.decimals("0.5", "5", places=1))
def test_levels_stand_on_the_tick_and_no_nearer_than_asked(reference: Decimal, distance: Decimal, ratio: Decimal) -> None:
    found = idea(reference=reference, stop_distance=distance, reward_risk=ratio)
    for price in (found.reference, found.entry_low, found.entry_high, found.stop, found.target):
        assert price % SPY.tick == 0
    assert found.reference - found.stop >= distance
    assert found.target - found.reference >= ratio * (found.reference - found.stop)


def test_fees_of_a_sale_are_in_a_round_trip_whichever_way_it_begins() -> None:
    model = CostModel(fees=fee_schedule("ibkr_fixed"))
    long, short = (idea(side, costs=model).costs for side in Side)
    assert long is not None
    assert long == short
    assert long.fees > 2 * Decimal("1.00")


def test_impact_without_a_volume_blocks() -> None:
    model = CostModel(impact_bps=Decimal(20))
    assert idea(costs=model).errors == (Reason.IMPACT_UNKNOWN,)
    known = idea(costs=model, volume=1000.0)
    assert known.costs is not None
    assert known.costs.impact_bps == pytest.approx(2.0)


def test_limits_are_compared_with_the_value_at_the_reference() -> None:
    assert not idea(quantity=Decimal(20)).blocked, "exactly a tenth of NAV"
    assert idea(quantity=Decimal(21)).errors == (Reason.NAV_LIMIT,)
    assert idea(limits=IdeaLimits(nav_share=None), quantity=Decimal(21)).errors == ()


def test_plain_values_carry_codes_and_costs() -> None:
    values = idea(quantity=Decimal(0)).as_dict()
    assert values["errors"] == ["quantity_zero"]
    assert values["costs"]["total"] == 0
    assert values["simulated"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": Decimal(0)},
        {"reference": Decimal("NaN")},
        {"stop_distance": Decimal(-1)},
        {"quantity": Decimal(-1)},
        {"trailing": Decimal(0)},
        {"reward_risk": Decimal(0)},
    ],
)
def test_impossible_figures_are_refused(wrong: dict[str, Decimal]) -> None:
    with pytest.raises(InvalidInput):
        idea(**wrong)
