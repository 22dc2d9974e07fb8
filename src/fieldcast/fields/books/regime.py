"""Is this book deep, liquid, thin, frozen or toxic?

By what it costs to get in and out again at once, in basis points of the mid:

    cost     slippage of buying `size` plus slippage of selling it; with no size the quoted spread, its limit for small sizes
    deep     cost below 5        liquid  below 20        thin  below 50        frozen  50 and more
    toxic    not frozen, and |imbalance| of at least 0.8: nine tenths of the size stand on one side, and the other has left

The words and the limits in basis points are those of the reference system's documents; the limit on the imbalance is our own
choice, and a parameter. A size that the visible book cannot take has an unknown cost, and the regime is then unknown too: what is
behind the last visible level may be deep or empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from fieldcast.fields.books.ladders import BPS, Ladders
from fieldcast.fields.books.slippage import slippage_field
from fieldcast.fields.vocabulary import LiquidityRegime
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True)
class RegimeThresholds:
    """Where one regime ends: costs in basis points, ascending, and the size of the imbalance from which a book is toxic."""

    deep_bps: float = 5.0
    liquid_bps: float = 20.0
    thin_bps: float = 50.0
    toxic_imbalance: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.deep_bps < self.liquid_bps < self.thin_bps or not 0 < self.toxic_imbalance <= 1:
            raise InvalidInput(f"expected ascending costs above 0 and an imbalance in (0, 1], found {self}")


def round_trip_bps(book: Ladders, size: float | None = None, notional: float | None = None) -> float | Reason:
    """What it costs to buy and to sell at once, in basis points of the mid, or why that is not known.

    Parameters
    ----------
    book : both sides at one moment
    size, notional : of each of the two orders, in units or in the price's currency; neither = the quoted spread
    """
    if size is not None and notional is not None:
        raise InvalidInput("expected a size or a notional, found both; give one")
    if book.reason is not None:
        return book.reason
    if size is None and notional is None:
        return float(book.ask_price[0] - book.bid_price[0]) / book.mid * BPS
    sizes, notionals = (() if asked is None else (asked,) for asked in (size, notional))
    table = slippage_field(book, sizes=sizes, notionals=notionals).table
    if table["slippage_bps"].null_count():
        return Reason.BEYOND_BOOK
    return float(table["slippage_bps"].sum())


def liquidity_regime(
    cost_bps: float, imbalance: float | None = None, thresholds: RegimeThresholds | None = None
) -> LiquidityRegime:
    """The regime of a book.

    Parameters
    ----------
    cost_bps : of a round trip, 0 or more (see `round_trip_bps`)
    imbalance : of the best levels, −1 … 1; None = not known, and the book is then not called toxic
    """
    limits = thresholds or RegimeThresholds()
    if not cost_bps >= 0 or (imbalance is not None and not -1 <= imbalance <= 1):
        raise InvalidInput(f"expected a cost of 0 or more and an imbalance in [−1, 1], found {cost_bps} and {imbalance}")
    if cost_bps >= limits.thin_bps:
        return LiquidityRegime.FROZEN
    if imbalance is not None and abs(imbalance) >= limits.toxic_imbalance:
        return LiquidityRegime.TOXIC
    if cost_bps < limits.deep_bps:
        return LiquidityRegime.DEEP
    return LiquidityRegime.LIQUID if cost_bps < limits.liquid_bps else LiquidityRegime.THIN
