"""Price and thirteen Greeks of European options in one pass.

Notation: A = spot * exp(-q T), B = strike * exp(-r T), x = log(A / B), s = sigma sqrt(T), d1 = x/s + s/2, d2 = d1 - s,
n = phi(d1). Derivatives in time are taken in calendar time t (d/dt = -d/dT). Formulas: E. G. Haug, "The Complete Guide to
Option Pricing Formulas", 2nd ed. (2007), chapter 2; each is checked against derivatives in high precision by the tests.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fieldcast.pricing._kernels import FAR, ROOT_HALF, ROOT_TWO_PI, SERIES_BELOW, erfcx_positive, log_ratio, mills_difference
from fieldcast.pricing._kernels_vector import exp_between, log_ratio_between

Floats = NDArray[np.float64]

(PRICE, DELTA, GAMMA, VEGA, THETA, RHO, VANNA, CHARM, VOMMA, SPEED, ZOMMA, COLOR, VETA, ULTIMA) = range(14)
WIDTH = 14
INSTANT = 1e-9  # years, 30 milliseconds: a discount factor over less time says nothing of a rate, which is read as 0
SMALLEST = 1e-80  # a total volatility below it is taken at its limit 0
BLOCK = 256  # options at a time: their 25 rows stay in the first-level cache
OUT = 10
DOUBT = 24
LARGEST_EXPONENT = 600.0  # |rate * years| and |dividend_yield * years|: exp of more would overflow in the products


@njit(cache=True, error_model="numpy")
def otm_value(a: float, b: float, x: float, s: float) -> float:
    """Discounted value of the option that is out of the money at the forward: a = A, b = B, x = log(a / b), s > 0."""
    h = -abs(x) / s
    t = 0.5 * s
    if h < -FAR - t:
        return 0.0
    d1 = x / s + t
    scale = a * math.exp(-0.5 * d1 * d1)
    if h + t > 0.0 and t * max(1.0, -h) >= SERIES_BELOW:
        return min(a, b) - 0.5 * scale * (erfcx_positive((h + t) * ROOT_HALF) + erfcx_positive((t - h) * ROOT_HALF))
    return scale / ROOT_TWO_PI * mills_difference(h, t)


@njit(cache=True, error_model="numpy")
def signed_infinity(x: float) -> float:
    """+inf, 0 or -inf, as the sign of x."""
    if x > 0.0:
        return np.inf
    return -np.inf if x < 0.0 else 0.0


@njit(cache=True, error_model="numpy")
def greeks_at_the_kink(spot, strike, years, rate, carry, growth, discount, sigma, is_call, is_forward, out):  # type: ignore[no-untyped-def]
    """The limits at total volatility 0 where forward and strike are equal: finite where they exist, else infinite with a sign.

    Two limits lead here: years to 0 with sigma > 0, and sigma to 0 with years > 0. With both zero the option is expired.
    """
    sign = 1.0 if is_call else -1.0
    a = spot * growth
    b = strike * discount
    n = 1.0 / ROOT_TWO_PI
    drift = rate - carry
    out[PRICE] = max(0.0, sign * (a - b))
    out[DELTA] = 0.5 * sign * growth
    out[GAMMA] = np.inf
    if years > 0.0:  # sigma to 0: d1 = s/2, d2 = -s/2
        vega = a * n * math.sqrt(years)
        out[VEGA] = vega
        out[THETA] = 0.5 * sign * (carry * a - rate * b)
        out[RHO] = 0.0 if is_forward else 0.5 * sign * years * b
        out[VANNA] = 0.5 * growth * n * math.sqrt(years)
        out[CHARM] = 0.5 * sign * carry * growth if drift == 0.0 else -signed_infinity(drift)
        out[VOMMA] = 0.0
        out[SPEED] = -np.inf
        out[ZOMMA] = -np.inf
        out[COLOR] = signed_infinity(carry + 0.5 * drift + 0.5 / years)
        out[VETA] = vega * (carry + 0.5 * drift - 0.5 / years)
        out[ULTIMA] = -0.25 * vega * years
        return
    variance = sigma * sigma
    out[VEGA] = 0.0
    out[THETA] = -np.inf if sigma > 0.0 else 0.5 * sign * (carry * a - rate * b)
    out[RHO] = 0.0
    out[VANNA] = 0.0
    out[CHARM] = -signed_infinity(2.0 * drift + variance)
    if 2.0 * drift + variance == 0.0:
        out[CHARM] = 0.5 * sign * carry * growth
    out[VOMMA] = 0.0
    out[SPEED] = -signed_infinity(drift + 1.5 * variance) if sigma > 0.0 else -np.inf
    out[ZOMMA] = -np.inf
    out[COLOR] = np.inf
    out[VETA] = -np.inf if sigma > 0.0 else 0.0
    out[ULTIMA] = 0.0


@njit(cache=True, error_model="numpy")
def greeks_of_one(spot, strike, years, rate, carry, growth, discount, sigma, is_call, is_forward, out):  # type: ignore[no-untyped-def]
    """Fill out (14,) for one option on valid input; growth = exp(-carry * years), discount = exp(-rate * years).

    `is_forward`: the forward stands still when the rate moves (Black-76).
    """
    sign = 1.0 if is_call else -1.0
    a = spot * growth
    b = strike * discount
    drift = rate - carry
    x = log_ratio(spot, strike) + drift * years
    root = math.sqrt(years)
    s = sigma * root
    if s < SMALLEST:
        if x == 0.0:
            greeks_at_the_kink(spot, strike, years, rate, carry, growth, discount, sigma, is_call, is_forward, out)
            return
        d1 = np.inf if x > 0.0 else -np.inf
        d2 = d1
    else:
        d1 = x / s + 0.5 * s
        d2 = x / s - 0.5 * s
    for k in range(WIDTH):
        out[k] = 0.0
    n1 = math.exp(-0.5 * d1 * d1) if abs(d1) < FAR else 0.0
    n2 = math.exp(-0.5 * d2 * d2) if abs(d2) < FAR else 0.0
    tail1 = 0.5 * n1 * erfcx_positive(abs(d1) * ROOT_HALF) if n1 > 0.0 else 0.0
    tail2 = 0.5 * n2 * erfcx_positive(abs(d2) * ROOT_HALF) if n2 > 0.0 else 0.0
    p1 = 1.0 - tail1 if sign * d1 > 0.0 else tail1
    p2 = 1.0 - tail2 if sign * d2 > 0.0 else tail2
    n = n1 / ROOT_TWO_PI
    value = otm_value(a, b, x, s) if s >= SMALLEST else 0.0
    if sign * x > 0.0:
        value += discount * abs(spot - strike) if growth == discount else max(0.0, sign * (a - b))
    out[PRICE] = value
    out[DELTA] = sign * growth * p1
    out[RHO] = -years * value if is_forward else sign * years * b * p2
    out[THETA] = sign * (carry * a * p1 - rate * b * p2)
    out[CHARM] = sign * carry * growth * p1
    if n == 0.0:
        return
    inverse = 1.0 / s
    gamma = growth * n * inverse / spot
    vega = a * n * root
    product = d1 * d2
    slope = drift * inverse - 0.5 * d2 / years  # d d1 / d T
    out[GAMMA] = gamma
    out[VEGA] = vega
    out[THETA] -= 0.5 * a * n * sigma / root
    out[VANNA] = -growth * n * d2 / sigma
    out[CHARM] -= growth * n * slope
    out[VOMMA] = vega * product / sigma
    out[SPEED] = -gamma / spot * (d1 * inverse + 1.0)
    out[ZOMMA] = gamma * (product - 1.0) / sigma
    out[COLOR] = gamma * (carry + 0.5 / years + d1 * slope)
    out[VETA] = vega * (carry - 0.5 / years + d1 * slope)
    out[ULTIMA] = -vega * (product * (1.0 - product) + d1 * d1 + d2 * d2) / sigma / sigma


@njit(cache=True, error_model="numpy")
def valid(spot, strike, years, rate, carry, sigma):  # type: ignore[no-untyped-def]
    """True where the kernels may price: NaN fails every comparison."""
    return (
        0.0 < spot < np.inf
        and 0.0 < strike < np.inf
        and 0.0 <= years < np.inf
        and 0.0 <= sigma < np.inf
        and abs(rate) < np.inf
        and abs(carry) < np.inf
        and abs(rate * years) <= LARGEST_EXPONENT
        and abs(carry * years) <= LARGEST_EXPONENT
    )


@njit(cache=True, error_model="numpy")
def market_of(rate, carry, years, is_forward):  # type: ignore[no-untyped-def]
    """(rate, carry, growth, discount) of one option; for Black-76 the column `rate` holds the discount factor."""
    if not is_forward:
        return rate, carry, math.exp(-carry * years), math.exp(-rate * years)
    implied = np.nan if not rate > 0.0 else (-math.log(rate) / years if years >= INSTANT else 0.0)
    return implied, implied, rate, rate


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def greeks_of_block(many, held):  # type: ignore[no-untyped-def]
    """Greeks of `many` options in the ordinary range, as one loop without branches or calls, which the compiler vectorises.

    held: rows of BLOCK numbers. Rows 0 to 9 are spot, strike, years, rate, carry, growth, discount, sigma, 1 for a call or -1,
    and 1 where rho is the forward's; rows OUT to OUT + 13 take the Greeks. Row DOUBT is 1 where the price must be
    done again, because the plain difference has cancelled, and 2 where all must: hardly any volatility or time, or beyond FAR.
    """
    for i in range(many):
        spot = held[i]
        strike = held[i + BLOCK]
        years = held[i + 2 * BLOCK]
        rate = held[i + 3 * BLOCK]
        carry = held[i + 4 * BLOCK]
        growth = held[i + 5 * BLOCK]
        discount = held[i + 6 * BLOCK]
        sigma = held[i + 7 * BLOCK]
        sign = held[i + 8 * BLOCK]
        forward = held[i + 9 * BLOCK]
        a = spot * growth
        b = strike * discount
        drift = rate - carry
        x = log_ratio_between(spot, strike) + drift * years
        root = math.sqrt(years)
        s = sigma * root
        inverse_spot = 1.0 / spot
        both = 1.0 / (s * years)  # divisions are what the loop costs: as few as can be
        inverse = years * both
        inverse_years = s * both
        inverse_sigma = root * inverse
        middle = x * inverse
        d1 = middle + 0.5 * s
        d2 = middle - 0.5 * s
        size1 = abs(d1)
        size2 = abs(d2)
        wide = 0.0 if s > 0.05 * (1.0 + abs(middle)) else 1.0
        held[i + DOUBT * BLOCK] = wide if size1 < 37.0 and size2 < 37.0 and 1e-6 < s < 50.0 else 2.0
        safe = size1 if size1 < 37.0 else 37.0
        n1 = exp_between(-0.5 * safe * safe)
        e1 = erfcx_positive(size1 * ROOT_HALF)
        e2 = erfcx_positive(size2 * ROOT_HALF)
        half_a = 0.5 * a * n1  # = b * exp(-d2^2 / 2) / 2
        tail_a = half_a * e1
        tail_b = half_a * e2
        same = d1 * d2 > 0.0
        least = a if a < b else b
        value = abs(tail_a - tail_b) if same else least - (tail_a + tail_b)
        p1 = a - tail_a if sign * d1 > 0.0 else tail_a  # a * Phi(sign * d1)
        p2 = b - tail_b if sign * d2 > 0.0 else tail_b
        apart = discount * abs(spot - strike) if growth == discount else abs(a - b)  # exact for Black-76
        value = value + apart if sign * x > 0.0 else value
        delta = sign * p1 * inverse_spot
        n = n1 * (1.0 / ROOT_TWO_PI)
        gamma = growth * n * inverse * inverse_spot
        vega = a * n * root
        product = d1 * d2
        slope = drift * inverse - 0.5 * d2 * inverse_years
        held[i + (OUT + 0) * BLOCK] = value
        held[i + (OUT + 1) * BLOCK] = delta
        held[i + (OUT + 2) * BLOCK] = gamma
        held[i + (OUT + 3) * BLOCK] = vega
        held[i + (OUT + 4) * BLOCK] = sign * (carry * p1 - rate * p2) - 0.5 * vega * sigma * inverse_years
        held[i + (OUT + 5) * BLOCK] = years * (sign * p2 if forward == 0.0 else -value)
        held[i + (OUT + 6) * BLOCK] = -growth * n * d2 * inverse_sigma
        held[i + (OUT + 7) * BLOCK] = carry * delta - growth * n * slope
        held[i + (OUT + 8) * BLOCK] = vega * product * inverse_sigma
        held[i + (OUT + 9) * BLOCK] = -gamma * inverse_spot * (d1 * inverse + 1.0)
        held[i + (OUT + 10) * BLOCK] = gamma * (product - 1.0) * inverse_sigma
        held[i + (OUT + 11) * BLOCK] = gamma * (carry + 0.5 * inverse_years + d1 * slope)
        held[i + (OUT + 12) * BLOCK] = vega * (carry - 0.5 * inverse_years + d1 * slope)
        held[i + (OUT + 13) * BLOCK] = -vega * (product * (1.0 - product) + d1 * d1 + d2 * d2) * inverse_sigma * inverse_sigma


@njit(cache=True, error_model="numpy")
def price_again(i, held):  # type: ignore[no-untyped-def]
    """The price in row OUT of `greeks_of_block`, by the form that does not cancel."""
    spot = held[i]
    strike = held[i + BLOCK]
    years = held[i + 2 * BLOCK]
    growth = held[i + 5 * BLOCK]
    discount = held[i + 6 * BLOCK]
    a = spot * growth
    b = strike * discount
    x = log_ratio(spot, strike) + (held[i + 3 * BLOCK] - held[i + 4 * BLOCK]) * years
    value = otm_value(a, b, x, held[i + 7 * BLOCK] * math.sqrt(years))
    if held[i + 8 * BLOCK] * x > 0.0:
        value += discount * abs(spot - strike) if growth == discount else abs(a - b)
    held[i + OUT * BLOCK] = value


@njit(cache=True, error_model="numpy")
def exponentials_of_block(many, held):  # type: ignore[no-untyped-def]
    """Rows 5 and 6 of `greeks_of_block` from rows 2 to 4."""
    for i in range(many):
        years = held[i + 2 * BLOCK]
        held[i + 5 * BLOCK] = exp_between(-held[i + 4 * BLOCK] * years)
        held[i + 6 * BLOCK] = exp_between(-held[i + 3 * BLOCK] * years)


@njit(cache=True, error_model="numpy")
def take(column, step, start, many, row, held):  # type: ignore[no-untyped-def]
    """Copy options start … start + many - 1 of one column into one row of the block."""
    if step == 0:
        value = column[0]
        for i in range(many):
            held[row * BLOCK + i] = value
    else:
        part = column[start : start + many]
        for i in range(many):
            held[row * BLOCK + i] = part[i]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_greeks(spot, strike, years, rate, carry, sigma, is_call, steps, is_forward, first, last, out):  # type: ignore[no-untyped-def]
    """Fill out (1, n) with prices or (14, n) with all, for options first … last - 1.

    Returns the first row of a block that holds one which is not valid, or -1.
    """
    held = np.empty((DOUBT + 1) * BLOCK)
    one = np.empty(WIDTH)
    for start in range(first, last, BLOCK):
        many = min(BLOCK, last - start)
        take(spot, steps[0], start, many, 0, held)
        take(strike, steps[1], start, many, 1, held)
        take(years, steps[2], start, many, 2, held)
        take(rate, steps[3], start, many, 3, held)
        take(carry, steps[4], start, many, 4, held)
        take(sigma, steps[5], start, many, 7, held)
        good = True
        for i in range(many):
            held[8 * BLOCK + i] = 1.0 if is_call[(start + i) * steps[6]] else -1.0
            held[9 * BLOCK + i] = 1.0 if is_forward else 0.0
        if is_forward:
            for i in range(many):
                r0, c0, growth, discount = market_of(held[i + 3 * BLOCK], 0.0, held[i + 2 * BLOCK], True)
                held[i + 3 * BLOCK] = r0
                held[i + 4 * BLOCK] = c0
                held[i + 5 * BLOCK] = growth
                held[i + 6 * BLOCK] = discount
        for i in range(many):
            good &= valid(
                held[i], held[i + BLOCK], held[i + 2 * BLOCK], held[i + 3 * BLOCK], held[i + 4 * BLOCK], held[i + 7 * BLOCK]
            )
        if not good:
            return start
        if not is_forward:
            exponentials_of_block(many, held)
        greeks_of_block(many, held)
        for k in range(out.shape[0]):
            part = out[k, start : start + many]
            for i in range(many):
                part[i] = held[(OUT + k) * BLOCK + i]
        for i in range(many):
            doubt = held[i + DOUBT * BLOCK]
            if doubt == 1.0:
                price_again(i, held)
                out[0, start + i] = held[i + OUT * BLOCK]
                if is_forward and out.shape[0] > RHO:
                    out[RHO, start + i] = -held[i + 2 * BLOCK] * held[i + OUT * BLOCK]
            elif doubt == 2.0:
                greeks_of_one(
                    held[i], held[i + BLOCK], held[i + 2 * BLOCK], held[i + 3 * BLOCK], held[i + 4 * BLOCK], held[i + 5 * BLOCK],
                    held[i + 6 * BLOCK], held[i + 7 * BLOCK], held[i + 8 * BLOCK] > 0.0, is_forward, one,
                )  # fmt: skip
                for k in range(out.shape[0]):
                    out[k, start + i] = one[k]
    return -1
