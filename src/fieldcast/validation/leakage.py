"""Does anything of the future reach a forecast? Five tests by experiment, one for each door.

    features     the table at time t, made again from bars up to t alone, must be the same at every row up to t
    labels       a label, made again from bars up to its stated end, must be the same; from bars up to its decision, unknown
    splits       no training row is a test row, has an open label, or has a label span that touches a test span
    scalers      altering rows outside training must not change what preparation makes of the training rows; altering some of
                 those outside must not change what it makes of the others
    thresholds   altering scores and outcomes outside training must not move the threshold that was chosen

Nothing is read from code: whatever prepares, splits or chooses is called again on altered inputs, so that a leak is found however
it came about. A report passes only if each door was tested and nothing came through: `require` ends the run by the name of the
leak. Differences are relative above 1 and absolute below, as in `causality`, which looks at registered columns in more ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import FieldcastError, InvalidInput, MissingData

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Stamps = npt.NDArray[np.datetime64]
TOLERANCE = 1e-9
SHOWN = 3  # leaks that a message spells out


class LeakKind(StrEnum):
    """The door through which the future came in."""

    FEATURES = "features"
    LABELS = "labels"
    SPLITS = "splits"
    SCALERS = "scalers"
    THRESHOLDS = "thresholds"


class LeakFound(FieldcastError):
    """The run used what it could not have known; `kinds` names the doors."""

    def __init__(self, message: str, kinds: frozenset[LeakKind]) -> None:
        super().__init__(message)
        self.kinds = kinds


@dataclass(frozen=True)
class Leak:
    """One thing that should have been equal, or apart, and was not; `where` names its column, row or fold."""

    kind: LeakKind
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} leak at {self.where}: {self.detail}"


@dataclass(frozen=True)
class LeakCheck:
    """One test: its comparisons, and what it found."""

    kind: LeakKind
    comparisons: int
    leaks: tuple[Leak, ...]


@dataclass(frozen=True)
class LeakageReport:
    """What was tested, by kind, and what was found."""

    comparisons: Mapping[LeakKind, int]
    leaks: tuple[Leak, ...]

    @classmethod
    def of(cls, checks: Iterable[LeakCheck]) -> LeakageReport:
        done = list(checks)
        counts = {kind: sum(check.comparisons for check in done if check.kind is kind) for kind in LeakKind}
        return cls(counts, tuple(leak for check in done for leak in check.leaks))

    @property
    def kinds(self) -> frozenset[LeakKind]:
        """Kinds of leak that were found."""
        return frozenset(leak.kind for leak in self.leaks)

    @property
    def untested(self) -> tuple[LeakKind, ...]:
        """Doors that nothing was compared at."""
        return tuple(kind for kind in LeakKind if not self.comparisons.get(kind, 0))

    @property
    def ok(self) -> bool:
        """True where every door was tested and nothing was found."""
        return not self.leaks and not self.untested

    def require(self) -> None:
        """End the run where anything leaked or was not looked at.

        Raises
        ------
        LeakFound : something leaked; the message names the kinds
        MissingData : a door was not tested, so that nothing can be said
        """
        if self.leaks:
            raise LeakFound(str(self), self.kinds)
        if self.untested:
            raise MissingData(f"expected leakage tests of every kind, found none of {', '.join(self.untested)}; run them too")

    def __str__(self) -> str:
        done = ", ".join(f"{kind} {self.comparisons.get(kind, 0)}" for kind in LeakKind)
        if not self.leaks:
            return f"no leak found (comparisons: {done})"
        names = ", ".join(sorted(self.kinds))
        rest = f" and {len(self.leaks) - SHOWN} more" if len(self.leaks) > SHOWN else ""
        return f"leakage in {names}: " + "; ".join(str(leak) for leak in self.leaks[:SHOWN]) + rest


def feature_leaks(
    compute: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame, *, times: int = 20, first: int = 1, seed: int = 0
) -> LeakCheck:
    """Cut the bars at random times and make the features again.

    Parameters
    ----------
    compute : from bars to one row a bar of numbers; a column `ts` is not compared
    bars : ascending in time
    times : cuts; the last row but one is always among them
    first : the earliest row to cut after

    Raises
    ------
    InvalidInput : another number of rows than bars, or other columns from fewer bars
    """
    full = _numbers(compute, bars)
    found: dict[str, Leak] = {}
    compared = 0
    for t in _moments(bars.height, times, first, seed):
        again = _numbers(compute, bars.head(t + 1))
        if set(again) != set(full):
            other = ", ".join(sorted(set(again) ^ set(full)))
            raise InvalidInput(f"expected the same columns from bars up to row {t} as from all bars, found {other} in one only")
        for name in full:
            before, after = full[name][: t + 1], again[name]
            compared += before.size
            wrong = np.flatnonzero(_differs(before, after))
            if wrong.size and name not in found:
                row = int(wrong[-1])
                found[name] = Leak(
                    LeakKind.FEATURES,
                    f"column {name}, row {row}",
                    f"{before[row]} on all bars, {after[row]} on bars up to row {t}",
                )
    return LeakCheck(LeakKind.FEATURES, compared, tuple(found.values()))


def label_leaks(
    compute: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame, *, times: int = 20, seed: int = 0
) -> LeakCheck:
    """Cut the bars at the end that a label states, and at its decision.

    Parameters
    ----------
    compute : from bars to one row a bar with `y` and `label_end_ts`
    bars : ascending in `ts`
    times : random rows with a known label

    Raises
    ------
    MissingData : no label is known
    """
    full = _labels(compute, bars)
    known = full.with_row_index("row").filter(pl.col("y").is_not_null() & pl.col("label_end_ts").is_not_null())["row"].to_numpy()
    if not known.size:
        raise MissingData("expected labels that are known, found none to test")
    rows = np.sort(np.random.default_rng(seed).choice(known, min(times, known.size), replace=False))
    found = []
    for row in (int(r) for r in rows):
        y, end = full["y"][row], full["label_end_ts"][row]
        where = f"row {row}"
        if end <= bars["ts"][row]:
            found.append(Leak(LeakKind.LABELS, where, f"it ends at {end}, not after its own bar"))
            continue
        at_end = _labels(compute, bars.filter(pl.col("ts") <= end))["y"][row]
        if at_end is None or _differs(np.array([float(y)]), np.array([float(at_end)])).any():
            found.append(Leak(LeakKind.LABELS, where, f"{y} on all bars, {at_end} on bars up to its stated end {end}"))
        at_decision = _labels(compute, bars.head(row + 1))["y"][row]
        if at_decision is not None:
            found.append(Leak(LeakKind.LABELS, where, f"{at_decision} is known from bars up to its own row already"))
    return LeakCheck(LeakKind.LABELS, 2 * rows.size, tuple(found))


def split_leaks(
    folds: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]], decision: npt.NDArray[Any], label_end: npt.NDArray[Any]
) -> LeakCheck:
    """Compare each training row's label span with each run of test rows.

    Parameters
    ----------
    folds : (train, test) row positions; for three sets hand over each pair of them
    decision, label_end : (n,) datetime64; NaT where a label is open
    """
    made, ended = np.asarray(decision, dtype="datetime64[us]"), np.asarray(label_end, dtype="datetime64[us]")
    found = []
    compared = 0
    for number, (fitted_on, scored) in enumerate(folds):
        train, test = np.asarray(fitted_on, dtype=np.intp), np.sort(np.asarray(scored, dtype=np.intp))
        if not train.size or not test.size:
            continue
        compared += train.size
        shared = np.intersect1d(train, test)
        if shared.size:
            found.append(_fold(number, shared, "in training and in test"))
        unknown = train[np.isnat(ended[train])]
        if unknown.size:
            found.append(_fold(number, unknown, "in training with a label that is not known yet"))
        touching = np.zeros(train.size, dtype=np.bool_)
        for run in np.split(test, np.flatnonzero(np.diff(test) > 1) + 1):
            open_ends = np.isnat(ended[run])
            touches = (ended[train] > made[run[0]]) & ~np.isnat(ended[train])
            if not open_ends.any():  # else the span reaches over everything after it
                touches &= made[train] < max(ended[run].max(), made[run[-1]])
            touching |= touches
        overlap = np.setdiff1d(train[touching], shared)
        if overlap.size:
            found.append(_fold(number, overlap, "in training with a label span that touches a test span"))
    return LeakCheck(LeakKind.SPLITS, compared, tuple(found))


def scaler_leaks(
    prepare: Callable[[Array, Rows], npt.ArrayLike], X: npt.ArrayLike, train: npt.ArrayLike, *, seed: int = 0
) -> LeakCheck:
    """Alter what lies outside training and prepare again: scalers, imputers, selectors, embeddings.

    Parameters
    ----------
    prepare : from (X (n, p), training rows) to (n, q): fits on the training rows, and transforms all
    X : (n, p); NaN where a value is not known
    train : training rows; at least two rows must lie outside

    Raises
    ------
    InvalidInput : fewer than two rows outside training, or another number of rows is returned
    """
    table, fitted_on, outside = _outside(X, train)
    rng = np.random.default_rng(seed)
    whole = _prepared(prepare, table, fitted_on)
    scale = float(np.nanstd(table)) or 1.0
    altered = table.copy()
    altered[outside] = altered[outside] * 3.0 + scale * (5.0 + rng.normal(size=altered[outside].shape))
    found = _changed(whole, _prepared(prepare, altered, fitted_on), fitted_on, "a training row follows rows outside training")
    half = np.sort(rng.permutation(outside)[: outside.size // 2])
    rest = np.setdiff1d(outside, half)
    altered = table.copy()
    altered[half] = altered[half] * 3.0 + scale * (5.0 + rng.normal(size=altered[half].shape))
    found += _changed(whole, _prepared(prepare, altered, fitted_on), rest, "a row outside training follows others outside")
    return LeakCheck(LeakKind.SCALERS, (fitted_on.size + rest.size) * whole.shape[1], tuple(found))


def threshold_leaks(
    choose: Callable[[Array, Array, Rows], float],
    score: npt.ArrayLike,
    y: npt.ArrayLike,
    train: npt.ArrayLike,
    *,
    times: int = 5,
    seed: int = 0,
) -> LeakCheck:
    """Alter scores and outcomes outside training and choose the threshold again.

    Parameters
    ----------
    choose : from (score (n,), y (n,), training rows) to the threshold
    times : alterations: outcomes turned round, both shuffled, scores drawn anew

    Raises
    ------
    InvalidInput : fewer than two rows outside training
    """
    scores, fitted_on, outside = _outside(score, train)
    outcomes = np.asarray(y, dtype=np.float64)
    first = float(choose(scores.copy(), outcomes.copy(), fitted_on))
    rng = np.random.default_rng(seed)
    for number in range(times):
        other_score, other_y = scores.copy(), outcomes.copy()
        if number == 0:
            other_y[outside] = outcomes[outside].max() + outcomes[outside].min() - outcomes[outside]
        elif number == 1:
            other_y[outside] = rng.permutation(other_y[outside])
            other_score[outside] = rng.permutation(other_score[outside])
        else:
            other_score[outside] = rng.choice(scores, outside.size) + (number - 2) * float(np.std(scores))
            other_y[outside] = rng.choice(outcomes, outside.size)
        again = float(choose(other_score, other_y, fitted_on))
        if _differs(np.array([first]), np.array([again])).any():
            leak = Leak(LeakKind.THRESHOLDS, f"alteration {number}", f"{first} became {again} by rows outside training alone")
            return LeakCheck(LeakKind.THRESHOLDS, number + 1, (leak,))
    return LeakCheck(LeakKind.THRESHOLDS, times, ())


def _moments(height: int, times: int, first: int, seed: int) -> list[int]:
    if height < first + 2 or times < 1:
        raise InvalidInput(f"expected at least one cut and {first + 2} bars, found {times} and {height}")
    drawn = np.random.default_rng(seed).integers(first, height - 1, max(times - 1, 0))
    return sorted({height - 2, *(int(t) for t in drawn)})


def _numbers(compute: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame) -> dict[str, Array]:
    table = compute(bars)
    if table.height != bars.height:
        raise InvalidInput(f"expected one row of features a bar, found {table.height} for {bars.height} bars")
    kept = [name for name, kind in table.schema.items() if kind.is_numeric() or kind == pl.Boolean]
    return {name: table[name].cast(pl.Float64).to_numpy() for name in kept}


def _labels(compute: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame) -> pl.DataFrame:
    table = compute(bars)
    if table.height != bars.height or not {"y", "label_end_ts"} <= set(table.columns):
        raise InvalidInput(f"expected y and label_end_ts for each of {bars.height} bars, found {table.height} of {table.columns}")
    return table.with_columns(y=pl.col("y").cast(pl.Float64).fill_nan(None))


def _outside(values: npt.ArrayLike, train: npt.ArrayLike) -> tuple[Array, Rows, Rows]:
    table = np.asarray(values, dtype=np.float64)
    fitted_on = np.sort(np.asarray(train, dtype=np.intp))
    outside = np.setdiff1d(np.arange(len(table)), fitted_on)
    if outside.size < 2 or not fitted_on.size:
        raise InvalidInput(f"expected training rows and two rows outside, found {fitted_on.size} and {outside.size}")
    return table, fitted_on, outside


def _prepared(prepare: Callable[[Array, Rows], npt.ArrayLike], table: Array, train: Rows) -> Array:
    made = np.asarray(prepare(table.copy(), train), dtype=np.float64)
    if made.shape[:1] != table.shape[:1]:
        raise InvalidInput(f"expected {len(table)} prepared rows, found shape {made.shape}")
    return made.reshape(len(table), -1)


def _changed(before: Array, after: Array, rows: Rows, what: str) -> list[Leak]:
    wrong = np.argwhere(_differs(before[rows], after[rows]))
    if not wrong.size:
        return []
    row, column = (int(place) for place in wrong[0])
    where = f"row {int(rows[row])}, column {column}"
    return [Leak(LeakKind.SCALERS, where, f"{what}: {before[rows[row], column]} became {after[rows[row], column]}")]


def _fold(number: int, rows: Rows, what: str) -> Leak:
    return Leak(LeakKind.SPLITS, f"fold {number}", f"{rows.size} rows {what}, the first is row {int(rows[0])}")


def _differs(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    """Where two values are not the same to the tolerance; unknown equals unknown."""
    with np.errstate(invalid="ignore"):
        far = np.abs(a - b) > TOLERANCE * np.maximum(1.0, np.abs(a))
    result: npt.NDArray[np.bool_] = np.where(np.isfinite(a) & np.isfinite(b), far, ~((a == b) | (np.isnan(a) & np.isnan(b))))
    return result
