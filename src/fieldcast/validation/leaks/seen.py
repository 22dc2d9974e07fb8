"""What the alterations showed of each column: how it moved, what it remembers, what it is free of, and where the code raised."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldcast.validation.leaks.alter import Altered, Sample
from fieldcast.validation.leaks.diagnose import Response
from fieldcast.validation.leaks.runner import Columns

FUTURE_TOLERANCE, SOFT_TOLERANCE = 1e-9, 1e-6
Array = NDArray[np.float64]


@dataclass
class Moves:
    """What moved of one column."""

    cuts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[float, str, int, int, float, float]] = field(default_factory=list)  # size, how, cut, row, value, altered
    first: int | None = None
    last: int | None = None
    beyond_holes: bool = False
    beyond_leading: bool = False
    filled: bool = True


@dataclass(eq=False)
class Seen:
    """Everything that was seen of the user's columns on one sample.

    Parameters
    ----------
    sample : the bars
    full : the columns on the bars as they are, without those that were handed on unchanged
    size : what a difference of each column is small against
    """

    sample: Sample
    full: Columns
    size: dict[str, float]
    judged: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)
    moves: dict[str, Moves] = field(default_factory=lambda: defaultdict(Moves))
    own_moves: dict[str, Moves] = field(default_factory=lambda: defaultdict(Moves))
    random: set[str] = field(default_factory=set)
    memory: dict[str, int | None] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)  # column → rows after the beginning at which it still depends on it
    scale: dict[str, str] = field(default_factory=dict)
    reads_own: set[str] = field(default_factory=set)
    responses: dict[tuple[str, str], list[Response]] = field(default_factory=lambda: defaultdict(list))

    def note(
        self,
        moves: Moves,
        how: str,
        cut: int,
        rows: NDArray[np.intp],
        values: Array,
        altered: Altered,
        base: Columns,
        name: str,
        *,
        gaps: bool = False,
    ) -> None:
        """Write down the rows of a column that an alteration moved, the largest of them with its values."""
        moves.cuts[how] += 1
        place = np.full(self.sample.rows, -1)
        place[altered.ours] = altered.theirs
        when = self.sample.when[rows]
        moves.first = int(when.min()) if moves.first is None else min(moves.first, int(when.min()))
        moves.last = int(when.max()) if moves.last is None else max(moves.last, int(when.max()))
        sizes = np.abs(np.nan_to_num(base[name][rows]) - np.nan_to_num(values[place[rows]])) / self.size[name]
        worst = int(np.argmax(sizes))
        row = int(rows[worst])
        moves.rows.append((float(sizes[worst]), how, cut, row, float(base[name][row]), float(values[place[row]])))
        moves.beyond_holes |= not gaps
        whole = self.full[name]
        moves.filled &= all(self._is_filled(base[name], int(one), cut) for one in rows[:50])
        if not gaps:
            known = np.flatnonzero(np.isfinite(whole))
            run = known[0] if known.size else 0
            constant = np.flatnonzero(whole[known] != whole[run]) if known.size else np.empty(0, dtype=int)
            lead = known[constant[0]] if constant.size else self.sample.rows
            moves.beyond_leading |= bool((rows >= lead).any())

    def _is_filled(self, values: Array, row: int, cut: int) -> bool:
        """Whether the row's value is that of the first row behind the cut that has one of its own."""
        mine = self.sample.columns["instrument"] == self.sample.columns["instrument"][row]
        later = np.flatnonzero(mine & (self.sample.when > cut))[:8]
        return bool(later.size) and bool(np.isclose(values[later], values[row], rtol=1e-12, atol=0.0).any())

    def fingerprint(self, how: str, name: str, at: int, values: Array) -> None:
        """The response of one column, of the instrument that moved most before the impulse."""
        if values.size != self.sample.rows:
            return
        changed = differs(self.full[name], values, FUTURE_TOLERANCE, self.size[name])
        names = self.sample.columns["instrument"]
        early = changed & (self.sample.when < at)
        moved = names[early] if early.any() else names[:1]
        kinds, counts = np.unique(moved, return_counts=True)
        rows = np.flatnonzero(names == kinds[np.argmax(counts)])
        response = Response(at, self.sample.when[rows], self.full[name][rows], values[rows], changed[rows])
        self.responses[how, name].append(response)


def size_of(values: Array) -> float:
    """The column's size, against which a difference is small: its deviation, else its level, else 1."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 1.0
    low, high = np.quantile(known, (0.05, 0.95))
    return float(high - low) or float(known.std()) or float(np.abs(known).mean()) or 1.0


def differs(one: Array, other: Array, tolerance: float, size: float) -> NDArray[np.bool_]:
    """Where two columns are not the same: known in one alone, or apart by more than the tolerance of value and size."""
    a, b = np.isnan(one), np.isnan(other)
    x, y = np.where(a, 0.0, one), np.where(b, 0.0, other)
    far = np.abs(x - y) > tolerance * (np.abs(x) + size)
    return np.asarray((a != b) | (~a & ~b & far), dtype=np.bool_)
