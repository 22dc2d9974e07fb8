"""CharmField: how the dealers' delta drifts as time passes, now and up to the close, minute by minute.

Charm is ∂δ/∂t, the passing of time, spot and volatility held. Its rate (CHEX, a calendar day) changes fast in the last hours
of an expiry, so the drift to the close is no multiple of it: the whole book is priced again at each minute. A contract that
ends at the close ends as the delta of its payoff, so the path is finite to the last minute and includes what expiry itself
resolves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.clock import MINUTE, Clock, in_session, micros, next_close, next_open, share_elapsed
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.fields.dealer.mapper import book_path
from fieldcast.fields.priced_chain import Floats
from fieldcast.ground import InvalidInput


@dataclass(frozen=True, kw_only=True, eq=False)
class CharmField(Stamped):
    """Charm now, and the path of delta to a moment.

    Parameters
    ----------
    net, gross : dollars of delta per calendar day, now
    above, below : dollars of delta per day from strikes at or above the spot, and below
    clock : how time passes along the path
    until : end of the path
    minutes : (t,) after `as_of`, ascending
    drift : (t,) dollars of delta gained since `as_of`; dealers trade its opposite to stay hedged
    rate : (t,) dollars of delta per calendar day at each minute; at the end that of contracts still alive
    """

    net: float
    gross: float
    above: float
    below: float
    clock: Clock
    until: datetime
    minutes: Floats
    drift: Floats
    rate: Floats


def charm_field(book: Book, until: datetime | None = None, step: int = 1, clock: Clock = Clock.CALENDAR) -> CharmField:
    """Charm of a book, and the drift of its delta minute by minute.

    Parameters
    ----------
    until : end of the path, after `as_of`; by default the next close of the exchange
    step : minutes between points of the path; its end is always one of them
    clock : `calendar`, or `sessions` (nothing passes while the exchange is closed)

    Raises
    ------
    InvalidInput : an end that is not after `as_of`, or a step below one minute
    """
    now = book.chain.as_of
    calendar = book.conventions.calendar
    end = next_close(now, calendar) if until is None else until
    if end <= now or step < 1:
        raise InvalidInput(f"expected an end after {now} and a step of at least a minute, found {end} and {step}")
    minutes = _minutes(now, end, step, None if until is not None or in_session(now, calendar) else next_open(now, calendar))
    elapsed = np.concatenate([np.zeros((1, len(book.lines))), share_elapsed(book, minutes, clock)])
    out = book_path(book, elapsed)
    start, out = out[0, 0], out[1:]
    here = book.exposures
    upper = book.lines.strike >= book.spot
    return CharmField(
        conventions=book.conventions,
        net=float(here.chex.sum()),
        gross=float(np.abs(here.chex).sum()),
        above=float(here.chex[upper].sum()),
        below=float(here.chex[~upper].sum()),
        clock=clock,
        until=end,
        minutes=minutes,
        drift=(out[:, 0] - start) * book.spot,
        rate=out[:, 1] * book.spot / book.days_a_year,
    )


def _minutes(now: datetime, end: datetime, step: int, opens: datetime | None) -> Floats:
    """Points of the path: from now, or from the open where the exchange is closed and the path ends with its next session."""
    last = (micros(end) - micros(now)) / MINUTE
    first = 0.0 if opens is None else (opens - now) / timedelta(minutes=1)
    return np.append(np.arange(first, last - 1e-9, step), last)
