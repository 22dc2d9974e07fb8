"""CharmDecay: the drift of the dealers' delta by time to expiry, into the close and over the night or weekend.

Buckets are calendar days to expiry; what ends on the session that is on is `0DTE`, and nothing is while the exchange is closed.
For each: charm now, and the drift over two spans that follow one another:

    session on   to_close = now → close,          overnight = close → next open
    closed       overnight = now → next open,     to_close = that open → its close

`overnight` is a weekend or holiday where one lies between (`closed_hours`). Spot and volatility are held. A line takes part in
a span while its last moment is after the span's start; where it ends within, it ends as the delta of its payoff.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.clock import MINUTE, Clock, in_session, micros, next_close, next_open, session_of, share_elapsed
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
    close, reopen : the next close, and the next open: after it where a session is on, before it where none is
    session_on : whether one is
    closed_hours : that `overnight` spans
    clock : how time passes
    """

    by_bucket: pl.DataFrame
    close: datetime
    reopen: datetime
    closed_hours: float
    clock: Clock
    session_on: bool

    @property
    def to_close(self) -> float:
        """Dollars of delta that the book gains in what is left of the session that is on, or in all of the next one."""
        return float(self.by_bucket["to_close"].sum())

    @property
    def overnight(self) -> float:
        """Dollars of delta that the book gains up to the next open, from the close or from now, whichever is later."""
        return float(self.by_bucket["overnight"].sum())


def charm_decay(book: Book, clock: Clock = Clock.CALENDAR) -> CharmDecay:
    """Drift of a book's delta by time to expiry.

    Raises
    ------
    MissingData : the exchange's calendar ends before the next open
    """
    now, calendar = book.chain.as_of, book.conventions.calendar
    close, reopen, on = next_close(now, calendar), next_open(now, calendar), in_session(now, calendar)
    spans = (close, reopen) if on else (reopen, close)
    minutes = np.array([(micros(moment) - micros(now)) / MINUTE for moment in spans])
    elapsed = np.concatenate([np.zeros((1, len(book.lines))), share_elapsed(book, minutes, clock)])
    bucket = _bucket(book, on)
    here = book.exposures
    names = (ZERO_DTE, *(name for name, _ in BUCKETS))
    rows = []
    for place, name in enumerate(names):
        inside = bucket == place
        if not inside.any():
            continue
        beyond = inside & (elapsed[1] < 1.0)
        drift = [float(end - start) * book.spot for start, end in (
            book_path(book, elapsed[:2], inside)[:, 0], book_path(book, elapsed[1:], beyond)[:, 0]
        )]  # fmt: skip
        to_close, overnight = drift if on else drift[::-1]
        rows.append(
            (name, int(inside.sum()), float(np.abs(here.gex[inside]).sum()), float(here.chex[inside].sum()), to_close, overnight)
        )
    columns = {"bucket": pl.String, "lines": pl.Int64, "gross_gex": pl.Float64, "chex": pl.Float64,
               "to_close": pl.Float64, "overnight": pl.Float64}  # fmt: skip
    return CharmDecay(
        conventions=book.conventions,
        by_bucket=pl.DataFrame(rows, schema=columns, orient="row"),
        close=close,
        reopen=reopen,
        closed_hours=(reopen - (close if on else now)) / timedelta(hours=1),
        clock=clock,
        session_on=on,
    )


def _bucket(book: Book, on: bool) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(lines,) place of the bucket: 0 for what ends on the session that is on."""
    minutes = book.lines.years * book.days_a_year * 1440.0
    edges = np.array([days * 1440.0 for _, days in BUCKETS])
    place = 1 + np.searchsorted(edges, minutes, side="left")
    if on:
        calendar = book.conventions.calendar
        today = session_of(np.array([micros(book.chain.as_of)]), calendar)
        place = np.where(session_of(book.chain.expiry_ts[book.lines.expiry], calendar) == today, 0, place)
    return place.astype(np.int64)
