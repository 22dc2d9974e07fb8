"""The dealer engine: what option dealers hold, how their delta answers price, volatility and time, and what prices it marks.

Eight processors, each a function of a `Book` (the first makes it), and one interpreter. Every output carries its `Conventions`.
Equations, units, sources and pitfalls: docs/explanation/dealer-positioning.md.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fieldcast.fields.dealer.book import Book, Exposures, Lines, conventions_of, dealer_sign
from fieldcast.fields.dealer.charm import CharmField, charm_field
from fieldcast.fields.dealer.clock import Clock
from fieldcast.fields.dealer.conventions import Conventions, Stamped
from fieldcast.fields.dealer.decay import CharmDecay, charm_decay
from fieldcast.fields.dealer.field import DealerField, dealer_field
from fieldcast.fields.dealer.gamma import GammaField, default_spots, gamma_field
from fieldcast.fields.dealer.mapper import GreekGrid, greek_field_mapper
from fieldcast.fields.dealer.moves import ExpectedMove, Move, expected_move
from fieldcast.fields.dealer.open_interest import OIDistribution, OpenInterestRules, oi_distribution
from fieldcast.fields.dealer.sign import ALL_LONG, ALL_SHORT, NAIVE, POLICIES, REVERSED, BySide, SignPolicy, TradeFlow
from fieldcast.fields.dealer.trade_flow import lee_ready, quote_rule, signed_volume
from fieldcast.fields.dealer.units import charm_exposure, delta_exposure, gamma_exposure, vanna_exposure
from fieldcast.fields.dealer.vanna import SpotVolBeta, VannaField, vanna_field

PROCESSORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "DealerSign": dealer_sign,
        "GammaField": gamma_field,
        "VannaField": vanna_field,
        "CharmField": charm_field,
        "OIDistribution": oi_distribution,
        "GreekFieldMapper": greek_field_mapper,
        "CharmDecay": charm_decay,
        "ExpectedMove": expected_move,
    }
)
interpret = dealer_field

__all__ = [
    "ALL_LONG",
    "ALL_SHORT",
    "NAIVE",
    "POLICIES",
    "PROCESSORS",
    "REVERSED",
    "Book",
    "BySide",
    "CharmDecay",
    "CharmField",
    "Clock",
    "Conventions",
    "DealerField",
    "ExpectedMove",
    "Exposures",
    "GammaField",
    "GreekGrid",
    "Lines",
    "Move",
    "OIDistribution",
    "OpenInterestRules",
    "SignPolicy",
    "SpotVolBeta",
    "Stamped",
    "TradeFlow",
    "VannaField",
    "charm_decay",
    "charm_exposure",
    "charm_field",
    "conventions_of",
    "dealer_field",
    "dealer_sign",
    "default_spots",
    "delta_exposure",
    "expected_move",
    "gamma_exposure",
    "gamma_field",
    "greek_field_mapper",
    "interpret",
    "lee_ready",
    "oi_distribution",
    "quote_rule",
    "signed_volume",
    "vanna_exposure",
    "vanna_field",
]
