"""The walk down one ladder: what the first x units cost, and how many units an amount buys.

All sums are kept as distances from the best price, so that a VWAP is exact to the last digits of the price:

    beyond_best(x) = ∫₀ˣ |p(v) − p_1| dv          C(x) = p_1 x ± beyond_best(x)          VWAP(x) = p_1 ± beyond_best(x) / x

with + for an order that buys (asks rise) and − for one that sells.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcast.fields._rows import Flags, Floats
from fieldcast.fields.books.ladders import BPS, Ladders
from fieldcast.ground import InvalidInput

TAKES = {"buy": "ask", "sell": "bid"}  # side of the order → ladder that it eats
ROUNDING = 1e-12  # share of a ladder's size by which sums of its levels may differ


class Walk:
    """The walk down a ladder of at least one level; `size` units and `notional` are what it holds.

    Parameters
    ----------
    book : both sides at one moment
    order : `buy` or `sell`
    """

    def __init__(self, book: Ladders, order: str) -> None:
        if order not in TAKES:
            raise InvalidInput(f"expected an order to buy or sell, found {order!r}")
        self.price, sizes = book.side(TAKES[order])
        if not self.price.size:
            raise InvalidInput(f"expected a level to {order} at, found an empty side; look at the book's reason first")
        self.best = float(self.price[0])
        self.sign = 1.0 if order == "buy" else -1.0
        self._away = np.abs(self.price - self.best)
        self.cumulative = np.concatenate(([0.0], np.cumsum(sizes)))
        self._extra = np.concatenate(([0.0], np.cumsum(sizes * self._away)))
        self.size = float(self.cumulative[-1])
        self._cost = self.best * self.cumulative + self.sign * self._extra
        self.notional = float(self._cost[-1])

    def holds(self, units: Floats) -> Flags:
        """True where the visible levels can take so many units."""
        return np.asarray(units <= self.size * (1 + ROUNDING))

    def beyond_best(self, units: Floats) -> Floats:
        """∫ |p − best| over the first units; the caller asks for no more than the ladder holds."""
        level = self._level(self.cumulative, units)
        return np.asarray(self._extra[level] + (units - self.cumulative[level]) * self._away[level])

    def worst_price(self, units: Floats) -> Floats:
        """Price of the last of so many units."""
        return np.asarray(self.price[self._level(self.cumulative, units)])

    def units_of(self, notional: Floats) -> Floats:
        """Units that an amount pays for (or is got for); NaN where the ladder does not hold the amount."""
        level = self._level(self._cost, notional)
        units = self.cumulative[level] + (notional - self._cost[level]) / self.price[level]
        return np.where(notional <= self.notional * (1 + ROUNDING), np.minimum(units, self.size), np.nan)

    def _level(self, sums: Floats, value: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Level in which the sum reaches a value."""
        return np.clip(np.searchsorted(sums, value, side="left") - 1, 0, self.price.size - 1)


def impact_walk(book: Ladders, order: str) -> pl.DataFrame:
    """Level by level, what an order that eats all of them up to here would pay.

    Parameters
    ----------
    book : both sides at one moment
    order : `buy` (walks up the asks) or `sell` (down the bids)

    Returns
    -------
    level (from 1), price, size, cumulative_size (units), cumulative_notional, vwap, slippage_bps (of the mid, a cost is positive)
    and impact_bps (distance of the level's own price from the mid)

    Raises
    ------
    MissingData : the book has no middle price
    """
    mid = book.mid
    walk = Walk(book, order)
    eaten = walk.cumulative[1:]
    vwap = walk.best + walk.sign * walk.beyond_best(eaten) / eaten
    return pl.DataFrame(
        {
            "level": np.arange(1, eaten.size + 1),
            "price": walk.price,
            "size": book.side(TAKES[order])[1],
            "cumulative_size": eaten,
            "cumulative_notional": eaten * vwap,
            "vwap": vwap,
            "slippage_bps": walk.sign * (vwap - mid) / mid * BPS,
            "impact_bps": walk.sign * (walk.price - mid) / mid * BPS,
        }
    )
