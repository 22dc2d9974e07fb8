"""The few errors that Fieldcast raises on purpose.

Each says what was expected, what was found and what to do. The command line turns them into one line and an exit code:
2 for wrong use or bad input, 3 for a conflict with what is already recorded, 1 for a check that failed.
"""

from __future__ import annotations


class FieldcastError(Exception):
    """Base of every deliberate error; `exit_code` is what the command line returns."""

    exit_code = 1


class InvalidInput(FieldcastError, ValueError):
    """A value, a column or a file is not what the caller was asked for."""

    exit_code = 2


class ConfigError(InvalidInput):
    """A setting is missing or has a bad value; the message names its key."""


class MissingData(FieldcastError, LookupError):
    """What was asked for is not known (at that moment)."""

    exit_code = 2


class ShortHistory(MissingData):
    """There is data, but too little of it for a model or a gate."""


class IntegrityError(FieldcastError):
    """Stored bytes, hashes or chains disagree with each other."""


class ConflictError(FieldcastError):
    """The same slot was run before with other data or another configuration."""

    exit_code = 3


class Halted(FieldcastError):
    """The system refuses to go on until a person has looked."""


class StrategyError(InvalidInput):
    """A strategy raises, returns what is no target, or looks ahead; `bar` (from 0) says where, where that is known."""

    def __init__(self, message: str, *, bar: int | None = None) -> None:
        super().__init__(message)
        self.bar = bar
