"""Tables about the governed cycle: one row a cycle, one decision an instrument."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fieldcast.ledger._base import Base, natural_id


class CycleMeta(Base):
    """One run of one slot. Hashes of configuration and data are recorded, not part of the key."""

    __tablename__ = "cycle_meta"
    __table_args__ = (
        UniqueConstraint("account", "portfolio", "slot", "revision"),
        CheckConstraint("revision >= 0", name="revision"),
    )

    id: Mapped[str] = natural_id("account", "portfolio", "slot", "revision")
    account: Mapped[str]
    portfolio: Mapped[str]
    slot: Mapped[str]
    revision: Mapped[int]
    as_of: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    configuration_hash: Mapped[str]
    data_hash: Mapped[str]
    nav: Mapped[Decimal | None]  # null until it is known
    drawdown: Mapped[float | None]  # share of the highest NAV so far
    universe_size: Mapped[int]
    status: Mapped[str]


class Decision(Base):
    """What was decided for one instrument in one slot."""

    __tablename__ = "decision"
    __table_args__ = (
        UniqueConstraint("account", "portfolio", "slot", "instrument", "revision"),
        CheckConstraint("action IN ('BUY', 'SELL', 'HOLD', 'REJECT')", name="action"),
        CheckConstraint("revision >= 0", name="revision"),
    )

    id: Mapped[str] = natural_id("account", "portfolio", "slot", "instrument", "revision")
    cycle_id: Mapped[str] = mapped_column(ForeignKey("cycle_meta.id"), index=True)
    account: Mapped[str]
    portfolio: Mapped[str]
    slot: Mapped[str]
    instrument: Mapped[str]
    revision: Mapped[int]
    action: Mapped[str]
    current_position: Mapped[Decimal]
    target_position: Mapped[Decimal]
    reduce_only: Mapped[bool]
    status: Mapped[str]
    reasons: Mapped[Sequence[str]]
    packet_digest: Mapped[str | None]
    gate_result: Mapped[str | None]
    sizing: Mapped[dict[str, Any]]
    reference_price: Mapped[Decimal | None]
    decided_at: Mapped[datetime]

    cycle: Mapped[CycleMeta] = relationship()
