"""What separates two runs of one strategy: every difference with its cause and its exact amount, and what they come to.

Explained + unexplained = the difference in equity, in exact fractions. How the differences are found is in `differences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

import polars as pl

from fieldcast.ground import Shown


class Cause(StrEnum):
    """Why the runs differ in one respect; `.meaning` says it in words."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Cause:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    START = "start", "the accounts did not begin with the same money"
    DATA = "data", "the two runs saw different values of the bar behind the fill or the decision"
    LOOK_AHEAD = "look_ahead", "the decision used a bar that was not yet available when it was acted on"
    LATENCY = "latency", "the order came, or was filled, at another moment"
    UNFILLED_LIMIT = "unfilled_limit", "a limit order was filled in one run and not in the other"
    PARTIAL_FILL = "partial_fill", "an order was filled whole in one run and in part in the other"
    REJECTED = "rejected", "an order was refused in one run"
    MISSING_ORDER = "missing_order", "the second run never sent an order that the first one sent"
    EXTRA_ORDER = "extra_order", "the second run sent an order that the first one does not know"
    DUPLICATE_ORDER = "duplicate_order", "one decision was sent twice"
    NOT_FILLED = "not_filled", "an order was filled in one run and ended without a fill in the other"
    ROUNDING = "rounding", "the quantities differ by the rounding to a lot"
    SIZING = "sizing", "the quantities differ by more than a lot: sized from another equity or price"
    COST = "cost", "spread, slippage or fees differ"
    MARK = "mark", "the last prices that positions are valued at differ"
    RATE = "rate", "the last rates that currencies are valued at differ"
    FINANCING = "financing", "what holding earned or cost differs"


@dataclass(frozen=True)
class Difference:
    """One respect in which the runs differ.

    Parameters
    ----------
    amount : what it adds to the second run's equity beside the first's; exact
    found : what was found, in words
    """

    cause: Cause
    intent: str
    instrument: str
    ts: datetime | None
    amount: Fraction
    found: str


@dataclass(frozen=True, eq=False)
class DifferenceReport(Shown):
    """Every difference between two runs, and what they come to; amounts are of the second run less the first."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    equity_difference: Fraction
    shared_intents: int
    equal_intents: int
    equity: pl.DataFrame  # ts, first, second, difference; shared moments
    simulated: bool

    @property
    def explained(self) -> Fraction:
        return sum((one.amount for one in self.differences), Fraction(0))

    @property
    def unexplained(self) -> Fraction:
        return self.equity_difference - self.explained

    @property
    def by_cause(self) -> dict[Cause, tuple[int, Fraction]]:
        """Number and amount of the differences of each cause, the largest first."""
        found: dict[Cause, tuple[int, Fraction]] = {}
        for one in self.differences:
            count, amount = found.get(one.cause, (0, Fraction(0)))
            found[one.cause] = (count + 1, amount + one.amount)
        return dict(sorted(found.items(), key=lambda item: -abs(item[1][1])))

    @property
    def first_divergence(self) -> datetime | None:
        """The first shared moment at which the equities differ."""
        rows = self.equity.filter(pl.col("difference") != 0.0)
        return rows["ts"][0] if rows.height else None

    def as_dict(self) -> Mapping[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "simulated": self.simulated,
            "equity_difference": float(self.equity_difference),
            "explained": float(self.explained),
            "unexplained": float(self.unexplained),
            "intents_in_both": self.shared_intents,
            "intents_without_a_difference": self.equal_intents,
            "first_divergence": None if self.first_divergence is None else self.first_divergence.isoformat(),
            "causes": [
                {"cause": str(cause), "meaning": cause.meaning, "differences": count, "amount": float(amount)}
                for cause, (count, amount) in self.by_cause.items()
            ],
            "differences": [
                {"cause": str(one.cause), "intent": one.intent, "amount": float(one.amount), "found": one.found}
                for one in self.differences
            ],
        }
