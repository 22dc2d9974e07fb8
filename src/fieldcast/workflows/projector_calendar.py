"""A calendar's sessions as arrays, for a projector that asks for one at every bar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, sessions

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SessionTimes:
    """A calendar's sessions as microseconds since 1970, UTC, ascending."""

    def __init__(self, calendar: str) -> None:
        table = sessions(calendar)
        self.opened, self.close, self.as_of = (table[name].dt.timestamp("us").to_numpy() for name in ("open", "close", "as_of"))

    def place(self, ts: int, instrument: Instrument) -> int:
        """Which session ends at `ts`.

        Raises
        ------
        InvalidInput : none does
        """
        found = int(np.searchsorted(self.close, ts))
        if found == len(self.close) or self.close[found] != ts:
            raise InvalidInput(
                f"expected every row of {instrument.id} to end at a close of {instrument.calendar}, found {moment(ts)}, which "
                "does not; import it with its own calendar"
            )
        return found


@lru_cache(maxsize=16)
def session_times(calendar: str) -> SessionTimes:
    """Of a calendar, made once in a process."""
    return SessionTimes(calendar)


def moment(microseconds: int | np.integer[Any]) -> datetime:
    """UTC, of microseconds since 1970."""
    return _EPOCH + int(microseconds) * _MICROSECOND
