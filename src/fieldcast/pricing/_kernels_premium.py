"""Early-exercise premium over the strikes of one expiry and side, in one compiled pass.

The premium is smooth in the strike, so it is computed at a few of them (`choose_nodes`) and read off a monotone cubic between.
A strike whose premium cannot reach `NEGLIGIBLE` of the strike by the bound below is given 0 without solving for its boundary.

With strike 1 the premium of a put is the integral of r exp(-r w) Phi(-d2(S, B)) - q S exp(-q w) Phi(-d1(S, B)) over [0, T], and
its boundary B lies at or below X = min(1, r / q) (L. Andersen, M. Lake, D. Offengenden, Journal of Computational Finance 20
(2016)). For q >= 0 it is therefore at most

    r T max over 0 < w <= T of Phi((-L + b w) / (sigma sqrt(w))),   L = log(S / X),   b = q - r + sigma^2 / 2

with the maximum at w = T, or at w = L / |b| where b < 0. Calls are puts with spot and strike, rate and dividend yield exchanged.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fieldcast.pricing._kernels import normal_cdf
from fieldcast.pricing._kernels_american import BOUNDARY, PRICE, SETTLED_AT, european_put, kind_of, put_of_one

NEGLIGIBLE = 1e-7  # of the strike: a hundredth of a cent on 1,000


@njit(cache=True, error_model="numpy")
def most_premium(spot, years, rate, carry, sigma):  # type: ignore[no-untyped-def]
    """What the premium of a put with strike 1 cannot exceed; rate above 0, years and sigma above 0."""
    if carry < 0.0:
        return np.inf
    away = math.log(spot if carry <= rate else spot * carry / rate)
    if away <= 0.0:
        return rate * years
    drift = carry - rate + 0.5 * sigma * sigma
    when = years if drift >= 0.0 else min(years, away / -drift)
    return rate * years * normal_cdf((drift * when - away) / (sigma * math.sqrt(when)))


@njit(cache=True, error_model="numpy")
def choose_nodes(strike, sigma, most, nodes, levels):  # type: ignore[no-untyped-def]
    """Fill nodes and levels (most,) with strikes ascending, and at each the median volatility of five around it; how many.

    One bad quote must not bend its neighbours, and so a node takes the median.
    """
    n = strike.size
    order = np.argsort(strike, kind="mergesort")
    first = np.empty(n, np.int64)
    different = 0
    for i in range(n):
        if i == 0 or strike[order[i]] != strike[order[i - 1]]:
            first[different] = i
            different += 1
    window = np.empty(5)
    count = 0
    last = -1
    for j in range(most):
        place = int(np.rint(j * (different - 1) / (most - 1)))
        if place == last:
            continue
        last = place
        middle = first[place]
        for k in range(5):
            window[k] = sigma[order[min(max(middle + k - 2, 0), n - 1)]]
        nodes[count] = strike[order[middle]]
        levels[count] = np.median(window)
        count += 1
    return count


@njit(cache=True, error_model="numpy")
def end_slope(near, far, slope, beyond):  # type: ignore[no-untyped-def]
    """Slope at an end from three points, kept from overshooting."""
    found = ((2.0 * near + far) * slope - near * beyond) / (near + far)
    if found * slope <= 0.0:
        return 0.0
    if slope * beyond < 0.0 and abs(found) > 3.0 * abs(slope):
        return 3.0 * slope
    return found


@njit(cache=True, error_model="numpy")
def monotone_cubic(x, y, at, out):  # type: ignore[no-untyped-def]
    """Fill out with the cubic through (x, y) at `at`, inside x: F. Fritsch, J. Butland, SIAM J. Sci. Stat. Comput. 5 (1984)."""
    n = x.size
    width, slope, turn = np.empty(n - 1), np.empty(n - 1), np.empty(n)
    for i in range(n - 1):
        width[i] = x[i + 1] - x[i]
        slope[i] = (y[i + 1] - y[i]) / width[i]
    if n == 2:
        turn[0] = turn[1] = slope[0]
    else:
        turn[0] = end_slope(width[0], width[1], slope[0], slope[1])
        turn[n - 1] = end_slope(width[n - 2], width[n - 3], slope[n - 2], slope[n - 3])
        for i in range(1, n - 1):
            turn[i] = 0.0
            if slope[i - 1] * slope[i] > 0.0:
                before, after = 2.0 * width[i] + width[i - 1], width[i] + 2.0 * width[i - 1]
                turn[i] = (before + after) / (before / slope[i - 1] + after / slope[i])
    for j in range(at.size):
        i = min(max(np.searchsorted(x, at[j], side="right") - 1, 0), n - 2)
        u = (at[j] - x[i]) / width[i]
        rest = 1.0 - u
        left = rest * rest * ((1.0 + 2.0 * u) * y[i] + u * width[i] * turn[i])
        out[j] = left + u * u * ((1.0 + 2.0 * rest) * y[i + 1] - rest * width[i] * turn[i + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def fill_premium(  # type: ignore[no-untyped-def]
    spot, strike, years, rate, carry, sigma, is_call, most, unsettled, rule, angles, between, weights, out
):
    """Fill out (n,) with American less European prices; False where an option has two boundaries or one that did not settle.

    spot, years, rate, carry : above 0, above 0, any, any; strike, sigma (n,) above 0
    most : strikes up to which each is computed, and nodes where there are more
    """
    n = strike.size
    nodes, levels = strike, sigma
    if n > most:
        held_nodes, held_levels = np.empty(most), np.empty(most)
        count = choose_nodes(strike, sigma, most, held_nodes, held_levels)
        nodes, levels = held_nodes[:count], held_levels[:count]
    gap = np.zeros(nodes.size)
    depths, result = np.empty(between.shape[2]), np.empty(4)
    r0, c0 = (carry, rate) if is_call else (rate, carry)
    kind = kind_of(r0, c0, years)
    for i in range(nodes.size):
        moneyness, scale = (nodes[i] / spot, spot) if is_call else (spot / nodes[i], nodes[i])
        if levels[i] * math.sqrt(years) < 1e-8 or (kind == BOUNDARY and r0 <= 0.0):
            return False
        if kind == BOUNDARY and most_premium(moneyness, years, r0, c0, levels[i]) * scale < NEGLIGIBLE * nodes[i]:
            continue
        # as a put with strike 1, so that both prices share their European part to the last digit
        if not put_of_one(moneyness, 1.0, years, r0, c0, levels[i], False, rule, angles, between, weights, depths, result):
            return False
        if not result[SETTLED_AT] < unsettled:
            return False
        gap[i] = max(result[PRICE] - european_put(moneyness, years, r0, c0, levels[i]), 0.0) * scale
    if nodes.size == n:
        out[:] = gap
    elif nodes.size == 1:
        out[:] = gap[0]
    else:
        monotone_cubic(nodes, gap, strike, out)
        for j in range(n):
            out[j] = max(out[j], 0.0)
    return True
