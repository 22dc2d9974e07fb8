"""The elasticity surface: energy and elasticity of the dealers' book over price, volatility and time.

At every node (price S, relative change of all volatilities v, days passed t), with the book re-priced there:

    energy E(S, v, t) = V(S) − V(S0) − Δ(S0) (S − S0)   at (v, t)        [dollars; 0 at S0]
    elasticity k(S, v, t) = Γ(S)   at (v, t)                              [units of the underlying per 1.00 of price]

The declared domain is prices within `reach` of the spot, changes of volatility above −100 % and days from 0 on. Every node of it
has a value: contracts that expire on the way drop out, and where none is left both are 0, because nobody hedges any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fieldcast.fields.elasticity.positions import YEAR, Floats, HedgedBook
from fieldcast.ground import IntegrityError, InvalidInput


@dataclass(frozen=True)
class SurfaceGrid:
    """The declared domain.

    Parameters
    ----------
    prices : how many, an odd number of at least 3: the spot is the middle one
    reach : of log(price / spot) on either side; 0.1 is about ±10 %, the width of the 7 and 13 % halts of US markets
    shifts : relative changes of every volatility, ascending
    days : calendar days that have passed, ascending
    """

    prices: int = 41
    reach: float = 0.10
    shifts: tuple[float, ...] = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)
    days: tuple[float, ...] = (0.0, 1.0, 2.0, 5.0, 10.0)

    def __post_init__(self) -> None:
        if self.prices < 3 or self.prices % 2 == 0:
            raise InvalidInput(f"expected an odd number of prices, at least 3, found {self.prices}")
        if not 0.0 < self.reach <= 2.0:
            raise InvalidInput(f"expected a reach of log(price / spot) in (0, 2], found {self.reach}")
        for name, values, least in (("shifts", self.shifts, -1.0), ("days", self.days, -1e-300)):
            array = np.asarray(values, np.float64)
            if array.size == 0 or not np.isfinite(array).all() or (np.diff(array) <= 0).any() or array[0] <= least:
                raise InvalidInput(f"expected ascending {name} within their range, found {values}")


@dataclass(frozen=True, eq=False)
class ElasticitySurface:
    """Arrays (days, shifts, prices) over the grid's axes."""

    prices: Floats
    shifts: Floats
    days: Floats
    energy: Floats
    """Dollars."""
    elasticity: Floats
    """Units of the underlying per 1.00 of price."""
    expired: Floats
    """(days,) share of the book's absolute weight that has dropped out."""
    conventions: Mapping[str, str]


def elasticity_surface(book: HedgedBook, grid: SurfaceGrid | None = None) -> ElasticitySurface:
    """The book over the declared domain.

    Raises
    ------
    IntegrityError : a node came out as no number; nothing of the surface is given then
    """
    grid = grid or SurfaceGrid()
    half = grid.prices // 2
    moves = np.arange(-half, half + 1) / half * grid.reach
    prices = book.spot * np.exp(moves)
    prices[half] = book.spot
    shifts, days = np.asarray(grid.shifts, np.float64), np.asarray(grid.days, np.float64)
    found = book.on_grid(prices, shifts, days)
    value, delta = found.value, found.delta[..., half]
    energy = (value - value[..., half, None]) - delta[..., None] * (prices - book.spot)
    if not (np.isfinite(energy).all() and np.isfinite(found.gamma).all()):
        raise IntegrityError("expected a number at every node of the surface, found others; check the priced chain")
    weight, years = np.abs(book.lines[6]), book.lines[1]
    gone = np.array([weight[years <= day / YEAR].sum() for day in days]) / weight.sum()
    return ElasticitySurface(prices, shifts, days, energy, found.gamma, gone, book.conventions)
