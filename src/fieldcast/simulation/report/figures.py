"""One figure of a report: a value with its interval, or nothing and the reason why."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fieldcast.evaluation import Interval
from fieldcast.ground import FieldcastError, InvalidInput, MissingData, Reason


@dataclass(frozen=True)
class Figure:
    """A value, or `reason` says why there is none; never a zero or an infinity in its place.

    Parameters
    ----------
    value : finite; None where it is unknown
    low, high : of the 95 % interval; None where there is none, and `why` says why
    reason : why there is no value; None where there is one
    why : in words, for people: why there is no value or no interval
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: Reason | None = None
    why: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) is (self.reason is None):
            raise InvalidInput(f"expected a value or the reason why there is none, found {self.value} and {self.reason}")
        if (self.low is None) is not (self.high is None) or (self.value is None and self.low is not None):
            raise InvalidInput(f"expected both ends of an interval around a value or neither, found {self}")
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise InvalidInput(f"expected finite numbers, found {number}; what is unknown has a reason instead")

    @classmethod
    def missing(cls, reason: Reason, why: str = "") -> Figure:
        """No value, and why."""
        return cls(reason=reason, why=why or reason.meaning)

    @classmethod
    def of(cls, value: float, reason: Reason = Reason.UNDEFINED, why: str = "") -> Figure:
        """`value`; where it is not finite, the figure is missing for `reason`."""
        return cls(value=float(value)) if math.isfinite(value) else cls.missing(reason, why)

    @classmethod
    def with_interval(cls, value: float, interval: Callable[[], Interval]) -> Figure:
        """`value` with the interval that the call gives; where it gives none, `why` says so."""
        figure = cls.of(value)
        if figure.value is None:
            return figure
        try:
            found = interval()
        except MissingData as error:
            return cls(value=figure.value, why=str(error))
        if not (math.isfinite(found.low) and math.isfinite(found.high)):
            return cls(value=figure.value, why="the interval is unbounded")
        return cls(value=figure.value, low=found.low, high=found.high)

    @property
    def known(self) -> float:
        """The value.

        Raises
        ------
        MissingData : there is none
        """
        if self.value is None:
            raise MissingData(f"expected a value, found none: {self.why}")
        return self.value

    def as_dict(self) -> dict[str, Any]:
        if self.value is None:
            return {"value": None, "reason": str(self.reason), "why": self.why}
        return {"value": self.value} | ({} if self.low is None else {"low": self.low, "high": self.high})


def attempted(make: Callable[[], Figure]) -> Figure:
    """What `make` gives; a quantity that is not known for lack of data becomes a missing figure with the words of the error."""
    try:
        return make()
    except MissingData as error:
        return Figure.missing(Reason.FEW_ROWS, _first_line(error))


def _first_line(error: FieldcastError) -> str:
    return str(error).splitlines()[0]
