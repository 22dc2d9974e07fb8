"""Errors say which kind of trouble it is, and the command line's exit code follows from the kind."""

from __future__ import annotations

import pytest

from fieldcast.ground import (
    ConfigError,
    ConflictError,
    FieldcastError,
    Halted,
    IntegrityError,
    InvalidInput,
    MissingData,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(InvalidInput, 2), (ConfigError, 2), (MissingData, 2), (ConflictError, 3), (IntegrityError, 1), (Halted, 1)],
)
def test_each_kind_has_its_exit_code(kind: type[FieldcastError], code: int) -> None:
    assert kind.exit_code == code
    assert issubclass(kind, FieldcastError)


def test_deliberate_errors_can_be_caught_as_the_builtin_that_they_are() -> None:
    assert issubclass(InvalidInput, ValueError)
    assert issubclass(MissingData, LookupError)
