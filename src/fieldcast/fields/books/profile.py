"""How much stands how far away: the depth of a book against the distance from its mid.

    D(δ)      units of a side within δ basis points of the mid                        (and the same in notional, Σ p q)
    density   units between two distances / the price between them                    [units per unit of price]
    slope     least squares through the origin of D on δ over the levels within the grid: Σ δ D / Σ δ²        [units per bp]
    η         slope of log D on log δ by least squares over the same levels: how depth grows with distance

η = 1 is the block-shaped book that linear price impact rests on (a market order of x moves the price by x / density); η < 1 is
crowded at the touch, η > 1 is thin at the touch and fills up behind it; x units then move the price in proportion to x^(1/η).

    evenness  1 / (1 + σ/μ) of the level sizes: 1 where all levels are alike, toward 0 where one holds everything
    peak      middle of the bin with the highest density

A distance beyond the last visible level has no depth but `beyond_book`: the book behind it is not known. Where the feed shows the
whole book (`Ladders.complete`) nothing stands behind the last level, and D stays what it is there.

Sources: Bouchaud, Mézard & Potters, Statistical properties of stock order books, Quantitative Finance 2 (2002) 251-256 for the
shape; Obizhaeva & Wang (2013) for the block; Alfonsi, Fruth & Schied (2010) for general and power-law densities; evenness follows
the reference system this engine descends from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.fields._rows import Flags, Floats
from fieldcast.fields.books.ladders import BPS, SIDES, Ladders
from fieldcast.ground import InvalidInput, MissingData, Reason

GRID_BPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
EVEN_LEVELS = 10
LEAST_LEVELS = 3  # for a slope in logs: two points lie on any line


@dataclass(frozen=True, eq=False)
class DepthProfile:
    """The depth of a book at one moment.

    Parameters
    ----------
    mid : price that distances are measured from
    table : side (bid, ask), distance_bps, price (at that distance), depth (units), notional, density (units per unit of price,
        from the distance before to this one), reasons; both sides on the same grid
    reach_bps : side → distance of the last visible level
    slope : side → units per basis point
    elasticity : side → η
    evenness : side → 0 … 1
    peak_bps : side → middle of the densest bin of the known ones
    reasons : `quantity_side` → why one of the figures above is not there
    """

    mid: float
    table: pl.DataFrame
    reach_bps: Mapping[str, float]
    slope: Mapping[str, float]
    elasticity: Mapping[str, float]
    evenness: Mapping[str, float]
    peak_bps: Mapping[str, float]
    reasons: Mapping[str, Reason]


def depth_profile(book: Ladders, distances_bps: Sequence[float] = GRID_BPS, even_levels: int = EVEN_LEVELS) -> DepthProfile:
    """Depth, density and shape of both sides.

    Parameters
    ----------
    book : both sides at one moment
    distances_bps : (k,) ascending distances from the mid, above 0
    even_levels : best levels that evenness is taken over; a side with fewer has none unless the book is complete

    Raises
    ------
    MissingData : the book has no middle price
    InvalidInput : distances that do not ascend from above 0
    """
    grid = _ascending(distances_bps)
    mid = book.mid
    found: dict[str, dict[str, float]] = {name: {} for name in ("slope", "elasticity", "evenness", "peak_bps")}
    tables, reasons = [], {}
    reach = {side: float(book.distance_bps(side)[-1]) for side in SIDES}
    for side in SIDES:
        price, size = book.side(side)
        depth, known = _depth(book, side, grid)
        notional, _ = _depth(book, side, grid, price * size)
        density = np.diff(depth, prepend=0.0) / (np.diff(grid, prepend=0.0) / BPS * mid)
        tables.append(
            pl.DataFrame(
                {
                    "side": [side] * grid.size,
                    "distance_bps": grid,
                    "price": mid * (1 + (-grid if side == "bid" else grid) / BPS),
                    "depth": np.where(known, depth, np.nan),
                    "notional": np.where(known, notional, np.nan),
                    "density": np.where(known, density, np.nan),
                    "reasons": [None if there else str(Reason.BEYOND_BOOK) for there in known],
                },
                schema_overrides={"reasons": pl.String()},
                nan_to_null=True,
            )
        )
        for name, value in _shape(book, side, grid, even_levels, density, known).items():
            if isinstance(value, Reason):
                reasons[f"{name}_{side}"] = value
            else:
                found[name][side] = value
    return DepthProfile(mid=mid, table=pl.concat(tables), reach_bps=reach, reasons=reasons, **found)


def depth_density(book: Ladders, side: str, edges: Floats) -> Floats:
    """Units per unit of price between distances from the mid: what an engine of price elasticity reads.

    Parameters
    ----------
    book : both sides at one moment
    side : `bid` or `ask`
    edges : (k + 1,) ascending distances from the mid in prices, the first 0 or more

    Returns
    -------
    (k,) units per unit of price: shares per dollar where prices are dollars

    Raises
    ------
    MissingData : the book has no middle price, or the last edge lies beyond the visible book
    """
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or edges.size < 2 or not np.isfinite(edges).all() or edges[0] < 0 or (np.diff(edges) <= 0).any():
        raise InvalidInput(f"expected at least two ascending distances from 0 on, found {edges.tolist()}")
    distances = edges / book.mid * BPS
    depth, known = _depth(book, side, distances)
    if not known.all():
        reach = book.distance_bps(side)[-1] / BPS * book.mid
        raise MissingData(f"expected the visible {side} side to reach {edges[-1]:g} from the mid, found {reach:g}; ask for less")
    return np.asarray(np.diff(depth) / np.diff(edges))


def _depth(book: Ladders, side: str, grid: Floats, what: Floats | None = None) -> tuple[Floats, Flags]:
    """(k,) sum of sizes (or of `what`) within each distance, and whether the visible book says so."""
    away = book.distance_bps(side)
    sums = np.concatenate(([0.0], np.cumsum(book.side(side)[1] if what is None else what)))
    # a level on the grid belongs to it, whatever the last digit of its distance
    depth = sums[np.searchsorted(away, grid * (1 + 1e-12), side="right")]
    return depth, np.asarray(grid <= away[-1] * (1 + 1e-12)) | book.complete


def _shape(book: Ladders, side: str, grid: Floats, even_levels: int, density: Floats, known: Flags) -> dict[str, float | Reason]:
    """Slope, η, evenness and peak of a side, or why there is none."""
    away, size = book.distance_bps(side), book.side(side)[1]
    inside = away <= grid[-1] * (1 + 1e-12)
    delta, total = away[inside], np.cumsum(size[inside])
    found: dict[str, float | Reason] = dict.fromkeys(("slope", "elasticity", "evenness", "peak_bps"), Reason.FEW_ROWS)
    if delta.size:
        found["slope"] = float(delta @ total / (delta @ delta))
    if delta.size >= LEAST_LEVELS:
        x, y = np.log(delta), np.log(total)
        x = x - x.mean()
        found["elasticity"] = float(x @ (y - y.mean()) / (x @ x))
    if size.size >= even_levels or book.complete:
        best = size[:even_levels]
        found["evenness"] = float(1 / (1 + best.std() / best.mean()))
    if known.any() and density[known].max() > 0:
        bin = int(np.argmax(np.where(known, density, -1.0)))
        found["peak_bps"] = float(0.5 * (grid[bin] + (grid[bin - 1] if bin else 0.0)))
    return found


def _ascending(distances_bps: Sequence[float]) -> Floats:
    grid = np.asarray(distances_bps, np.float64)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise InvalidInput(f"expected ascending distances above 0 bps, found {grid.tolist()}")
    return grid
