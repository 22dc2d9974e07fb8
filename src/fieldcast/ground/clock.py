"""Time is an argument: history, paper and live differ only in the clock that they are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fieldcast.ground.errors import InvalidInput


class Clock(Protocol):
    """Anything that knows what time it is, in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC)


@dataclass
class ManualClock:
    """A clock that stands still until it is moved forward; it refuses to run backwards."""

    at: datetime

    def __post_init__(self) -> None:
        self.at = utc(self.at)

    def now(self) -> datetime:
        return self.at

    def advance_to(self, moment: datetime) -> None:
        moment = utc(moment)
        if moment < self.at:
            raise InvalidInput(f"expected a moment at or after {self.at.isoformat()}, found {moment.isoformat()}")
        self.at = moment


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive datetime is refused, because it could mean any zone."""
    if moment.tzinfo is None:
        raise InvalidInput(f"expected a time with its zone, found the naive {moment.isoformat()}; add tzinfo")
    return moment.astimezone(UTC)
