"""Structure: where price turned, which gaps are open, and whether turns climb or fall.

Swings are fractals: a high above the 3 bars before it and not below the 3 after it. It is known only 3 bars later, and
nothing here shows it earlier; in the field table one older than 60 bars is forgotten.

    HH / LH   a swing high above / at or below the swing high before it
    HL / LL   a swing low above / at or below the swing low before it
    structure = (sign(high_1 − high_0) + sign(low_1 − low_0)) / 2        1: HH and HL, −1: LH and LL, of the last 60 bars
    break     the first close above the last confirmed swing high (up) or below the last confirmed swing low (down)

Gaps: a bar whose low stands above the high before it (up), or whose high below the low before it (down). What later bars have
not traded through yet is unfilled: from the old high to the lowest low since. A gap is filled by the bar that reaches its far
side.

Source: Williams, Trading Chaos (1995) for the fractal; Edwards & Magee, Technical Analysis of Stock Trends (1948) for gaps
and for trend as a sequence of turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fieldcast.fields._rows import Floats, Rows, rows_of, stretches
from fieldcast.fields.liquidity.profile import WINDOW
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

SWING = 3  # bars on each side of a swing
SAME = 1e-9  # of a price: closer ones are one price

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Structure:
    """Tables of one instrument's structure until the last bar: see `swings`, `gaps` and `breaks`."""

    swings: pl.DataFrame
    gaps: pl.DataFrame
    breaks: pl.DataFrame


def structure_of(bars: pl.DataFrame, *, left: int = SWING, right: int = SWING) -> Structure:
    """Swings with their labels, gaps with what is left of them, and breaks of structure, as known at the last bar.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`
    left, right : bars on each side of a swing
    """
    return Structure(swings(bars, left=left, right=right), gaps(bars), breaks(bars, left=left, right=right))


def swings(bars: pl.DataFrame, *, left: int = SWING, right: int = SWING) -> pl.DataFrame:
    """Every confirmed swing.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`
    left, right : bars on each side that a swing high must top (strictly before it, at least equal after it)

    Returns
    -------
    `ts` (of the turning bar), `kind` (high or low), `price`, `confirmed_at` (ts of the bar `right` bars later, when it
    was first known), `label` (HH, LH, HL, LL; null for the first of a kind); ordered by confirmed_at
    """
    rows = rows_of(bars)
    tables = []
    for kind, prices in (("high", rows.high), ("low", rows.low)):
        at = pivots(prices if kind == "high" else -prices, left, right)
        tables.append(
            pl.DataFrame(
                {
                    "ts": rows.ts.gather(at),
                    "kind": pl.Series([kind] * at.size, dtype=pl.String),
                    "price": prices[at],
                    "confirmed_at": rows.ts.gather(at + right),
                    "label": pl.Series(_labels(prices[at], kind), dtype=pl.String),
                }
            )
        )
    return pl.concat(tables).sort("confirmed_at", "kind")


def _labels(prices: Floats, kind: str) -> list[str | None]:
    higher = np.diff(prices) > SAME * prices[:-1]
    letter = "H" if kind == "high" else "L"
    return ([None] + [("H" if up else "L") + letter for up in higher])[: prices.size]


def pivots(values: Floats, left: int, right: int) -> Places:
    """Rows that top the `left` rows before them and are not topped by the `right` after; unknown rows never count."""
    if left < 1 or right < 1:
        raise InvalidInput(f"expected at least one bar on each side of a swing, found {left} and {right}")
    if values.size <= left + right:
        return np.empty(0, dtype=np.int64)
    around = sliding_window_view(values, left + right + 1)
    middle = around[:, left]
    turns = (middle > around[:, :left].max(axis=1)) & (middle >= around[:, left + 1 :].max(axis=1))
    return np.flatnonzero(turns) + left


def last_swing(values: Floats, back: int = 0) -> tuple[Floats, Floats]:
    """Price and age of the last swing high of `values` (`back`: the one before it, …) confirmed at each row.

    NaN where it is older than WINDOW bars, or where there is none.
    """
    at = pivots(values, SWING, SWING)
    row = np.arange(values.size)
    if not at.size:
        return np.full(row.size, np.nan), np.full(row.size, np.nan)
    place = np.searchsorted(at + SWING, row, side="right") - 1 - back
    turn = at[np.maximum(place, 0)]
    fresh = (place >= 0) & (row - turn <= WINDOW)
    return np.where(fresh, values[turn], np.nan), np.where(fresh, row - turn, np.nan)


def breaks(bars: pl.DataFrame, *, left: int = SWING, right: int = SWING) -> pl.DataFrame:
    """The bars whose close broke the last swing that was confirmed before them; each swing is broken once.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`
    left, right : bars on each side of a swing

    Returns
    -------
    `ts` (of the breaking bar), `side` (up or down), `price` (of the swing), `swing_ts`; ascending in ts
    """
    rows = rows_of(bars)
    found: list[tuple[int, str, float, int]] = []
    for side, sign, prices in (("up", 1.0, rows.high), ("down", -1.0, rows.low)):
        at = pivots(sign * prices, left, right)
        ends = np.append(at[1:] + right, len(rows) - 1)  # a swing is the last one until the next is confirmed
        for turn, last in zip(at, ends, strict=True):
            beyond = np.flatnonzero(sign * rows.close[turn + right + 1 : last + 1] > sign * prices[turn])
            if beyond.size:
                found.append((int(turn) + right + 1 + int(beyond[0]), side, float(prices[turn]), int(turn)))
    found.sort()
    return pl.DataFrame(
        {
            "ts": rows.ts.gather([row for row, *_ in found]),
            "side": pl.Series([side for _, side, _, _ in found], dtype=pl.String),
            "price": pl.Series([price for _, _, price, _ in found], dtype=pl.Float64),
            "swing_ts": rows.ts.gather([turn for *_, turn in found]),
        }
    )


def gaps(bars: pl.DataFrame, *, memory: int | None = None) -> pl.DataFrame:
    """Every gap between the ranges of neighbouring bars, and what is left of it at the last bar.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`; gaps across a bar without a range are not looked for
    memory : bars after which an open gap is forgotten; none = never

    Returns
    -------
    `ts` (of the bar that opened it, when it was first known), `side` (up or down), `low`, `high` (the gap), `unfilled_low`,
    `unfilled_high` (what no later bar has traded through; null once filled), `filled_at` (null while open), `age` (bars from
    the gap to the last bar); ascending in ts
    """
    rows = rows_of(bars)
    tables = []
    for part in stretches(rows.high, rows.low):
        for side, near, far in (
            ("up", rows.low[part], rows.high[part]),
            ("down", -rows.high[part], -rows.low[part]),
        ):
            tables.append(_gaps(near, far, side, part.start, rows))
    if not tables:
        tables = [_gaps(np.empty(0), np.empty(0), "up", 0, rows)]
    table = pl.concat(tables).sort("ts", "side")
    if memory is None:
        return table
    return table.filter(pl.col("filled_at").is_not_null() | (pl.col("age") <= memory))


def _gaps(near: Floats, far: Floats, side: str, first: int, rows: Rows) -> pl.DataFrame:
    """Gaps up of one stretch, or gaps down of its mirror image; prices are turned back."""
    at = np.flatnonzero(near[1:] > far[:-1]) + 1
    edge = far[at - 1]
    filled, least = _first_at_or_below(near, at, edge)
    sign = 1.0 if side == "up" else -1.0
    still = filled < 0
    ends = np.sort(np.stack([sign * edge, sign * near[at]]), axis=0)
    left = np.sort(np.stack([sign * edge, sign * least]), axis=0)
    at_fill = pl.Series(np.where(still, -1, filled + first)).replace(-1, None)
    return pl.DataFrame(
        {
            "ts": rows.ts.gather(at + first),
            "side": pl.Series([side] * at.size, dtype=pl.String),
            "low": ends[0],
            "high": ends[1],
            "unfilled_low": pl.Series(np.where(still, left[0], np.nan)).fill_nan(None),
            "unfilled_high": pl.Series(np.where(still, left[1], np.nan)).fill_nan(None),
            "filled_at": rows.ts.gather(at_fill).cast(STAMP),
            "age": pl.Series(len(rows) - 1 - at - first, dtype=pl.Int64),
        }
    )


def _first_at_or_below(values: Floats, at: Places, level: Floats) -> tuple[Places, Floats]:
    """For each start: the first later row whose value is at or below the level (−1: none), and the lowest value until the end.

    Starts are walked from the last to the first with a stack of the rows at which `values` makes a new low from there on.
    """
    filled, least = np.full(at.size, -1, dtype=np.int64), np.empty(at.size)
    stack: list[int] = []
    row = values.size - 1
    for k in range(at.size - 1, -1, -1):
        while row >= at[k]:
            while stack and values[stack[-1]] >= values[row]:
                stack.pop()
            stack.append(row)
            row -= 1
        lows = [values[place] for place in stack]  # descending in time: the first is the lowest of all
        least[k] = lows[0]
        below = np.searchsorted(lows, level[k], side="right")
        if below > 0:
            filled[k] = stack[below - 1]
    return filled, least


def open_gaps(near: Floats, far: Floats) -> Floats:
    """Fill price of the newest gap up (`near` = low, `far` = high) of the last WINDOW bars that is still open."""
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    result = np.full(near.size, np.nan)
    kernels.open_gaps(np.ascontiguousarray(near, np.float64), np.ascontiguousarray(far, np.float64), WINDOW, result)
    return result


def _turned(now: Floats, before: Floats) -> Floats:
    """Sign of now − before; prices that differ by rounding alone, as adjusted ones may, are the same."""
    away: Floats = now - before
    return np.where(np.abs(away) <= SAME * np.abs(before), 0.0, np.sign(away))


def structure_columns(rows: Rows) -> dict[str, Floats]:
    """Swings, market structure and the nearest open gaps of one stretch."""
    high, high_age = last_swing(rows.high)
    low, low_age = last_swing(-rows.low)
    climb = _turned(high, last_swing(rows.high, 1)[0])
    fall = _turned(low, last_swing(-rows.low, 1)[0])  # of the mirror image: positive where lows get lower
    return {
        "swing_high": high,
        "swing_low": -low,
        "swing_high_age": high_age,
        "swing_low_age": low_age,
        "swing_high_distance": np.log(rows.close / high),
        "swing_low_distance": np.log(rows.close / -low),
        "structure": (climb - fall) / 2,
        "gap_below": open_gaps(rows.low, rows.high),
        "gap_above": -open_gaps(-rows.high, -rows.low),
    }
