"""S04, trade idea or signal: entry range, take-profit and stop (R:R 2), trailing stop, cost estimate, errors and warnings; exit
manager.

Done when: "A short idea is the exact mirror of a long one, and each listed error blocks an order".
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.vocabulary import ElasticityRegime, LiquidityRegime, SentimentRegime
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind
from fieldcast.strategy import ExitKind, ExitManager, ExitPlan, IdeaLimits, MarketState, TradeIdea, trade_idea
from fieldcast.trading import CostModel, Side, client_id, fee_schedule

pytestmark = pytest.mark.feature("S04")
OPEN_PARTS: tuple[str, ...] = ()

SPY = Instrument("ARCX:SPY", Kind.ETF)
VIX = Instrument("XCBO:VIX", Kind.INDEX, tradable=False)
AT = datetime(2024, 3, 1, 21, 30, tzinfo=UTC)
NAME = client_id("account", "portfolio", "2024-03-01/daily", SPY.id, "main", 1)
MODEL = CostModel(impact_bps=Decimal(30), fees=fee_schedule("ibkr_fixed"))


def idea(side: Side = Side.BUY, *, instrument: Instrument = SPY, **changes: Any) -> TradeIdea:
    asked: dict[str, Any] = {
        "as_of": AT, "reference": Decimal(100), "stop_distance": Decimal(2), "quantity": Decimal(50), "nav": Decimal(100_000),
        "costs": MODEL, "volume": 1e6,
    }  # fmt: skip
    return trade_idea(instrument, side, **(asked | changes))


# the mirror -----------------------------------------------------------------------------------------------------------


@given(
    reference=st.decimals("50", "2000", places=3),
    stop=st.decimals("0", "9", places=3),
    ratio=st.decimals("0.5", "4", places=1),
    trailing=st.none() | st.decimals("0.01", "9", places=3),
    quantity=st.integers(0, 2000),
    nav=st.decimals("0", "1000000", places=0),
    liquidity=st.none() | st.sampled_from(LiquidityRegime),
    elasticity=st.none() | st.sampled_from(ElasticityRegime),
    sentiment=st.none() | st.sampled_from(SentimentRegime),
    avoid=st.booleans(),
    volume=st.sampled_from([1e3, 1e5, 1e7, float("nan")]),
)
def test_a_short_idea_is_the_exact_mirror_of_a_long_one(
    reference: Decimal, stop: Decimal, ratio: Decimal, trailing: Decimal | None, quantity: int, nav: Decimal, volume: float,
    **state: Any,
) -> None:  # fmt: skip
    """Every price reflected in the reference; size, costs, ratios, errors and warnings the same, to the last digit."""
    long, short = (
        idea(
            side, reference=reference, stop_distance=stop, reward_risk=ratio, trailing=trailing, quantity=Decimal(quantity),
            nav=nav, volume=volume, state=MarketState(**state),
        )
        for side in (Side.BUY, Side.SELL)
    )  # fmt: skip
    mirror = 2 * long.reference
    assert short.reference == long.reference
    assert (short.entry_low, short.entry_high) == (mirror - long.entry_high, mirror - long.entry_low)
    assert (short.stop, short.target) == (mirror - long.stop, mirror - long.target)
    assert (short.trailing, short.quantity, short.costs) == (long.trailing, long.quantity, long.costs)
    assert (short.reward_risk, short.reward_risk_net, short.risk) == (long.reward_risk, long.reward_risk_net, long.risk)
    assert (short.errors, short.warnings) == (long.errors, long.warnings)


def test_stop_and_target_are_two_to_one_unless_told_otherwise() -> None:
    found = idea()
    assert (found.stop, found.target, found.reward_risk) == (98, 104, 2)
    assert found.entry_low < found.reference < found.entry_high
    assert found.reward_risk_net is not None
    assert found.reward_risk_net < 2


@given(st.lists(st.lists(st.integers(9000, 11000), min_size=3, max_size=3).map(sorted), min_size=1, max_size=20))
def test_the_exits_of_a_short_are_the_mirrored_exits_of_a_long(raw: list[list[int]]) -> None:
    plans = [idea(side, trailing=Decimal(3)) for side in (Side.BUY, Side.SELL)]
    managers = [ExitManager(ExitPlan.of(plan, Decimal(100), most_bars=10)) for plan in plans]
    for low, opened, high in raw:
        prices = [Decimal(value) / 100 for value in (opened, high, low)]
        up = managers[0].on_bar(*prices)
        down = managers[1].on_bar(200 - prices[0], 200 - prices[2], 200 - prices[1])
        if up is None or down is None:
            assert up is down
            continue
        assert (up.kind, up.bar) == (down.kind, down.bar)
        assert up.price == (None if down.price is None else 200 - down.price)
        assert up.kind in ExitKind
        break


# what forbids an order ----------------------------------------------------------------------------------------------------

BLOCKED: dict[Reason, dict[str, Any]] = {
    Reason.NOT_TRADABLE: {"instrument": VIX},
    Reason.STOP_DISTANCE_ZERO: {"stop_distance": Decimal(0)},
    Reason.LEVEL_NOT_POSITIVE: {"stop_distance": Decimal(120), "nav": Decimal(10**9)},
    Reason.QUANTITY_ZERO: {"quantity": Decimal(0)},
    Reason.BELOW_LOT: {"quantity": Decimal("0.5")},
    Reason.NAV_LIMIT: {"nav": Decimal(49_999)},
    Reason.NOTIONAL_LIMIT: {"limits": IdeaLimits(notional=Decimal(4_999))},
    Reason.IMPACT_UNKNOWN: {"volume": float("nan")},
    Reason.COST_ABOVE_REWARD: {"stop_distance": Decimal("0.01"), "costs": CostModel(slippage_bps=Decimal(5))},
    Reason.MARKET_AVOIDED: {"state": MarketState(avoid=True)},
    Reason.MARKET_FROZEN: {"state": MarketState(liquidity=LiquidityRegime.FROZEN)},
    Reason.MARKET_PLASTIC: {"state": MarketState(elasticity=ElasticityRegime.PLASTIC)},
}


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("code", BLOCKED, ids=str)
def test_each_listed_error_blocks_an_order(code: Reason, side: Side) -> None:
    found = idea(side, **BLOCKED[code])
    if code is Reason.LEVEL_NOT_POSITIVE and side is Side.SELL:
        assert found.target < 0, "a short's stop lies above, and its target below zero"
    assert found.errors == (code,)
    with pytest.raises(InvalidInput, match=str(code)):
        found.order(NAME, date(2024, 3, 4))


def test_a_toxic_book_blocks_like_a_frozen_one() -> None:
    assert idea(state=MarketState(liquidity=LiquidityRegime.TOXIC)).errors == (Reason.MARKET_FROZEN,)


def test_the_list_of_errors_is_whole() -> None:
    """Every code that `_errors` can give is in the list above."""
    import inspect
    import re

    from fieldcast.strategy import idea as module

    named = set(re.findall(r"Reason\.([A-Z_]+)", inspect.getsource(module._errors)))
    assert named == {code.name for code in BLOCKED}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"volume": 10.0, "limits": IdeaLimits(nav_share=None, impact_bps=50.0)}, Reason.IMPACT_HIGH),
        ({"costs": CostModel(slippage_bps=Decimal(31))}, Reason.SLIPPAGE_HIGH),
        ({"stop_distance": Decimal("0.15"), "costs": CostModel(slippage_bps=Decimal(5))}, Reason.REWARD_RISK_LOW),
        ({"state": MarketState(sentiment=SentimentRegime.EUPHORIC)}, Reason.SENTIMENT_EXTREME),
        ({"state": MarketState(sentiment=SentimentRegime.PANICKED)}, Reason.SENTIMENT_EXTREME),
    ],
)
def test_a_warning_is_said_and_blocks_nothing(changes: dict[str, Any], code: Reason) -> None:
    found = idea(**changes)
    assert code in found.warnings
    assert not found.blocked
    assert found.order(NAME, date(2024, 3, 4)).quantity == 50
