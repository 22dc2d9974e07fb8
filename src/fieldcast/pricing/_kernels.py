"""Special functions and the normalised Black function, as scalar kernels that the other kernels of this package inline.

Every price here rests on Mills' ratio Y(h) = Phi(h) / phi(h), the normal distribution over its density, and on one shape
(P. Jaeckel, "Let's Be Rational", Wilmott 75, 2015, section 2), the out-of-the-money price in units of sqrt(forward * strike):

    b(x, s) = exp(x/2) Phi(h + t) - exp(-x/2) Phi(h - t)
            = phi(sqrt(h^2 + t^2)) * (Y(h + t) - Y(h - t)),       h = x/s,  t = s/2,  x = -|log(forward / strike)|

with s the total volatility sigma * sqrt(years). The difference of Y is what must not cancel:

    Y(h + t) - Y(h - t) = 2 * integral_0^oo exp(h u - u^2/2) sinh(t u) du = 2 * sum_k t^(2k+1) / (2k+1)! * J_(2k+1),
    J_n = integral_0^oo u^n exp(h u - u^2/2) du,   J_0 = Y(h),  J_1 = 1 + h Y(h),  J_(n+1) = h J_n + n J_(n-1)

and d b / d s = phi(sqrt(h^2 + t^2)), so that b' / b is one over that difference at any depth out of the money.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

from numba import njit

ROOT_HALF = 0.7071067811865476
ROOT_HALF_PI = 1.2533141373155003
ROOT_TWO_PI = 2.5066282746310002
LOG_ROOT_TWO_PI = 0.9189385332046728
FAR = 38.0  # standard deviations: beyond them the normal density is zero for every use of ours (below 1e-313)
SERIES_BELOW = 0.25  # of min(1, 1/|h|): where t is smaller the series needs at most eight terms


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def erfcx_positive(z: float) -> float:
    """exp(z^2) * erfc(z) for 0 <= z < 1e150, to 1.2e-15 relative.

    (1 + 2z) * erfcx(z) as a polynomial in (z - 3) / (z + 3), the mapping of M. M. Shepherd and J. G. Laframboise, "Chebyshev
    Approximation of (1 + 2x) exp(x^2) erfc(x)", Math. Comp. 36 (1981); coefficients of a Chebyshev fit in 50 digits. It has no
    branch, so loops over it vectorise; in four interleaved sums, which do not wait for each other.
    """
    wide = 1.0 + 2.0 * z
    inverse = 1.0 / ((z + 3.0) * wide)  # one division for both: they are what this costs
    u = (z - 3.0) * wide * inverse
    v = u * u
    w = v * v
    p0 = 8.393734858690877e-10
    p0 = p0 * w + 4.1064013667940355e-08
    p0 = p0 * w + 3.5576086684080595e-07
    p0 = p0 * w + 4.949196649968345e-06
    p0 = p0 * w + 0.0018886903449991718
    p0 = p0 * w - 0.11927366341538638
    p0 = p0 * w + 1.2530080582697296
    p1 = -3.451497487664328e-11
    p1 = p1 * w - 1.3906145791730994e-08
    p1 = p1 * w - 6.175617678992323e-07
    p1 = p1 * w - 2.0100843094844725e-05
    p1 = p1 * w - 0.0007798322884823084
    p1 = p1 * w + 0.06830802734384515
    p1 = p1 * w - 0.1356211061245812
    p2 = -8.217595058711455e-09
    p2 = p2 * w - 1.4047654315428462e-07
    p2 = p2 * w - 7.308281468783614e-07
    p2 = p2 * w - 0.00010515971958448065
    p2 = p2 * w - 0.02377051491717134
    p2 = p2 * w - 0.0475622943534492
    p3 = 1.2019719440135793e-09
    p3 = p3 * w + 1.0277997488271058e-07
    p3 = p3 * w + 3.473024167841533e-06
    p3 = p3 * w + 0.0001250994355712812
    p3 = p3 * w + 0.0025293918180474668
    p3 = p3 * w + 0.12964515870276475
    p = (p0 + p1 * u) + v * (p2 + p3 * u)
    return p * (z + 3.0) * inverse


@njit(cache=True, error_model="numpy")
def normal_tail(d: float) -> float:
    """Phi(-d) for d >= 0."""
    return 0.5 * math.exp(-0.5 * d * d) * erfcx_positive(d * ROOT_HALF)


@njit(cache=True, error_model="numpy")
def normal_cdf(d: float) -> float:
    """Phi(d), with full relative accuracy in the lower tail."""
    if d < 0.0:
        return normal_tail(-d)
    return 1.0 - normal_tail(d)


@njit(cache=True, error_model="numpy")
def log_ratio(a: float, b: float) -> float:
    """log(a / b), accurate where a and b are close: their difference is exact there."""
    if 0.5 * b < a < 2.0 * b:
        return math.log1p((a - b) / b)
    return math.log(a / b)


@njit(cache=True, error_model="numpy")
def mills_difference(h: float, t: float) -> float:
    """Y(h + t) - Y(h - t) for h <= 0 < t and h + t <= 0, or for t that fits the series: positive, without cancellation."""
    depth = -h
    if t * max(1.0, depth) < SERIES_BELOW:
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
        total = j13 + w / 210.0 * j15
        total = j11 + w / 156.0 * total
        total = j9 + w / 110.0 * total
        total = j7 + w / 72.0 * total
        total = j5 + w / 42.0 * total
        total = j3 + w / 20.0 * total
        return 2.0 * t * (j1 + w / 6.0 * total)
    return ROOT_HALF_PI * (erfcx_positive((depth - t) * ROOT_HALF) - erfcx_positive((depth + t) * ROOT_HALF))


@njit(cache=True, error_model="numpy")
def normalised_black(x: float, s: float) -> float:
    """b(x, s): undiscounted out-of-the-money price over sqrt(forward * strike); x = -|log(forward / strike)|, s >= 0."""
    if s <= 0.0:
        return 0.0
    h = x / s
    t = 0.5 * s
    if h < -1e8:
        return 0.0
    density = math.exp(-0.5 * (h * h + t * t)) / ROOT_TWO_PI
    if h + t > 0.0 and t * max(1.0, -h) >= SERIES_BELOW:
        tails = erfcx_positive((h + t) * ROOT_HALF) + erfcx_positive((t - h) * ROOT_HALF)
        return math.exp(0.5 * x) - density * ROOT_HALF_PI * tails
    return density * mills_difference(h, t)
