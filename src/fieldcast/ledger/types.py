"""Column types that keep what they are given, exactly and the same way on SQLite and PostgreSQL.

SQLite has no exact decimal and no time type: SQLAlchemy's plain `Numeric` passes through a binary float there and loses
digits without a word. So a decimal is text on SQLite and NUMERIC on PostgreSQL, a moment is integer microseconds since
1970-01-01 UTC on SQLite and timestamptz on PostgreSQL. Because text sorts as text ("10" < "9"), no exact decimal may be
compared, ordered or summed in SQL; code that tries is stopped when the statement is built.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Numeric, Text
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine

from fieldcast.ground import InvalidInput, canonical_json, reason_codes, utc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INTEGER_DIGITS = 131_072  # what PostgreSQL's NUMERIC holds before and after the point
FRACTION_DIGITS = 16_383


class RefusedValue(InvalidInput, DontWrapMixin):
    """A value that a ledger column cannot hold exactly; reaches the caller unwrapped by SQLAlchemy."""


class _NullTestOnly(TypeDecorator.Comparator[Decimal]):
    """Lets SQL ask whether an exact decimal is null, and nothing else."""

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
        if op in (operators.is_, operators.is_not, operators.eq, operators.ne) and other[0] is None:
            return super().operate(op, *other, **kwargs)
        raise InvalidInput(
            f"expected exact decimals to be read and then handled in Python, found the SQL operator {op.__name__!r}; "
            "on SQLite they are text, so SQL would compare and add them wrongly"
        )

    def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> Any:
        return self.operate(op, other, **kwargs)


class ExactDecimal(TypeDecorator[Decimal]):
    """`Decimal`, exact: text on SQLite, NUMERIC without limits on PostgreSQL. Integers pass, floats are refused."""

    impl = Numeric
    cache_ok = True
    comparator_factory = _NullTestOnly

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(Numeric(asdecimal=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        exact = _exact(value)
        return format(exact, "f") if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


def _exact(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise RefusedValue(
            f"expected a Decimal, found {type(value).__name__} {value!r}; build it from text, such as Decimal('0.1')"
        )
    exact = Decimal(value)
    if not exact.is_finite():
        raise RefusedValue(f"expected a finite Decimal, found {exact}; the unknown is None")
    exponent = int(exact.as_tuple().exponent)
    if exact.adjusted() >= INTEGER_DIGITS or -exponent > FRACTION_DIGITS:
        raise RefusedValue(
            f"expected at most {INTEGER_DIGITS} digits before the point and {FRACTION_DIGITS} after it, "
            f"found a Decimal with exponent {exponent}"
        )
    return exact.copy_abs() if exact.is_zero() else exact


class UtcMicros(TypeDecorator[datetime]):
    """A moment in UTC to the microsecond: integer on SQLite, timestamptz on PostgreSQL. Naive datetimes are refused."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise RefusedValue(
                f"expected a datetime with its zone, found {type(value).__name__} {value!r}; "
                "a time without a zone could mean any moment: add tzinfo"
            )
        moment = utc(value)
        return (moment - EPOCH) // MICROSECOND if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return EPOCH + value * MICROSECOND if isinstance(value, int) else utc(value)


class CanonicalJson(TypeDecorator[dict[str, Any]]):
    """A JSON object as canonical text: equal values have equal bytes; NaN is refused, a Decimal becomes text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return canonical_json(value)
        except InvalidInput as error:
            raise RefusedValue(str(error)) from None

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class ReasonCodes(TypeDecorator[Sequence[str]]):
    """Registered reason codes as a JSON list, in order and without repeats; any other code is refused."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if isinstance(value, str):
            raise RefusedValue(f"expected a sequence of reason codes, found the text {value!r}")
        try:
            return canonical_json(reason_codes(value))
        except InvalidInput as error:
            raise RefusedValue(str(error)) from None

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)
