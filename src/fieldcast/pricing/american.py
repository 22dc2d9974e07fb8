"""American options, by spectral collocation of the exercise boundary (`_kernels_american`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing._arrays import Floats, Inputs, gather, refuse, refuse_exponents, row_of, spread
from fieldcast.pricing.black_scholes import NAMES
from fieldcast.pricing.greeks import Greeks

VOLATILITY_STEP = 0.03  # of sigma
SPOT_STEP = 0.03  # of sigma sqrt(T)
FIRST = (-1 / 60, 9 / 60, -45 / 60, 0.0, 45 / 60, -9 / 60, 1 / 60)  # differences over seven points: weights of the derivatives
SECOND = (2 / 180, -27 / 180, 270 / 180, -490 / 180, 270 / 180, -27 / 180, 2 / 180)
THIRD = (1 / 8, -8 / 8, 13 / 8, 0.0, -13 / 8, 8 / 8, -1 / 8)
LARGEST_EXPONENT = 600.0
UNSETTLED = 1e-5  # relative change of the boundary in its last step: beyond it no price is given; 1e-5 moves a price by 1e-10


@dataclass(frozen=True)
class Collocation:
    """How finely an American price is computed.

    Parameters
    ----------
    nodes : of the boundary, beside expiry itself
    boundary_angles : of the integrals at each node, more than `nodes`
    price_angles, price_reach : of the price's integral; the reach is where tanh-sinh stops
    """

    nodes: int
    boundary_angles: int
    price_angles: int
    price_reach: float


FINE = Collocation(20, 32, 121, 3.6)  # within 1e-8 of the strike
QUICK = Collocation(6, 12, 41, 3.2)  # a seventh of the time: within 5e-6 of spot or strike, the larger; median 2e-8


@cache
def _rules(how: Collocation) -> tuple[Floats, Floats, Floats, Floats]:
    """Nodes, angles and interpolation weights of every solution: (rule, angles, between, at) of `fill_american`."""
    nodes = how.nodes
    roots = 0.5 * (1.0 - np.cos(np.pi * np.arange(nodes + 1) / nodes))
    y, weights = np.polynomial.legendre.leggauss(how.boundary_angles)
    angle = np.pi / 4.0 * (y + 1.0)
    rule = np.zeros((4, how.boundary_angles))
    rule[0, :], rule[1, :], rule[2, :] = np.sin(angle), np.cos(angle), weights * np.pi / 4.0
    rule[3, : nodes + 1] = roots
    # tanh-sinh: nodes crowd doubly exponentially at both ends, where a spot beside the boundary needs them
    step = np.linspace(-how.price_reach, how.price_reach, how.price_angles)
    rest = 1.0 / (1.0 + np.exp(np.pi * np.sinh(step)))  # share of the quarter turn that is left
    width = np.pi / 2.0 * rest * (1.0 - rest) * np.pi * np.cosh(step) * (step[1] - step[0])
    angles = np.stack([np.sin(np.pi / 2.0 / (1.0 + np.exp(-np.pi * np.sinh(step)))), np.sin(np.pi / 2.0 * rest), width])
    between = np.stack([_cardinals(roots, root * rule[0]) for root in roots[1:]])
    return rule, angles, between, _cardinals(roots, angles[0])


def _cardinals(roots: Floats, points: Floats) -> Floats:
    """(points, nodes) weights of the polynomial through the Chebyshev nodes `roots`, in barycentric form."""
    signs = (-1.0) ** np.arange(roots.size)
    signs[0] *= 0.5
    signs[-1] *= 0.5
    gaps = points[:, None] - roots[None, :]
    exact = gaps == 0.0
    gaps[exact] = 1.0
    terms = signs / gaps
    rows = exact.any(axis=1)
    terms[rows] = exact[rows]
    return np.ascontiguousarray(terms / terms.sum(axis=1, keepdims=True))


def american_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
    *,
    how: Collocation = FINE,
) -> Floats:
    """Price of American options, in the currency of the spot; arguments as in `bsm_price`.

    Parameters
    ----------
    how : `FINE`, or `QUICK` where many prices of less accuracy serve better; an option whose boundary does not settle on the
        quick nodes is computed on the fine ones

    Returns
    -------
    prices in the common shape of the arguments, within 1e-8 of the strike (median 1e-11) if fine; never NaN

    Raises
    ------
    InvalidInput : as `bsm_price`; and where an option has two exercise boundaries (a put with dividend_yield < rate < 0,
        a call with rate < dividend_yield < 0), which are not modelled
    """
    given = gather(dict(zip(NAMES, (spot, strike, years, rate, dividend_yield, sigma), strict=True)), is_call)
    return price_block(given, how)[:, 0].reshape(given.shape)


def premium_over_strikes(
    spot: float, strike: Floats, years: float, rate: float, dividend_yield: float, sigma: Floats, is_call: bool, nodes: int
) -> Floats:
    """Early-exercise premium of the strikes of one expiry and side: American less European price, at or above 0.

    Up to `nodes` strikes are computed one by one; of more, as many and between them a monotone cubic, each node at the median
    volatility of the five strikes around it. Premiums below 1e-7 of the strike are 0; others are `QUICK`.

    Parameters
    ----------
    strike, sigma : (n,) contiguous

    Returns
    -------
    (n,) in the currency of the spot

    Raises
    ------
    InvalidInput : as `american_price`
    """
    from fieldcast.pricing import _kernels_premium as kernels

    out = np.empty(strike.size)
    sound = 0 < spot < np.inf and 0 < years < np.inf and max(abs(rate), abs(dividend_yield)) * years <= LARGEST_EXPONENT
    if sound and bool(((strike > 0) & (strike < np.inf) & (sigma > 0) & (sigma < np.inf)).all()):
        given = spot, strike, years, rate, dividend_yield, sigma, is_call
        if kernels.fill_premium(*given, nodes, UNSETTLED, *_rules(QUICK), out):
            return out
    # what the quick way does not do, or the words for what is wrong with it
    from fieldcast.pricing.black_scholes import bsm_price

    fine = american_price(spot, strike, years, rate, dividend_yield, sigma, is_call)
    return np.maximum(fine - np.asarray(bsm_price(spot, strike, years, rate, dividend_yield, sigma, is_call)), 0.0)


def american_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """Price and Greeks of American options; arguments and errors as in `american_price`.

    Delta and gamma are exact derivatives of the premium's integral. Those in volatility, in rate and beyond gamma in the spot are
    central differences of these (sixth order in relative steps of 3 % of sigma and `SPOT_STEP` of a deviation; rate ±1e-4, second
    order; one-sided where the other side is exercised). Theta, charm, color and veta follow from the pricing equation

        theta = r V - (r - q) S delta - sigma^2 S^2 gamma / 2

    which holds wherever the option is kept. Where it is to be exercised at once, at expiry and without volatility, everything
    beyond delta is 0.

    Returns
    -------
    `Greeks` (units there), arrays in the common shape of the arguments; no NaN
    """
    given = gather(dict(zip(NAMES, (spot, strike, years, rate, dividend_yield, sigma), strict=True)), is_call)
    s, k, t, r, q, v = (np.broadcast_to(c, given.size) for c in given.columns)
    call = np.broadcast_to(given.is_call, given.size)

    def solved(s: Floats, r: Floats, v: Floats) -> Floats:
        return price_block(gather(dict(zip(NAMES, (s, k, t, r, q, v), strict=True)), call)).T

    here = solved(s, r, v)
    price, delta, gamma = here
    kept = (v > 0.0) & (t > 0.0) & ~((np.abs(delta) == 1.0) & (gamma == 0.0))

    # in volatility
    h = np.where(v > 0.0, VOLATILITY_STEP * v, 1.0)
    along = [here if m == 0 else solved(s, r, np.where(v > 0.0, v + m * h, v)) for m in range(-3, 4)]
    vega, vanna, zomma = sum(w * f for w, f in zip(FIRST, along, strict=True)) / h
    vomma = sum(w * f[0] for w, f in zip(SECOND, along, strict=True)) / h**2
    ultima = sum(w * f[0] for w, f in zip(THIRD, along, strict=True)) / h**3

    # in the spot: away from the side that is exercised, where the stencil would reach into it
    h = s * np.clip(SPOT_STEP * v * np.sqrt(t), 1e-5, 0.02)
    blocks = [here if m == 0 else solved(s + m * h, r, v) for m in range(-3, 4)]
    side = np.stack([b[2] for b in blocks])
    inside = (side != 0.0).all(axis=0)
    speed = sum(w * f for w, f in zip(FIRST, side, strict=True)) / h
    bend = sum(w * f for w, f in zip(SECOND, side, strict=True)) / h**2
    one, two = np.where(call, side[2], side[4]), np.where(call, side[1], side[5])
    away = np.where(call, -h, h)
    speed = np.where(inside, speed, (-1.5 * gamma + 2.0 * one - 0.5 * two) / away)
    bend = np.where(inside, bend, (gamma - 2.0 * one + two) / h**2)

    # in the rate: from above where below it there are two boundaries
    step = 1e-4
    double = np.where(call, (q < 0.0) & (r - step < q), (r - step < 0.0) & (q < r - step))
    up, up2 = solved(s, r + step, v)[0], solved(s, r + 2.0 * step, v)[0]
    down = solved(s, np.where(double, r, r - step), v)[0]
    rho = np.where(double, (-1.5 * price + 2.0 * up - 0.5 * up2) / step, (up - down) / (2.0 * step))

    square = (v * s) ** 2
    drift = (r - q) * s
    theta = r * price - drift * delta - 0.5 * square * gamma
    charm = r * delta - (r - q) * (delta + s * gamma) - v**2 * s * gamma - 0.5 * square * speed
    color = r * gamma - (r - q) * (2.0 * gamma + s * speed) - v**2 * (gamma + 2.0 * s * speed) - 0.5 * square * bend
    veta = r * vega - drift * vanna - v * s**2 * gamma - 0.5 * square * zomma
    beyond = (vega, theta, rho, vanna, charm, vomma, speed, zomma, color, veta, ultima)
    return Greeks(*(a.reshape(given.shape) for a in (price, delta, gamma, *(np.where(kept, b, 0.0) for b in beyond))))


def american_implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
) -> tuple[Floats, NDArray[np.int8]]:
    """Volatilities at which `american_price` gives the prices.

    Parameters
    ----------
    price : of the option today, in the currency of the spot; NaN where unknown
    others : as in `american_price`

    Returns
    -------
    sigma : per square root of a year; NaN exactly where status is not `ok`
    status : codes of `ImpliedStatus`; `at_intrinsic` also where the price is that of exercise at once, which a whole range of
        volatilities gives

    Raises
    ------
    InvalidInput : as `american_price`
    """
    from fieldcast.pricing import _kernels_american as kernels

    names = ("price", *NAMES[:5])
    given = gather(dict(zip(names, (price, spot, strike, years, rate, dividend_yield), strict=True)), is_call)
    sigma = np.empty(given.size)
    status = np.empty(given.size, dtype=np.int8)
    settled = np.empty(given.size)
    rules = _rules(FINE)
    bad = spread(
        lambda first, last: row_of(
            kernels.fill_implied, *given.columns, given.is_call, given.steps, *rules, first, last, sigma, status, settled
        ),
        given.size,
        8,
    )
    if bad >= 0:
        _refuse(given, names, bad)
    _refuse_unsettled(given, names, settled)
    return sigma.reshape(given.shape), status.reshape(given.shape)


def price_block(given: Inputs, how: Collocation = FINE) -> Floats:
    """(n, 3) price, delta and gamma of gathered options; errors as in `american_price`."""
    from fieldcast.pricing import _kernels_american as kernels

    block = np.empty((given.size, kernels.WIDTH))

    def fill(rules: tuple[Floats, ...], first: int, last: int) -> int:
        return row_of(kernels.fill_american, *given.columns, given.is_call, given.steps, *rules, first, last, block)

    least = 64 if how == FINE else 512
    bad = spread(lambda first, last: fill(_rules(how), first, last), given.size, least)
    if bad >= 0:
        _refuse(given, NAMES, bad)
    if how != FINE:
        for row in np.flatnonzero(~(block[:, kernels.SETTLED_AT] < UNSETTLED)).tolist():
            fill(_rules(FINE), row, row + 1)
    _refuse_unsettled(given, NAMES, block[:, kernels.SETTLED_AT])
    return block[:, :3]


def _refuse(given: Inputs, names: tuple[str, ...], row: int) -> None:
    """Raise for the row that a kernel would not price."""
    refuse(given, names, positive=("spot", "strike"), signed=("rate", "dividend_yield"), free=("price",))
    rate, carry = (given.columns[k][row * given.steps[k]] for k in (names.index("rate"), names.index("dividend_yield")))
    call = bool(given.is_call[row * given.steps[-1]])
    if (carry < 0.0 and rate < carry) if call else (rate < 0.0 and carry < rate):
        raise InvalidInput(
            f"expected one exercise boundary, found two in option {row}: a {'call' if call else 'put'} with rate {rate:g} and "
            f"dividend_yield {carry:g}; price it as European, or leave it out"
        )
    refuse_exponents(given, names, LARGEST_EXPONENT)


def _refuse_unsettled(given: Inputs, names: tuple[str, ...], changes: Floats) -> None:
    """Raise where the boundary did not settle: no price is better than a wrong one."""
    unsettled = ~(changes < UNSETTLED)
    if unsettled.any():
        row = int(np.argmax(unsettled))
        option = ", ".join(f"{n} {c[row * s]:g}" for n, c, s in zip(names, given.columns, given.steps, strict=False))
        raise InvalidInput(f"expected an exercise boundary that settles, found none in option {row}: {option}")
