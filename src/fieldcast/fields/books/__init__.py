"""The order book as a field: imbalance and flow, depth and resilience, slippage, impact, regime, tradeable strikes.

`book_field` reads one moment; `book_events` a stretch of time; `BookStep` a live book, one message at a time.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fieldcast.fields.books.events import book_events
from fieldcast.fields.books.imbalance import BookStep, ImbalanceSettings, MicropriceTable, order_book_imbalance
from fieldcast.fields.books.impact import KyleLambda, TradeCosts, kyle_lambda, signed_trades, trade_costs
from fieldcast.fields.books.interpret import BookField, BookSettings, book_field
from fieldcast.fields.books.ladders import Ladders, ladders, ladders_of_state
from fieldcast.fields.books.option_strikes import StrikeLimits, option_strikes
from fieldcast.fields.books.profile import DepthProfile, depth_density, depth_profile
from fieldcast.fields.books.regime import RegimeThresholds, liquidity_regime, round_trip_bps
from fieldcast.fields.books.resilience import Resilience, ResilienceSettings, resilience, spread_elasticity
from fieldcast.fields.books.slippage import Patience, SlippageField, slippage_field
from fieldcast.fields.books.walk import impact_walk

PROCESSORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"OrderBookImbalance": order_book_imbalance, "DepthProfile": depth_profile, "SlippageField": slippage_field}
)
"""The processors of the liquidity engine that read order books, by the name that the feature table gives them."""

__all__ = [
    "PROCESSORS",
    "BookField",
    "BookSettings",
    "BookStep",
    "DepthProfile",
    "ImbalanceSettings",
    "KyleLambda",
    "Ladders",
    "MicropriceTable",
    "Patience",
    "RegimeThresholds",
    "Resilience",
    "ResilienceSettings",
    "SlippageField",
    "StrikeLimits",
    "TradeCosts",
    "book_events",
    "book_field",
    "depth_density",
    "depth_profile",
    "impact_walk",
    "kyle_lambda",
    "ladders",
    "ladders_of_state",
    "liquidity_regime",
    "option_strikes",
    "order_book_imbalance",
    "resilience",
    "round_trip_bps",
    "signed_trades",
    "slippage_field",
    "spread_elasticity",
    "trade_costs",
]
