"""ExpectedMove and the roll-off calendar: how far the options think the price goes, and when the gamma leaves.

"Expected move" is several quantities; each has its name here. With σ the volatility at the money forward and s = σ√T:

    sd               S σ √T, one standard deviation
    straddle         D·F·2 (2Φ(s/2) − 1) ≈ 0.798 S σ √T, the mean absolute move; the price stays within it about 57 % of the time
    straddle_085     0.85 × straddle, a desk convention: about 0.68 sd, about half of the time
    straddle_125     1.25 × straddle ≈ one sd

The straddle is that of the forward itself, by Black's formula at σ; `at_the_money` has the volatility, which is unknown where
the forward has no strike on one side. Roll-off: the gamma that leaves with
each expiry, as it stands today; `left` is the share that remains afterwards if nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import polars as pl

from fieldcast.fields.dealer.at_the_money import volatilities
from fieldcast.fields.dealer.book import Book, sums, table_of
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.ground import Reason


class Move(StrEnum):
    """Which expected move is meant."""

    SD = "sd"
    STRADDLE = "straddle"
    STRADDLE_085 = "straddle_085"
    STRADDLE_125 = "straddle_125"


FACTORS = {Move.STRADDLE: 1.0, Move.STRADDLE_085: 0.85, Move.STRADDLE_125: 1.25}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpectedMove(Stamped):
    """Expected moves and gamma by expiry.

    Parameters
    ----------
    by_expiry : a row for each expiry, nearest first: expiry_ts, days, forward, volatility (a year, at the money forward), sd,
        straddle, straddle_085, straddle_125 (price units; null where the volatility is unknown), gex, gross_gex (dollars per 1
        %), share (of gross gamma), left (share that remains after this expiry)
    reasons : `expiry_ts` in words → why its volatility at the money is unknown
    """

    by_expiry: pl.DataFrame
    reasons: Mapping[str, Reason] = field(default_factory=dict)

    def nearest(self, move: Move = Move.SD) -> float | None:
        """The expected move up to the nearest expiry that has one, in price units."""
        known = self.by_expiry[move.value].drop_nulls()
        return float(known[0]) if known.len() else None


def expected_move(book: Book) -> ExpectedMove:
    """Expected moves by expiry and the roll-off of gamma."""
    from scipy.special import ndtr

    lines, chain = book.lines, book.chain
    first = np.flatnonzero(np.diff(lines.expiry, prepend=-1))
    years, expiry = lines.years[first], lines.expiry[first]
    spot = book.spot
    forward = spot * np.exp(lines.carry[first] * years)
    volatility = volatilities(spot, lines.strike, lines.years, lines.carry, lines.sigma, first)
    s = volatility * np.sqrt(years)
    straddle = 2.0 * np.exp(-lines.rate[first] * years) * forward * (2.0 * ndtr(0.5 * s) - 1.0)
    here = book.exposures
    place = np.repeat(np.arange(first.size), np.diff(np.append(first, len(lines))))
    gex = sums(place, here.gex, first.size)
    gross = sums(place, np.abs(here.gex), first.size)
    total = gross.sum()
    share = gross / total if total > 0 else np.full(first.size, np.nan)
    table = table_of(
        {
            "expiry_ts": pl.Series(chain.expiry_ts[expiry]).cast(pl.Datetime("us", "UTC")),
            "days": years * book.days_a_year,
            "forward": forward,
            "volatility": volatility,
            Move.SD.value: spot * s,
            **{name.value: factor * straddle for name, factor in FACTORS.items()},
            "gex": gex,
            "gross_gex": gross,
            "share": share,
            "left": np.maximum(1.0 - np.cumsum(share), 0.0),
        }
    )
    unknown = table["expiry_ts"].filter(table["volatility"].is_null())
    return ExpectedMove(
        conventions=book.conventions,
        by_expiry=table,
        reasons={f"{moment:%Y-%m-%d %H:%M}": Reason.FEW_ROWS for moment in unknown},
    )
