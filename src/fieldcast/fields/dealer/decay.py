"""CharmDecay: the drift of the dealers' delta by time to expiry, into the close and over the night or weekend.

Buckets are calendar days to expiry; what ends by the next close is `0DTE`. For each: charm now, the drift from now to the next
close, and from that close to the open after it (a weekend or holiday if one lies between: `closed_hours`). Spot and volatility
are held. A line takes part in a span while its last moment is after the span's start; where it ends within, it ends as the
delta of its payoff.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.clock import MINUTE, Clock, micros, next_close, next_open, share_elapsed
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.fields.dealer.mapper import book_path

ZERO_DTE = "0DTE"
BUCKETS: tuple[tuple[str, float], ...] = (("to 7 d", 7.0), ("to 30 d", 30.0), ("to 90 d", 90.0), ("later", float("inf")))


@dataclass(frozen=True, kw_only=True, eq=False)
class CharmDecay(Stamped):
    """Drift by time to expiry.

    Parameters
    ----------
    by_bucket : a row for each bucket with lines, nearest first: bucket, lines, gross_gex (dollars per 1 %), chex (dollars a day),
        to_close, overnight (dollars of delta gained over each span)
    close, reopen : the next close, and the open after it
    closed_hours : between the two
    clock : how time passes
    """

    by_bucket: pl.DataFrame
    close: datetime
    reopen: datetime
    closed_hours: float
    clock: Clock

    @property
    def to_close(self) -> float:
        """Dollars of delta that the book gains up to the close."""
        return float(self.by_bucket["to_close"].sum())

    @property
    def overnight(self) -> float:
        """Dollars of delta that the book gains from the close to the next open."""
        return float(self.by_bucket["overnight"].sum())


def charm_decay(book: Book, clock: Clock = Clock.CALENDAR) -> CharmDecay:
    """Drift of a book's delta by time to expiry.

    Raises
    ------
    MissingData : the exchange's calendar ends before the next open
    """
    now = book.chain.as_of
    close = next_close(now)
    reopen = next_open(close)
    minutes = np.array([(micros(moment) - micros(now)) / MINUTE for moment in (close, reopen)])
    elapsed = np.concatenate([np.zeros((1, len(book.lines))), share_elapsed(book, minutes, clock)])
    bucket = _bucket(book, minutes[0])
    here = book.exposures
    names = (ZERO_DTE, *(name for name, _ in BUCKETS))
    rows = []
    for place, name in enumerate(names):
        inside = bucket == place
        if not inside.any():
            continue
        beyond = inside & (elapsed[1] < 1.0)
        start, at_close = book_path(book, elapsed[:2], inside)[:, 0]
        again, at_open = book_path(book, elapsed[1:], beyond)[:, 0]
        rows.append(
            (name, int(inside.sum()), float(np.abs(here.gex[inside]).sum()), float(here.chex[inside].sum()),
             (at_close - start) * book.spot, (at_open - again) * book.spot)
        )  # fmt: skip
    columns = {"bucket": pl.String, "lines": pl.Int64, "gross_gex": pl.Float64, "chex": pl.Float64,
               "to_close": pl.Float64, "overnight": pl.Float64}  # fmt: skip
    return CharmDecay(
        conventions=book.conventions,
        by_bucket=pl.DataFrame(rows, schema=columns, orient="row"),
        close=close,
        reopen=reopen,
        closed_hours=(reopen - close) / timedelta(hours=1),
        clock=clock,
    )


def _bucket(book: Book, to_close: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(lines,) place of the bucket: 0 for what ends by the next close."""
    minutes = book.lines.years * book.days_a_year * 1440.0
    edges = np.array([days * 1440.0 for _, days in BUCKETS])
    place = 1 + np.searchsorted(edges, minutes, side="left")
    return np.where(minutes <= to_close + 0.5, 0, place).astype(np.int64)
