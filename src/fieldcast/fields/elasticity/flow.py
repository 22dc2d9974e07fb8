"""Hedge flow: the units of the underlying that dealers must buy to stay hedged when price, volatility and time move.

From the anchor S0, with Δ of `positions` (positive flow = dealers buy):

    gamma   H_Γ(S) = −(Δ(S, σ, T) − Δ(S0, σ, T))                        the price moves
    vanna   H_v(S) = −(Δ(S, σ', T) − Δ(S, σ, T)),   σ' = σ + β ln(S/S0)  volatility follows the price
    charm   H_t(S) = −(Δ(S, σ', T − t) − Δ(S, σ', T))                   t passes

The three are re-priced one after the other, so that they add up to the whole without a rest. β, in volatility points for +1 % of
the price, is a fitted thing and arrives as a parameter (`fields.dealer.vanna.SpotVolBeta`); without it the vanna flow is unknown
and charm is read at σ. What expires within t is taken to its last moment: the
unwinding of hedges at settlement is no flow of this kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.elasticity.positions import Floats, HedgedBook
from fieldcast.ground import InvalidInput


class Beta(Protocol):
    """How volatility answers the price, and where the figure comes from."""

    @property
    def points_per_percent(self) -> float:
        """Volatility points for +1 % of the price."""

    @property
    def source(self) -> str:
        """Where it was fitted."""


@dataclass(frozen=True, eq=False)
class HedgeFlow:
    """Flows to k prices, in units of the underlying, positive where dealers buy."""

    prices: Floats
    gamma: Floats
    vanna: Floats | None
    """None where no beta was given."""
    charm: Floats
    days: float
    """Calendar days that pass in `charm`."""
    conventions: Mapping[str, str]

    @property
    def total(self) -> Floats:
        """The sum of the parts that are known."""
        known = self.gamma + self.charm
        return known if self.vanna is None else known + self.vanna


def hedge_flow(
    book: HedgedBook,
    prices: ArrayLike,
    *,
    anchor: float | None = None,
    beta: Beta | None = None,
    days: float = 1.0,
) -> HedgeFlow:
    """Flows from the anchor to each price.

    Parameters
    ----------
    prices : (k,)
    anchor : the price at which the book is hedged; None = its spot
    beta : how volatility answers the price; None where nobody fitted it
    days : calendar days that pass, at least 0

    Raises
    ------
    InvalidInput : out of range
    """
    slope = 0.0 if beta is None else beta.points_per_percent
    if not isfinite(slope):
        raise InvalidInput(f"expected a finite beta, found {slope}")
    price = np.atleast_1d(np.asarray(prices, np.float64))
    start = book.spot if anchor is None else anchor
    here = book.at(start).delta[0, 0, 0]
    sticky = book.at(price).delta[0, 0]
    moved = np.empty((price.size, 2))
    for k, one in enumerate(price):
        answered = book if slope == 0.0 else book.with_volatility(slope * log(one / start))
        moved[k] = answered.at(one, 0.0, [0.0, days], keep_expired=True).delta[:, 0, 0]
    lines = book.parity_delta(days) - book.parity_delta()
    vanna = None if beta is None else -(moved[:, 0] - sticky)
    return HedgeFlow(price, -(sticky - here), vanna, -(moved[:, 1] - moved[:, 0] + lines), days, book.conventions)
