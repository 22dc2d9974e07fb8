"""Sums over a book of option lines at many spots, volatilities and times.

A line is what all contracts of one strike, time, volatility, rate and carry share; a call and a put of it have equal gamma and
vanna. With a = (−ln K + carry·T)/s + s/2, b = 1/s, s = σ√T:  d1 = a + b ln S, so one multiplication replaces a logarithm for
each spot, and the density is one exponential (`pricing._kernels_vector`). Beyond `REACH` deviations a line's density, below
1e-31, is left out.
"""

# mypy: allow-untyped-decorators, disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fieldcast.pricing._kernels import ROOT_HALF, erfcx_positive
from fieldcast.pricing._kernels_vector import exp_between

REACH = 12.0
INVERSE_ROOT_TWO_PI = 0.3989422804014327
GEX, DEX, VEX, CHEX = range(4)
BLOCK = 256  # lines at a time: their rows stay in the first-level cache
SHORTEST = 1e-12  # years, 30 microseconds: below, a line counts as settled
MOST = 300.0  # half of a squared deviation: its exponential is below 1e-130


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def spots_in_reach(a, b, x, first, last):
    """Range [low, high) of the ascending log spots x[first:last] at which |a + b x| < REACH."""
    low, high = first, last
    start, end = (-REACH - a) / b, (REACH - a) / b
    while low < high:  # first x above start
        middle = (low + high) // 2
        if x[middle] > start:
            high = middle
        else:
            low = middle + 1
    begin = low
    high = last
    while low < high:  # first x at or above end
        middle = (low + high) // 2
        if x[middle] >= end:
            high = middle
        else:
            low = middle + 1
    return begin, low


@njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
def fill_gamma(a, b, gamma_scale, vanna_scale, total, x, first, last, gamma, slope, vanna):
    """Add Σ gamma_scale·e^(−d1²/2), its slope in x, and Σ vanna_scale·d2·e^(−d1²/2) at log spots first … last − 1; returns −1.

    a, b, gamma_scale, vanna_scale, total : (lines,); total is σ√T
    x, gamma, slope, vanna : (spots,), x ascending
    """
    for i in range(a.size):
        low, high = spots_in_reach(a[i], b[i], x, first, last)
        ai, bi, gi, vi, si = a[i], b[i], gamma_scale[i], vanna_scale[i], total[i]
        # from 0 on: an index that may be negative is not vectorised
        at, g, h, v = x[low:high], gamma[low:high], slope[low:high], vanna[low:high]
        for j in range(at.size):
            d = ai + bi * at[j]
            density = exp_between(-0.5 * d * d)
            part = gi * density
            g[j] += part
            h[j] -= part * d * bi
            v[j] += vi * (d - si) * density
    return -1


@njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
def gamma_at(a, b, gamma_scale, x):
    """Σ gamma_scale·e^(−d1²/2) at one log spot."""
    found = 0.0
    for i in range(a.size):
        d = a[i] + b[i] * x
        if abs(d) < REACH:
            found += gamma_scale[i] * exp_between(-0.5 * d * d)
    return found


@njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
def add_line(weight, puts, strike, years, rate, carry, sigma, spots, x, many, out):
    """Add one line's delta, gamma, vanna and charm, each times its weight, to out (4, many).

    weight : signed units, calls and puts together; puts : signed units of puts; years and sigma above 0
    """
    s = sigma * math.sqrt(years)
    b = 1.0 / s
    a = (carry * years - math.log(strike)) * b + 0.5 * s
    income = rate - carry
    growth = math.exp(-income * years)
    inverse_years = 1.0 / years
    for j in range(many):
        d1 = a + b * x[j]
        d2 = d1 - s
        density = exp_between(-min(0.5 * d1 * d1, MOST))
        tail = 0.5 * density * erfcx_positive(abs(d1) * ROOT_HALF)
        below = 1.0 - tail if d1 > 0.0 else tail
        n = growth * density * INVERSE_ROOT_TWO_PI
        call = growth * below
        out[0, j] += weight * call - puts * growth
        out[1, j] += weight * n * b / spots[j]
        out[2, j] -= weight * n * d2 / sigma
        out[3, j] += income * (weight * call - puts * growth) - weight * n * (carry * b - 0.5 * d2 * inverse_years)


@njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
def add_settled(weight, puts, strike, spots, many, out):
    """A line whose last moment is reached: what is left is the delta of its payoff, ½ at the strike itself."""
    for j in range(many):
        call = 1.0 if spots[j] > strike else (0.5 if spots[j] == strike else 0.0)
        out[0, j] += weight * call - puts


@njit(cache=True, error_model="numpy", nogil=True)
def fill_grid(weight, puts, strike, years, rate, carry, sigma, spots, shifts, elapsed, floor, settled, first, last, out):
    """Book Greeks over spot × volatility × time, slices first … last − 1 of the flattened (shift, time) plane; returns −1.

    spots : (k,) ascending; shifts : (v,) added to every sigma, which never falls below `floor`; elapsed : (t, lines) share of
        each
    line's time that has passed; settled : whether a line whose time is over keeps the delta of its payoff, or is gone
    out : (v, t, 4, k) delta, gamma, vanna, charm, in units of the underlying and years
    """
    many = spots.size
    x = np.log(spots)
    times = elapsed.shape[0]
    for cell in range(first, last):
        v, t = cell // times, cell % times
        for i in range(strike.size):
            left = years[i] * (1.0 - elapsed[t, i])
            if left > 0.0:
                shifted = max(sigma[i] + shifts[v], floor)
                add_line(weight[i], puts[i], strike[i], left, rate[i], carry[i], shifted, spots, x, many, out[v, t])
            elif settled:
                add_settled(weight[i], puts[i], strike[i], spots, many, out[v, t])
    return -1


@njit(cache=True, error_model="numpy", nogil=True)
def fill_max_pain(bounds, strike, call_units, put_units, pain, best):
    """Strike of least payout of each expiry, and that payout.

    bounds : (m + 1,) edges of the expiries' strikes, which ascend; call_units, put_units : open interest in units of the
        underlying
    At a price P calls pay Σ_{K<P} c (P − K) and puts Σ_{K>P} p (K − P): piecewise linear, so the least stands at a strike. Of
    equal ones the lowest.
    """
    for m in range(bounds.size - 1):
        start, end = bounds[m], bounds[m + 1]
        puts = 0.0
        paid = 0.0
        for i in range(start, end):  # payout at the first strike: puts above it
            puts += put_units[i]
            paid += put_units[i] * (strike[i] - strike[start])
        calls = 0.0
        pain[m], best[m] = paid, strike[start]
        for i in range(start, end - 1):
            calls += call_units[i]
            puts -= put_units[i]
            paid += (calls - puts) * (strike[i + 1] - strike[i])
            if paid < pain[m]:
                pain[m], best[m] = paid, strike[i + 1]
    return -1


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def greeks_of_block(moneyness, years, rate, carry, sigma, elapsed, call, growth, charm):
    """Call delta, e^(−qT) and call charm of a block of lines at one spot; without branches: the compiler vectorises it."""
    for i in range(call.size):
        left = max(years[i] * (1.0 - elapsed[i]), SHORTEST)
        s = sigma[i] * math.sqrt(left)
        inverse = 1.0 / s
        income = rate[i] - carry[i]
        d1 = (moneyness[i] + carry[i] * left) * inverse + 0.5 * s
        density = exp_between(-min(0.5 * d1 * d1, MOST))
        tail = 0.5 * density * erfcx_positive(abs(d1) * ROOT_HALF)
        below = 1.0 - tail if d1 > 0.0 else tail
        paid = exp_between(-income * left)
        growth[i] = paid
        call[i] = paid * below
        slope = carry[i] * inverse - 0.5 * (d1 - s) / left
        charm[i] = income * paid * below - paid * density * INVERSE_ROOT_TWO_PI * slope


@njit(cache=True, error_model="numpy", nogil=True)
def fill_path(weight, puts, moneyness, years, rate, carry, sigma, elapsed, first, last, out):
    """Delta and charm of the book at one spot at times first … last − 1; returns −1. Settled lines keep their payoff's delta.

    moneyness : (lines,) ln(spot / strike); elapsed : (t, lines) share of each line's time that has passed; out : (t, 2)
    """
    call, growth, charm = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for t in range(first, last):
        for start in range(0, weight.size, BLOCK):
            end = min(start + BLOCK, weight.size)
            many = end - start
            greeks_of_block(
                moneyness[start:end], years[start:end], rate[start:end], carry[start:end], sigma[start:end],
                elapsed[t, start:end], call[:many], growth[:many], charm[:many],
            )  # fmt: skip
            for i in range(many):
                w, p = weight[start + i], puts[start + i]
                if elapsed[t, start + i] < 1.0:
                    income = rate[start + i] - carry[start + i]
                    out[t, 0] += w * call[i] - p * growth[i]
                    out[t, 1] += w * charm[i] - p * income * growth[i]
                else:
                    m = moneyness[start + i]
                    out[t, 0] += w * (1.0 if m > 0.0 else (0.5 if m == 0.0 else 0.0)) - p
    return -1
