"""Which row of another table was the newest one known at each decision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fieldcast.features._inputs import Stamps

Places = npt.NDArray[np.int64]


def newest_known(ts: Stamps, available: Stamps, decision: Stamps, until: Stamps | None = None) -> Places:
    """(n,) place of the row with the latest `ts` (of equal ones the last published) known at each decision; -1 for none.

    A row that arrives after a newer one never becomes the newest; one published again replaces what it restates from then on.

    Parameters
    ----------
    ts, available : (m,) end of each row and when it could first be known, in microseconds, any order
    decision : (n,) moments
    until : (n,) rows that end later than this do not count, however early they were published; None = the decision itself
    """
    if ts.size == 0:
        return np.full(decision.size, -1, dtype=np.int64)
    known_at = np.maximum(ts, available)  # no row is known before it has ended
    by_age = np.lexsort((available, ts))
    if (np.diff(known_at[by_age]) >= 0).all():  # known in the order in which they ended, as nearly always
        count = np.searchsorted(known_at[by_age], decision, side="right")
        if until is not None:
            count = np.minimum(count, np.searchsorted(ts[by_age], until, side="right"))
        return np.where(count > 0, by_age[np.maximum(count, 1) - 1], -1).astype(np.int64)
    place = _running(by_age, known_at)
    order = np.argsort(known_at, kind="stable")
    count = np.searchsorted(known_at[order], decision, side="right")
    found = np.where(count > 0, place[np.maximum(count, 1) - 1], -1)
    if until is None:
        return found
    for row in np.flatnonzero((found >= 0) & (ts[np.maximum(found, 0)] > until)):  # published, and ended only after the bar
        open_to_it = np.flatnonzero((known_at <= decision[row]) & (ts <= until[row]))
        rank = np.lexsort((available[open_to_it], ts[open_to_it]))
        found[row] = open_to_it[rank[-1]] if open_to_it.size else -1
    return found


def _running(by_age: Places, known_at: Stamps) -> Places:
    """(m,) place of the newest row among the first 1 … m to become known."""
    rank = np.empty(by_age.size, dtype=np.int64)
    rank[by_age] = np.arange(by_age.size)
    best = np.maximum.accumulate(rank[np.argsort(known_at, kind="stable")])
    return by_age[best].astype(np.int64)
