"""Bars as arrays, with what is known of them at each decision time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, decision_delay, trusted_open

Array = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]  # microseconds since 1970, UTC
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

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

    def clean(self) -> set[str]:
        """Inputs of which every value is known, by its decision time; none where a row came later than that."""
        if (self.available_at > self.as_of).any():
            return set()
        masks = {id(mask): mask for mask in self.known.values()}  # most often one and the same
        whole = {key for key, mask in masks.items() if mask.all()}
        return {name for name, mask in self.known.items() if id(mask) in whole}

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


def read_bars(bars: pl.DataFrame, *, copy: bool = True) -> Inputs:
    """Check bars and take them apart.

    Parameters
    ----------
    copy : False leaves what can be read in place where it is; such arrays cannot be written to

    Raises
    ------
    InvalidInput : a missing column, several instruments, unsorted or repeated times, NaN, or a price not above zero
    """
    _check_columns(bars)
    named = bars["instrument"]
    if bars.height and (named.null_count() or not (named == named[0]).all()):
        raise InvalidInput(f"expected bars of one instrument, found {named.n_unique()}; call once for each")
    ts = stamps(bars, "ts", copy=copy)
    if bars.height > 1 and not (ts[1:] > ts[:-1]).all():
        row = int(np.flatnonzero(np.diff(ts) <= 0)[0]) + 1
        raise InvalidInput(f"expected bars in ascending order of ts, one row each; row {row} is not after row {row - 1}")
    return _read(bars, ts, ts + decision_delay(ts) // MICROSECOND, copy=copy)


def read_each(bars: pl.DataFrame) -> tuple[Inputs, Places]:
    """Check bars of several instruments, one after another, and take them apart; the first row of each, and the end.

    Raises
    ------
    InvalidInput : as `read_bars`, or rows of one instrument in two places
    """
    _check_columns(bars)
    named = bars["instrument"]
    if named.null_count():
        raise InvalidInput(f"expected an instrument in every row, found {named.null_count()} without")
    changes = np.flatnonzero((named[1:] != named[:-1]).to_numpy()) + 1 if bars.height else np.empty(0, dtype=np.int64)
    bounds = np.array([0, *changes, bars.height])
    if bars.height and named.gather(bounds[:-1]).n_unique() < bounds.size - 1:
        raise InvalidInput("expected the rows of each instrument together, found some apart; sort by instrument and ts")
    ts = stamps(bars, "ts", copy=False)
    back = ts[1:] <= ts[:-1]
    back[changes - 1] = False
    if back.any():
        row = int(np.flatnonzero(back)[0]) + 1
        raise InvalidInput(
            f"expected bars of each instrument in ascending order of ts, one row each; row {row} ({named[row]}) is not after "
            f"row {row - 1}"
        )
    delays = [decision_delay(ts[first:last]) // MICROSECOND for first, last in pairwise(bounds)]
    return _read(bars, ts, ts + np.repeat(np.array(delays), np.diff(bounds)), copy=False), bounds


def _check_columns(bars: pl.DataFrame) -> None:
    there = set(bars.columns)
    if missing := [name for name in BARS if name not in there]:
        raise InvalidInput(f"expected bars with the columns {', '.join(BARS)}; missing {', '.join(missing)}")


def _read(bars: pl.DataFrame, ts: Stamps, as_of: Stamps, *, copy: bool) -> Inputs:
    """The columns of bars whose instruments and times are in order."""
    if bars["close"].null_count():
        raise InvalidInput(f"expected a close in every bar, found {bars['close'].null_count()} without; drop those rows")
    close = values(bars["close"], "close", copy=copy)
    price = {name: values(bars[name], name, copy=copy) for name in ("high", "low")}
    reasons = bars["reasons"]
    plain = reasons.null_count() == bars.height or not reasons.str.contains("open_synthetic", literal=True).any()
    opened = bars["open"] if plain else bars.select(open=trusted_open())["open"]
    price["open"] = values(opened, "open", copy=copy)
    traded = values(bars["volume"], "volume", copy=copy)
    for name, array in {"close": close, **price}.items():
        if array.size and not np.fmin.reduce(array) > 0 and (array <= 0).any():
            raise InvalidInput(f"expected positive prices, found {name} {np.nanmin(array)}; clean the bars first")
    if traded.size and np.fmin.reduce(traded) < 0:
        raise InvalidInput(f"expected volumes of at least zero, found {np.nanmin(traded)}; clean the bars first")
    every = np.ones(close.size, dtype=bool)
    nulls = {"open": opened.null_count(), **{name: bars[name].null_count() for name in ("high", "low", "volume")}}
    known = {name: ~np.isnan(array) if nulls[name] else every for name, array in (*price.items(), ("volume", traded))}
    known["close"] = every
    ranged = known["high"] & known["low"] if nulls["high"] or nulls["low"] else every
    return Inputs(
        ts=ts,
        as_of=as_of,
        available_at=stamps(bars, "available_at", copy=copy),
        open=np.where(known["open"], price["open"], close) if nulls["open"] else price["open"],
        high=price["high"] if ranged is every else np.where(ranged, price["high"], close),
        low=price["low"] if ranged is every else np.where(ranged, price["low"], close),
        close=close,
        volume=np.where(known["volume"], traded, 0.0) if nulls["volume"] else traded,
        known=known,
    )


def stamps(frame: pl.DataFrame, name: str, *, copy: bool = True) -> Stamps:
    """A column of UTC times as (n,) microseconds; `copy` as in `read_bars`."""
    column = frame[name]
    dtype = column.dtype
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone != "UTC":
        raise InvalidInput(f"expected {name} as times in UTC, found {dtype}")
    if column.null_count():
        raise InvalidInput(f"expected {name} in every row, found {column.null_count()} without")
    if dtype.time_unit != "us":
        column = column.cast(pl.Datetime("us", "UTC"))
    return column.to_numpy().view(np.int64).astype(np.int64, copy=copy)


def values(column: pl.Series, name: str, *, copy: bool = True) -> Array:
    """A column as (n,) float64, NaN where it is null; NaN or infinity in the column itself is refused.

    `copy` as in `read_bars`.
    """
    dtype = column.dtype
    if dtype != pl.Float64:
        if not dtype.is_numeric():
            raise InvalidInput(f"expected numbers in {name}, found {dtype}")
        column = column.cast(pl.Float64)
    array: Array = column.to_numpy().astype(np.float64, copy=copy)  # a null is NaN here
    if int(np.count_nonzero(np.isfinite(array))) != len(column) - column.null_count():
        raise InvalidInput(f"expected finite numbers or null in {name}, found NaN or infinity")
    return array
