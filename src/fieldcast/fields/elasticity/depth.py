"""What the visible order book adds: shares that stand in the way of a move, and what it costs to walk through them.

    density(m) = Σ size of the levels within m of the mid / m                  [units of the underlying per 1.00 of price]
    cost(m)    = Σ size · |price − mid| over the same levels                   [dollars paid beyond the mid]

A level counts when its price is at most m away, but for the rounding of binary fractions. Where the feed shows fewer levels than
the move needs, neither is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcast.fields.books.ladders import Ladders
from fieldcast.ground import InvalidInput, Reason

WORD = {1: "ask", -1: "bid"}
APART = 0.01  # of the spot: a book whose mid is further away is another instrument's, or of another time
ROUNDING = 1e-12  # of the mid: what a distance from it cannot tell; far below any tick


@dataclass(frozen=True)
class Walk:
    """One side of a book up to a distance: both figures, or why there are none."""

    density: float | None
    cost: float | None
    reason: Reason | None


def walk(book: Ladders | None, direction: int, distance: float, spot: float) -> Walk:
    """Walk a book up (direction 1, through the asks) or down (−1, through the bids).

    Parameters
    ----------
    distance : dollars from the mid, above 0
    spot : the price that the caller's move starts at, to see that the book is of the same thing

    Raises
    ------
    InvalidInput : the book's mid is more than 1 % away from the spot
    """
    if direction not in WORD or not distance > 0.0:
        raise InvalidInput(f"expected a direction of 1 or -1 and a distance above 0, found {direction} and {distance}")
    if book is None:
        return Walk(None, None, Reason.BOOK_UNKNOWN)
    if book.reason is not None:
        return Walk(None, None, book.reason)
    if abs(book.mid / spot - 1.0) > APART:
        raise InvalidInput(f"expected a book around the spot {spot:g}, found one around {book.mid:g}: another instrument's?")
    price, size = book.side(WORD[direction])
    away = np.abs(price - book.mid)
    rounding = ROUNDING * book.mid  # a difference of two prices may come out a little more or less than it is
    if not book.complete and away[-1] < distance - rounding:
        return Walk(None, None, Reason.BEYOND_BOOK)
    inside = away <= distance + rounding
    return Walk(float(size[inside].sum()) / distance, float((size * away)[inside].sum()), None)
