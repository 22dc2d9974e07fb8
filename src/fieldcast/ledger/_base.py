"""The declarative base: which Python type becomes which column type, how constraints are named, where ids come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import MetaData, String
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column

from fieldcast.ground import digest
from fieldcast.ledger.types import CanonicalJson, ExactDecimal, ReasonCodes, UtcMicros

ID_LENGTH = 32  # hex digits of SHA-256: 128 bits


class Base(DeclarativeBase):
    """Every table of the ledger."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        Decimal: ExactDecimal,
        datetime: UtcMicros,
        dict[str, Any]: CanonicalJson,
        Sequence[str]: ReasonCodes,
    }


def natural_id(*columns: str) -> MappedColumn[str]:
    """A primary key which, where the caller gives none, follows from the row's own key columns.

    The same row therefore has the same id in every run and on every machine, and writing it twice is refused.
    """
    return mapped_column(String, primary_key=True, default=_id_of(columns))


def _id_of(columns: tuple[str, ...]) -> Callable[[DefaultExecutionContext], str]:
    def id_of(context: DefaultExecutionContext) -> str:
        values: dict[str, Any] = context.get_current_parameters()  # type: ignore[no-untyped-call]
        return digest({column: values.get(column) for column in columns})[:ID_LENGTH]

    return id_of
