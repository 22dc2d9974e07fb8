"""Slippage out of the state of liquidity: the depth of the book, illiquidity, movement energy.

An order of notional Q that moves the price linearly from 0 to x pays half of x on average. Three figures give x:

    depth       D stands within d of the mid, evenly:      x = d * Q / D,                slippage = d * Q / (2 D)
    illiquidity Amihud's a = |log return| per 1e9 traded:  x = a * Q / 1e9,              slippage = a * Q / 2e9
    energy      E dollars move the price by m, as a spring: E x² / m² = Q * slippage,    slippage = Q * m² / (4 E)

The third agrees with the first where nothing but the book resists: walking it to d costs E = D d / 2. With several figures the
largest slippage counts. None of them can fall when depth falls, when illiquidity rises or when less energy resists. Beyond
the depth that is seen the density is taken to go on, which is the kindest that a book can be.

Sources: `fields/books` (depth), `fields/liquidity/impact.py` (Amihud 2002), `fields/elasticity/work.py` (movement energy).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.trading.costs.impact import BPS
from fieldcast.trading.orders import Side

AMIHUD_SCALE = 1e9
ENERGY_MOVE_BPS = 100.0  # of `energy_up_1pct` and `energy_down_1pct`
_DEPTH = {side: re.compile(rf"book_depth_{name}_([0-9.]+)bps") for side, name in ((Side.BUY, "ask"), (Side.SELL, "bid"))}


@dataclass(frozen=True, slots=True)
class LiquidityState:
    """What is known of the side that an order trades against; None where it is not.

    Parameters
    ----------
    depth_notional, depth_bps : notional within that distance of the mid
    amihud : mean |log return| per 1e9 of notional traded
    energy_dollars, energy_move_bps : dollars that resist a move of that size

    Raises
    ------
    InvalidInput : a figure is not finite or below zero, depth or energy is zero, or one of a pair is missing
    """

    depth_notional: float | None = None
    depth_bps: float | None = None
    amihud: float | None = None
    energy_dollars: float | None = None
    energy_move_bps: float | None = None

    def __post_init__(self) -> None:
        pairs = ((self.depth_notional, self.depth_bps), (self.energy_dollars, self.energy_move_bps))
        for pair in pairs:
            if (pair[0] is None) != (pair[1] is None):
                raise InvalidInput(f"expected an amount and the distance that it belongs to, found {pair}")
            if any(figure is not None and not (math.isfinite(figure) and figure > 0) for figure in pair):
                raise InvalidInput(f"expected a depth or an energy above 0 over a distance above 0, found {pair}")
        if self.amihud is not None and not (math.isfinite(self.amihud) and self.amihud >= 0):
            raise InvalidInput(f"expected an illiquidity of at least 0, found {self.amihud}")

    @classmethod
    def of_fields(cls, liquidity: Mapping[str, float], elasticity: Mapping[str, float], side: Side) -> LiquidityState:
        """The state that an order of `side` meets, out of the two namespaces of a field map.

        Depth is that of the widest distance on the side traded against; energy is that of a move of 1 % in the order's
        direction, and is left out where dealers feed that move (it is then no resistance).
        """
        found = {float(match[1]): value for name, value in liquidity.items() if (match := _DEPTH[side].fullmatch(name))}
        widest = max((distance for distance, amount in found.items() if amount > 0), default=None)
        energy = elasticity.get(f"energy_{'up' if side is Side.BUY else 'down'}_1pct")
        resists = energy is not None and energy > 0
        return cls(
            depth_notional=None if widest is None else found[widest],
            depth_bps=widest,
            amihud=liquidity.get("amihud"),
            energy_dollars=energy if resists else None,
            energy_move_bps=ENERGY_MOVE_BPS if resists else None,
        )


@dataclass(frozen=True, slots=True)
class LiquiditySlippage:
    """Expected slippage of an order, and what each figure alone gives (`depth`, `amihud`, `energy`)."""

    bps: float
    by: Mapping[str, float] = field(default_factory=dict)


def liquidity_slippage(notional: float, state: LiquidityState) -> LiquiditySlippage:
    """Slippage of an order of that notional, basis points.

    Raises
    ------
    InvalidInput : the notional is negative or not finite
    MissingData : nothing is known of the state
    """
    if not (math.isfinite(notional) and notional >= 0):
        raise InvalidInput(f"expected a notional of at least 0, found {notional}")
    by: dict[str, float] = {}
    if state.depth_notional is not None and state.depth_bps is not None:
        by["depth"] = 0.5 * state.depth_bps * notional / state.depth_notional
    if state.amihud is not None:
        by["amihud"] = 0.5 * BPS * state.amihud * notional / AMIHUD_SCALE
    if state.energy_dollars is not None and state.energy_move_bps is not None:
        move = state.energy_move_bps / BPS
        by["energy"] = BPS * notional * move * move / (4.0 * state.energy_dollars)
    if not by:
        raise MissingData("expected the depth, the illiquidity or the movement energy of a market, found none of them")
    return LiquiditySlippage(max(by.values()), by)
