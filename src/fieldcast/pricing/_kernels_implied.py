"""Implied volatility after P. Jaeckel, "Let's Be Rational", Wilmott 75 (2015): guess well, then two steps of fourth order.

Solve b(x, s) = beta for s (notation of `_kernels`; x <= 0, 0 < beta < exp(x/2)). The curve b(s) has its inflexion at
s_c = sqrt(2|x|); its tangent there meets 0 at s_l and exp(x/2) at s_u. That gives four branches:

    beta < b(s_l)     f = 2 pi |x| / (3 sqrt 3) * Phi(-|x| / (sqrt(3) s))^3 a rational cubic of b; objective 1/log b - 1/log beta
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
from fieldcast.pricing._kernels_vector import exp_between, log_ratio_between

OK, BELOW_INTRINSIC, ABOVE_MAXIMUM, AT_INTRINSIC, EXPIRED, NOT_A_NUMBER = range(6)
ROUNDING = 4.0 * 2.220446049250313e-16  # of the price: how much of an in-the-money price is rounding, not time value
ROOT_THREE = 1.7320508075688772
STEPS = 8
BLOCK = 256  # options at a time
ROUNDS = 4  # steps that a block takes together
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
            h3 = (
                bend + 2.0 * ratio * ratio * (1.0 + 3.0 * inverse * (1.0 + inverse)) - 3.0 * curve * ratio * (1.0 + 2.0 * inverse)
            )
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


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def guess_of_block(many, held):  # type: ignore[no-untyped-def]
    """Row 2, s, where the tangent at s_c reaches beta, and row 3, log beta, from rows 0, x, and 1, beta."""
    for i in range(many):
        x = held[i]
        beta = held[i + BLOCK]
        root = math.sqrt(-0.5 * x)  # s_c / 2
        slope = exp_between(0.5 * x) / ROOT_TWO_PI
        value = slope * ROOT_HALF_PI * (1.0 - erfcx_positive(2.0 * root * ROOT_HALF))
        held[i + 2 * BLOCK] = 2.0 * root + (beta - value) / slope
        held[i + 3 * BLOCK] = log_ratio_between(beta, 1.0)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def step_of_block(many, held):  # type: ignore[no-untyped-def]
    """One step of `total_volatility` for many options in a loop without branches: row 2 is moved, row 4 takes the relative step.

    Objective 1/log b where s is below s_c, log b above.
    """
    for i in range(many):
        x = held[i]
        s = held[i + 2 * BLOCK]
        log_beta = held[i + 3 * BLOCK]
        inverse_s = 1.0 / s
        depth = -x * inverse_s
        t = 0.5 * s
        exponent = 0.5 * (depth * depth + t * t)
        safe = exponent if exponent < 700.0 else 700.0
        near = erfcx_positive(abs(depth - t) * ROOT_HALF)
        far = erfcx_positive((depth + t) * ROOT_HALF)
        y = ROOT_HALF_PI * erfcx_positive(depth * ROOT_HALF)
        j1 = 1.0 - depth * y
        j2 = y - depth * j1
        j3 = 2.0 * j1 - depth * j2
        j4 = 3.0 * j2 - depth * j3
        j5 = 4.0 * j3 - depth * j4
        j6 = 5.0 * j4 - depth * j5
        j7 = 6.0 * j5 - depth * j6
        j8 = 7.0 * j6 - depth * j7
        j9 = 8.0 * j7 - depth * j8
        j10 = 9.0 * j8 - depth * j9
        j11 = 10.0 * j9 - depth * j10
        j12 = 11.0 * j10 - depth * j11
        j13 = 12.0 * j11 - depth * j12
        j14 = 13.0 * j12 - depth * j13
        j15 = 14.0 * j13 - depth * j14
        w = t * t
        total = j13 + w * (1.0 / 210.0) * j15
        total = j11 + w * (1.0 / 156.0) * total
        total = j9 + w * (1.0 / 110.0) * total
        total = j7 + w * (1.0 / 72.0) * total
        total = j5 + w * (1.0 / 42.0) * total
        total = j3 + w * (1.0 / 20.0) * total
        series = 2.0 * t * (j1 + w * (1.0 / 6.0) * total)
        below = ROOT_HALF_PI * (near - far)
        above = exp_between(safe + 0.5 * x) * ROOT_TWO_PI - ROOT_HALF_PI * (near + far)
        plain = below if depth >= t else above
        deep = depth if depth > 1.0 else 1.0
        difference = series if t * deep < SERIES_BELOW else plain
        log_b = log_ratio_between(difference, 1.0) - exponent - LOG_ROOT_TWO_PI
        ratio = 1.0 / difference
        curve = depth * depth * inverse_s - 0.25 * s
        bend = curve * curve - 3.0 * depth * depth * inverse_s * inverse_s - 0.25
        inverse = 1.0 / log_b if depth > t else 0.0
        factor = log_b / log_beta if depth > t else 1.0
        step = (log_beta - log_b) * factor * difference
        h2 = curve - ratio * (1.0 + 2.0 * inverse)
        h3 = bend + 2.0 * ratio * ratio * (1.0 + 3.0 * inverse * (1.0 + inverse)) - 3.0 * curve * ratio * (1.0 + 2.0 * inverse)
        better = (1.0 + 0.5 * h2 * step) / (1.0 + step * (h2 + h3 * step * (1.0 / 6.0)))
        step = step * better if 0.1 < better < 10.0 else step
        step = step if step > -0.7 * s else -0.7 * s
        held[i + 2 * BLOCK] = s + step
        held[i + 4 * BLOCK] = abs(step) * inverse_s


@njit(cache=True, error_model="numpy")
def time_value(price, forward, strike, years, discount, is_call):  # type: ignore[no-untyped-def]
    """(out-of-the-money value, status) of one option on valid input."""
    if math.isnan(price) or math.isnan(forward) or math.isnan(strike) or math.isnan(years) or math.isnan(discount):
        return np.nan, NOT_A_NUMBER
    if years == 0.0:
        return np.nan, EXPIRED
    if price >= discount * (forward if is_call else strike):
        return np.nan, ABOVE_MAXIMUM
    in_the_money = forward - strike if is_call else strike - forward
    if in_the_money > 0.0:
        value = price - discount * in_the_money
        if value < -ROUNDING * price:
            return np.nan, BELOW_INTRINSIC
        return value, OK if value > ROUNDING * price else AT_INTRINSIC
    if price < 0.0:
        return np.nan, BELOW_INTRINSIC
    return price, OK if price > 0.0 else AT_INTRINSIC


@njit(cache=True, error_model="numpy")
def implied_of_one(value, price, forward, strike, years, discount, is_call):  # type: ignore[no-untyped-def]
    """Volatility of one option with an out-of-the-money value above 0."""
    unit = math.sqrt(forward) * math.sqrt(strike) * discount
    beta = value / unit
    log_beta = math.log(beta) if beta > TINY else math.log(value) - math.log(unit)
    gap = (discount * (forward if is_call else strike) - price) / unit
    return total_volatility(beta, log_beta, gap, -abs(log_ratio(forward, strike))) / math.sqrt(years)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_implied(price, forward, strike, years, discount, is_call, steps, first, last, sigma, status):  # type: ignore[no-untyped-def]
    """Fill sigma and status (n,) for options first … last - 1; returns the first row that breaks the contract, or -1.

    Options in the ordinary range go through `step_of_block` together; those whose steps did not settle, and the rest, one by one.
    """
    held = np.empty(7 * BLOCK)
    for start in range(first, last, BLOCK):
        many = min(BLOCK, last - start)
        for i in range(many):
            row = start + i
            p = price[row * steps[0]]
            f = forward[row * steps[1]]
            k = strike[row * steps[2]]
            t = years[row * steps[3]]
            d = discount[row * steps[4]]
            if f <= 0.0 or k <= 0.0 or t < 0.0 or d <= 0.0 or f == np.inf or k == np.inf or t == np.inf or d == np.inf:
                return row
            value, code = time_value(p, f, k, t, d, is_call[row * steps[5]])
            status[row] = code
            unit = math.sqrt(f * k) * d
            beta = value / unit
            ordinary = (
                code == OK and beta > 1e-30 and value < 0.7 * d * min(f, k) and 0.05 < f / k < 20.0 and 1e-100 < unit < 1e100
            )
            held[i + BLOCK] = beta if ordinary else 0.1
            held[i + 5 * BLOCK] = value
            held[i + 6 * BLOCK] = 1.0 if ordinary else 0.0
        for i in range(many):
            row = start + i
            plain = held[i + 6 * BLOCK] > 0.0
            f = forward[row * steps[1]] if plain else 1.0
            k = strike[row * steps[2]] if plain else 1.0
            held[i] = -abs(log_ratio(f, k))
        guess_of_block(many, held)
        for _ in range(ROUNDS):
            step_of_block(many, held)
        for i in range(many):
            row = start + i
            code = status[row]
            t = years[row * steps[3]]
            if code != OK:
                sigma[row] = np.nan
            elif held[i + 6 * BLOCK] > 0.0 and held[i + 4 * BLOCK] < SETTLED:
                sigma[row] = held[i + 2 * BLOCK] / math.sqrt(t)
            else:
                sigma[row] = implied_of_one(
                    held[i + 5 * BLOCK],
                    price[row * steps[0]],
                    forward[row * steps[1]],
                    strike[row * steps[2]],
                    t,
                    discount[row * steps[4]],
                    is_call[row * steps[5]],
                )
    return -1
