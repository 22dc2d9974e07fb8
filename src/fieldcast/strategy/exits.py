"""When an open position is left: stop, target, trailing stop, time.

Bar by bar, with the levels that stood before the bar (a trailing stop moves on a bar's extreme only once the bar is over):

    open at or beyond the stop       out at the open
    open at or beyond the target     out at the open, the better price
    both inside the bar              the stop first: nobody knows the path, so the worse one is taken
    stop inside the bar              out at the stop
    target traded through            out at the target; only touched, the order may still wait in its queue
    the last bar of the time stop    out at the next open, whose price is not known yet

The same rules read from the other side are a short's: with every price mirrored in a level, the exits are mirrored too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from fieldcast.ground import ConflictError, InvalidInput
from fieldcast.strategy.idea import TradeIdea
from fieldcast.trading import Side


class ExitKind(StrEnum):
    """Why a position is left."""

    STOP = "stop"
    TRAILING_STOP = "trailing_stop"
    TARGET = "target"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Exit:
    """A position's end: why, in which bar (from 1), and at which print; None = the next open."""

    kind: ExitKind
    bar: int
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """Levels of a position.

    Parameters
    ----------
    side : of the position: BUY is long
    entry, stop, target : prices; stop and target None = none
    trailing : distance from the best price; None = none
    most_bars : bars after which it is left whatever the price; None = no time stop

    Raises
    ------
    InvalidInput : a level is on the wrong side of the entry, a distance is not above zero, or nothing ever ends the position
    """

    side: Side
    entry: Decimal
    stop: Decimal | None = None
    target: Decimal | None = None
    trailing: Decimal | None = None
    most_bars: int | None = None

    def __post_init__(self) -> None:
        sign = self.side.sign
        if self.stop is not None and sign * (self.entry - self.stop) <= 0:
            raise InvalidInput(f"expected a stop on the losing side of {self.entry} for a {self.side}, found {self.stop}")
        if self.target is not None and sign * (self.target - self.entry) <= 0:
            raise InvalidInput(f"expected a target on the winning side of {self.entry} for a {self.side}, found {self.target}")
        if self.trailing is not None and self.trailing <= 0:
            raise InvalidInput(f"expected a trailing distance above 0, found {self.trailing}")
        if self.most_bars is not None and self.most_bars < 1:
            raise InvalidInput(f"expected at least 1 bar before the time stop, found {self.most_bars}")
        if self.stop is None and self.trailing is None and self.target is None and self.most_bars is None:
            raise InvalidInput("expected a stop, a target, a trailing distance or a time stop, found none of them")

    @classmethod
    def of(cls, idea: TradeIdea, entry: Decimal, *, most_bars: int | None = None) -> ExitPlan:
        """The plan of an idea that was entered at `entry`; its levels stay where they are."""
        return cls(idea.side, entry, idea.stop, idea.target, idea.trailing, most_bars)


class ExitManager:
    """Follows one position through its bars."""

    def __init__(self, plan: ExitPlan) -> None:
        self.plan = plan
        self.bars = 0
        self.best = plan.entry
        self.exit: Exit | None = None

    @property
    def trailing_stop(self) -> Decimal | None:
        """Where the trailing stop stands after the bars seen."""
        if self.plan.trailing is None:
            return None
        return self.best - self.plan.side.sign * self.plan.trailing

    def levels(self) -> tuple[ExitKind, Decimal] | None:
        """The stop that counts now: the nearer of the fixed and the trailing one; None where there is neither."""
        sign = self.plan.side.sign
        fixed, trailing = self.plan.stop, self.trailing_stop
        if trailing is not None and (fixed is None or sign * (trailing - fixed) > 0):
            return ExitKind.TRAILING_STOP, trailing
        return None if fixed is None else (ExitKind.STOP, fixed)

    def on_bar(self, opened: Decimal, high: Decimal, low: Decimal) -> Exit | None:
        """Take in one bar that the position was held through; the exit, where there is one.

        Raises
        ------
        ConflictError : the position has ended already
        InvalidInput : the prices are no bar
        """
        if self.exit is not None:
            raise ConflictError(f"expected a position that is still open, found one that ended in bar {self.exit.bar}")
        if not low <= opened <= high or low <= 0:
            raise InvalidInput(f"expected 0 < low <= open <= high, found {low}, {opened}, {high}")
        self.bars += 1
        found = self._in_bar(opened, high, low)
        if found is None and self.plan.most_bars is not None and self.bars >= self.plan.most_bars:
            found = (ExitKind.TIME, None)
        sign = self.plan.side.sign
        favourable = high if sign > 0 else low
        if sign * (favourable - self.best) > 0:
            self.best = favourable
        if found is not None:
            self.exit = Exit(found[0], self.bars, found[1])
        return self.exit

    def _in_bar(self, opened: Decimal, high: Decimal, low: Decimal) -> tuple[ExitKind, Decimal | None] | None:
        sign = self.plan.side.sign
        adverse, favourable = (low, high) if sign > 0 else (high, low)
        stop, target = self.levels(), self.plan.target
        if stop is not None and sign * (opened - stop[1]) <= 0:
            return stop[0], opened
        if target is not None and sign * (opened - target) >= 0:
            return ExitKind.TARGET, opened
        if stop is not None and sign * (adverse - stop[1]) <= 0:
            return stop
        if target is not None and sign * (favourable - target) > 0:
            return ExitKind.TARGET, target
        return None
