"""Walk-forward splits: train on what was known, test on what came next.

    rows     first_usable ........ train ........ | purge, embargo | test | step ->

A training row stays only if its label had ended when the first test row was decided, with the embargo in between:

    label_end[i]  <=  decision[first test row - embargo]

so no training label overlaps a test span. `WalkForward` counts in rows; `TradingDayWalkForward` counts in the
sessions of an exchange calendar, so that a holiday week moves a window's dates and never its length, and takes any
number of rows a session. Source: Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7 (purging
by label end times).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.market import sessions_between

Stamps = NDArray[np.datetime64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """One step of the walk: row positions, ascending; every row of `train` precedes every row of `test`."""

    number: int
    train: Rows
    test: Rows


@dataclass(frozen=True)
class WalkForward:
    """Walk-forward in rows.

    Parameters
    ----------
    initial : rows before the first test row, counted from the first usable one; a rolling window keeps this length
    test : rows in a test block; the last block may be shorter, so that the newest row is always tested
    step : rows from one test block to the next; at least `test`, so that no row is scored twice
    embargo : rows that must lie between the end of the last training label and the first test row
    expanding : True keeps the training start, False moves it along
    """

    initial: int = 756
    test: int = 21
    step: int = 21
    embargo: int = 0
    expanding: bool = True

    def __post_init__(self) -> None:
        _positive(initial=self.initial, test=self.test, step=self.step)
        _no_double_scoring(self.test, self.step)
        if not 0 <= self.embargo < self.initial:
            raise InvalidInput(f"expected an embargo from 0 to below initial={self.initial}, found {self.embargo}")

    def split(self, decision: NDArray[Any], label_end: NDArray[Any], first_usable: int = 0) -> Iterator[Fold]:
        """Folds over rows that are in time order.

        Parameters
        ----------
        decision : (n,) datetime64, strictly ascending: when each row's decision is made
        label_end : (n,) datetime64: when each row's outcome was known; NaT where it is not yet
        first_usable : rows before it are warm-up and belong to no fold

        Yields
        ------
        Fold, in time order. A fold whose labels were all purged has an empty `train`; it is not skipped in silence.

        Raises
        ------
        InvalidInput : lengths differ, decisions are not ascending, or a label ends before its own decision day
        """
        decision, label_end = _stamps(decision, label_end)
        if not 0 <= first_usable <= len(decision):
            raise InvalidInput(f"expected first_usable from 0 to {len(decision)}, found {first_usable}")
        return self._folds(decision, label_end, first_usable)

    def _folds(self, decision: Stamps, label_end: Stamps, first_usable: int) -> Iterator[Fold]:
        starts = range(first_usable + self.initial, len(decision), self.step)
        for number, start in enumerate(starts):
            begin = first_usable if self.expanding else start - self.initial
            train = np.arange(begin, start)
            yield Fold(
                number,
                train[_known_by(label_end[train], decision[start - self.embargo])],
                np.arange(start, min(start + self.test, len(decision))),
            )


@dataclass(frozen=True)
class Window:
    """One walk-forward window as dates, both ends included; the embargo is not yet taken off."""

    train_first: date
    train_last: date
    test_first: date
    test_last: date


@dataclass(frozen=True)
class TradingDayWalkForward:
    """Walk-forward in trading days of one exchange calendar; the presets are `INTRADAY` and `DAILY`.

    Parameters
    ----------
    train, test, step : sessions; step is at least `test`
    embargo : sessions between the end of the last training label and the first test session
    expanding : True keeps the training start, False moves it along
    calendar : name in exchange_calendars
    """

    train: int
    test: int
    step: int
    embargo: int = 0
    expanding: bool = False
    calendar: str = "XNYS"

    def __post_init__(self) -> None:
        _positive(train=self.train, test=self.test, step=self.step)
        _no_double_scoring(self.test, self.step)
        if not 0 <= self.embargo < self.train:
            raise InvalidInput(f"expected an embargo from 0 to below train={self.train}, found {self.embargo}")

    def windows(self, first: date, last: date) -> tuple[Window, ...]:
        """Windows over the sessions from `first` to `last`; the last test span may be shorter."""
        days: list[date] = sessions_between(self.calendar, first, last)["session"].to_list()
        return tuple(
            Window(
                train_first=days[0 if self.expanding else start - self.train],
                train_last=days[start - 1],
                test_first=days[start],
                test_last=days[min(start + self.test, len(days)) - 1],
            )
            for start in range(self.train, len(days), self.step)
        )

    def split(self, decision: NDArray[Any], label_end: NDArray[Any], session: NDArray[Any]) -> Iterator[Fold]:
        """Folds over rows in time order, any number of rows a session.

        Parameters
        ----------
        decision, label_end : (n,) datetime64 as in `WalkForward.split`
        session : (n,) datetime64[D], not descending: the trading day to which each row belongs

        Yields
        ------
        Fold; a session without rows still counts as a day

        Raises
        ------
        InvalidInput : a row lies on a day that is no session, or the arrays do not fit each other
        """
        decision, label_end = _stamps(decision, label_end)
        day = np.asarray(session, dtype="datetime64[D]")
        if len(day) != len(decision) or np.isnat(day).any() or (np.diff(day) < np.timedelta64(0, "D")).any():
            raise InvalidInput(f"expected {len(decision)} known session dates in time order, found {len(day)}")
        first, last = day[0].item(), day[-1].item()
        days = sessions_between(self.calendar, first, last)["session"].to_numpy().astype("datetime64[D]")
        number = np.searchsorted(days, day)
        strange = (number >= len(days)) | (days[np.minimum(number, len(days) - 1)] != day)
        if strange.any():
            raise InvalidInput(f"expected sessions of {self.calendar}, found {np.count_nonzero(strange)} rows on other "
                               f"days, the first on {day[strange][0]}")
        return self._folds(decision, label_end, number, len(days))

    def _folds(self, decision: Stamps, label_end: Stamps, number: Rows, n_days: int) -> Iterator[Fold]:
        for fold, start in enumerate(range(self.train, n_days, self.step)):
            begin = 0 if self.expanding else start - self.train
            train = np.flatnonzero((number >= begin) & (number < start))
            test = np.flatnonzero((number >= start) & (number < start + self.test))
            if not test.size:
                continue
            # the embargo keeps back whole sessions: labels must have ended when the first row after it was decided
            bound = int(np.searchsorted(number, start - self.embargo, side="left"))
            yield Fold(fold, train[_known_by(label_end[train], decision[min(bound, int(test[0]))])], test)


def _known_by(label_end: Stamps, bound: np.datetime64) -> NDArray[np.bool_]:
    """Labels that had ended at `bound`; a label without an end is never known."""
    return ~np.isnat(label_end) & (label_end <= bound)


def _stamps(decision: NDArray[Any], label_end: NDArray[Any]) -> tuple[Stamps, Stamps]:
    made = np.asarray(decision, dtype="datetime64[us]")
    ended = np.asarray(label_end, dtype="datetime64[us]")
    if made.ndim != 1 or made.shape != ended.shape or not made.size:
        raise InvalidInput(f"expected a decision and a label end for every row, found {made.shape} and {ended.shape}")
    if np.isnat(made).any() or (np.diff(made) <= np.timedelta64(0, "us")).any():
        raise InvalidInput("expected decision times that are known and strictly ascending; sort the rows first")
    early = ~np.isnat(ended) & (ended <= made)
    if early.any():
        raise InvalidInput(f"expected labels to end after their decision, found {np.count_nonzero(early)} that do not")
    return made, ended


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise InvalidInput(f"expected {name} of at least 1, found {value}")


def _no_double_scoring(test: int, step: int) -> None:
    if step < test:
        raise InvalidInput(f"expected step >= test, found {step} < {test}: rows would be scored twice")


INTRADAY = TradingDayWalkForward(train=63, test=10, step=10)
DAILY = TradingDayWalkForward(train=126, test=21, step=21)
