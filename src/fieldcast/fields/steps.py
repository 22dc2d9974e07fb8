"""The field table one bar at a time, for live use: a new bar costs the same after a hundred bars and after a million.

Every registered column remembers a declared number of rows. The stepper keeps the last rows of bars, as many as the longest
memory asks for, and computes each column from as many of them as it remembers:

    parts     an engine that declares PARTS (inputs, memory, function) has each of them run over its last memory + 1 rows: the
              kernels of the batch, on what they read
    engines   any other engine is run over the last 2 · memory + 1 rows. A recursion that forgets a share of 1e-6 within its
              declared memory starts there with its error squared away, so that batch and step agree far below 1e-9

What was kept is all that a row depends on, so that the row is that of `build_field_table`, null and reason included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
import polars as pl

from fieldcast.fields._parts import Part
from fieldcast.fields._rows import Counts, Floats, Rows, by_stretch, rows_of
from fieldcast.fields.columns import FieldColumn
from fieldcast.fields.liquidity import SWING
from fieldcast.fields.table import ENGINES, FIELD_REGISTRY, TIMES, WARMUP
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import BARS, STAMP

KEPT = 2 * WARMUP + 1  # rows
_PRICES = ("open", "high", "low", "close", "volume")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Job:
    """One computation of a step: an engine's part, or the whole engine over twice its memory."""

    block: str
    rows: int
    part: Part | None


def _jobs() -> Iterator[_Job]:
    for block, engine in ENGINES.items():
        parts: tuple[Part, ...] | None = getattr(engine, "PARTS", None)
        if parts is None:
            yield _Job(block, 2 * max(column.warmup for column in engine.COLUMNS) + 1, None)
        else:
            yield from (_Job(block, part.memory + 1, part) for part in parts)


class FieldStepper:
    """Fed each closed bar once, in order; returns the newest row of the field table.

    Parameters
    ----------
    bars : history to begin with, one instrument, schema `market.BARS`, ascending; none = begin empty
    """

    def __init__(self, bars: pl.DataFrame | None = None) -> None:
        self._jobs = tuple(_jobs())
        self._instrument: str | None = None
        self._filled = 0  # rows in the arrays
        size = 2 * KEPT  # half of them are moved once every KEPT bars: a constant share of each
        self._ts, self._available_at = np.empty(size, np.int64), np.empty(size, np.int64)
        self._numbers: dict[str, Floats] = {name: np.empty(size) for name in _PRICES}
        self._synthetic = np.empty(size, np.bool_)
        if bars is not None and bars.height:
            self._take(bars.tail(KEPT))

    def __len__(self) -> int:
        """Rows that are kept."""
        return min(self._filled, KEPT)

    def update(self, bar: pl.DataFrame) -> dict[str, Any]:
        """Take one closed bar and return the row of the field table that ends with it.

        Parameters
        ----------
        bar : one row, schema `market.BARS`, later than all before it

        Returns
        -------
        The names and values of the last row of `build_field_table` on all bars so far

        Raises
        ------
        InvalidInput : not one row, another instrument, a stamp that is not later, or a bar that breaks the schema
        """
        if bar.height != 1:
            raise InvalidInput(f"expected one closed bar, found {bar.height}; give history to the constructor")
        self._take(bar)
        return self._row()

    def _take(self, bars: pl.DataFrame) -> None:
        plain = _plain(bars) if bars.height == 1 else None
        if plain is None:  # history, or a bar with something missing or wrong in it: the table's own checks
            rows = rows_of(bars)
            instrument, ts = str(bars["instrument"][0]), rows.ts.to_physical().to_numpy()
            available_at, synthetic = rows.available_at.to_physical().to_numpy(), rows.synthetic_open
            numbers: Mapping[str, Any] = {name: getattr(rows, name) for name in _PRICES}
        else:
            instrument, ts, available_at, numbers = plain
            synthetic = np.zeros(1, np.bool_)
        if self._instrument not in (None, instrument):
            raise InvalidInput(f"expected bars of {self._instrument}, found one of {instrument}; one stepper for each")
        if self._filled and ts[0] <= self._ts[self._filled - 1]:
            raise InvalidInput(
                f"expected a bar later than {self._stamp(self._ts, 1)}, found {_moment(int(ts[0]))}; a restated past needs a new "
                "stepper"
            )
        self._instrument = instrument
        if self._filled + ts.size > self._ts.size:
            self._move()
        place = slice(self._filled, self._filled + ts.size)
        self._ts[place], self._available_at[place], self._synthetic[place] = ts, available_at, synthetic
        for name, values in self._numbers.items():
            values[place] = numbers[name]
        self._filled += ts.size

    def _move(self) -> None:
        """Put the last KEPT rows at the beginning."""
        last = slice(self._filled - KEPT, self._filled)
        for array in (self._ts, self._available_at, self._synthetic, *self._numbers.values()):
            array[:KEPT] = array[last].copy()
        self._filled = KEPT

    def _last(self, count: int) -> Rows:
        part = slice(max(0, self._filled - count), self._filled)
        return Rows(
            ts=pl.Series(self._ts[part]).cast(STAMP),
            available_at=pl.Series(self._available_at[part]).cast(STAMP),
            synthetic_open=self._synthetic[part],
            **{name: values[part] for name, values in self._numbers.items()},
        )

    def _row(self) -> dict[str, Any]:
        found = self._values()
        runs: dict[tuple[str, ...], int] = {}
        values: dict[str, float | None] = {}
        reasons: list[str] = []
        for name, column in FIELD_REGISTRY.items():
            if column.inputs not in runs:
                runs[column.inputs] = self._run(column.inputs)
            warm = runs[column.inputs] > column.warmup
            value = found.get(name, float("nan")) if warm else float("nan")
            if np.isinf(value):
                raise InvalidInput(f"expected finite {name}, found infinity at {self._stamp(self._ts, 1)}; check this bar")
            values[name] = None if np.isnan(value) else value
            if np.isnan(value):
                reasons.append(f"{name}:{self._reason(column, warm).value}")
        back = min(self._filled, WARMUP + 1)
        head: dict[str, Any] = {
            "ts": self._stamp(self._ts, 1),
            "available_at": _moment(int(self._available_at[self._filled - back : self._filled].max())),
            "close": float(self._numbers["close"][self._filled - 1]),
        }
        times = {name: self._confirmed_at(values[name.replace("confirmed_at", "age")]) for name in TIMES}
        return head | values | times | {"reasons": ",".join(reasons) or None}

    def _values(self) -> dict[str, float]:
        found: dict[str, float] = {}
        longest = self._last(max(job.rows for job in self._jobs))
        for job in self._jobs:
            rows = longest.cut(slice(max(0, len(longest) - job.rows), len(longest)))
            if job.part is None:
                arrays: Mapping[str, Floats] = ENGINES[job.block].compute(rows)
            else:
                arrays = by_stretch(rows, job.part.inputs, 1, job.part.compute)
            found |= {f"{job.block}.{name}": float(array[-1]) for name, array in arrays.items()}
        return found

    def _run(self, inputs: tuple[str, ...]) -> int:
        """How many of the last rows in a row have every input."""
        kept = slice(max(0, self._filled - WARMUP - 1), self._filled)
        known = np.logical_and.reduce([np.isfinite(self._numbers[name][kept]) for name in inputs])
        unknown = np.flatnonzero(~known)
        return int(known.size - 1 - unknown[-1]) if unknown.size else int(known.size)

    def _reason(self, column: FieldColumn, warm: bool) -> Reason:
        """As the table's: what was missing among the rows that the column reads, else why it has no value."""
        reason = Reason.UNDEFINED if warm else Reason.WARMING_UP
        seen = slice(max(0, self._filled - column.warmup - 1), self._filled)
        for name, code in (
            ("volume", Reason.VOLUME_NOT_REPORTED),
            ("high", Reason.CLOSE_ONLY),
            ("low", Reason.CLOSE_ONLY),
            ("open", Reason.CLOSE_ONLY),
        ):
            if name in column.inputs and np.isnan(self._numbers[name][seen]).any():
                reason = code
        if "open" in column.inputs and self._synthetic[seen].any():
            reason = Reason.OPEN_SYNTHETIC
        return reason

    def _confirmed_at(self, age: float | None) -> datetime | None:
        return None if age is None else self._stamp(self._ts, 1 + int(age) - SWING)

    def _stamp(self, stamps: np.ndarray, back: int) -> datetime:
        return _moment(int(stamps[self._filled - back]))


def _plain(bar: pl.DataFrame) -> tuple[str, Counts, Counts, Mapping[str, float]] | None:
    """Instrument, stamps and numbers of a bar in which everything is there and sound; None where anything is to be looked at."""
    if bar.schema != pl.Schema(BARS):
        return None
    instrument, ts, available_at, opened, high, low, close, volume, reasons = bar.row(0)
    if None in (instrument, ts, available_at) or reasons is not None:
        return None
    numbers = dict(zip(_PRICES, (opened, high, low, close, volume), strict=True))
    if not all(value is not None and isfinite(value) and value > 0 for value in numbers.values()) or high < low:
        return None
    stamps = bar.select(pl.col("ts", "available_at").to_physical()).row(0)
    return instrument, np.array([stamps[0]], np.int64), np.array([stamps[1]], np.int64), numbers


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
