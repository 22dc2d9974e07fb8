"""How figures of this package are to be read: the words that every result carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

UNITS = "work and energy in dollars, elasticity in units of the underlying per 1.00 of price, flow in units (positive: bought)"
ORIENTATION = "positive work: dealers oppose the move; positive asymmetry: up is easier"
DEALERS = "dealers' hedging alone"
BOOK = "dealers' hedging and the walk through the visible book"
RE_PRICING = {
    "black_scholes": "sticky strike: Black, Scholes and Merton at the volatility of each strike",
    "bachelier": "sticky strike: Bachelier twin at spot times the volatility of each strike",
}


def stamp(policy: str, model: str) -> Mapping[str, str]:
    """Sign policy, units, orientation and model of re-pricing, in words.

    Parameters
    ----------
    policy : who is taken to hold the contracts
    model : value of `positions.PricingModel`
    """
    return MappingProxyType({"sign_policy": policy, "units": UNITS, "orientation": ORIENTATION, "re_pricing": RE_PRICING[model]})
