"""Purged cross-validation: every row is tested, and no training label touches a test span.

The rows are cut into groups that follow each other; one group (k-fold) or several (combinatorial) are tested at a time. With a
test group from row a to row b, whose labels end at E at the latest, row i stays in training

    before the group    if   label_end[i]  <=  decision[a]
    after the group     if   decision[i]   >=  E,   and i is `embargo` rows or more past the first such row

so that labels purge by when they end, however long each is, and the embargo covers what features still remember. Of N groups
with k tested at a time there are C(N, k) splits, and each group is tested in C(N, k) k / N of them: that many whole paths of
out-of-sample forecasts can be put together. Test rows lie before training rows too: use these splits to compare
configurations, and the walk-forward of `splits` for what a forecast would have been worth.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), chapters 7 and 12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation._checks import Array
from fieldcast.evaluation.splits import Rows, Stamps, _stamps
from fieldcast.ground import InvalidInput, MissingData


@dataclass(frozen=True)
class PurgedSplit:
    """One split: row positions, ascending; `groups` are the tested ones, `purged` the rows that are in neither part."""

    number: int
    groups: tuple[int, ...]
    train: Rows
    test: Rows
    purged: Rows


@dataclass(frozen=True)
class CombinatorialPurged:
    """Combinatorial purged cross-validation.

    Parameters
    ----------
    groups : N, into which the rows are cut; their lengths differ by one row at most
    tested : k, tested at a time; 1 is purged k-fold
    embargo : rows kept out of training after each test span, on top of the purge
    """

    groups: int = 6
    tested: int = 2
    embargo: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.tested < self.groups:
            raise InvalidInput(f"expected from 1 to {self.groups - 1} tested groups of {self.groups}, found {self.tested}")
        if self.embargo < 0:
            raise InvalidInput(f"expected an embargo of at least 0 rows, found {self.embargo}")

    @property
    def n_splits(self) -> int:
        return comb(self.groups, self.tested)

    @property
    def n_paths(self) -> int:
        """Whole paths that the splits' test rows make up."""
        return self.n_splits * self.tested // self.groups

    def split(self, decision: NDArray[Any], label_end: NDArray[Any]) -> Iterator[PurgedSplit]:
        """Splits over rows that are in time order.

        Parameters
        ----------
        decision : (n,) datetime64, strictly ascending: when each row's decision is made
        label_end : (n,) datetime64: when each row's outcome was known; NaT where it is not yet (never in training)

        Raises
        ------
        InvalidInput : lengths differ, decisions are not ascending, or a label ends before its own decision
        MissingData : fewer rows than groups
        """
        made, ended = _stamps(decision, label_end)
        if made.size < self.groups:
            raise MissingData(f"expected at least {self.groups} rows for {self.groups} groups, found {made.size}")
        return self._splits(made, ended)

    def _splits(self, made: Stamps, ended: Stamps) -> Iterator[PurgedSplit]:
        parts = np.array_split(np.arange(made.size), self.groups)
        allowed = [self._clear_of(part, made, ended) for part in parts]
        for number, chosen in enumerate(combinations(range(self.groups), self.tested)):
            test = np.concatenate([parts[group] for group in chosen])
            train = np.flatnonzero(np.logical_and.reduce([allowed[group] for group in chosen]))
            rest = np.setdiff1d(np.arange(made.size), test, assume_unique=True)
            yield PurgedSplit(number, chosen, train, test, np.setdiff1d(rest, train, assume_unique=True))

    def _clear_of(self, part: Rows, made: Stamps, ended: Stamps) -> NDArray[np.bool_]:
        """(n,) rows that may train while `part` is tested."""
        first, last = int(part[0]), int(part[-1])
        clear = np.zeros(made.size, dtype=np.bool_)
        clear[:first] = ended[:first] <= made[first]  # NaT compares as False
        ends = ended[part]
        if not np.isnat(ends).any():  # else some test label is still open: everything after it touches its span
            after = max(int(np.searchsorted(made, ends.max(), side="left")), last + 1) + self.embargo
            clear[after:] = ~np.isnat(ended[after:])
        return clear

    def paths(self, forecasts: Sequence[Array]) -> Array:
        """Put the splits' test forecasts together to whole paths.

        Parameters
        ----------
        forecasts : one array a split, in the order of `split`, for its test rows in their order

        Returns
        -------
        (n_paths, n): the j-th path has each group from the j-th split that tests it

        Raises
        ------
        InvalidInput : another number of splits, or a split with another number of rows than its groups hold
        """
        if len(forecasts) != self.n_splits:
            raise InvalidInput(f"expected forecasts of {self.n_splits} splits, found {len(forecasts)}")
        # each row is tested n_paths times
        n = sum(len(part) for part in forecasts) // self.n_paths
        parts = np.array_split(np.arange(n), self.groups)
        found = np.full((self.n_paths, n), np.nan)
        seen = [0] * self.groups
        for chosen, forecast in zip(combinations(range(self.groups), self.tested), forecasts, strict=True):
            values = np.asarray(forecast, dtype=np.float64)
            if values.shape != (sum(parts[group].size for group in chosen),):
                raise InvalidInput(f"expected one forecast for each test row of groups {chosen}, found shape {values.shape}")
            start = 0
            for group in chosen:
                rows = parts[group]
                found[seen[group], rows] = values[start : start + rows.size]
                seen[group] += 1
                start += rows.size
        return found


def purged_k_fold(folds: int = 5, *, embargo: int = 0) -> CombinatorialPurged:
    """Purged k-fold: each of `folds` groups is tested once."""
    return CombinatorialPurged(groups=folds, tested=1, embargo=embargo)
