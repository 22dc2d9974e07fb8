"""The hash of bars that grow row by row: of the rows so far, whether they came one by one or at once.

Two streams, since a row's text has no fixed length: 56 bytes a row of `ts` and `available_at` (µs since 1970) and five doubles,
little-endian, a null as one and the same NaN; and the reasons of those rows that have some, with the row's number.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

PRICES = ("open", "high", "low", "close", "volume")
_TIMES = ("ts", "available_at")


class BarsHash:
    """SHA-256 over all columns of bars of one instrument, schema `market.BARS`."""

    def __init__(self, bars: pl.DataFrame) -> None:
        self._instrument = str(bars["instrument"][0]) if bars.height else ""
        self._rows, self._numbers, self._texts = 0, hashlib.sha256(), hashlib.sha256()
        self.add(bars)

    def add(self, bars: pl.DataFrame) -> None:
        """Further rows of the same instrument."""
        self._numbers.update(packed(bars, _TIMES))
        reasons = bars["reasons"]
        if reasons.null_count() < bars.height:
            for row, text in enumerate(reasons.to_list(), self._rows):
                if text is not None:
                    self._texts.update(f"{row}\0{text}\0".encode())
        self._rows += bars.height

    def hexdigest(self) -> str:
        """Of all rows so far."""
        named = f"{self._instrument}\0{self._rows}\0".encode()
        return hashlib.sha256(named + self._numbers.digest() + self._texts.digest()).hexdigest()


def packed(bars: pl.DataFrame, times: tuple[str, ...]) -> bytes:
    """Rows of times (µs since 1970, int64) and of `PRICES` (doubles), little-endian."""
    rows = np.empty((bars.height, len(times) + len(PRICES)), dtype="<f8")
    for place, name in enumerate(times):
        rows.view("<i8")[:, place] = microseconds(bars[name])
    for place, name in enumerate(PRICES, len(times)):
        values = bars[name].cast(pl.Float64).to_numpy()
        rows[:, place] = np.where(np.isnan(values), np.nan, values) if bars[name].null_count() else values
    return rows.tobytes()


def microseconds(times: pl.Series) -> NDArray[np.int64]:
    """(n,) since 1970, of UTC times; without a query of polars, whose start costs more than a short column."""
    return times.cast(pl.Datetime("us", "UTC")).to_numpy().view(np.int64)
