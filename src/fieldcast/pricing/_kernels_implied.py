"""Implied volatility after P. Jaeckel, "Let's Be Rational", Wilmott 75 (2015): guess well, then two steps of fourth order.

Solve b(x, s) = beta for s (notation of `_kernels`; x <= 0, 0 < beta < exp(x/2)). The curve b(s) has its inflexion at
s_c = sqrt(2|x|); its tangent there meets 0 at s_l and exp(x/2) at s_u. That gives four branches:

    beta < b(s_l)     f = 2 pi |x| / (3 sqrt 3) * Phi(-|x| / (sqrt(3) s))^3 as a rational cubic of b; objective 1/log b - 1/log beta
    up to b(s_c)      s as a rational cubic of b, with s'' = 0 at s_c; objective b - beta
    up to b(s_u)      the same from the other side
    above             f = Phi(-s/2) as a rational cubic of b; objective log((exp(x/2) - beta) / (exp(x/2) - b))

The steps are Householder's of third order. Rational cubics: R. Delbourgo and J. A. Gregory, SIAM J. Sci. Stat. Comput. 6 (1985).
Written from the formulas; the complement exp(x/2) - b and the ratio b'/b come from `_kernels` without cancellation.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fieldcast.pricing._kernels import (
    LOG_ROOT_TWO_PI,
    ROOT_HALF,
    ROOT_HALF_PI,
    ROOT_TWO_PI,
    SERIES_BELOW,
    erfcx_positive,
    log_ratio,
    mills_difference,
    normal_cdf,
)

OK, BELOW_INTRINSIC, ABOVE_MAXIMUM, AT_INTRINSIC, EXPIRED, NOT_A_NUMBER = range(6)
ROUNDING = 4.0 * 2.220446049250313e-16  # of the price: how much of an in-the-money price is rounding, not time value
ROOT_THREE = 1.7320508075688772
STEPS = 8
TINY = 1e-290  # of beta: below it only the logarithm is sure
SETTLED = 1e-5  # relative size of a step whose successor, of fourth order, would be below the precision of a double


@njit(cache=True, error_model="numpy")
def rough_quantile(p: float) -> float:
    """Phi^-1(p) for 0 < p <= 1/2 within 4.5e-4: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 26.2.23."""
    u = math.sqrt(-2.0 * math.log(p))
    above = 2.515517 + u * (0.802853 + u * 0.010328)
    below = 1.0 + u * (1.432788 + u * (0.189269 + u * 0.001308))
    return above / below - u


@njit(cache=True, error_model="numpy")
def rational_cubic(x, xl, xr, yl, yr, dl, dr, control):  # type: ignore[no-untyped-def]
    """Value at x of the rational cubic through (xl, yl), (xr, yr) with slopes dl, dr."""
    h = xr - xl
    u = (x - xl) / h
    w = 1.0 - u
    above = yr * u * u * u + (control * yr - h * dr) * u * u * w + (control * yl + h * dl) * u * w * w + yl * w * w * w
    return above / (1.0 + (control - 3.0) * u * w)


@njit(cache=True, error_model="numpy")
def control_at(curvature_left, curvature_right, xl, xr, yl, yr, dl, dr, from_left):  # type: ignore[no-untyped-def]
    """Control parameter that gives the second derivative at one end, no smaller than what keeps the cubic convex or concave."""
    h = xr - xl
    slope = (yr - yl) / h
    if from_left:
        control = (0.5 * h * curvature_left + (dr - dl)) / (slope - dl)
    else:
        control = (0.5 * h * curvature_right + (dr - dl)) / (dr - slope)
    least = max(abs((dr - dl) / (dr - slope)), abs((dr - dl) / (slope - dl)))
    if not math.isfinite(least):
        least = 1e12
    if not control > least:
        control = least
    return min(control, 1e12)


@njit(cache=True, error_model="numpy")
def complement(h, t):  # type: ignore[no-untyped-def]
    """exp(x/2) - b in units of phi(sqrt(h^2 + t^2)), for h + t >= 0."""
    return ROOT_HALF_PI * (erfcx_positive((h + t) * ROOT_HALF) + erfcx_positive((t - h) * ROOT_HALF))


@njit(cache=True, error_model="numpy")
def value_and_slope(x, s):  # type: ignore[no-untyped-def]
    """b(x, s) and its derivative in s."""
    h = x / s
    t = 0.5 * s
    slope = math.exp(-0.5 * (h * h + t * t)) / ROOT_TWO_PI
    if h + t > 0.0 and t * max(1.0, -h) >= SERIES_BELOW:
        return math.exp(0.5 * x) - slope * complement(h, t), slope
    return slope * mills_difference(h, t), slope


@njit(cache=True, error_model="numpy")
def from_lower_branch(beta, x, s_l, b_l, v_l):  # type: ignore[no-untyped-def]
    """First guess of s for beta < b_l."""
    depth = -x
    y = depth * depth / (3.0 * s_l * s_l)
    root = math.sqrt(y)
    tail = normal_cdf(-root)
    scale = 2.0 * math.pi * depth / (3.0 * ROOT_THREE)
    f = scale * tail * tail * tail
    slope = 2.0 * math.pi * y * tail * tail * math.exp(y + 0.125 * s_l * s_l)
    density = math.exp(-0.5 * y) / ROOT_TWO_PI
    curvature = slope * (-2.0 / s_l - 2.0 * y / s_l + 0.25 * s_l + 2.0 * root * density / (tail * s_l)) / v_l
    control = control_at(0.0, curvature, 0.0, b_l, 0.0, f, 1.0, slope, False)
    guess = rational_cubic(beta, 0.0, b_l, 0.0, f, 1.0, slope, control)
    if not 0.0 < guess <= f:
        guess = f * beta / b_l
    cube_root = (guess / scale) ** (1.0 / 3.0)
    if not 0.0 < cube_root <= 0.5:
        return s_l
    return min(s_l, depth / (ROOT_THREE * -rough_quantile(cube_root)))


@njit(cache=True, error_model="numpy")
def from_upper_branch(beta, gap, x, s_u, b_u, top):  # type: ignore[no-untyped-def]
    """First guess of s for beta > b_u; gap = top - beta."""
    w = x * x / (s_u * s_u)
    f = normal_cdf(-0.5 * s_u)
    slope = -0.5 * math.exp(0.5 * w)
    curvature = math.sqrt(0.5 * math.pi) * w / s_u * math.exp(w + 0.125 * s_u * s_u)
    control = control_at(curvature, 0.0, b_u, top, f, 0.0, slope, -0.5, True)
    guess = rational_cubic(beta, b_u, top, f, 0.0, slope, -0.5, control)
    if not 0.0 < guess < 0.5:
        guess = 0.5 * gap
    return max(s_u, -2.0 * rough_quantile(guess))


@njit(cache=True, error_model="numpy")
def at_the_money(beta, gap):  # type: ignore[no-untyped-def]
    """First guess of s for x = 0, where b = 2 Phi(s/2) - 1: the inverse's series, or the quantile of the tail."""
    if beta < 0.5:
        w = math.pi * beta * beta
        return ROOT_TWO_PI * beta * (1.0 + w / 12.0 * (1.0 + 7.0 / 40.0 * w * (1.0 + 127.0 * 480.0 / (40320.0 * 7.0) * w)))
    return -2.0 * rough_quantile(0.5 * gap)


@njit(cache=True, error_model="numpy")
def householder(step, h2, h3):  # type: ignore[no-untyped-def]
    """Householder's third-order step from Newton's `step` and the ratios g''/g', g'''/g'; Newton's where it would turn round."""
    factor = (1.0 + 0.5 * h2 * step) / (1.0 + step * (h2 + h3 * step / 6.0))
    return step * factor if 0.1 < factor < 10.0 else step


@njit(cache=True, error_model="numpy")
def total_volatility(beta, log_beta, gap, x):  # type: ignore[no-untyped-def]
    """s with b(x, s) = beta, for x <= 0 <= beta; gap = exp(x/2) - beta > 0, given apart because it must not cancel.

    log_beta is read where beta is small, which may be too small for a double.
    """
    top = math.exp(0.5 * x)
    branch = 1
    if x == 0.0:
        s = at_the_money(beta, gap)
        s_c = 0.0
        if beta > 0.5:
            branch = 2
    else:
        s_c = math.sqrt(-2.0 * x)
        b_c, v_c = value_and_slope(x, s_c)
        if beta < b_c:
            s_l = s_c - b_c / v_c
            b_l, v_l = value_and_slope(x, s_l)
            if beta < b_l:
                branch = 0
                s = x / -math.sqrt(-2.0 * log_beta) if beta < TINY else from_lower_branch(beta, x, s_l, b_l, v_l)
            else:
                control = control_at(0.0, 0.0, b_l, b_c, s_l, s_c, 1.0 / v_l, 1.0 / v_c, False)
                s = rational_cubic(beta, b_l, b_c, s_l, s_c, 1.0 / v_l, 1.0 / v_c, control)
        else:
            s_u = s_c + (top - b_c) / v_c
            b_u, v_u = value_and_slope(x, s_u)
            if beta <= b_u:
                control = control_at(0.0, 0.0, b_c, b_u, s_c, s_u, 1.0 / v_c, 1.0 / v_u, True)
                s = rational_cubic(beta, b_c, b_u, s_c, s_u, 1.0 / v_c, 1.0 / v_u, control)
            else:
                branch = 2
                s = from_upper_branch(beta, gap, x, s_u, b_u, top)
    log_gap = math.log(gap) if branch == 2 else 0.0
    for _ in range(STEPS):
        h = x / s
        t = 0.5 * s
        curve = h * h / s - 0.25 * s  # b'' / b'
        bend = curve * curve - 3.0 * h * h / (s * s) - 0.25  # b''' / b'
        if branch == 0:
            difference = mills_difference(h, t)
            ratio = 1.0 / difference  # b' / b
            log_b = math.log(difference) - 0.5 * (h * h + t * t) - LOG_ROOT_TWO_PI
            inverse = 1.0 / log_b
            step = (log_beta - log_b) * (log_b / log_beta) * difference
            h2 = curve - ratio * (1.0 + 2.0 * inverse)
            h3 = bend + 2.0 * ratio * ratio * (1.0 + 3.0 * inverse * (1.0 + inverse)) - 3.0 * curve * ratio * (1.0 + 2.0 * inverse)
        elif branch == 2:
            rest = complement(h, t)
            ratio = 1.0 / rest  # b' / (top - b)
            step = (math.log(rest) - 0.5 * (h * h + t * t) - LOG_ROOT_TWO_PI - log_gap) * rest
            h2 = curve + ratio
            h3 = bend + ratio * (2.0 * ratio + 3.0 * curve)
        else:
            b, slope = value_and_slope(x, s)
            step = (beta - b) / slope
            h2 = curve
            h3 = bend
        step = householder(step, h2, h3)
        if s + step <= 0.0:
            step = -0.5 * s
        s += step
        if abs(step) < SETTLED * s:
            break
    return s


@njit(cache=True, error_model="numpy")
def implied_of_one(price, forward, strike, years, discount, is_call):  # type: ignore[no-untyped-def]
    """(sigma, status) of one option; sigma is NaN unless the status is OK."""
    if math.isnan(price) or math.isnan(forward) or math.isnan(strike) or math.isnan(years) or math.isnan(discount):
        return np.nan, NOT_A_NUMBER
    if years == 0.0:
        return np.nan, EXPIRED
    maximum = discount * (forward if is_call else strike)
    if price >= maximum:
        return np.nan, ABOVE_MAXIMUM
    in_the_money = forward - strike if is_call else strike - forward
    value = price
    if in_the_money > 0.0:
        value = price - discount * in_the_money
        if value < -ROUNDING * price:
            return np.nan, BELOW_INTRINSIC
        if value <= ROUNDING * price:
            return np.nan, AT_INTRINSIC
    elif price < 0.0:
        return np.nan, BELOW_INTRINSIC
    elif price == 0.0:
        return np.nan, AT_INTRINSIC
    unit = math.sqrt(forward) * math.sqrt(strike) * discount
    beta = value / unit
    log_beta = math.log(beta) if beta > TINY else math.log(value) - math.log(unit)
    s = total_volatility(beta, log_beta, (maximum - price) / unit, -abs(log_ratio(forward, strike)))
    return s / math.sqrt(years), OK


@njit(cache=True, nogil=True, error_model="numpy")
def fill_implied(price, forward, strike, years, discount, is_call, steps, first, last, sigma, status):  # type: ignore[no-untyped-def]
    """Fill sigma and status (n,) for options first … last - 1; returns the first row that breaks the contract, or -1."""
    for i in range(first, last):
        f = forward[i * steps[1]]
        k = strike[i * steps[2]]
        t = years[i * steps[3]]
        d = discount[i * steps[4]]
        if f <= 0.0 or k <= 0.0 or t < 0.0 or d <= 0.0 or f == np.inf or k == np.inf or t == np.inf or d == np.inf:
            return i
        value, code = implied_of_one(price[i * steps[0]], f, k, t, d, is_call[i * steps[5]])
        sigma[i] = value
        status[i] = code
    return -1
