"""Train, validation and test: one division of the rows, by share, by date, or by the chunks of an older study.

    rows   |-------- train --------|-- validation --|-- test --|

A sample spans its context (`context` rows, its own among them) and its label. Where `context` is given the whole span must lie
in the sample's own part: parts are isolated, at the price of `context` - 1 rows at the start of each. Without it only labels are
held back, which is enough to be causal: a context may look back, a label may not reach over. A set that is too small to tell
anything is refused by its name, because small ones have made laws before: 19 validation rows were once the whole basis of an
"inverse scaling law" that was later retracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation.splits import Rows, Stamps, _stamps
from fieldcast.ground import InvalidInput, ShortHistory

LEAST_ROWS = 100  # at balanced classes the standard error of an AUC is then 0.058: an edge of 0.10 can just be seen
FLOOR = 30  # nobody may ask for less


@dataclass(frozen=True)
class Partition:
    """Row positions, ascending, of three sets that share no row."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class ShareSplit:
    """By share of the rows, in time order; the test set has what train and validation leave.

    Parameters
    ----------
    train, validation : shares, above 0 and together below 1
    context : rows of a sample's look-back, itself included; None = contexts may look over a boundary
    least_rows : of each set, at least 30
    """

    train: float = 0.70
    validation: float = 0.15
    context: int | None = None
    least_rows: int = LEAST_ROWS

    def __post_init__(self) -> None:
        if not (self.train > 0.0 and self.validation > 0.0 and self.train + self.validation < 1.0 - 1e-9):
            raise InvalidInput(f"expected shares above 0 with a sum below 1, found {self.train} and {self.validation}")
        _check_guard(self.context, self.least_rows)

    def split(self, decision: NDArray[Any], label_end: NDArray[Any]) -> Partition:
        """Divide rows in time order.

        Parameters
        ----------
        decision, label_end : (n,) datetime64 as in `WalkForward.split`

        Raises
        ------
        ShortHistory : a set is smaller than `least_rows`; the message names it
        """
        made, ended = _stamps(decision, label_end)
        # rounding up at 1e-9: .7 + .15 of 100 rows is 85 of them, not 84.99999999999999
        edges = [int(share * made.size + 1e-9) for share in (self.train, self.train + self.validation)]
        return _divide(made, ended, (0, *edges, made.size), self.context, self.least_rows)


@dataclass(frozen=True)
class DatedSplit:
    """By date: decisions up to and including `train_until`, then up to `validation_until`, then the rest.

    Parameters
    ----------
    train_until, validation_until : last date (UTC) of a set
    context, least_rows : as in `ShareSplit`
    """

    train_until: date
    validation_until: date
    context: int | None = None
    least_rows: int = LEAST_ROWS

    def __post_init__(self) -> None:
        if self.train_until >= self.validation_until:
            raise InvalidInput(f"expected train to end before validation, found {self.train_until}, {self.validation_until}")
        _check_guard(self.context, self.least_rows)

    def split(self, decision: NDArray[Any], label_end: NDArray[Any]) -> Partition:
        """As `ShareSplit.split`."""
        made, ended = _stamps(decision, label_end)
        lasts = np.array([self.train_until, self.validation_until], dtype="datetime64[D]") + np.timedelta64(1, "D")
        edges = np.searchsorted(made, lasts.astype("datetime64[us]"), side="left")
        return _divide(made, ended, (0, int(edges[0]), int(edges[1]), made.size), self.context, self.least_rows)


@dataclass(frozen=True)
class ChunkSplit:
    """The older study's split, kept so that its figures can be made again: one sample a held-out chunk.

    The rows are tiled with chunks of `context` + `horizon` rows. Held-out chunks are drawn at random ("scattered") or are the
    last ones ("contiguous"); training samples are the sliding windows that touch none of them. A chunk gives one sample, so that
    8,000 rows leave about twenty: the guard is there for it.

    Parameters
    ----------
    context, horizon : rows that a sample looks back on (itself included), and ahead
    validation, test : shares of the chunks
    mode, seed : how chunks are held out
    least_rows : as in `ShareSplit`
    """

    context: int
    horizon: int
    validation: float = 0.15
    test: float = 0.15
    mode: Literal["scattered", "contiguous"] = "scattered"
    seed: int = 42
    least_rows: int = LEAST_ROWS

    def __post_init__(self) -> None:
        if self.horizon < 1 or not (self.validation > 0.0 and self.test > 0.0 and self.validation + self.test < 1.0):
            raise InvalidInput(
                f"expected a horizon of at least 1 and shares above 0 with a sum below 1, found {self.horizon}, "
                f"{self.validation}, {self.test}"
            )
        if self.mode not in ("scattered", "contiguous"):
            raise InvalidInput(f"expected the mode scattered or contiguous, found {self.mode!r}")
        _check_guard(self.context, self.least_rows)

    def split(self, rows: int) -> Partition:
        """Divide `rows` rows; positions are those of decision rows, the last of a sample's context.

        Raises
        ------
        ShortHistory : a set is smaller than `least_rows`; the message names it
        """
        span = self.context + self.horizon
        chunks = rows // span
        n_validation, n_test = int(self.validation * chunks), int(self.test * chunks)
        order = np.arange(chunks)[::-1]
        if self.mode == "scattered":
            order = np.random.default_rng(self.seed).permutation(chunks)
        test, validation = np.sort(order[:n_test]), np.sort(order[n_test : n_test + n_validation])
        held = np.zeros(rows, dtype=np.int64)
        for chunk in (*test, *validation):
            held[chunk * span : (chunk + 1) * span] = 1
        touched = np.concatenate(([0], np.cumsum(held)))
        starts = np.arange(max(rows - span + 1, 0))
        free = starts[touched[starts + span] == touched[starts]]
        last = self.context - 1
        return _guarded(Partition(free + last, validation * span + last, test * span + last), self.least_rows)


def _divide(made: Stamps, ended: Stamps, edges: tuple[int, ...], context: int | None, least: int) -> Partition:
    parts = []
    for first, stop in pairwise(edges):
        rows = np.arange(first if context is None else first + context - 1, stop)
        if rows.size:
            rows = rows[ended[rows] <= made[stop - 1]]  # the label ends within the part; NaT compares as False
        parts.append(rows)
    return _guarded(Partition(*parts), least)


def _guarded(partition: Partition, least: int) -> Partition:
    for name in ("train", "validation", "test"):
        rows = getattr(partition, name).size
        if rows < least:
            raise ShortHistory(
                f"expected at least {least} rows in the {name} set, found {rows}: figures on so few are noise; use more history, "
                "larger shares or a shorter context"
            )
    return partition


def _check_guard(context: int | None, least: int) -> None:
    if context is not None and context < 1:
        raise InvalidInput(f"expected a context of at least 1 row, found {context}")
    if least < FLOOR:
        raise InvalidInput(f"expected least_rows of at least {FLOOR}, found {least}: the guard cannot be taken out")
