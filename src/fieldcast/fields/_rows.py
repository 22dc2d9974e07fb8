"""Bars as arrays: NaN for unknown inside, and stretches of rows in which everything a quantity reads is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, PRICES, conform, has_reason

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Bars of one instrument, ascending: (n,) arrays, NaN where the source gave nothing or what it gave is no print."""

    ts: pl.Series
    available_at: pl.Series
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    synthetic_open: Flags

    def __len__(self) -> int:
        return self.close.size

    def cut(self, part: slice) -> Rows:
        """The same rows, only those of `part`."""
        return Rows(*(getattr(self, item.name)[part] for item in fields(self)))


def rows_of(bars: pl.DataFrame) -> Rows:
    """Arrays of `bars`, checked.

    Raises
    ------
    InvalidInput : a column is missing, more than one instrument, stamps not strictly ascending, NaN or infinity, a
        close that is null, a price that is not positive, a high below the low, or a negative volume
    """
    bars = conform(bars, BARS)
    if bars["instrument"].n_unique() > 1:
        raise InvalidInput(f"expected bars of one instrument, found {bars['instrument'].n_unique()}; filter them first")
    if bars["ts"].null_count() or bars["available_at"].null_count():
        raise InvalidInput("expected ts and available_at on every bar, found a null")
    if (np.diff(bars["ts"].to_physical().to_numpy()) <= 0).any():
        raise InvalidInput("expected stamps in strictly ascending order, found a repeat or a step back; sort the bars")
    numbers = [*PRICES, "volume"]
    bad = bars.select(pl.col(numbers).is_finite().not_().any()).row(0)
    if any(bad):
        raise InvalidInput(f"expected finite numbers, found NaN or infinity in {_named(numbers, bad)}; unknown is null")
    bad = bars.select((pl.col(PRICES) <= 0).any()).row(0)
    if any(bad):
        raise InvalidInput(f"expected positive prices, found others in {_named(PRICES, bad)}")
    if bars["close"].null_count():
        raise InvalidInput(f"expected a close on every bar, found {bars['close'].null_count()} nulls")
    if bars.select((pl.col("high") < pl.col("low")).any() | (pl.col("volume") < 0).any()).item():
        raise InvalidInput("expected high ≥ low and volume ≥ 0 on every bar, found others; clean the bars first")
    synthetic = bars.select(has_reason("open_synthetic")).to_series().to_numpy().astype(bool)
    array = {name: bars[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in numbers}
    return Rows(
        ts=bars["ts"],
        available_at=bars["available_at"],
        open=np.where(synthetic, np.nan, array["open"]),
        high=array["high"],
        low=array["low"],
        close=array["close"],
        volume=array["volume"],
        synthetic_open=synthetic,
    )


def _named(names: Iterable[str], flags: Iterable[bool]) -> str:
    return ", ".join(name for name, flag in zip(names, flags, strict=True) if flag)


def known_run(*arrays: Floats) -> Counts:
    """How many rows in a row, ending here, every array is known: (n,), zero where one is not."""
    known = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    rows = np.arange(1, known.size + 1)
    return rows - np.maximum.accumulate(np.where(known, 0, rows))


def stretches(*arrays: Floats) -> list[slice]:
    """The maximal stretches of rows in which every array is known."""
    known = np.concatenate(([0], np.logical_and.reduce([np.isfinite(array) for array in arrays]).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(known))
    return [slice(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def by_stretch(
    rows: Rows, inputs: tuple[str, ...], shortest: int, compute: Callable[[Rows], dict[str, Floats]]
) -> dict[str, Floats]:
    """`compute` on each stretch of known `inputs` of at least `shortest` rows by itself; NaN elsewhere.

    A recursion never runs across an unknown row: after one it starts again, and warms up again.
    """
    result: dict[str, Floats] = {}
    for part in stretches(*(getattr(rows, name) for name in inputs)):
        if part.stop - part.start < shortest:
            continue
        for name, values in compute(rows.cut(part)).items():
            result.setdefault(name, np.full(len(rows), np.nan))[part] = values
    return result
