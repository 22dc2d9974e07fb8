"""Implied volatility to the last digit that the price holds, with a status for every option (`_kernels_implied`)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.pricing._arrays import Floats, gather, refuse, row_of, spread

NAMES = ("price", "forward", "strike", "years", "discount")
PARALLEL_FROM = 4_096


class ImpliedStatus(IntEnum):
    """Why an option has, or has not, an implied volatility."""

    ok = 0
    below_intrinsic = 1
    """The price is below the discounted payoff at the forward: no volatility gives it."""
    above_maximum = 2
    """The price is at or above its limit for infinite volatility: the discounted forward (call) or strike (put)."""
    at_intrinsic = 3
    """The price has no time value that doubles resolve: it is 0, or intrinsic value within four roundings."""
    expired = 4
    """No time is left: every volatility gives the payoff."""
    not_a_number = 5
    """An argument is NaN."""


def implied_volatility(
    price: ArrayLike, forward: ArrayLike, strike: ArrayLike, years: ArrayLike, discount: ArrayLike, is_call: ArrayLike
) -> tuple[Floats, NDArray[np.int8]]:
    """Black-76 volatilities that give the prices.

    Parameters
    ----------
    price : of the option today, in the currency of the forward; NaN where unknown
    forward, strike : prices for delivery at expiry, above 0
    years : time to expiry in years, at least 0
    discount : price today of 1 paid at expiry, above 0
    is_call : booleans

    Returns
    -------
    sigma : per square root of a year, in the common shape of the arguments; NaN exactly where status is not `ok`
    status : codes of `ImpliedStatus`, same shape

    Raises
    ------
    InvalidInput : forward, strike or discount not above 0, years below 0, any of them infinite; is_call not boolean
    """
    from fieldcast.pricing import _kernels_implied as kernels

    given = gather(dict(zip(NAMES, (price, forward, strike, years, discount), strict=True)), is_call)
    sigma = np.empty(given.size)
    status = np.empty(given.size, dtype=np.int8)
    bad = spread(
        lambda first, last: row_of(kernels.fill_implied, *given.columns, given.is_call, given.steps, first, last, sigma, status),
        given.size,
        PARALLEL_FROM,
    )
    if bad >= 0:
        refuse(given, NAMES, positive=("forward", "strike", "discount"), free=("price",))
    return sigma.reshape(given.shape), status.reshape(given.shape)
