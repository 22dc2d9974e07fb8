"""Bars as arrays, with what is known of them at each decision time."""

from __future__ import annotations

from collections.abc import Mapping
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

PRICES = ("open", "high", "low", "close")
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
    from fieldcast.features._kernels_table import plain_numbers

    reasons = bars["reasons"]
    plain = reasons.null_count() == bars.height or not reasons.str.contains("open_synthetic", literal=True).any()
    opened = bars["open"] if plain else bars.select(open=trusted_open())["open"]
    columns = {"open": opened, **{name: bars[name] for name in (*PRICES[1:], "volume")}}
    found = {name: _numbers(column, name, copy=copy) for name, column in columns.items()}
    every = np.ones(bars.height, dtype=bool)
    known = dict.fromkeys(columns, every)
    first, high, low, close, volume = (frozen(array) for array in found.values())
    if not plain_numbers(first, high, low, close, volume):
        found, known = _stand_ins(columns, found, every)
    return Inputs(ts=ts, as_of=as_of, available_at=stamps(bars, "available_at", copy=copy), **found, known=known)


def _stand_ins(
    columns: Mapping[str, pl.Series], found: Mapping[str, Array], every: Mask
) -> tuple[dict[str, Array], dict[str, Mask]]:
    """The numbers with a stand-in for each that is not known, and which are; see `Inputs`."""
    nulls = {name: column.null_count() for name, column in columns.items()}
    if nulls["close"]:
        raise InvalidInput(f"expected a close in every bar, found {nulls['close']} without; drop those rows")
    for name, array in found.items():
        _require_finite(array, nulls[name], name)
    for name in ("close", "high", "low", "open"):
        array = found[name]
        if array.size and not np.fmin.reduce(array) > 0 and (array <= 0).any():
            raise InvalidInput(f"expected positive prices, found {name} {np.nanmin(array)}; clean the bars first")
    traded, close = found["volume"], found["close"]
    if traded.size and np.fmin.reduce(traded) < 0:
        raise InvalidInput(f"expected volumes of at least zero, found {np.nanmin(traded)}; clean the bars first")
    known = {name: ~np.isnan(found[name]) if nulls[name] else every for name in ("high", "low", "open", "volume", "close")}
    ranged = known["high"] & known["low"] if nulls["high"] or nulls["low"] else every
    return {
        "open": np.where(known["open"], found["open"], close) if nulls["open"] else found["open"],
        "high": found["high"] if ranged is every else np.where(ranged, found["high"], close),
        "low": found["low"] if ranged is every else np.where(ranged, found["low"], close),
        "close": close,
        "volume": np.where(known["volume"], traded, 0.0) if nulls["volume"] else traded,
    }, known


def frozen(line: Array) -> Array:
    """The same series, not to be written to: kernels are compiled for this kind alone, wherever a series comes from."""
    if not line.flags.writeable:
        return line
    view = line.view()
    view.flags.writeable = False
    return view


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
    array = _numbers(column, name, copy=copy)
    _require_finite(array, column.null_count(), name)
    return array


def _numbers(column: pl.Series, name: str, *, copy: bool) -> Array:
    """A column as (n,) float64, whatever the numbers in it; a null is NaN."""
    array = column.to_numpy()
    if array.dtype != np.float64 or not array.size:  # an array of no rows does not tell its kind
        if not column.dtype.is_numeric():
            raise InvalidInput(f"expected numbers in {name}, found {column.dtype}")
        array = column.cast(pl.Float64).to_numpy()
    found: Array = array.astype(np.float64, copy=copy)
    return found


def _require_finite(array: Array, nulls: int, name: str) -> None:
    if int(np.count_nonzero(np.isfinite(array))) != array.size - nulls:
        raise InvalidInput(f"expected finite numbers or null in {name}, found NaN or infinity")
