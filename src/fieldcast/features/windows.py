"""Windows of features over an immutable frame of raw prices, each with a label made from those prices alone.

A dataset of context c and horizon H over r aligned rows has

    r - c - H + 1     windows; window i holds rows i … i + c - 1, is decided at t = i + c - 1 and asked about t + 1 … t + H

Features and labels never meet: labels come from the raw prices, are computed once, and stay the same array when the inputs are
normalised. A window is decided at its row's end plus a delay, before its answer and after everything that it reads was known;
datasets in which that is not so are refused. Windows are views of one table, not copies. A window may begin among training
rows and be decided among test rows: its context is the past; what must not straddle a border is its label, and `label_end`
says when that was known.

Several instruments and covariates are put together by `features.builders`.

Source: ts-scaling study, 2.4 (count and alignment checks).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import MICROSECOND, Array, Stamps, read_bars, stamps
from fieldcast.features._inputs import values as numbers
from fieldcast.features.normalise import WINDOWED, Normaliser
from fieldcast.ground import InvalidInput, MissingData, digest, utc
from fieldcast.market import BARS, DECISION_DELAY

_PRICED = ("open", "high", "low", "close", "volume")
NAT = np.iinfo(np.int64).min  # of a label that has not ended


@dataclass(frozen=True, eq=False)
class PriceFrame:
    """Raw prices of one instrument that nothing changes any more: arrays are read-only, and `hash` tells two frames apart.

    Parameters
    ----------
    bars : as they were handed over; polars frames are never changed in place
    ts, as_of, available_at : end of each row, its decision time, and when it could first be known, microseconds; (r,)
    hash : SHA-256 over instrument, times, prices and volumes
    """

    bars: pl.DataFrame
    ts: Stamps
    as_of: Stamps
    available_at: Stamps
    hash: str

    @classmethod
    def of(cls, bars: pl.DataFrame, *, delay: timedelta = DECISION_DELAY) -> PriceFrame:
        """Checked and frozen.

        Parameters
        ----------
        bars : schema `market.BARS`, one instrument, ascending; r rows
        delay : from a row's end to its decision; of bars within the day shorter than the horizon of the labels

        Raises
        ------
        InvalidInput : a negative delay, or the bars break their schema, are of several instruments, unsorted, or have a NaN or
            no close
        """
        if delay < timedelta():
            raise InvalidInput(f"expected a decision at or after the row's end, found a delay of {delay}")
        inputs = read_bars(bars)
        kept = bars.select(*BARS).clone()
        name = kept["instrument"][0] if kept.height else None
        content = hashlib.sha256(np.ascontiguousarray(inputs.ts, dtype="<i8").tobytes())
        for column in _PRICED:  # an unknown value is the one NaN that numpy makes of null
            content.update(kept[column].fill_null(float("nan")).to_numpy().astype("<f8").tobytes())
        found = digest({"instrument": name, "rows": kept.height, "content": content.hexdigest()})
        decision = inputs.ts + delay // MICROSECOND
        return cls(kept, frozen(inputs.ts), frozen(decision), frozen(inputs.available_at), found)

    def __len__(self) -> int:
        return self.ts.size

    @property
    def instrument(self) -> str:
        return str(self.bars["instrument"][0])


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows with their labels; every array is read-only.

    Parameters
    ----------
    prices : the raw frame behind the labels
    columns : names of the inputs
    rows : (r, columns) inputs of the aligned rows; `x` are windows over it
    y : (n,) labels, NaN where a label is unknown
    ts, as_of : (n,) row at which each window is decided, and that moment; microseconds
    label_end : (n,) when the answer was known; NAT where it is not
    context, horizon : c and H
    dropped : rows before the first on which every input is known
    inputs_hash : of the normaliser that the inputs went through; None = raw
    """

    prices: PriceFrame
    columns: tuple[str, ...]
    rows: Array
    y: Array
    ts: Stamps
    as_of: Stamps
    label_end: Stamps
    context: int
    horizon: int
    dropped: int
    inputs_hash: str | None = None

    def __len__(self) -> int:
        return self.y.size

    @property
    def x(self) -> Array:
        """(n, context, columns) the windows: a read-only view, no copy."""
        view = np.lib.stride_tricks.sliding_window_view(self.rows, self.context, axis=0)
        return view[: len(self)].transpose(0, 2, 1)

    def __getitem__(self, place: int) -> tuple[Array, float]:
        return self.x[place], float(self.y[place])

    def training(self, before: datetime) -> npt.NDArray[np.int64]:
        """Windows whose answer was known by `before` and whose label is known: what a model may be fitted on."""
        moment = int(np.datetime64(utc(before).replace(tzinfo=None), "us").astype(np.int64))
        return np.flatnonzero((self.label_end != NAT) & (self.label_end <= moment) & ~np.isnan(self.y))

    def rows_of(self, places: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Rows of the inputs that these windows read, ascending: those on which a normaliser may be fitted."""
        first = np.asarray(places, dtype=np.int64)
        if first.size and (first.min() < 0 or first.max() >= len(self)):
            raise InvalidInput(f"expected windows out of 0 to {len(self) - 1}, found {first.min()} to {first.max()}")
        read = np.zeros(len(self.rows), dtype=bool)
        read[np.unique(first[:, None] + np.arange(self.context))] = True
        return np.flatnonzero(read)

    def normalised(self, normaliser: Normaliser) -> Windows:
        """The same windows over normalised inputs; labels are the same array, bit for bit.

        Raises
        ------
        InvalidInput : a normaliser of other columns, one that works window by window (apply it to `x`), or a second one
        """
        if normaliser.columns != self.columns or self.inputs_hash is not None:
            raise InvalidInput("expected one normaliser of these columns in this order, on raw inputs")
        if normaliser.kind in WINDOWED:
            raise InvalidInput(f"expected a normaliser of rows, found {normaliser.kind}; call its apply on the windows x")
        return replace(self, rows=frozen(normaliser.apply(self.rows)), inputs_hash=normaliser.hash)


def windows(
    bars: pl.DataFrame | PriceFrame, features: pl.DataFrame, labels: pl.DataFrame, label: str, *, context: int, horizon: int
) -> Windows:
    """The windowed dataset of one instrument.

    Parameters
    ----------
    bars : raw prices, schema `market.BARS`, decided `market.DECISION_DELAY` after each row; for another delay a `PriceFrame`
    features : `ts` and numeric columns, one row for each bar; null before the warm-up alone
    labels : from `features.labels` or `features.thresholds` on the same bars: `ts`, `label_end_ts` and the column `label`
    context : rows of a window, at least 1
    horizon : H of the labels, in rows

    Raises
    ------
    InvalidInput : rows that do not line up, a column that is no number, NaN, labels of another horizon, labels that the last
        `horizon` rows already have, or decisions that come after their answer
    MissingData : an input is unknown after the warm-up, a window reads a bar that came out after its decision, or no window
        is left
    """
    prices = bars if isinstance(bars, PriceFrame) else PriceFrame.of(bars)
    names = tuple(name for name in features.columns if name != "ts")
    if context < 1 or horizon < 1 or not names or label not in labels.columns or "label_end_ts" not in labels.columns:
        raise InvalidInput(f"expected context and horizon of at least 1, inputs, and labels with label_end_ts and {label}")
    for what, table in (("features", features), ("labels", labels)):
        if table.height != len(prices) or not np.array_equal(stamps(table, "ts"), prices.ts):
            raise InvalidInput(
                f"expected {what} on the {len(prices)} rows of the prices, found {table.height} rows or other times"
            )
    inputs = np.column_stack([numbers(features[name], name) for name in names])
    first, whole = _first_known(inputs, names, prices)
    y, ends = numbers(labels[label], label), labels["label_end_ts"]
    ended = np.where(ends.is_null().to_numpy(), NAT, ends.dt.epoch("us").fill_null(0).to_numpy()).astype(np.int64)
    _check_ends(ended, y, prices, horizon)
    count = len(prices) - first - context - horizon + 1
    if count < 1:
        raise MissingData(
            f"expected at least {context + horizon} rows after the warm-up for a window of {context} and a horizon of "
            f"{horizon}, found {len(prices) - first}"
        )
    decided = slice(first + context - 1, first + context - 1 + count)
    _check_moments(prices, first, context, decided, ended)
    return Windows(
        prices=prices,
        columns=names,
        rows=frozen(whole),
        y=frozen(y[decided]),
        ts=frozen(prices.ts[decided]),
        as_of=frozen(prices.as_of[decided]),
        label_end=frozen(ended[decided]),
        context=context,
        horizon=horizon,
        dropped=first,
    )


def _first_known(table: Array, names: Sequence[str], prices: PriceFrame) -> tuple[int, Array]:
    """The first row on which every input is known, and the inputs from there on; a hole later on is refused."""
    known = ~np.isnan(table)
    whole = np.flatnonzero(known.all(axis=1))
    if not whole.size:
        never = [names[place] for place in np.flatnonzero(~known.any(axis=0)).tolist()]
        raise MissingData(f"expected a row on which every input is known, found none (never known: {', '.join(never[:4])})")
    first = int(whole[0])
    holes = np.argwhere(~known[first:])
    if holes.size:
        row, column = holes[0]
        raise MissingData(
            f"expected every input after its warm-up, found {len(holes)} unknown, the first in {names[column]} at "
            f"{prices.bars['ts'][first + int(row)]}; leave the column out, or cut the rows"
        )
    return first, np.ascontiguousarray(table[first:])


def _check_ends(ended: Stamps, y: Array, prices: PriceFrame, horizon: int) -> None:
    """Labels end exactly `horizon` rows later, and the last rows have none."""
    due = np.full(len(prices), NAT)
    due[: max(len(prices) - horizon, 0)] = prices.ts[horizon:]
    if not np.array_equal(ended, due):
        raise InvalidInput(f"expected labels that end {horizon} rows after their own, found others; make them with that horizon")
    if not np.isnan(y[ended == NAT]).all():
        raise InvalidInput("expected no label on rows whose answer is not known yet, found some: they look ahead")


def _check_moments(prices: PriceFrame, first: int, context: int, decided: slice, ended: Stamps) -> None:
    """Each window is decided before its answer, and after its last bar was known."""
    after = np.flatnonzero(ended[decided] <= prices.as_of[decided])
    if after.size:
        row = decided.start + int(after[0])
        raise InvalidInput(
            f"expected decisions before their answer, found the one of {prices.bars['ts'][row]} at or after it; give a shorter "
            "delay (PriceFrame.of(bars, delay=...)) or a longer horizon"
        )
    read = prices.available_at[first : decided.stop]
    known = np.lib.stride_tricks.sliding_window_view(read, context).max(axis=1)
    late = np.flatnonzero(known > prices.as_of[decided])
    if late.size:
        raise MissingData(
            f"expected the bars of each window by its decision, found {late.size} windows with a bar that came later, the first "
            f"decided on {prices.bars['ts'][decided.start + int(late[0])]}; give a longer delay, or cut the rows"
        )


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only copy."""
    kept = np.array(array)
    kept.flags.writeable = False
    return kept
