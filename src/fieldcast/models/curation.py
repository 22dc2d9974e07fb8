"""Which columns a model should see, decided on training rows alone.

In this order, the first reason counts:

    constant      the column does not vary
    redundant     |rank correlation| >= 0.95 with a column that relates more strongly to the label, which stays
    unrelated     neither |rank correlation| nor mutual information with the label stands out: each has to reach its limit and
                  two standard deviations of what chance gives over the effective rows: the sum of the rows' average uniqueness,
                  since labels that overlap tell the same twice
    unstable      where the correlation is what stands out: its spread over blocks beyond chance is above 0.8 of its mean
    worthless     shuffling the column inside the test part of an inner walk-forward costs the fitted model less than 0.001
                  nats of log-loss, or no more than twice the standard error of that cost over the folds

Inner folds walk forward: block k is scored by a model of the blocks before it, less `gap` rows so that no training label runs
into the block. `gap` is the label's horizon. Losses of all columns and of the kept ones stand in the result.

Losses of the kept columns come from the very folds that chose them and are a little too good: an honest figure is that of the
outer fold. A fold of an evaluation calls `curate` with its own training rows; what is kept there is kept for that fold.
Source: ts-scaling study, 2.2 (limits); Breiman (2001), Random forests, for the shuffling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.features import curation as measures
from fieldcast.features.normalise import training_rows
from fieldcast.features.weights import average_uniqueness
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_labels
from fieldcast.models.logistic import Logistic

Make = Callable[[], OddsModel]
Runs = tuple[ArrayLike, ArrayLike, ArrayLike]
_EDGE = 1e-12


class Why(StrEnum):
    """Why a column is out."""

    CONSTANT = "constant"
    REDUNDANT = "redundant"
    UNRELATED = "unrelated"
    UNSTABLE = "unstable"
    WORTHLESS = "worthless"


@dataclass(frozen=True)
class CurationRules:
    """Limits of the rules; see the module. The defaults are those of the source, declared and not tuned.

    Parameters
    ----------
    correlation, information : least |rank correlation| and mutual information (nats)
    sigmas : standard deviations of chance that either must reach as well
    redundancy : |rank correlation| from which a column repeats another
    unsteadiness : most spread over blocks beyond chance, of the mean
    worth : least cost of shuffling, nats of log-loss
    worth_sigmas : standard errors that the cost must reach as well
    blocks, folds, shuffles : of stability, of the inner walk-forward, of each column
    """

    correlation: float = 0.02
    information: float = 0.001
    sigmas: float = 2.0
    redundancy: float = 0.95
    unsteadiness: float = 0.8
    worth: float = 0.001
    worth_sigmas: float = 2.0
    blocks: int = 5
    folds: int = 4
    shuffles: int = 5

    def __post_init__(self) -> None:
        if min(self.correlation, self.information, self.unsteadiness, self.worth, self.sigmas, self.worth_sigmas) < 0:
            raise InvalidInput(f"expected limits of at least zero, found {self}")
        if not 0 < self.redundancy <= 1 or self.blocks < 2 or self.folds < 2 or self.shuffles < 2:
            raise InvalidInput(f"expected redundancy in (0, 1] and at least 2 blocks, folds and shuffles, found {self}")


@dataclass(frozen=True)
class ColumnVerdict:
    """What was found of one column.

    Parameters
    ----------
    correlation : rank correlation with the label; NaN where the column does not vary
    information : mutual information with it in nats, bias taken off
    unsteadiness : see `features.curation.stability`
    twin : the column that it repeats, with `likeness` their |rank correlation|; None where it repeats none
    worth, worth_error : cost of shuffling it and its standard error; None where it was out before
    why : None where it stays
    """

    name: str
    correlation: float
    information: float
    unsteadiness: float
    twin: str | None
    likeness: float | None
    worth: float | None
    worth_error: float | None
    why: Why | None


@dataclass(frozen=True)
class Curation:
    """The verdicts, in the order of the columns.

    Parameters
    ----------
    loss_all, loss_kept : log-loss of the inner test blocks in nats, with all varying columns, and with the kept ones, which
        the same blocks have chosen; of kept none, that of the base rate
    rows : training rows that were read
    effective_rows : what they are worth where labels overlap
    """

    verdicts: tuple[ColumnVerdict, ...]
    loss_all: float
    loss_kept: float
    rows: int
    effective_rows: float

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.verdicts if one.why is None)

    @property
    def removed(self) -> dict[str, Why]:
        return {one.name: one.why for one in self.verdicts if one.why is not None}


def curate(
    X: ArrayLike,
    y: ArrayLike,
    columns: Sequence[str],
    training: ArrayLike,
    *,
    gap: int,
    seed: int,
    make: Make = Logistic,
    rules: CurationRules | None = None,
    runs: Runs | None = None,
) -> Curation:
    """Which of `columns` to keep, by the training rows.

    Parameters
    ----------
    X : (n, columns) in time order; read on training rows alone
    y : (n,) labels 0 and 1
    training : training rows, as numbers or flags
    gap : rows that a label runs on for: as many are left out before each inner test block. In a pool of k instruments a
        moment has k rows, so it is k times the horizon
    seed : of the shuffles
    make : a new unfitted model each time it is called
    runs : (n,) begin and (n,) end of each label and (m,) ends of all bars, as `features.weights.average_uniqueness` takes them.
        None = each label runs on over the `gap` rows that follow it, which in a pool counts each moment once

    Raises
    ------
    InvalidInput : too few rows for the folds, an inner fold with one class, NaN, or columns that do not fit
    """
    chosen = rules or CurationRules()
    given = np.asarray(X, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != len(columns) or len(set(columns)) != len(columns) or gap < 0:
        raise InvalidInput(
            f"expected rows of {len(columns)} distinct columns and a gap of at least 0, found {given.shape}, {gap}"
        )
    rows = training_rows(training, len(given))
    table, label = measures.checked(given[rows], np.asarray(y, dtype=np.float64)[rows])
    check_labels(label, len(table))
    varies = np.ptp(table, axis=0) > 0
    worth_rows = _effective_rows(rows, gap, runs)
    related = measures.correlation(table, label)
    information = measures.mutual_information(table, label, effective=worth_rows)
    unsteady = measures.stability(table, label, chosen.blocks, effective=worth_rows)
    order = np.argsort(-np.nan_to_num(np.abs(related)), kind="stable").tolist()
    twins = measures.twins(table, order, chosen.redundancy)
    tells = np.abs(related) >= max(chosen.correlation, chosen.sigmas / np.sqrt(worth_rows))
    noise = measures.information_noise(table, label, effective=worth_rows)
    informs = information >= np.maximum(chosen.information, chosen.sigmas * noise)
    why: list[Why | None] = []
    for place in range(len(columns)):
        if not varies[place]:
            why.append(Why.CONSTANT)
        elif place in twins:
            why.append(Why.REDUNDANT)
        elif not (tells[place] or informs[place]):
            why.append(Why.UNRELATED)
        elif tells[place] and not unsteady[place] <= chosen.unsteadiness:
            why.append(Why.UNSTABLE)
        else:
            why.append(None)
    folds = _folds(len(table), chosen.folds, gap)
    left = [place for place, reason in enumerate(why) if reason is None]
    costs = _costs(table[:, left], label, folds, make, chosen.shuffles, seed) if left else {}
    for index, place in enumerate(left):
        mean, error = costs[index]
        if not (mean >= chosen.worth and mean > chosen.worth_sigmas * error):
            why[place] = Why.WORTHLESS
    worth = {place: costs[index] for index, place in enumerate(left)}
    final = [place for place, reason in enumerate(why) if reason is None]
    verdicts = tuple(
        ColumnVerdict(
            name=name,
            correlation=float(related[place]),
            information=float(information[place]),
            unsteadiness=float(unsteady[place]),
            twin=columns[twins[place][0]] if place in twins else None,
            likeness=twins[place][1] if place in twins else None,
            worth=worth[place][0] if place in worth else None,
            worth_error=worth[place][1] if place in worth else None,
            why=why[place],
        )
        for place, name in enumerate(columns)
    )
    everything = _loss(table[:, np.flatnonzero(varies)], label, folds, make)
    return Curation(verdicts, everything, _loss(table[:, final], label, folds, make), len(table), worth_rows)


def _effective_rows(rows: NDArray[np.int64], gap: int, runs: Runs | None) -> float:
    """Sum of the training rows' average uniqueness, at least 1."""
    if runs is not None:
        start, end, moments = (np.asarray(part) for part in runs)
        return max(1.0, float(average_uniqueness(start[rows], end[rows], moments=moments).sum()))
    if gap <= 1:
        return float(len(rows))
    every = np.arange(rows[0], rows[-1] + gap + 1)  # rows that were left out pass as well
    return max(1.0, float(average_uniqueness(rows, rows + gap, moments=every).sum()))


def _folds(rows: int, folds: int, gap: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(train, test) of the inner walk-forward: the first block is only trained on."""
    parts = np.array_split(np.arange(rows), folds + 1)
    found = [(np.arange(max(0, int(part[0]) - gap)), part) for part in parts[1:]]
    if len(found[0][0]) < measures.FEWEST // 2:
        raise InvalidInput(f"expected enough rows for {folds} inner folds with a gap of {gap}, found {rows}; give fewer folds")
    return found


def _costs(
    table: Floats,
    label: Floats,
    folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    make: Make,
    shuffles: int,
    seed: int,
) -> dict[int, tuple[float, float]]:
    """Mean cost of shuffling each column, and its standard error over folds, each the mean of its shuffles."""
    random = np.random.default_rng(seed)
    found: dict[int, list[list[float]]] = {place: [] for place in range(table.shape[1])}
    for train, test in folds:
        model = make().fit(table[train], label[train])
        plain = _log_loss(model.predict(table[test]), label[test])
        shuffled = table[test]
        for place in range(table.shape[1]):
            costs = []
            for _ in range(shuffles):
                shuffled[:, place] = random.permutation(table[test, place])
                costs.append(_log_loss(model.predict(shuffled), label[test]) - plain)
            shuffled[:, place] = table[test, place]
            found[place].append(costs)
    return {place: _mean_and_error(np.array(costs)) for place, costs in found.items()}


def _mean_and_error(costs: Floats) -> tuple[float, float]:
    """Of (folds, shuffles): folds are the independent part, shuffles of one fold are not."""
    by_fold = costs.mean(axis=1)
    return float(by_fold.mean()), float(by_fold.std(ddof=1) / np.sqrt(by_fold.size))


def _loss(table: Floats, label: Floats, folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]], make: Make) -> float:
    """Out-of-sample log-loss over all inner test rows; without columns that of each fold's base rate."""
    total, rows = 0.0, 0
    for train, test in folds:
        if table.shape[1]:
            odds = make().fit(table[train], label[train]).predict(table[test])
        else:
            odds = np.full(test.size, label[train].mean())
        total += _log_loss(odds, label[test]) * test.size
        rows += test.size
    return total / rows


def _log_loss(odds: Floats, y: Floats) -> float:
    p = np.clip(odds, _EDGE, 1.0 - _EDGE)
    return float(-(y * np.log(p) + (1.0 - y) * np.log1p(-p)).mean())
