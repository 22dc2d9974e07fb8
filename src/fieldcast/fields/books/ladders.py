"""One side of a book is a ladder: prices and sizes, best first. Everything that looks at one moment starts from both.

What is not visible is not known: a feed shows so many levels, and the book behind the last of them is neither empty nor like
what is seen. Only where the caller knows that the feed shows every order (`complete`) does the last level end the book.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fieldcast.fields._rows import Floats
from fieldcast.ground import InvalidInput, MissingData, Reason

if TYPE_CHECKING:  # the replay compiles kernels: who only looks at a ladder need not wait for them
    from fieldcast.data.books import Book

BPS = 1e4
SIDES = ("bid", "ask")


@dataclass(frozen=True, eq=False)
class Ladders:
    """Both sides of a book at one moment.

    Parameters
    ----------
    bid_price, bid_size : (n,) prices strictly descending, sizes in units, all positive; n may be 0
    ask_price, ask_size : (m,) prices strictly ascending
    complete : the feed shows the whole book, so that nothing lies behind the last level

    Raises
    ------
    InvalidInput : prices out of order, or prices or sizes that are not finite and positive
    """

    bid_price: Floats
    bid_size: Floats
    ask_price: Floats
    ask_size: Floats
    complete: bool = False

    def __post_init__(self) -> None:
        for side, toward in (("bid", -1.0), ("ask", 1.0)):
            price, size = (np.ascontiguousarray(getattr(self, f"{side}_{part}"), np.float64) for part in ("price", "size"))
            if price.ndim != 1 or price.shape != size.shape:
                raise InvalidInput(f"expected one size for each {side} price, found shapes {price.shape} and {size.shape}")
            if not (np.isfinite(price).all() and np.isfinite(size).all() and (price > 0).all() and (size > 0).all()):
                raise InvalidInput(f"expected finite {side} prices and sizes above zero, found others; leave empty levels out")
            if (np.diff(price) * toward <= 0).any():
                raise InvalidInput(f"expected {side} prices from the best to the worst, each once; sort and add up the levels")
            object.__setattr__(self, f"{side}_price", price)
            object.__setattr__(self, f"{side}_size", size)

    @property
    def reason(self) -> Reason | None:
        """Why there is no middle price, or None."""
        if not (self.bid_price.size and self.ask_price.size):
            return Reason.BOOK_ONE_SIDED
        return Reason.QUOTE_CROSSED if self.bid_price[0] >= self.ask_price[0] else None

    @property
    def mid(self) -> float:
        """Half way between the best prices.

        Raises
        ------
        MissingData : a side is empty, or the book is crossed or locked
        """
        if self.reason is not None:
            raise MissingData(f"expected a book with a middle price, found {self.reason}: {self.reason.meaning}")
        return 0.5 * float(self.bid_price[0] + self.ask_price[0])

    @property
    def spread_bps(self) -> float:
        """Best ask less best bid in basis points of the mid; raises as `mid` does."""
        return float(self.ask_price[0] - self.bid_price[0]) / self.mid * BPS

    def side(self, name: str) -> tuple[Floats, Floats]:
        """Prices and sizes of `bid` or `ask`, best first."""
        if name not in SIDES:
            raise InvalidInput(f"expected the side bid or ask, found {name!r}")
        return (self.bid_price, self.bid_size) if name == "bid" else (self.ask_price, self.ask_size)

    def distance_bps(self, name: str) -> Floats:
        """(n,) distance of each level of a side from the mid, in basis points of the mid, ascending; raises as `mid` does."""
        return np.abs(self.side(name)[0] - self.mid) / self.mid * BPS


def ladders(book: Book, complete: bool = False) -> Ladders:
    """The ladders of a book that `data.books.book_at` found."""
    bid, bid_size, ask, ask_size = (part[name].to_numpy() for part in (book.bids, book.asks) for name in ("price", "size"))
    return Ladders(bid, bid_size, ask, ask_size, complete)


def ladders_of_state(states: pl.DataFrame, row: int = -1) -> Ladders:
    """The ladders of one row of `data.books.replay(…).states`: as many levels as were asked for there.

    Raises
    ------
    MissingData : the book was unknown after that message; a crossed one is given
    """
    values = states.row(row, named=True)
    if values["reasons"] not in (None, str(Reason.QUOTE_CROSSED)):
        raise MissingData(f"expected a known book, found {values['reasons']} at {values['available_at']}")
    sides = []
    for side in SIDES:
        levels = [(values[f"{side}_{n}"], values[f"{side}_size_{n}"]) for n in range(1, levels_of(states) + 1)]
        there = [(price, size) for price, size in levels if price is not None]
        sides += [np.array([price for price, _ in there], np.float64), np.array([size for _, size in there], np.float64)]
    bid, bid_size, ask, ask_size = sides
    return Ladders(bid, bid_size, ask, ask_size)


def levels_of(states: pl.DataFrame) -> int:
    """How many levels a table of states holds.

    Raises
    ------
    InvalidInput : it is no table of states
    """
    found = 0
    while f"bid_{found + 1}" in states.columns:
        found += 1
    wanted = {f"{side}_{part}{n}" for side in SIDES for part in ("", "size_") for n in range(1, found + 1)}
    missing = sorted((wanted | {"instrument", "ts", "available_at", "reasons"}) - set(states.columns))
    if not found or missing:
        raise InvalidInput(f"expected the states of data.books.replay, found no {', '.join(missing[:4]) or 'bid_1'}")
    return found


def level_arrays(states: pl.DataFrame, levels: int) -> tuple[Floats, Floats, Floats, Floats]:
    """(n, levels) bid prices, bid sizes, ask prices and ask sizes of a table of states; NaN where there is no such level."""
    return tuple(  # type: ignore[return-value]
        np.ascontiguousarray(
            states.select(pl.col(f"{side}_{part}{n}").fill_null(float("nan")) for n in range(1, levels + 1)).to_numpy()
        )
        for side in SIDES
        for part in ("", "size_")
    )
