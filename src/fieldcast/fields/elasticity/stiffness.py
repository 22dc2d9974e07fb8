"""Directional elasticity: how stiffly the price is held against a move up, and against one down.

    k(S) = −dH/dS + depth density = Γ_dealer(S) + density            [units of the underlying per 1.00 of price]

k > 0 steadies the price, k < 0 lets a move feed itself. A side's k is the one-sided difference over a declared move m,
(Δ(S0 ± m) − Δ(S0)) / (±m), the mean of Γ over that side, with the density of that side of the visible book. An order of Q units
moves the price by Q / k; against a book without dealers that is `acceleration` = density / k times as far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fieldcast.fields.books.ladders import Ladders
from fieldcast.fields.elasticity.depth import walk
from fieldcast.fields.elasticity.positions import HedgedBook
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True)
class SideElasticity:
    """One side, in units of the underlying per 1.00 of price."""

    dealer: float
    density: float | None
    total: float | None
    """Dealers alone where no book was given; unknown where a book was given and does not reach as far."""
    acceleration: float | None
    """How much further an order moves the price than without dealers; unknown without a book, and where k is not positive."""
    reason: Reason | None
    """Why the density is unknown."""


@dataclass(frozen=True)
class DirectionalElasticity:
    """Both sides over a move of `distance` dollars, and the dealers' elasticity at the spot itself."""

    distance: float
    local: float
    up: SideElasticity
    down: SideElasticity
    spot: float
    conventions: Mapping[str, str]

    def dollars_per_percent(self, elasticity: float) -> float:
        """Units per 1.00 of price as dollars that must be traded for a move of 1 %."""
        return elasticity * self.spot**2 * 0.01


def directional_elasticity(book: HedgedBook, distance: float, *, depth: Ladders | None = None) -> DirectionalElasticity:
    """Elasticity at the spot, upwards and downwards.

    Parameters
    ----------
    distance : dollars, above 0 and below the spot
    depth : both sides of the underlying's order book, or None

    Raises
    ------
    InvalidInput : a distance that leaves no price, or a book of something else
    """
    if not 0.0 < distance < book.spot:
        raise InvalidInput(f"expected a distance between 0 and the spot {book.spot:g}, found {distance}")
    found = book.at([book.spot - distance, book.spot, book.spot + distance])
    low, here, high = found.delta[0, 0]
    sides = []
    for direction, dealer in ((1, (high - here) / distance), (-1, (here - low) / distance)):
        seen = walk(depth, direction, distance, book.spot)
        total = float(dealer) if depth is None else None
        acceleration = None
        if seen.density is not None:
            total = float(dealer) + seen.density
            acceleration = seen.density / total if total > 0.0 else None
        sides.append(SideElasticity(float(dealer), seen.density, total, acceleration, seen.reason))
    return DirectionalElasticity(distance, float(found.gamma[0, 0, 1]), sides[0], sides[1], book.spot, book.conventions)
