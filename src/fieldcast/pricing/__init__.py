"""Option pricing on arrays: European, on forwards, American; Greeks; implied volatility. No market data, only numbers."""

from fieldcast.pricing.american import american_greeks, american_implied_volatility, american_price
from fieldcast.pricing.black76 import black76_price
from fieldcast.pricing.black_scholes import bsm_price
from fieldcast.pricing.greeks import Greeks, black76_greeks, bsm_greeks
from fieldcast.pricing.implied import ImpliedStatus, implied_volatility

__all__ = [
    "Greeks",
    "ImpliedStatus",
    "american_greeks",
    "american_implied_volatility",
    "american_price",
    "black76_greeks",
    "black76_price",
    "bsm_greeks",
    "bsm_price",
    "implied_volatility",
]
