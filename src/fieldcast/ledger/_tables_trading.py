"""Tables about orders and money: intents, orders, fills, cash movements and the daily net asset value.

A position is never stored: it is the sum of its fills (`fieldcast.ledger.positions`).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fieldcast.ledger._base import Base, natural_id
from fieldcast.ledger._tables_cycle import Decision

CLIENT_ID_LENGTH = 26
SIDES = "side IN ('BUY', 'SELL')"


class Intent(Base):
    """What the cycle means to do; committed before anything is sent to a broker."""

    __tablename__ = "intent"
    __table_args__ = (
        UniqueConstraint("account", "portfolio", "slot", "instrument", "leg", "attempt"),
        CheckConstraint(f"length(client_id) = {CLIENT_ID_LENGTH}", name="client_id"),
        CheckConstraint(SIDES, name="side"),
    )

    client_id: Mapped[str] = mapped_column(String(CLIENT_ID_LENGTH), primary_key=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decision.id"), index=True)
    account: Mapped[str]
    portfolio: Mapped[str]
    slot: Mapped[str]
    instrument: Mapped[str]
    leg: Mapped[str]
    attempt: Mapped[int]
    side: Mapped[str]
    quantity: Mapped[Decimal]
    created_at: Mapped[datetime]
    status: Mapped[str]

    decision: Mapped[Decision] = relationship()


class Order(Base):
    """What a broker knows of an intent."""

    __tablename__ = "orders"  # ORDER is a word of SQL
    __table_args__ = (CheckConstraint(SIDES, name="side"),)

    client_id: Mapped[str] = mapped_column(ForeignKey("intent.client_id"), primary_key=True)
    broker: Mapped[str]
    broker_order_id: Mapped[str | None]
    side: Mapped[str]
    quantity: Mapped[Decimal]
    state: Mapped[str] = mapped_column(index=True)
    submitted_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]
    valid_for_session: Mapped[date | None]

    intent: Mapped[Intent] = relationship()


class Fill(Base):
    """One execution, recorded once: the id is the broker's own, or follows from order and time."""

    __tablename__ = "fill"
    __table_args__ = (CheckConstraint(SIDES, name="side"),)

    id: Mapped[str] = natural_id("client_id", "ts")
    client_id: Mapped[str] = mapped_column(ForeignKey("intent.client_id"), index=True)
    instrument: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal]
    fee: Mapped[Decimal]
    ts: Mapped[datetime]
    source_bar_ts: Mapped[datetime | None]  # close of the bar that the simulated venue filled from
    reference_price: Mapped[Decimal | None]

    intent: Mapped[Intent] = relationship()


class CashMovement(Base):
    """Money in or out of a portfolio, by currency; a fill and its fee are movements of their own."""

    __tablename__ = "cash_movement"

    id: Mapped[str] = natural_id("account", "portfolio", "currency", "kind", "ts", "fill_id")
    account: Mapped[str]
    portfolio: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[Decimal]
    kind: Mapped[str]
    ts: Mapped[datetime]
    fill_id: Mapped[str | None] = mapped_column(ForeignKey("fill.id"), index=True)

    fill: Mapped[Fill | None] = relationship()


class NavSnapshot(Base):
    """Net asset value of a portfolio at the end of a slot, in its base currency."""

    __tablename__ = "nav_snapshot"

    account: Mapped[str] = mapped_column(primary_key=True)
    portfolio: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[str] = mapped_column(primary_key=True)
    as_of: Mapped[datetime]
    currency: Mapped[str]
    cash: Mapped[Decimal]
    positions_value: Mapped[Decimal]
    nav: Mapped[Decimal]
