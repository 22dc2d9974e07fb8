"""Rows that decide how many trees to keep.

Boosting goes on for `rounds` trees, or until the log loss on held-out rows has not fallen for `patience` trees, and
the trees up to the lowest log loss are kept. Which rows are held out is the caller's walk: later in time than every
training row, their labels ended by the decision that the model is fitted for. They are spent: a score on them is no
score out of sample.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput, ShortHistory
from fieldcast.models.contract import Floats, check_features, check_labels

LEAST_HELD_OUT = 60  # with fewer, the best of many rounds is mostly luck


@dataclass(frozen=True, eq=False)
class HeldOut:
    """X (m, p), y (m,) of 0 and 1, and the number of trees without a gain after which to stop."""

    X: ArrayLike
    y: ArrayLike
    patience: int = 20


def check_held_out(held_out: HeldOut, columns: int) -> tuple[Floats, Floats]:
    """The held-out rows as arrays.

    Raises
    ------
    ShortHistory : fewer than 60 rows, on which the best round would be luck
    InvalidInput : shapes, labels or patience are wrong, or only one class occurs
    """
    if held_out.patience < 1:
        raise InvalidInput(f"expected a patience of at least 1 round, found {held_out.patience}")
    table = check_features(held_out.X, missing_allowed=True, columns=columns)
    if len(table) < LEAST_HELD_OUT:
        raise ShortHistory(f"expected at least {LEAST_HELD_OUT} held-out rows for an early stop, found {len(table)}; "
                           "hold out more, or train without an early stop")  # fmt: skip
    answers = check_labels(held_out.y, len(table), both_classes=False)
    if answers.min() == answers.max():
        raise InvalidInput(
            f"expected both classes among the {len(table)} held-out rows, found only {int(answers[0])}; hold out more"
        )
    return table, answers
