"""Lines of a table as they are filled, and as columns: no value is copied, and what is NaN is null.

Each line is padded to whole words of 64 rows, so that the bits that say which values are known begin on a byte for every line,
and two threads that mark different words write to different bytes. What is done in parts gives the same table on any number of
threads: a part's values depend on its own rows alone, wherever it is carried out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fieldcast.features._inputs import Array
from fieldcast.ground import InvalidInput

WORD = 64  # rows whose bits one word holds
ROWS_FOR_TWO_THREADS = 100_000  # below, a thread costs more than it saves
PARTS = 4  # pieces of work a thread, so that none waits long for the last one
T = TypeVar("T")
_NUMBERS = pa.float64()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one table, (p, rows) in `values`; on `threads` threads.

    Parameters
    ----------
    padded : (p, k) C-contiguous, k the next multiple of 64 from `rows` on
    marks : (p, k / 64) uint64, which values are known, a bit each
    marked : (k / 64,) words that are marked already
    infinite : how many infinite values each part had that was marked
    """

    padded: Array
    rows: int
    threads: int
    marks: npt.NDArray[np.uint64]
    marked: npt.NDArray[np.bool_]
    infinite: list[int]

    @classmethod
    def empty(cls, count: int, rows: int, threads: int) -> Lines:
        """Lines that have yet to be filled."""
        words = -(-rows // WORD)
        marks = np.empty((count, words), dtype=np.uint64)
        return cls(np.empty((count, words * WORD)), rows, threads, marks, np.zeros(words, dtype=np.bool_), [])

    @property
    def values(self) -> Array:
        """(p, rows), a view."""
        return self.padded[:, : self.rows]

    def mark(self, begin: int, end: int) -> None:
        """Rows `begin` to `end` - 1 are filled for good: mark their whole words, while they are in the cache."""
        self._mark(-(-begin // WORD), self.marked.size if end == self.rows else end // WORD)

    def _mark(self, first: int, last: int) -> None:
        from fieldcast.features._kernels_table import mark_known

        if first < last:
            self.infinite.append(int(mark_known(self.padded, self.rows, first, last, self.marks)))
            self.marked[first:last] = True

    def columns(self, names: Sequence[str]) -> list[pl.Series] | None:
        """A series each, which from now on hold the memory of these lines; None where a value is infinite."""
        count, width = self.padded.shape
        if self.marked.any():
            left = np.flatnonzero(~self.marked).tolist()
            parts = [(word, word + 1) for word in left]
        else:
            parts = parts_of(self.marked.size, self.threads)
        share_out([(self._mark, *part) for part in parts], self.threads)
        if sum(self.infinite):
            return None
        buffers = [pa.py_buffer(self.marks), pa.py_buffer(self.padded)]
        flat = pl.Series("", pa.Array.from_buffers(_NUMBERS, count * width, buffers), dtype=pl.Float64)
        return [flat.slice(place * width, self.rows).alias(name) for place, name in enumerate(names)]


def threads_for(rows: int, asked: int | None) -> int:
    """How many threads fill a table.

    Parameters
    ----------
    asked : so many; None: as many as polars has, where there are rows enough to share out

    Raises
    ------
    InvalidInput : fewer than one
    """
    if asked is None:
        return pl.thread_pool_size() if rows >= ROWS_FOR_TWO_THREADS else 1
    if asked < 1:
        raise InvalidInput(f"expected threads of at least 1, found {asked}")
    return asked


def parts_of(size: int, threads: int) -> list[tuple[int, int]]:
    """Where to cut 0 to `size`: whole for one thread, else into a few parts each, of about the same length."""
    if threads == 1:
        return [(0, size)]
    edges = np.unique(np.linspace(0, size, PARTS * threads + 1).astype(np.int64)).tolist()
    return list(pairwise(edges))


def share_out(work: Sequence[tuple[Callable[[int, int], T], int, int]], threads: int) -> list[T]:
    """Carry out each (function, from, to) one after another, or the next by whichever thread is free; results in no order."""
    if threads == 1:
        return [do(first, last) for do, first, last in work]
    waiting = deque(work)

    def some() -> list[T]:
        done: list[T] = []
        while True:
            try:
                do, first, last = waiting.popleft()
            except IndexError:
                return done
            done.append(do(first, last))

    with ThreadPoolExecutor(threads - 1) as aside:
        others = [aside.submit(some) for _ in range(threads - 1)]
        return sum((other.result() for other in others), some())
