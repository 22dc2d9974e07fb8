"""Carrying decisions out: the broker protocol, the paper broker, the life of an order, reconciliation."""

from fieldcast.execution._rows import intent_row, open_quantities, working_orders
from fieldcast.execution.broker import Broker, Capabilities, MarketData
from fieldcast.execution.desk import Desk, opening_after
from fieldcast.execution.lifecycle import Settlement, settle_intents
from fieldcast.execution.paper import PaperBroker
from fieldcast.execution.reconcile import book_outcomes, compare, open_books

__all__ = [
    "Broker",
    "Capabilities",
    "Desk",
    "MarketData",
    "PaperBroker",
    "Settlement",
    "book_outcomes",
    "compare",
    "intent_row",
    "open_books",
    "open_quantities",
    "opening_after",
    "settle_intents",
    "working_orders",
]
