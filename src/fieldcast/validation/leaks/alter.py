"""The bars as columns of arrays, and every way in which a leak test alters them.

An alteration belongs to a cut: row times up to the cut are the past and stay as they are; what comes later is altered. Columns
that are causal have the same values on the past, whatever the alteration:

    cut         later rows are removed
    append      rows that do not exist yet are added behind the last one
    replace     later bars are made anew from the returns and the shapes of other bars, in random order
    up, down    later prices × 1.37 and × 0.41, volumes × 0.6 and × 2.2
    shuffle     later bars change places, instruments among themselves too; the times stay
    missing     later values are not known
    impulse     the bars of one time alone are altered; a step: of that and of all later times
    own_bar     high, low, close and volume at the cut and behind are altered, the open is not
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import PRICES, STAMP

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
FUTURES = ("cut", "replace", "up", "down", "shuffle", "missing")
LEAST_ROWS = 120
_TIME = "ts"


@dataclass(frozen=True)
class Sample:
    """Bars as arrays; n rows, T times.

    Parameters
    ----------
    columns : ts (int64, microseconds), instrument (text), and float64 columns; each (n,)
    when : (n,) place of each row's time among `times`
    times : (T,) int64, ascending
    """

    columns: dict[str, NDArray[Any]]
    when: NDArray[np.intp]
    times: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return self.when.size

    @property
    def numeric(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name not in (_TIME, "instrument"))

    @property
    def prices(self) -> tuple[str, ...]:
        return tuple(name for name in PRICES if name in self.columns)


@dataclass(frozen=True)
class Altered:
    """Altered bars; row `theirs[i]` of them is row `ours[i]` of the sample, both in the past of the cut."""

    bars: dict[str, NDArray[Any]]
    ours: Rows
    theirs: Rows


def sample_of(bars: pl.DataFrame) -> Sample:
    """The columns of a table of bars that the user's code gets: ts, instrument and every number.

    Raises
    ------
    InvalidInput : no `ts`, no `close`, an (instrument, ts) twice, or times that do not ascend within an instrument
    MissingData : fewer than 120 times
    """
    absent = [name for name in (_TIME, "close") if name not in bars.columns]
    if absent:
        raise InvalidInput(f"expected bars with ts and close, found {', '.join(bars.columns[:8])}; missing {', '.join(absent)}")
    ts = bars[_TIME].cast(STAMP).dt.epoch("us").to_numpy().astype(np.int64)
    names = bars["instrument"].cast(pl.String) if "instrument" in bars.columns else pl.Series(["BARS"] * bars.height)
    columns: dict[str, NDArray[Any]] = {"instrument": names.to_numpy().astype(str), _TIME: ts}
    for name, dtype in bars.schema.items():
        if name not in columns and dtype.is_numeric():
            columns[name] = bars[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
    times, when = np.unique(ts, return_inverse=True)
    for one in np.unique(columns["instrument"]):
        if (np.diff(ts[columns["instrument"] == one]) <= 0).any():
            raise InvalidInput(f"expected each time of {one} once and ascending, found others; sort the bars by ts first")
    if times.size < LEAST_ROWS:
        raise MissingData(f"expected at least {LEAST_ROWS} bars to look for leaks on, found {times.size}")
    return Sample(columns, when, times)


def future(sample: Sample, cut: int, how: str, rng: np.random.Generator) -> Altered:
    """Everything after time `cut` altered in one of `FUTURES`."""
    past = np.flatnonzero(sample.when <= cut)
    if how == "cut":
        return Altered({name: values[past] for name, values in sample.columns.items()}, past, np.arange(past.size))
    later = np.flatnonzero(sample.when > cut)
    bars = {name: values.copy() for name, values in sample.columns.items()}
    if how == "shuffle":
        order = rng.permutation(later)
        for name in sample.numeric:
            bars[name][later] = sample.columns[name][order]
    elif how == "missing":
        for name in sample.numeric:
            bars[name][later] = np.nan
    elif how in ("up", "down"):
        price, volume = (1.37, 0.6) if how == "up" else (0.41, 2.2)
        _scale(sample, bars, later, price, volume)
    elif how == "replace":
        for one in np.unique(sample.columns["instrument"][later]):
            mine = np.flatnonzero(sample.columns["instrument"] == one)
            _anew(sample, bars, mine[sample.when[mine] <= cut], mine[sample.when[mine] > cut], rng)
    else:
        raise InvalidInput(f"expected an alteration out of {', '.join(FUTURES)}, found {how!r}")
    return Altered(bars, past, past)


def append(sample: Sample, count: int, rng: np.random.Generator) -> Altered:
    """`count` times more behind the last, for each instrument that is there at the last time."""
    names = sample.columns["instrument"]
    step = int(np.median(np.diff(sample.times)))
    fresh = sample.times[-1] + step * np.arange(1, count + 1)
    alive = [one for one in np.unique(names) if sample.when[names == one].max() == sample.times.size - 1]
    blocks = np.flatnonzero(names[1:] != names[:-1]).size + 1 == np.unique(names).size  # one instrument after the other
    pieces: list[tuple[dict[str, NDArray[Any]], NDArray[np.float64]]] = []
    for one in alive:
        mine = np.flatnonzero(names == one)
        source = rng.choice(mine, count)
        piece = {name: values[source] for name, values in sample.columns.items()}
        piece[_TIME] = fresh
        level = sample.columns["close"][mine[-1]] / piece["close"] * np.exp(0.02 * rng.standard_normal(count))
        for name in sample.prices:
            piece[name] = piece[name] * level
        pieces.append((piece, np.full(count, mine[-1] + 0.5) if blocks else sample.rows + np.arange(count, dtype=float)))
    place = np.concatenate([np.arange(sample.rows, dtype=float), *(where for _, where in pieces)])
    order = np.argsort(place, kind="stable")
    bars = {
        name: np.concatenate([values, *(piece[name] for piece, _ in pieces)])[order] for name, values in sample.columns.items()
    }
    return Altered(bars, np.arange(sample.rows), np.flatnonzero(order < sample.rows))


def impulse(sample: Sample, at: int, *, up: bool, later: bool = False) -> Altered:
    """The bars of time `at` (and of all later times) altered.

    Prices × 1.5 or × 0.6, volumes × 0.4 or × 2.5, other numbers by three deviations.
    """
    bars = {name: values.copy() for name, values in sample.columns.items()}
    rows = np.flatnonzero(sample.when >= at if later else sample.when == at)
    _scale(sample, bars, rows, *((1.5, 0.4) if up else (0.6, 2.5)))
    rows = np.arange(sample.rows)
    return Altered(bars, rows, rows)


def own_bar(sample: Sample, cut: int, *, up: bool, later: bool) -> Altered:
    """High, low, close and volume of time `cut` (and of all later times) altered, the open of `cut` left."""
    bars = {name: values.copy() for name, values in sample.columns.items()}
    here = sample.when == cut
    rows = np.flatnonzero(sample.when >= cut if later else here)
    opened = sample.columns["open"][here].copy() if "open" in sample.columns else None
    _scale(sample, bars, rows, *((1.5, 0.4) if up else (0.6, 2.5)))
    if opened is not None:
        bars["open"][here] = opened
        for name, limit in (("high", np.fmax), ("low", np.fmin)):
            if name in bars:
                bars[name][here] = np.where(np.isnan(bars[name][here]), np.nan, limit(bars[name][here], opened))
    past = np.flatnonzero(sample.when <= cut)
    return Altered(bars, past, past)


def without_beginning(sample: Sample, start: int) -> Altered:
    """The same bars from time `start` on."""
    kept = np.flatnonzero(sample.when >= start)
    return Altered({name: values[kept] for name, values in sample.columns.items()}, kept, np.arange(kept.size))


def rescaled(sample: Sample, factor: float) -> Altered:
    """All prices × factor and volumes / factor, as a later split or dividend does to back-adjusted bars."""
    bars = {name: values.copy() for name, values in sample.columns.items()}
    for name in sample.prices:
        bars[name] = bars[name] * factor
    if "volume" in bars:
        bars["volume"] = bars["volume"] / factor
    rows = np.arange(sample.rows)
    return Altered(bars, rows, rows)


def with_holes(sample: Sample, holes: list[int]) -> Sample:
    """The sample with all numbers unknown for three times from each of `holes` on."""
    rows = np.flatnonzero(np.isin(sample.when, np.concatenate([np.arange(at, at + 3) for at in holes])))
    columns = {name: values.copy() for name, values in sample.columns.items()}
    for name in sample.numeric:
        columns[name][rows] = np.nan
    return Sample(columns, sample.when, sample.times)


def _scale(sample: Sample, bars: dict[str, NDArray[Any]], rows: Rows, price: float, volume: float) -> None:
    for name in sample.numeric:
        if name in sample.prices:
            bars[name][rows] *= price
        elif name == "volume":
            bars[name][rows] *= volume
        else:
            spread = np.nanstd(sample.columns[name]) if np.isfinite(sample.columns[name]).any() else 1.0
            bars[name][rows] += (3.0 if price > 1 else -3.0) * (spread or 1.0)


def _anew(sample: Sample, bars: dict[str, NDArray[Any]], past: Rows, later: Rows, rng: np.random.Generator) -> None:
    """A random walk on from the last past close, of returns and bar shapes drawn from all bars, twice as wild."""
    close = sample.columns["close"]
    mine = np.concatenate([past, later])
    known = close[mine][np.isfinite(close[mine])]
    steps = np.diff(np.log(np.abs(known) + 1e-12))
    wild = 2.0 * rng.choice(steps, later.size) + 0.01 * rng.standard_normal(later.size) if steps.size else np.zeros(later.size)
    begin = known[0] if not np.isfinite(close[past[-1:]]).any() else close[past[-1]]
    path = begin * np.exp(np.cumsum(np.clip(wild, -0.3, 0.3)))
    source = rng.choice(mine, later.size)
    for name in sample.numeric:
        drawn = sample.columns[name][source]
        bars[name][later] = drawn / close[source] * path if name in sample.prices else drawn
