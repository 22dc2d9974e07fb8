"""American puts by spectral collocation of the exercise boundary.

L. Andersen, M. Lake, D. Offengenden, "High-performance American option pricing", Journal of Computational Finance 20 (2016).
With strike 1 and time to expiry u the boundary B(u) solves B = N / D (their systems A and B, multiplied through by the
discounts so that nothing overflows):

    B:  N = exp(-r T) Phi(d-(T, B)) + r I[exp(-r w) Phi(d-)],   D = exp(-q T) Phi(d+(T, B)) + q I[exp(-q w) Phi(d+)]
    A:  the same with phi(d-) / (sigma sqrt(w)) in N, and Phi(d+) + phi(d+) / (sigma sqrt(w)) in D

    d±(w, z) = (log z + (r - q) w) / (sigma sqrt(w)) ± sigma sqrt(w) / 2,   I[g] = integral_0^T g(w, B(T) / B(T - w)) dw

Their H = log(B / X)^2 with X = B(0+) = min(1, r/q) is a polynomial in sqrt(u) on Chebyshev nodes. Integrals run over the angle
a with T - w = T sin^2 a, w = T cos^2 a, which removes the root at both ends. All interpolation weights are constants, made once.

What is not here: r < 0 with q < r has two boundaries (L. Andersen, M. Lake, "Fast American option pricing: the double-boundary
case", Wilmott, 2021), and is refused by the callers. Calls are puts with spot and strike, rate and dividend yield exchanged.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fieldcast.pricing._kernels import ROOT_TWO_PI, log_ratio, normal_cdf
from fieldcast.pricing._kernels_greeks import otm_value, valid
from fieldcast.pricing._kernels_implied import ABOVE_MAXIMUM, AT_INTRINSIC, BELOW_INTRINSIC, EXPIRED, NOT_A_NUMBER, OK, ROUNDING

EUROPEAN, BOUNDARY, REFUSED = range(3)
MOST_STEPS = 30
SETTLED = 1e-9  # relative change of the boundary; the price's error is of second order in the boundary's
PRICE, DELTA, GAMMA, SETTLED_AT = range(4)
WIDTH = 4


@njit(cache=True, error_model="numpy")
def density(d):  # type: ignore[no-untyped-def]
    return math.exp(-0.5 * d * d) / ROOT_TWO_PI


@njit(cache=True, error_model="numpy")
def kind_of(rate, carry, years):  # type: ignore[no-untyped-def]
    """Which problem an American put is: no early exercise (or none worth 1e-13 of the strike), one boundary, or two."""
    if (rate <= 0.0 and carry >= rate) or (abs(rate) + max(0.0, -carry)) * years < 1e-13:
        return EUROPEAN
    return BOUNDARY if rate >= 0.0 else REFUSED


@njit(cache=True, error_model="numpy")
def european_put(spot, years, rate, carry, sigma):  # type: ignore[no-untyped-def]
    """Put with strike 1; years and sigma above 0."""
    a = spot * math.exp(-carry * years)
    b = math.exp(-rate * years)
    x = log_ratio(spot, 1.0) + (rate - carry) * years
    value = otm_value(a, b, x, sigma * math.sqrt(years))
    return value + (b - a) if x < 0.0 else value


@njit(cache=True, error_model="numpy")
def quadratic_gap(spot, years, rate, carry, sigma, power):  # type: ignore[no-untyped-def]
    """What the quadratic approximation of Barone-Adesi and Whaley (1987) sets to 0 at the boundary."""
    s = sigma * math.sqrt(years)
    d1 = (math.log(spot) + (rate - carry) * years) / s + 0.5 * s
    held = 1.0 - math.exp(-carry * years) * normal_cdf(-d1)
    return 1.0 - spot - european_put(spot, years, rate, carry, sigma) + spot / power * held


@njit(cache=True, error_model="numpy")
def rough_boundary(years, rate, carry, sigma, ceiling):  # type: ignore[no-untyped-def]
    """Barone-Adesi and Whaley's boundary by bisection in the logarithm: where the collocation starts."""
    variance = sigma * sigma
    omega = 2.0 * (rate - carry) / variance
    grown = 2.0 / (variance * years)
    if rate * years > 1e-14:
        grown = 2.0 * rate / variance / -math.expm1(-rate * years)
    power = -0.5 * ((omega - 1.0) + math.sqrt((omega - 1.0) * (omega - 1.0) + 4.0 * grown))
    high = math.log(ceiling)
    low = high - 4.0 * sigma * math.sqrt(years)
    for _ in range(60):
        if quadratic_gap(math.exp(low), years, rate, carry, sigma, power) > 0.0:
            break
        low = high - 2.0 * (high - low)
    for _ in range(12):
        middle = 0.5 * (low + high)
        if quadratic_gap(math.exp(middle), years, rate, carry, sigma, power) > 0.0:
            low = middle
        else:
            high = middle
    return math.exp(0.5 * (low + high))


@njit(cache=True, error_model="numpy")
def solve_linear(matrix, right):  # type: ignore[no-untyped-def]
    """Solve matrix @ x = right in place by elimination with row exchange; the answer is left in right."""
    n = right.size
    for column in range(n):
        pivot = column
        for row in range(column + 1, n):
            if abs(matrix[row, column]) > abs(matrix[pivot, column]):
                pivot = row
        if pivot != column:
            for k in range(column, n):
                held = matrix[column, k]
                matrix[column, k] = matrix[pivot, k]
                matrix[pivot, k] = held
            held = right[column]
            right[column] = right[pivot]
            right[pivot] = held
        for row in range(column + 1, n):
            factor = matrix[row, column] / matrix[column, column]
            if factor != 0.0:
                for k in range(column + 1, n):
                    matrix[row, k] -= factor * matrix[column, k]
                right[row] -= factor * right[column]
    for row in range(n - 1, -1, -1):
        total = right[row]
        for k in range(row + 1, n):
            total -= matrix[row, k] * right[k]
        right[row] = total / matrix[row, row]


@njit(cache=True, error_model="numpy")
def solve_boundary(years, rate, carry, sigma, roots, sines, cosines, weights, between, depths):  # type: ignore[no-untyped-def]
    """Fill depths (n + 1,) with -log(B / X) >= 0 at the nodes sqrt(u / years) = roots; returns the last relative change.

    roots (n + 1,) ascending from 0 to 1; sines, cosines, weights (m,) of the angles
    between (n, m, n + 1): values of H at (roots[i + 1] * sines[k])^2 from H at the nodes
    """
    n = roots.size - 1
    ceiling = 1.0 if carry <= rate else rate / carry
    log_ceiling = math.log(ceiling)
    drift = rate - carry
    matrix = np.empty((n, n))
    residual = np.empty(n)
    slope_top = np.empty(n)
    slope_bottom = np.empty(n)
    depths[0] = 0.0
    for i in range(1, n + 1):
        u = years * roots[i] * roots[i]
        depths[i] = max(depths[i - 1], log_ceiling - math.log(rough_boundary(u, rate, carry, sigma, ceiling)))
        if depths[i] <= 0.0:
            depths[i] = sigma * math.sqrt(u)
    change = np.inf
    for _ in range(MOST_STEPS):
        for i in range(n):
            own = depths[i + 1]
            u = years * roots[i + 1] * roots[i + 1]
            s = sigma * math.sqrt(u)
            d1 = (log_ceiling - own + drift * u) / s + 0.5 * s
            d2 = d1 - s
            growth = math.exp(-carry * u)
            n_minus = math.exp(-rate * u) * density(d2) / s
            n_plus = growth * density(d1) / s
            top = n_minus
            bottom = n_plus + growth * normal_cdf(d1)
            for j in range(n):
                slope_top[j] = 0.0
                slope_bottom[j] = 0.0
            own_top = n_minus * d2 / s
            own_bottom = n_plus * (d1 / s - 1.0)
            for k in range(sines.size):
                square = 0.0
                for j in range(n):
                    square += between[i, k, j + 1] * depths[j + 1] * depths[j + 1]
                depth = math.sqrt(max(square, 0.0))
                spread = s * cosines[k]
                w = u * cosines[k] * cosines[k]
                middle = (depth - own + drift * w) / spread
                minus = middle - 0.5 * spread
                plus = middle + 0.5 * spread
                share = 2.0 * u * weights[k] * sines[k] * cosines[k]
                gain = share * rate * math.exp(-rate * w) * density(minus) / spread
                cost = share * carry * math.exp(-carry * w)
                cost_density = cost * density(plus) / spread
                top += gain
                bottom += cost * normal_cdf(plus) + cost_density
                change_top = -gain * minus / spread
                change_bottom = cost_density * (1.0 - plus / spread)
                own_top -= change_top
                own_bottom -= change_bottom
                if depth > 0.0:
                    for j in range(n):
                        share = between[i, k, j + 1] * depths[j + 1] / depth
                        slope_top[j] += change_top * share
                        slope_bottom[j] += change_bottom * share
            slope_top[i] += own_top
            slope_bottom[i] += own_bottom
            residual[i] = own - log_ceiling + math.log(top / bottom)
            for j in range(n):
                matrix[i, j] = slope_top[j] / top - slope_bottom[j] / bottom
            matrix[i, i] += 1.0
        solve_linear(matrix, residual)
        change = 0.0
        for i in range(n):
            held = depths[i + 1]
            fresh = held - residual[i]
            if not fresh > 0.2 * held:  # also where it is NaN
                fresh = 0.2 * held
            elif fresh > 3.0 * held:
                fresh = 3.0 * held
            change = max(change, abs(fresh - held)) if math.isfinite(residual[i]) else np.inf
            depths[i + 1] = fresh
        if change < SETTLED:
            break
    return change


@njit(cache=True, error_model="numpy")
def put_from_boundary(spot, years, rate, carry, sigma, sines, cosines, weights, at, depths, out):  # type: ignore[no-untyped-def]
    """Price, delta and gamma of a put with strike 1 from its boundary; at (p, n + 1) as `between`, for the whole of `years`."""
    nodes = depths.size
    ceiling = 1.0 if carry <= rate else rate / carry
    log_ceiling = math.log(ceiling)
    if spot <= ceiling * math.exp(-depths[nodes - 1]):
        out[PRICE] = 1.0 - spot
        out[DELTA] = -1.0
        out[GAMMA] = 0.0
        return
    log_spot = log_ratio(spot, 1.0)
    s = sigma * math.sqrt(years)
    drift = rate - carry
    premium = 0.0
    premium_delta = 0.0
    premium_gamma = 0.0
    for k in range(sines.size):
        square = 0.0
        for j in range(1, nodes):
            square += at[k, j] * depths[j] * depths[j]
        depth = math.sqrt(max(square, 0.0))
        spread = s * cosines[k]
        w = years * cosines[k] * cosines[k]
        middle = (log_spot - log_ceiling + depth + drift * w) / spread
        minus = middle - 0.5 * spread
        plus = middle + 0.5 * spread
        share = weights[k] * sines[k] * cosines[k]
        gain = rate * math.exp(-rate * w)
        cost = carry * math.exp(-carry * w)
        if abs(minus) < 38.0 and abs(plus) < 38.0:
            n_minus = density(minus) / spread
            n_plus = density(plus) / spread
            premium_delta += share * (cost * n_plus - gain * n_minus / spot)
            premium_gamma += share * (
                gain * n_minus * (minus / spread + 1.0) / (spot * spot) + cost * n_plus * (1.0 - plus / spread) / spot
            )
        down = normal_cdf(-plus)
        premium += share * (gain * normal_cdf(-minus) - cost * spot * down)
        premium_delta -= share * cost * down
    scale = 2.0 * years
    d1 = (log_spot + drift * years) / s + 0.5 * s
    growth = math.exp(-carry * years)
    out[PRICE] = max(european_put(spot, years, rate, carry, sigma) + scale * premium, 1.0 - spot)
    out[DELTA] = -growth * normal_cdf(-d1) + scale * premium_delta
    out[GAMMA] = growth * density(d1) / (spot * s) + scale * premium_gamma


@njit(cache=True, error_model="numpy")
def certain_put(spot, years, rate, carry, out):  # type: ignore[no-untyped-def]
    """The put with strike 1 and no volatility: exercise when exp(-r t) - spot exp(-q t) is largest on [0, years], or never."""
    best = 0.0
    delta = 0.0
    moment = 0.0
    if rate != carry and rate * carry > 0.0:
        moment = math.log(carry * spot / rate) / (carry - rate)
        if not 0.0 < moment < years:
            moment = 0.0
    for t in (0.0, moment, years):
        value = math.exp(-rate * t) - spot * math.exp(-carry * t)
        if value > best:
            best = value
            delta = -math.exp(-carry * t)
    out[PRICE] = best
    out[DELTA] = delta
    out[GAMMA] = 0.0


@njit(cache=True, error_model="numpy")
def put_of_one(spot, strike, years, rate, carry, sigma, is_call, rule, angles, between, at, depths, out):  # type: ignore[no-untyped-def]
    """Price, delta, gamma of one American option into out (4,); out[3] is the last change of the boundary; False if refused.

    rule (3, m), angles (3, p): sines, cosines and weights for the boundary and for the price.
    """
    s0 = spot / strike
    r0 = rate
    c0 = carry
    if is_call:
        s0 = strike / spot
        r0 = carry
        c0 = rate
    out[SETTLED_AT] = 0.0
    kind = kind_of(r0, c0, years)
    if years == 0.0 or sigma == 0.0 or sigma * math.sqrt(years) < 1e-8:
        certain_put(s0, years, r0, c0, out)
    elif kind == EUROPEAN:
        s = sigma * math.sqrt(years)
        d1 = (log_ratio(s0, 1.0) + (r0 - c0) * years) / s + 0.5 * s
        growth = math.exp(-c0 * years)
        out[PRICE] = european_put(s0, years, r0, c0, sigma)
        out[DELTA] = -growth * normal_cdf(-d1)
        out[GAMMA] = growth * density(d1) / (s0 * s)
    elif kind == BOUNDARY:
        roots = rule[3, : depths.size]
        out[SETTLED_AT] = solve_boundary(years, r0, c0, sigma, roots, rule[0], rule[1], rule[2], between, depths)
        put_from_boundary(s0, years, r0, c0, sigma, angles[0], angles[1], angles[2], at, depths, out)
    else:
        return False
    if not math.isfinite(out[PRICE] + out[DELTA] + out[GAMMA]):
        out[SETTLED_AT] = np.inf
    if is_call:  # C(S, K) = S p(K/S): C' = p - y p', C'' = y^2 p'' / S with y = K/S
        price = out[PRICE]
        delta = out[DELTA]
        out[PRICE] = max(spot * price, spot - strike)
        out[DELTA] = price - s0 * delta if delta != -1.0 else 1.0
        out[GAMMA] = s0 * s0 * out[GAMMA] / spot
    else:
        out[PRICE] = max(strike * out[PRICE], strike - spot)
        out[GAMMA] /= strike
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def fill_american(spot, strike, years, rate, carry, sigma, is_call, steps, rule, angles, between, at, first, last, out):  # type: ignore[no-untyped-def]
    """Fill out (n, 4) for options first … last - 1; returns the first row that is not valid or refused, or -1."""
    depths = np.empty(between.shape[2])
    for i in range(first, last):
        s0 = spot[i * steps[0]]
        k0 = strike[i * steps[1]]
        t0 = years[i * steps[2]]
        r0 = rate[i * steps[3]]
        c0 = carry[i * steps[4]]
        v0 = sigma[i * steps[5]]
        if not valid(s0, k0, t0, r0, c0, v0):
            return i
        if not put_of_one(s0, k0, t0, r0, c0, v0, is_call[i * steps[6]], rule, angles, between, at, depths, out[i]):
            return i
    return -1


@njit(cache=True, error_model="numpy")
def implied_of_one(price, spot, strike, years, rate, carry, is_call, rule, angles, between, at, depths, out):  # type: ignore[no-untyped-def]
    """(sigma, status) of one American option, by false position (Illinois) between volatilities whose prices enclose it."""
    if not math.isfinite(price):
        return np.nan, NOT_A_NUMBER if math.isnan(price) else ABOVE_MAXIMUM
    if years == 0.0:
        return np.nan, EXPIRED
    put_of_one(spot, strike, years, rate, carry, 0.0, is_call, rule, angles, between, at, depths, out)
    floor = out[PRICE]
    rounding = ROUNDING * max(price, spot, strike)
    if price < floor - rounding or price < 0.0:
        return np.nan, BELOW_INTRINSIC
    if price <= floor + (rounding if floor > 0.0 else 0.0):
        return np.nan, AT_INTRINSIC
    limit = spot * max(1.0, math.exp(-carry * years)) if is_call else strike * max(1.0, math.exp(-rate * years))
    if price >= limit:
        return np.nan, ABOVE_MAXIMUM
    low = high = 0.3
    gap_low = gap_high = 0.0
    for step in range(60):
        put_of_one(spot, strike, years, rate, carry, high, is_call, rule, angles, between, at, depths, out)
        gap = out[PRICE] - price
        if step == 0:
            gap_low = gap_high = gap
        if gap >= 0.0:
            gap_high = gap
            if step > 0 and low < high:
                break
            # the first guess is too high: go down instead
            while gap_low >= 0.0 and low > 1e-7:
                high = low
                gap_high = gap_low
                low *= 0.5
                put_of_one(spot, strike, years, rate, carry, low, is_call, rule, angles, between, at, depths, out)
                gap_low = out[PRICE] - price
            break
        low = high
        gap_low = gap
        high *= 2.0
    if gap_low > 0.0 or gap_high < 0.0:
        return np.nan, AT_INTRINSIC if gap_low > 0.0 else ABOVE_MAXIMUM
    side = 0
    for _ in range(100):
        if high - low <= 4e-16 * high:
            break
        middle = (low * gap_high - high * gap_low) / (gap_high - gap_low)
        if not low < middle < high:
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
        put_of_one(spot, strike, years, rate, carry, middle, is_call, rule, angles, between, at, depths, out)
        gap = out[PRICE] - price
        if abs(gap) <= 1e-15 * price:
            return middle, OK
        if gap > 0.0:
            moved = high - middle
            high = middle
            gap_high = gap
            if side == 1:
                gap_low *= 0.5
            side = 1
        else:
            moved = middle - low
            low = middle
            gap_low = gap
            if side == -1:
                gap_high *= 0.5
            side = -1
        if moved <= 1e-14 * middle:
            return middle, OK
    return 0.5 * (low + high), OK


@njit(cache=True, nogil=True, error_model="numpy")
def fill_implied(  # type: ignore[no-untyped-def]
    price, spot, strike, years, rate, carry, is_call, steps, rule, angles, between, at, first, last, sigma, status, settled
):
    """Fill sigma, status, settled (n,) for options first … last - 1; returns the first row not valid or refused, or -1."""
    depths = np.empty(between.shape[2])
    out = np.empty(WIDTH)
    for i in range(first, last):
        s0 = spot[i * steps[1]]
        k0 = strike[i * steps[2]]
        t0 = years[i * steps[3]]
        r0 = rate[i * steps[4]]
        c0 = carry[i * steps[5]]
        call = is_call[i * steps[6]]
        if not valid(s0, k0, t0, r0, c0, 0.0) or kind_of(c0 if call else r0, r0 if call else c0, t0) == REFUSED:
            return i
        out[SETTLED_AT] = 0.0
        value, code = implied_of_one(price[i * steps[0]], s0, k0, t0, r0, c0, call, rule, angles, between, at, depths, out)
        sigma[i] = value
        status[i] = code
        settled[i] = out[SETTLED_AT] if code == OK else 0.0
    return -1
