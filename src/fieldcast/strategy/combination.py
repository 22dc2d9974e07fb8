"""Several strategies as one: a vote over their targets, bar by bar.

With s_i = sign(target_i) of k strategies and weights w_i (1 where none are given):

    majority     1 where more than half say 1, -1 where more than half say -1, else 0
    unanimous    1 where all say 1, -1 where all say -1, else 0
    weighted     m = sum(w_i s_i) / sum(w_i);  1 where m >= threshold, -1 where m <= -threshold, else 0    (threshold 0.3)
    at_least     1 where at least n say 1, -1 where at least n say -1, 0 where neither or both             (n 2)

A majority is counted among all strategies, the undecided too. A vote rests on nothing but the targets of its own bar, so it is
as causal as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput

Rule = Literal["majority", "unanimous", "weighted", "at_least"]
RULES: tuple[str, ...] = get_args(Rule)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Combination:
    """How targets are combined.

    Parameters
    ----------
    rule : majority, unanimous, weighted or at_least
    threshold : of `weighted`, in (0, 1]: the mean vote from which on it counts
    least : of `at_least`: strategies that have to agree
    weights : of `weighted`, one for each strategy, none negative and not all 0; empty = equal

    Raises
    ------
    InvalidInput : a parameter out of its bounds, by name
    """

    rule: Rule = "majority"
    threshold: float = 0.3
    least: int = 2
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InvalidInput(f"expected combination: rule out of {', '.join(RULES)}, found {self.rule!r}")
        if not (math.isfinite(self.threshold) and 0.0 < self.threshold <= 1.0):
            raise InvalidInput(f"expected combination: threshold above 0 and at most 1, found {self.threshold}")
        if isinstance(self.least, bool) or not isinstance(self.least, int) or self.least < 1:
            raise InvalidInput(f"expected combination: least to be a whole number of at least 1, found {self.least!r}")
        if self.weights and (any(not math.isfinite(w) or w < 0 for w in self.weights) or sum(self.weights) == 0):
            raise InvalidInput(f"expected combination: weights of at least 0, not all 0, found {self.weights}")
        if self.weights and self.rule != "weighted":
            raise InvalidInput(f"expected combination: weights with the rule weighted alone, found {self.rule}")
        object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the vote, as plain values."""
        extra: dict[str, Any] = {}
        if self.rule == "weighted":
            extra = {"threshold": self.threshold, "weights": list(self.weights)}
        elif self.rule == "at_least":
            extra = {"least": self.least}
        return {"rule": self.rule, **extra}

    def combine(self, targets: Sequence[npt.ArrayLike]) -> Array:
        """The vote; each of k targets and the result has the same shape, (T,) or (N, T), values -1, 0, 1.

        Raises
        ------
        InvalidInput : no targets, targets of different shapes or with NaN, fewer than `least`, other than as many weights
        """
        arrays = [np.asarray(one, dtype=np.float64) for one in targets]
        if not arrays:
            raise InvalidInput("expected targets of at least one strategy to combine, found none")
        if len({array.shape for array in arrays}) != 1:
            raise InvalidInput(f"expected targets of one shape to combine, found {[array.shape for array in arrays]}")
        votes = np.sign(np.stack(arrays))
        if np.isnan(votes).any():
            raise InvalidInput("expected targets without NaN to combine, found some")
        count = len(arrays)
        longs, shorts = (votes > 0).sum(axis=0), (votes < 0).sum(axis=0)
        if self.rule == "majority":
            return _sides(2 * longs > count, 2 * shorts > count)
        if self.rule == "unanimous":
            return _sides(longs == count, shorts == count)
        if self.rule == "at_least":
            if self.least > count:
                raise InvalidInput(f"expected combination: least of at most {count}, as many as there are, found {self.least}")
            return _sides(longs >= self.least, shorts >= self.least)
        weights = np.array(self.weights or (1.0,) * count)
        if weights.size != count:
            raise InvalidInput(f"expected combination: one weight for each of {count} strategies, found {weights.size}")
        score = np.tensordot(weights, votes, axes=1)
        bar = self.threshold * weights.sum()
        slack = 1e-12 * weights.sum()        # 0.3 * 10 is not 3 in binary: the threshold itself counts
        return _sides(score >= bar - slack, score <= -bar + slack)


def _sides(up: npt.NDArray[np.bool_], down: npt.NDArray[np.bool_]) -> Array:
    found: Array = up.astype(np.float64) - down.astype(np.float64)
    return found
