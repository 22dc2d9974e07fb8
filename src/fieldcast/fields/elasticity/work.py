"""Resisting work and movement energy: what a move costs, in dollars.

    W(S0 → S) = −∫ H_Γ dS = ∫ (Δ(u) − Δ(S0)) du = V(S) − V(S0) − Δ(S0) (S − S0)

positive where dealers oppose the move and negative where they feed it, upwards and downwards alike: it is the gain of their
hedged book, so no quadrature is needed and no sign can be lost on the way down. With one hedged anchor it is additive,
W(a → b | S0) = V(b) − V(a) − Δ(S0) (b − a); a dealer who hedges again on the way starts a new anchor, and earns less.

    movement energy = W + cost of walking the book through the same move          (`depth`)
    asymmetry       = (E_down − E_up) / (|E_down| + |E_up|)                       in −1 … 1, positive: up is easier
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fieldcast.fields.books.ladders import Ladders
from fieldcast.fields.elasticity.depth import walk
from fieldcast.fields.elasticity.positions import Floats, HedgedBook
from fieldcast.ground import InvalidInput, Reason

ROUNDING = 16.0 * float(np.finfo(np.float64).eps)  # of the absolute terms of a sum: what their differences cannot know


@dataclass(frozen=True, slots=True)
class Work:
    """Dollars, and how much of them may be rounding."""

    dollars: float
    rounding: float
    conventions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """A value in −1 … 1, or why there is none."""

    value: float | None
    reason: Reason | None


@dataclass(frozen=True)
class MovementEnergy:
    """A move of the same size up and down."""

    name: str
    distance: float
    """Dollars."""
    dealer_up: Work
    dealer_down: Work
    book_up: float | None
    book_down: float | None
    book_reason: Reason | None
    """Why a cost of the book is unknown."""
    up: float | None
    down: float | None
    """Total energy in dollars: dealers alone where no book was given, else with the book's cost, and unknown where that is."""
    asymmetry: Asymmetry
    dealer_asymmetry: Asymmetry
    conventions: Mapping[str, str]

    @property
    def least(self) -> float | None:
        """The energy of the easier side, dollars: below 0 where dealers feed the move there; a barrier of `profile` never is."""
        return None if self.up is None or self.down is None else min(self.up, self.down)


def resisting_work(book: HedgedBook, end: float, *, start: float | None = None, anchor: float | None = None) -> Work:
    """Work against the dealers from `start` to `end`, the book being hedged at `anchor`.

    Parameters
    ----------
    end, start : prices; start None = the anchor
    anchor : the price at which the book was last hedged; None = its spot
    """
    hedged = book.spot if anchor is None else anchor
    begin = hedged if start is None else start
    prices = np.array([hedged, begin, end])
    found = book.at(prices)
    value, delta, size = found.value[0, 0], found.delta[0, 0, 0], found.size[0, 0]
    dollars = (value[2] - value[1]) - delta * (end - begin)
    terms = size[1] + size[2] + size[0] / hedged * abs(end - begin) + abs(delta * (end - begin))
    return Work(float(dollars), float(ROUNDING * terms), book.conventions)


def work_along(book: HedgedBook, prices: Floats) -> Floats:
    """(k,) work from the spot to each of many ascending prices."""
    grid = np.concatenate((prices, [book.spot]))
    order = np.unique(grid)
    found = book.on_grid(order)
    place, here = np.searchsorted(order, prices), int(np.searchsorted(order, book.spot))
    value, delta = found.value[0, 0], found.delta[0, 0, here]
    along: Floats = (value[place] - value[here]) - delta * (prices - book.spot)
    return along


def asymmetry(up: float, down: float, rounding: float = 0.0) -> Asymmetry:
    """(down − up) / (|down| + |up|); exactly 0 where they differ by no more than rounding, unknown where both are nothing."""
    whole = abs(up) + abs(down)
    if whole <= rounding:
        return Asymmetry(None, Reason.UNDEFINED)
    if abs(down - up) <= rounding:
        return Asymmetry(0.0, None)
    return Asymmetry((down - up) / whole, None)


def movement_energy(book: HedgedBook, distance: float, *, name: str = "move", depth: Ladders | None = None) -> MovementEnergy:
    """The energy of a move by `distance` dollars each way.

    Parameters
    ----------
    distance : above 0 and below the spot
    depth : both sides of the underlying's order book; None = the energy is that of the dealers alone

    Raises
    ------
    InvalidInput : a distance that leaves no price, or a book of something else
    """
    if not 0.0 < distance < book.spot:
        raise InvalidInput(f"expected a distance between 0 and the spot {book.spot:g}, found {distance}")
    above, below = resisting_work(book, book.spot + distance), resisting_work(book, book.spot - distance)
    up, down = walk(depth, 1, distance, book.spot), walk(depth, -1, distance, book.spot)
    rounding = above.rounding + below.rounding
    dealers = asymmetry(above.dollars, below.dollars, rounding)
    missing = up.reason or down.reason
    total_up: float | None = above.dollars
    total_down: float | None = below.dollars
    whole = dealers
    if depth is not None:
        total_up = None if up.cost is None else above.dollars + up.cost
        total_down = None if down.cost is None else below.dollars + down.cost
        whole = Asymmetry(None, missing)
        if total_up is not None and total_down is not None:
            whole = asymmetry(total_up, total_down, rounding)
    return MovementEnergy(
        name, distance, above, below, up.cost, down.cost, missing, total_up, total_down, whole, dealers, book.conventions
    )
