"""European options on a forward, by Black: the form to use where forward and discount factor come from put-call parity.

    call = D (F Phi(d1) - K Phi(d2)),   put = D (K Phi(-d2) - F Phi(-d1)),   d1, d2 = log(F/K) / s ± s/2,   s = sigma sqrt(T)

Source: F. Black, "The Pricing of Commodity Contracts", Journal of Financial Economics 3 (1976).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.pricing._arrays import Floats, Inputs, gather, refuse, refuse_exponents, row_of, spread

NAMES = ("forward", "strike", "years", "discount", "unused", "sigma")


def gather_black76(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, discount: ArrayLike, sigma: ArrayLike, is_call: ArrayLike
) -> Inputs:
    """Arguments of Black-76 in the order of the kernels' columns; the fifth, the dividend yield, is not used."""
    return gather(dict(zip(NAMES, (forward, strike, years, discount, 0.0, sigma), strict=True)), is_call)


def refuse_black76(given: Inputs, largest_exponent: float) -> None:
    """Raise InvalidInput for the value that a kernel would not price."""
    refuse(given, NAMES, positive=("forward", "strike", "discount"))
    refuse_exponents(given, NAMES, largest_exponent)


def black76_price(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, discount: ArrayLike, sigma: ArrayLike, is_call: ArrayLike
) -> Floats:
    """Price of European options on a forward, in the currency of the forward.

    Parameters
    ----------
    forward, strike : prices for delivery at expiry, above 0
    years : time to expiry in years, at least 0
    discount : price today of 1 paid at expiry, above 0
    sigma : volatility per square root of a year, at least 0
    is_call : booleans

    Returns
    -------
    prices in the common shape of the arguments; never NaN

    Raises
    ------
    InvalidInput : NaN, infinite or out of range; is_call not boolean
    """
    from fieldcast.pricing import _kernels_greeks as kernels

    given = gather_black76(forward, strike, years, discount, sigma, is_call)
    prices = np.empty((1, given.size))
    bad = spread(
        lambda first, last: row_of(kernels.fill_greeks, *given.columns, given.is_call, given.steps, True, first, last, prices),
        given.size,
    )
    if bad >= 0:
        refuse_black76(given, kernels.LARGEST_EXPONENT)
    return prices.reshape(given.shape)
