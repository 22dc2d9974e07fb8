"""Static arbitrage in quotes and in fitted surfaces: where, how many, how much.

In quotes, at prices at which one could trade (buy at the ask, sell at the bid; `mid=True`: at mids, which says how rough the
mids are, not what could be earned). Within an expiry call prices must fall in the strike by at most D a unit and be convex:

    vertical    bid(K₂) − ask(K₁) > 0, or bid(K₁) − ask(K₂) > D (K₂ − K₁), for K₁ < K₂ (puts mirrored)
    butterfly   bid(K) above the lower convex hull of all asks at K: the cheapest portfolio that pays as much
    calendar    bid(K₁, T₁)/(D₁F₁) above the hull of ask(K, T₂)/(D₂F₂) at the same moneyness, T₁ < T₂ (with known carry)

Each test compares a quote with every other one, not with its neighbours alone, in O(n). European prices only.

In a surface: Durrleman's g ≥ 0 and slopes at most 2 (butterflies), total variance non-decreasing at constant k (calendar), on the
slices and between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing.smiles import Surface
from fieldcast.pricing.svi import check_grid, durrleman

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PENNY_OF_PRICE = 1e-9  # rounding: an amount below this share of the strike is none
TOLERANCE = 1e-10  # of g and of relative total variance


@dataclass(frozen=True)
class Violations:
    """Quotes that take part in an arbitrage.

    Parameters
    ----------
    quotes : how many were looked at
    vertical, butterfly, calendar : how many of them violate
    vertical_amount, butterfly_amount, calendar_amount : the largest gain for one unit, in price units
    vertical_total, butterfly_total, calendar_total : sums over the quotes
    """

    quotes: int
    vertical: int = 0
    butterfly: int = 0
    calendar: int = 0
    vertical_amount: float = 0.0
    butterfly_amount: float = 0.0
    calendar_amount: float = 0.0
    vertical_total: float = 0.0
    butterfly_total: float = 0.0
    calendar_total: float = 0.0

    def __add__(self, other: Violations) -> Violations:
        def total(name: str) -> float:
            a, b = float(getattr(self, name)), float(getattr(other, name))
            both = max(a, b) if name.endswith("_amount") else a + b
            return both if name.endswith(("_amount", "_total")) else int(both)

        return Violations(**{name: total(name) for name in self.__dataclass_fields__})  # type: ignore[arg-type]

    @property
    def count(self) -> int:
        """Violations of any kind."""
        return self.vertical + self.butterfly + self.calendar


def check_quotes(
    strike: Floats, bid: Floats, ask: Floats, is_call: Flags, discount: float, *, mid: bool = False
) -> Violations:
    """Vertical spreads and butterflies of one expiry; calls and puts each by themselves.

    Parameters
    ----------
    strike, bid, ask : (n,) of European quotes, without missing ones
    is_call : (n,)
    discount : of the expiry
    mid : take the mid for both sides

    Raises
    ------
    InvalidInput : a price that is not finite, or two quotes of one strike and right
    """
    if not (np.isfinite(strike).all() and np.isfinite(bid).all() and np.isfinite(ask).all() and discount > 0):
        raise InvalidInput("expected finite strikes, bids and asks and a discount factor above zero; filter the quotes first")
    result = Violations(0)
    for call in (True, False):
        rows = np.flatnonzero(np.asarray(is_call) == call)
        rows = rows[np.argsort(strike[rows], kind="stable")]
        if rows.size == 0:
            continue
        k, low, high = strike[rows], bid[rows], ask[rows]
        if (np.diff(k) <= 0).any():
            raise InvalidInput("expected one quote a strike and right, found two")
        if mid:
            low = high = 0.5 * (low + high)
        if not call:  # mirrored, a put rises in the strike as a call falls
            k, low, high = -k[::-1], low[::-1], high[::-1]
        result = result + _of_calls(k, low, high, discount)
    return result


def _of_calls(strike: Floats, bid: Floats, ask: Floats, discount: float) -> Violations:
    """Ascending strikes, prices that should fall by at most `discount` a unit and be convex."""
    least = PENNY_OF_PRICE * np.abs(strike)
    beyond = np.append(np.maximum.accumulate(bid[::-1])[::-1][1:], -np.inf)
    gain = beyond - ask  # sell a higher strike, buy this one
    steep = ask + discount * strike
    cheapest = np.append(np.minimum.accumulate(steep[::-1])[::-1][1:], np.inf)
    gain = np.maximum(gain, bid + discount * strike - cheapest)
    vertical = np.where(gain > least, gain, 0.0)
    over = bid - _hull(strike, ask)(strike)
    butterfly = np.where(over > least, over, 0.0)
    return Violations(
        len(strike), int((vertical > 0).sum()), int((butterfly > 0).sum()), 0,
        float(vertical.max(initial=0.0)), float(butterfly.max(initial=0.0)), 0.0,
        float(vertical.sum()), float(butterfly.sum()), 0.0,
    )


class _hull:  # noqa: N801
    """The lower convex hull of points, as a function; +inf outside."""

    def __init__(self, x: Floats, y: Floats) -> None:
        kept: list[int] = []
        for i in range(len(x)):
            while len(kept) > 1:
                a, b = kept[-2], kept[-1]
                if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                    break
                kept.pop()
            kept.append(i)
        self.x, self.y = x[kept], y[kept]

    def __call__(self, x: Floats) -> Floats:
        return np.asarray(np.interp(x, self.x, self.y, left=np.inf, right=np.inf))


@dataclass(frozen=True)
class ExpiryQuotes:
    """European quotes of one right and expiry, ascending strikes, with its forward."""

    years: float
    forward: float
    discount: float
    strike: Floats
    bid: Floats
    ask: Floats


def check_calendar(earlier: ExpiryQuotes, later: ExpiryQuotes, *, mid: bool = False) -> Violations:
    """Calendar arbitrage between two expiries of one right (all calls or all puts), amounts in units of the earlier one's price.

    Raises
    ------
    InvalidInput : the times do not ascend
    """
    if not earlier.years < later.years:
        raise InvalidInput(f"expected the earlier expiry first, found {earlier.years} and {later.years} years")
    sides = [(0.5 * (e.bid + e.ask),) * 2 if mid else (e.bid, e.ask) for e in (earlier, later)]
    unit = earlier.discount * earlier.forward
    hull = _hull(later.strike / later.forward, sides[1][1] / (later.discount * later.forward))
    gain = sides[0][0] - unit * hull(earlier.strike / earlier.forward)
    gain = np.where(gain > PENNY_OF_PRICE * earlier.strike, gain, 0.0)
    return Violations(
        len(gain), calendar=int((gain > 0).sum()), calendar_amount=float(gain.max(initial=0.0)), calendar_total=float(gain.sum())
    )


@dataclass(frozen=True)
class SurfaceCheck:
    """What a surface offers an arbitrageur, over a grid.

    Parameters
    ----------
    points : (expiry or time between, k) pairs looked at
    butterfly, calendar : how many violate
    worst_g : smallest Durrleman value; below zero: a negative density
    worst_growth : smallest relative growth of total variance from one time to the next
    steepest : largest wing slope; above 2 contradicts Lee
    """

    points: int
    butterfly: int
    calendar: int
    worst_g: float
    worst_growth: float
    steepest: float

    @property
    def is_free(self) -> bool:
        """Nothing was found."""
        return self.butterfly == 0 and self.calendar == 0 and self.steepest <= 2


def check_surface(surface: Surface, between: int = 2, points: int = 401) -> SurfaceCheck:
    """Butterflies and calendar arbitrage on each slice and at `between` times in every gap.

    Parameters
    ----------
    between : times added in each gap, where total variance is interpolated; 0 looks at the slices alone
    points : of the grid in k, which reaches three times the quoted range and gathers around each vertex
    """
    slices = surface.slices
    reach = max(3 * max(abs(s.low), abs(s.high)) for s in surface.smiles)
    k = check_grid(slices[:1], reach, points)
    k = np.unique(np.concatenate([k, *(s.m + s.sigma * np.linspace(-6, 6, 41) for s in slices)]))
    k = k[np.abs(k) <= reach]
    w, first, second = (np.array(part) for part in zip(*(s.derivatives(k) for s in slices), strict=True))
    times = surface.years
    rows = [(w[0], first[0], second[0])]
    for i in range(1, len(times)):
        for j in range(1, between + 2):
            share = j / (between + 1)
            rows.append(tuple((1 - share) * x[i - 1] + share * x[i] for x in (w, first, second)))
    g = np.array([durrleman(k, *row) for row in rows])
    level = np.array([row[0] for row in rows])
    growth = level[1:] / level[:-1] - 1 if len(rows) > 1 else np.empty((0, len(k)))
    return SurfaceCheck(
        g.size, int((g < -TOLERANCE).sum()), int((growth < -TOLERANCE).sum()), float(g.min()),
        float(growth.min(initial=np.inf)), max(max(s.slopes) for s in slices),
    )
