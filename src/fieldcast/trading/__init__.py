"""The vocabulary of trading: actions, verdicts, decisions, intents, orders, fills, exact money, costs."""

from fieldcast.trading.accounts import Account, Position
from fieldcast.trading.costs import CostModel, CostParts, FeeSchedule, fee_schedule
from fieldcast.trading.decisions import Action, Decision, DecisionStatus, Verdict, VerdictKind
from fieldcast.trading.identity import CLIENT_ID_LENGTH, client_id
from fieldcast.trading.money import exact_product, exact_sum, fill_value, price_from_bar, ratio_down, to_lots, to_tick
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce
from fieldcast.trading.orders import (
    Fill,
    Intent,
    IntentStatus,
    NotFound,
    Order,
    OrderState,
    OrderStatus,
    Side,
    cash_effect,
)

__all__ = [
    "CLIENT_ID_LENGTH",
    "Account",
    "Action",
    "Bracket",
    "CostModel",
    "CostParts",
    "Decision",
    "DecisionStatus",
    "FeeSchedule",
    "Fill",
    "Intent",
    "IntentStatus",
    "NotFound",
    "Order",
    "OrderKind",
    "OrderState",
    "OrderStatus",
    "Position",
    "Side",
    "Ticket",
    "TimeInForce",
    "Verdict",
    "VerdictKind",
    "cash_effect",
    "client_id",
    "exact_product",
    "exact_sum",
    "fee_schedule",
    "fill_value",
    "price_from_bar",
    "ratio_down",
    "to_lots",
    "to_tick",
]
