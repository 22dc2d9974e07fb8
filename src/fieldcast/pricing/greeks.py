"""Price and thirteen Greeks of European options, fused into one pass.

Units, stated once: per 1.00 of spot, per 1.00 of volatility (100 points), per 1.00 of rate, per year. Divide vega by 100
for a point, theta by 365 for a day. Derivatives in time are in calendar time: they say what the passing of time does.

At total volatility 0 (expired, or sigma 0) every Greek is its limit: 0 or ±1 times a discount away from the forward, and
where the forward equals the strike the one-sided limit, which is infinite for gamma and what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.pricing._arrays import Floats, Inputs, gather, refuse, refuse_exponents, row_of, spread
from fieldcast.pricing.black76 import gather_black76, refuse_black76
from fieldcast.pricing.black_scholes import NAMES


@dataclass(frozen=True, slots=True)
class Greeks:
    """Price V and its derivatives, arrays of one shape. S is the spot (the forward for Black-76), t calendar time in years."""

    price: Floats
    """V, in the currency of the spot."""
    delta: Floats
    """dV/dS: units of the underlying for each option."""
    gamma: Floats
    """d2V/dS2: delta per 1.00 of S."""
    vega: Floats
    """dV/dsigma: per 1.00 of volatility, so 100 times the value of one point."""
    theta: Floats
    """dV/dt: per year that passes, everything else (for Black-76 the forward) held."""
    rho: Floats
    """dV/drate: per 1.00 of rate; the spot (for Black-76 the forward) held."""
    vanna: Floats
    """d2V/dS dsigma = d delta/d sigma: per 1.00 of volatility."""
    charm: Floats
    """d delta/dt: per year that passes."""
    vomma: Floats
    """d2V/dsigma2 = d vega/d sigma."""
    speed: Floats
    """d3V/dS3 = d gamma/d S."""
    zomma: Floats
    """d3V/dS2 dsigma = d gamma/d sigma."""
    color: Floats
    """d gamma/dt: per year that passes."""
    veta: Floats
    """d vega/dt: per year that passes."""
    ultima: Floats
    """d3V/dsigma3 = d vomma/d sigma."""


def as_greeks(block: Floats, shape: tuple[int, ...]) -> Greeks:
    """Rows of a kernel's block (14, n) as Greeks of the callers' shape; the rows stay views of the block."""
    return Greeks(*(row.reshape(shape) for row in block))


def bsm_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """Price and Greeks by Black, Scholes and Merton; arguments and errors as in `bsm_price`.

    Returns
    -------
    `Greeks`, arrays in the common shape of the arguments; no NaN
    """
    given = gather(dict(zip(NAMES, (spot, strike, years, rate, dividend_yield, sigma), strict=True)), is_call)
    block, bad, largest = _fill(given, is_forward=False)
    if bad >= 0:
        refuse(given, NAMES, positive=("spot", "strike"), signed=("rate", "dividend_yield"))
        refuse_exponents(given, NAMES, largest)
    return as_greeks(block, given.shape)


def black76_greeks(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, discount: ArrayLike, sigma: ArrayLike, is_call: ArrayLike
) -> Greeks:
    """Price and Greeks by Black-76; arguments and errors as in `black76_price`.

    Derivatives in S are in the forward, and already discounted. Time and rate derivatives hold the forward and read the
    discount factor as exp(-rate * years): theta includes rate * V, rho is -years * V. Over less than 1e-9 years the rate is
    read as 0.

    Returns
    -------
    `Greeks`, arrays in the common shape of the arguments; no NaN
    """
    given = gather_black76(forward, strike, years, discount, sigma, is_call)
    block, bad, largest = _fill(given, is_forward=True)
    if bad >= 0:
        refuse_black76(given, largest)
    return as_greeks(block, given.shape)


def _fill(given: Inputs, is_forward: bool) -> tuple[Floats, int, float]:
    from fieldcast.pricing import _kernels_greeks as kernels

    assert len(fields(Greeks)) == kernels.WIDTH
    block = np.empty((kernels.WIDTH, given.size))
    bad = spread(
        lambda first, last: row_of(
            kernels.fill_greeks, *given.columns, given.is_call, given.steps, is_forward, first, last, block
        ),
        given.size,
    )
    return block, bad, kernels.LARGEST_EXPONENT
