"""The audit log: append-only and hash-chained, h_n = SHA256(canonical(entry_n) || h_{n-1})."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DDL, BigInteger, CheckConstraint, Integer, String, Text, event
from sqlalchemy.orm import Mapped, mapped_column

from fieldcast.ledger import _triggers
from fieldcast.ledger._base import Base


class AuditLog(Base):
    """One entry of the chain. Written through `AuditTrail.append` only; the database refuses to change or remove it."""

    __tablename__ = "audit_log"
    __table_args__ = (CheckConstraint("sequence >= 1", name="sequence"),)

    sequence: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    cycle_id: Mapped[str | None] = mapped_column(index=True)
    entry_type: Mapped[str]
    record: Mapped[str] = mapped_column(Text)  # canonical JSON
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    recorded_at: Mapped[datetime]


for _dialect, _statements in (("sqlite", _triggers.SQLITE), ("postgresql", _triggers.POSTGRESQL)):
    for _statement in _statements:
        _ddl = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]
        event.listen(AuditLog.__table__, "after_create", _ddl)
