"""GreekFieldMapper: the dealers' exposures re-priced over spot, volatility and time.

Every line is priced again at each hypothetical spot x, at σ + shift and with part of its time gone; open interest is held. The
value at today's spot, without shift and now, is the direct one (`Book.exposures`). A line whose last moment is reached is
settled: its position is gone from the book (`settled="gone"`) or stays as the delta of its payoff (`settled="delta"`, for the
flow into the close).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.clock import Clock, share_elapsed
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.fields.dealer.gamma import as_spots
from fieldcast.fields.dealer.units import PERCENT, POINT, SMALLEST_SIGMA
from fieldcast.fields.priced_chain import Flags, Floats
from fieldcast.ground import InvalidInput
from fieldcast.pricing._arrays import row_of, spread

PATH_WORTH_THREADS = 500_000  # lines × times
Settled = Literal["gone", "delta"]


@dataclass(frozen=True, kw_only=True, eq=False)
class GreekGrid(Stamped):
    """Exposures over spot × volatility shift × time.

    Parameters
    ----------
    spots : (k,) prices
    shifts : (v,) volatility points added to every contract
    minutes : (t,) after `as_of`
    gex, dex, vex, chex : (k, v, t) dollars of delta, in the units of the stamp
    """

    spots: Floats
    shifts: Floats
    minutes: Floats
    gex: Floats
    dex: Floats
    vex: Floats
    chex: Floats


def greek_field_mapper(
    book: Book,
    spots: ArrayLike | None = None,
    shifts: ArrayLike = (0.0,),
    minutes: ArrayLike = (0.0,),
    *,
    clock: Clock = Clock.CALENDAR,
    settled: Settled = "gone",
) -> GreekGrid:
    """Exposures of a book over a grid.

    Parameters
    ----------
    book : of `dealer_sign`
    spots : (k,) prices, ascending; by default those of `gamma_field`
    shifts : (v,) volatility points (1.0 is 0.01 of volatility)
    minutes : (t,) after `as_of`, at or above 0
    clock : whether volatility passes by the calendar or in sessions alone
    settled : what becomes of lines whose last moment is reached

    Raises
    ------
    InvalidInput : spots not ascending, times before `as_of`, or shifts that are not finite
    """
    at = as_spots(book, spots)
    move, later = np.atleast_1d(np.asarray(shifts, np.float64)), np.atleast_1d(np.asarray(minutes, np.float64))
    if not np.isfinite(move).all() or move.ndim != 1:
        raise InvalidInput(f"expected finite volatility shifts, found {move}")
    if not (np.isfinite(later) & (later >= 0)).all() or later.ndim != 1:
        raise InvalidInput(f"expected minutes at or after as_of, found {later}")
    if settled not in ("gone", "delta"):
        raise InvalidInput(f"expected settled gone or delta, found {settled!r}")
    grid = np.moveaxis(book_greeks(book, at, move * POINT, share_elapsed(book, later, clock), settled), 3, 0)
    x = at[:, None, None]
    return GreekGrid(
        conventions=book.conventions,
        spots=at,
        shifts=move,
        minutes=later,
        dex=grid[..., 0] * x,
        gex=grid[..., 1] * x**2 * PERCENT,
        vex=grid[..., 2] * x * POINT,
        chex=grid[..., 3] * x / book.days_a_year,
    )


def book_greeks(book: Book, spots: Floats, shifts: Floats, elapsed: Floats, settled: Settled) -> Floats:
    """Delta, gamma, vanna and charm of the book in units of the underlying, volatility and years.

    Parameters
    ----------
    spots : (k,) ascending
    shifts : (v,) added to every volatility
    elapsed : (t, lines) share of each line's time that has passed

    Returns
    -------
    (v, t, 4, k)
    """
    from fieldcast.fields.dealer import _kernels as kernels

    lines, weight = book.lines, book.weight
    rows = np.flatnonzero((weight != 0) | (book.puts != 0))
    names = ("strike", "years", "rate", "carry", "sigma")
    given = [weight[rows], book.puts[rows], *(getattr(lines, name)[rows] for name in names)]
    out = np.zeros((shifts.size, elapsed.shape[0], 4, spots.size))
    gone = np.ascontiguousarray(elapsed[:, rows])
    cells = out.shape[0] * out.shape[1]
    last = settled == "delta"

    def work(first: int, end: int) -> int:
        return row_of(kernels.fill_grid, *given, spots, shifts, gone, SMALLEST_SIGMA, last, first, end, out)

    spread(work, cells, 1 if rows.size * spots.size * cells > 200_000 else cells + 1)
    return out


def book_path(book: Book, elapsed: Floats, rows: Flags | None = None) -> Floats:
    """(t, 2) delta (units of the underlying) and charm (a year) at the spot; settled lines keep the delta of their payoff.

    Parameters
    ----------
    elapsed : (t, lines) share of each line's time that has passed
    rows : (lines,) those that take part; by default all
    """
    from fieldcast.fields.dealer import _kernels as kernels

    lines, weight = book.lines, book.weight
    wanted = (weight != 0) | (book.puts != 0)
    at = np.flatnonzero(wanted if rows is None else wanted & rows)
    moneyness = np.log(book.spot / lines.strike[at])
    names = ("years", "rate", "carry", "sigma")
    given = [weight[at], book.puts[at], moneyness, *(getattr(lines, name)[at] for name in names)]
    gone = np.ascontiguousarray(elapsed[:, at])
    out = np.zeros((elapsed.shape[0], 2))
    share = 1 if gone.size > PATH_WORTH_THREADS else gone.shape[0] + 1
    spread(lambda first, last: row_of(kernels.fill_path, *given, gone, first, last, out), gone.shape[0], share)
    return out
