"""Bars as arrays, with what is known of them at each decision time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, decision_delay, trusted_open

Array = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]  # microseconds since 1970, UTC
Mask = npt.NDArray[np.bool_]

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """One instrument's bars, ascending; every array is (n,).

    Where a value is unknown, `known` is False and the array holds a stand-in that no output may show: the close for
    open, high and low, zero for the volume. A stand-in is forgotten as fast as any other row, and columns are null
    until then.
    """

    ts: Stamps
    as_of: Stamps
    available_at: Stamps
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    known: dict[str, Mask]

    @property
    def rows(self) -> int:
        return self.close.size

    def usable(self, inputs: tuple[str, ...], warmup: int) -> Mask:
        """(n,) True where all of `inputs` are known, by decision time, for the last `warmup` rows and the row itself.

        A row that was restated after a decision (its `available_at` is later) leaves that decision without a value:
        what was known then is no longer in this table.
        """
        good = np.logical_and.reduce([self.known[name] for name in inputs])
        row = np.arange(self.rows)
        last_bad = np.maximum.accumulate(np.where(good, -1, row))
        usable: Mask = row - last_bad > warmup
        for late in np.flatnonzero(self.available_at > self.as_of):
            seen = int(np.searchsorted(self.as_of, self.available_at[late]))
            usable[late : min(late + warmup + 1, seen)] = False
        return usable


def read_bars(bars: pl.DataFrame) -> Inputs:
    """Check bars and take them apart.

    Raises
    ------
    InvalidInput : a missing column, several instruments, unsorted or repeated times, NaN, or a price not above zero
    """
    missing = [name for name in BARS if name not in bars.columns]
    if missing:
        raise InvalidInput(f"expected bars with the columns {', '.join(BARS)}; missing {', '.join(missing)}")
    named = bars["instrument"]
    if bars.height and (named.null_count() or not (named == named[0]).all()):
        raise InvalidInput(f"expected bars of one instrument, found {named.n_unique()}; call once for each")
    ts = stamps(bars, "ts")
    if bars.height > 1 and not (ts[1:] > ts[:-1]).all():
        row = int(np.flatnonzero(np.diff(ts) <= 0)[0]) + 1
        raise InvalidInput(f"expected bars in ascending order of ts, one row each; row {row} is not after row {row - 1}")
    if bars["close"].null_count():
        raise InvalidInput(f"expected a close in every bar, found {bars['close'].null_count()} without; drop those rows")
    close = values(bars["close"], "close")
    price = {name: values(bars[name], name) for name in ("high", "low")}
    reasons = bars["reasons"]
    plain = reasons.null_count() == bars.height or not reasons.str.contains("open_synthetic", literal=True).any()
    price["open"] = values(bars["open"] if plain else bars.select(open=trusted_open())["open"], "open")
    traded = values(bars["volume"], "volume")
    for name, array in {"close": close, **price}.items():
        if array.size and not np.fmin.reduce(array) > 0 and (array <= 0).any():
            raise InvalidInput(f"expected positive prices, found {name} {np.nanmin(array)}; clean the bars first")
    if traded.size and np.fmin.reduce(traded) < 0:
        raise InvalidInput(f"expected volumes of at least zero, found {np.nanmin(traded)}; clean the bars first")
    known = {name: ~np.isnan(array) for name, array in price.items()}
    known["close"] = np.ones(close.size, dtype=bool)
    known["volume"] = ~np.isnan(traded)
    ranged = known["high"] & known["low"]
    return Inputs(
        ts=ts,
        as_of=ts + decision_delay(ts) // MICROSECOND,
        available_at=stamps(bars, "available_at"),
        open=_filled(price["open"], known["open"], close),
        high=_filled(price["high"], ranged, close),
        low=_filled(price["low"], ranged, close),
        close=close,
        volume=_filled(traded, known["volume"], 0.0),
        known=known,
    )


def _filled(array: Array, known: Mask, otherwise: Array | float) -> Array:
    """The array with a stand-in where it is not known; itself where all of it is."""
    return array if known.all() else np.where(known, array, otherwise)


def stamps(frame: pl.DataFrame, name: str) -> Stamps:
    """A column of UTC times as (n,) microseconds."""
    column = frame[name]
    if not isinstance(column.dtype, pl.Datetime) or column.dtype.time_zone != "UTC":
        raise InvalidInput(f"expected {name} as times in UTC, found {column.dtype}")
    if column.null_count():
        raise InvalidInput(f"expected {name} in every row, found {column.null_count()} without")
    if column.dtype.time_unit != "us":
        column = column.cast(pl.Datetime("us", "UTC"))
    return column.to_physical().to_numpy().astype(np.int64)


def values(column: pl.Series, name: str) -> Array:
    """A column as (n,) float64, NaN where it is null; NaN or infinity in the column itself is refused."""
    if not column.dtype.is_numeric():
        raise InvalidInput(f"expected numbers in {name}, found {column.dtype}")
    if column.dtype != pl.Float64:
        column = column.cast(pl.Float64)
    array: Array = column.to_numpy().astype(np.float64)  # a null is NaN here
    if int(np.count_nonzero(np.isfinite(array))) != len(column) - column.null_count():
        raise InvalidInput(f"expected finite numbers or null in {name}, found NaN or infinity")
    return array
