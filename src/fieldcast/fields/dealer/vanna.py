"""VannaField: what a move of volatility does to the dealers' delta, and how far it absorbs the hedging that a move of spot
asks for.

Volatility falls when an index rises. With a beta of b volatility points for each +1 % of spot, a move from S to x brings every
volatility b · 100 · ln(x/S) points, and the dealers' delta changes by

    gamma's part   D(x, σ) − D(S, σ)             (to be hedged: dealers sell what the book gained)
    vanna's part   D(x, σ + b·ln(x/S)) − D(x, σ)

both re-priced (D: shares of delta). The shock absorber is the share of gamma's part that vanna's takes back for a small move,

    absorber = − b · VEX / GEX                   1: no hedging is needed; below 0: vanna adds to it

The beta is fitted elsewhere and arrives here frozen, with its source; without one the absorber is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.fields.dealer.gamma import as_spots
from fieldcast.fields.dealer.units import SMALLEST_SIGMA
from fieldcast.fields.priced_chain import Floats
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True)
class SpotVolBeta:
    """How volatility answers the spot.

    Parameters
    ----------
    points_per_percent : volatility points for +1 % of spot; below zero for share indices
    source : where the figure comes from; it is stamped
    """

    points_per_percent: float
    source: str

    def __post_init__(self) -> None:
        if not np.isfinite(self.points_per_percent) or not self.source.strip():
            raise InvalidInput(f"expected a finite beta and its source, found {self.points_per_percent} and {self.source!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class VannaField(Stamped):
    """Vanna at the spot, and the shock of a move with its answer in volatility.

    Parameters
    ----------
    net, gross : dollars of delta per volatility point
    above, below : parts of `net` from strikes at or above the spot, and below
    beta : the one used; None: unknown
    absorber : share of gamma's hedging that vanna takes back; None with a reason
    spots : (k,) where the shock is re-priced; empty without a beta
    gamma_part, vanna_part : (k,) shares of delta gained by the move at held volatility, and by volatility's answer
    reasons : quantity → why it is unknown
    """

    net: float
    gross: float
    above: float
    below: float
    beta: SpotVolBeta | None
    absorber: float | None
    spots: Floats
    gamma_part: Floats
    vanna_part: Floats
    reasons: Mapping[str, Reason] = field(default_factory=dict)


def vanna_field(book: Book, beta: SpotVolBeta | None = None, spots: ArrayLike | None = None) -> VannaField:
    """Vanna of a book and, with a beta, the shock of a move.

    Parameters
    ----------
    spots : (k,) ascending, where the shock is re-priced; by default 11 from −5 % to +5 %

    Raises
    ------
    InvalidInput : spots that are not ascending and above zero
    """
    here = book.exposures
    upper = book.lines.strike >= book.spot
    net, gex = float(here.vex.sum()), float(here.gex.sum())
    reasons: dict[str, Reason] = {}
    absorber, at, parts = None, np.empty(0), np.empty((2, 0))
    if beta is None:
        reasons = {"absorber": Reason.COVARIATE_MISSING, "shock": Reason.COVARIATE_MISSING}
    else:
        at = as_spots(book, book.spot * np.linspace(0.95, 1.05, 11) if spots is None else spots)
        parts = _shock(book, beta, at)
        if gex == 0:
            reasons = {"absorber": Reason.UNDEFINED}
        else:
            absorber = -beta.points_per_percent * net / gex
    return VannaField(
        conventions=book.conventions,
        net=net,
        gross=float(np.abs(here.vex).sum()),
        above=float(here.vex[upper].sum()),
        below=float(here.vex[~upper].sum()),
        beta=beta,
        absorber=absorber,
        spots=at,
        gamma_part=parts[0],
        vanna_part=parts[1],
        reasons=reasons,
    )


def _shock(book: Book, beta: SpotVolBeta, spots: Floats) -> Floats:
    """(2, k) shares gained at held volatility, and by volatility's answer."""
    from fieldcast.fields.dealer import _kernels as kernels

    lines = book.lines
    given = book.weight, book.puts, lines.strike, lines.years, lines.rate, lines.carry, lines.sigma
    now = np.zeros((1, len(lines)))

    def delta(at: Floats, shift: float) -> Floats:
        out = np.zeros((1, 1, 4, at.size))
        kernels.fill_grid(*given, at, np.array([shift]), now, SMALLEST_SIGMA, False, 0, 1, out)
        return np.asarray(out[0, 0, 0], np.float64)

    start = delta(np.array([book.spot]), 0.0)[0]
    held = delta(spots, 0.0)
    answer = beta.points_per_percent * np.log(spots / book.spot)  # points a per cent are volatility a unit of log spot
    moved = np.concatenate([delta(spots[i : i + 1], float(shift)) for i, shift in enumerate(answer)])
    return np.stack([held - start, moved - held])
