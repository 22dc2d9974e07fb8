"""European options by Black, Scholes and Merton: a continuous dividend yield, one rate, one volatility.

    call = S exp(-q T) Phi(d1) - K exp(-r T) Phi(d2),   put = K exp(-r T) Phi(-d2) - S exp(-q T) Phi(-d1)
    d1 = (log(S/K) + (r - q + sigma^2 / 2) T) / (sigma sqrt(T)),   d2 = d1 - sigma sqrt(T)

Evaluated as intrinsic value at the forward plus an out-of-the-money value without cancellation (`_kernels`), so that a
price of 1e-200 is as good as one of 10. Source: R. C. Merton, "Theory of Rational Option Pricing", Bell Journal 4 (1973).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.pricing._arrays import Floats, gather, refuse, refuse_exponents, row_of, spread

NAMES = ("spot", "strike", "years", "rate", "dividend_yield", "sigma")


def bsm_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
) -> Floats:
    """Price of European options, in the currency of the spot.

    Parameters
    ----------
    spot, strike : prices, above 0
    years : time to expiry in years, at least 0; at 0 the price is the payoff
    rate, dividend_yield : per year, continuously compounded; any sign
    sigma : volatility per square root of a year, at least 0; at 0 the price is the discounted payoff at the forward
    is_call : booleans

    Returns
    -------
    prices in the common shape of the arguments; never NaN

    Raises
    ------
    InvalidInput : NaN, infinite or out of range (rate * years and dividend_yield * years within ±600); is_call not boolean
    """
    from fieldcast.pricing import _kernels_greeks as kernels

    given = gather(dict(zip(NAMES, (spot, strike, years, rate, dividend_yield, sigma), strict=True)), is_call)
    prices = np.empty((1, given.size))
    bad = spread(
        lambda first, last: row_of(kernels.fill_greeks, *given.columns, given.is_call, given.steps, False, first, last, prices),
        given.size,
    )
    if bad >= 0:
        refuse(given, NAMES, positive=("spot", "strike"), signed=("rate", "dividend_yield"))
        refuse_exponents(given, NAMES, kernels.LARGEST_EXPONENT)
    return prices.reshape(given.shape)
