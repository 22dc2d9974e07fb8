"""Columns that grow row by row without being copied each time."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Growing(Generic[Scalar]):
    """An array (n, ...) with room behind it: a row is added in constant time on average.

    Parameters
    ----------
    rows : the rows there are; copied
    """

    def __init__(self, rows: NDArray[Scalar]) -> None:
        self._size = len(rows)
        self._store: NDArray[Scalar] = np.empty((max(16, 2 * len(rows)), *rows.shape[1:]), dtype=rows.dtype)
        self._store[: self._size] = rows

    def add(self, row: Any) -> None:
        """One row more."""
        if self._size == len(self._store):
            wider = np.empty((2 * self._size, *self._store.shape[1:]), dtype=self._store.dtype)
            wider[: self._size] = self._store
            self._store = wider
        self._store[self._size] = row
        self._size += 1

    @property
    def rows(self) -> NDArray[Scalar]:
        """(n, ...) a view: it shows what was there when it was asked for."""
        return self._store[: self._size]

    def __len__(self) -> int:
        return self._size
