"""What an order would pay: the walk down the visible book, as a field over size, side and time.

A market order of size x eats the ladder from the best level on. With p(v) the price of the v-th unit and C(x) = ∫₀ˣ p(v) dv

    VWAP(x) = C(x) / x            slippage(x) = ± (VWAP − mid) / mid · 10⁴      [bps of the mid, a cost is positive]

p never falls on the way down the ladder, so VWAP and slippage never fall with size. A size in notional N is the x with C(x) = N.

With time. An order that is cut into n equal slices over a horizon T meets a book that refills in between. With E the units that
earlier slices ate and that are not back yet, and the depth coming back exponentially with a half-life h that somebody measured:

    slice j costs C(E_j + x/n) − C(E_j),      E_{j+1} = (E_j + x/n) · 2^(−τ/h),      τ = T / (n − 1),   E_1 = 0

The longer the horizon, the less of E is left and the lower the slippage: urgency has its price. T = 0 is the walk itself. The mid
is held where it is: no drift, no information, no lasting impact. So the field over time is the book's part of the cost alone.

Beyond the last visible level nothing is known: the price of such a size is null with `beyond_book`, and `unfilled` says which
share of it the visible levels cannot take. A notional is turned into units by the walk at once, at every horizon.

Sources: the walk is arithmetic; Alfonsi, Fruth & Schied, Optimal execution strategies in limit order books with general shape
functions, Quantitative Finance 10 (2010) 143-157 (volume that recovers exponentially: their version 1) for the slices; Obizhaeva
& Wang, Optimal trading strategy and supply/demand dynamics, J. Financial Markets 16 (2013) 1-32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.fields._rows import Floats
from fieldcast.fields.books.ladders import BPS, Ladders
from fieldcast.fields.books.walk import ROUNDING, TAKES, Walk
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True)
class Patience:
    """How an order is spread over time, and how fast the book refills meanwhile.

    Parameters
    ----------
    half_life_seconds : time in which half of what was eaten is back, measured (see `resilience`); never a guess
    slices : equal parts that an order is cut into when it has time
    """

    half_life_seconds: float
    slices: int = 10

    def __post_init__(self) -> None:
        if not (np.isfinite(self.half_life_seconds) and self.half_life_seconds > 0) or self.slices < 2:
            raise InvalidInput(f"expected a half-life above 0 s and at least 2 slices, found {self}")


@dataclass(frozen=True, eq=False)
class SlippageField:
    """What orders would pay.

    Parameters
    ----------
    mid : price that slippage is measured from
    table : one row an order: side (buy, sell), horizon_seconds, size (units; null where the notional cannot be filled), notional
        (in the price's currency; null where the size cannot be filled), vwap, worst_price, slippage_bps, unfilled (share of the
        order, 0 … 1), reasons
    """

    mid: float
    table: pl.DataFrame


def slippage_field(
    book: Ladders,
    *,
    sizes: Sequence[float] = (),
    notionals: Sequence[float] = (),
    horizons_seconds: Sequence[float] = (0.0,),
    patience: Patience | None = None,
) -> SlippageField:
    """Expected fill price and slippage over size, side and horizon.

    Parameters
    ----------
    book : both sides at one moment
    sizes : in units, above 0
    notionals : in the price's currency, above 0
    horizons_seconds : 0 = all at once; above 0 needs `patience`
    patience : slices and the measured half-life of the depth

    Returns
    -------
    SlippageField; rows ordered by side, horizon, and the sizes as given

    Raises
    ------
    MissingData : the book has no middle price
    InvalidInput : no size at all, one that is not finite and positive, or a horizon without patience
    """
    asked = np.array([*sizes, *notionals], np.float64)
    horizons = np.array(horizons_seconds, np.float64)
    if not asked.size or not np.isfinite(asked).all() or (asked <= 0).any():
        raise InvalidInput(f"expected sizes or notionals that are finite and above 0, found {asked.tolist()}")
    if not horizons.size or not np.isfinite(horizons).all() or (horizons < 0).any():
        raise InvalidInput(f"expected horizons of 0 seconds or more, found {horizons.tolist()}")
    if patience is None and (horizons > 0).any():
        raise InvalidInput("expected a measured half-life of the depth for an order with time; give patience=")
    mid = book.mid
    tables = []
    for order in TAKES:
        walk = Walk(book, order)
        amounts = asked[len(sizes) :]
        units = np.concatenate((asked[: len(sizes)], walk.units_of(amounts)))
        short = np.concatenate((np.zeros(len(sizes)), np.maximum(1 - walk.notional / amounts, 0.0)))
        given = np.concatenate((np.full(len(sizes), np.nan), amounts))
        for horizon in horizons:
            vwap, worst, left = _fill(walk, units, float(horizon), patience)
            unfilled = np.where(np.isfinite(units), left, short)
            known = np.isfinite(vwap)
            tables.append(
                pl.DataFrame(
                    {
                        "side": [order] * asked.size,
                        "horizon_seconds": np.full(asked.size, horizon),
                        "size": units,
                        "notional": np.where(np.isfinite(given), given, units * vwap),
                        "vwap": vwap,
                        "worst_price": worst,
                        "slippage_bps": walk.sign * (vwap - mid) / mid * BPS,
                        "unfilled": unfilled,
                        "reasons": [None if found else str(Reason.BEYOND_BOOK) for found in known],
                    },
                    schema_overrides={"reasons": pl.String()},
                    nan_to_null=True,
                )
            )
    return SlippageField(mid, pl.concat(tables))


def _fill(walk: Walk, units: Floats, horizon: float, patience: Patience | None) -> tuple[Floats, Floats, Floats]:
    """(k,) VWAP and worst price, NaN where the ladder cannot take the order, and the share that it cannot take."""
    slices, keep = 1, 1.0
    if horizon > 0 and patience is not None:
        slices = patience.slices
        keep = 2.0 ** (-horizon / (slices - 1) / patience.half_life_seconds)
    wanted = np.where(np.isfinite(units), units, 0.0)
    part = wanted / slices
    eaten, taken, extra, reached = (np.zeros_like(wanted) for _ in range(4))
    for _ in range(slices):
        reached = np.minimum(eaten + part, walk.size)
        extra += walk.beyond_best(reached) - walk.beyond_best(eaten)
        taken += reached - eaten
        eaten = reached * keep
    whole = (wanted > 0) & (wanted - taken <= ROUNDING * walk.size)
    share = np.divide(wanted - taken, wanted, out=np.zeros_like(wanted), where=wanted > 0)
    vwap = walk.best + walk.sign * np.divide(extra, wanted, out=np.full_like(wanted, np.nan), where=whole)
    return vwap, np.where(whole, walk.worst_price(reached), np.nan), np.where(whole, 0.0, share)
