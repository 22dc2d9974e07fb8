"""Intents, orders and fills as rows of the ledger."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.ledger import tables
from fieldcast.trading import Fill, Intent, IntentStatus, OrderState, OrderStatus, Side, exact_sum, fill_value


def intent_row(intent: Intent, decision_id: str) -> tables.Intent:
    """A new intent, not sent yet."""
    return tables.Intent(
        client_id=intent.client_id,
        decision_id=decision_id,
        account=intent.account,
        portfolio=intent.portfolio,
        slot=intent.slot,
        instrument=intent.instrument,
        leg=intent.leg,
        attempt=intent.attempt,
        side=intent.side.value,
        quantity=intent.quantity,
        created_at=intent.created_at,
        status=IntentStatus.CREATED.value,
    )


def intent_of(row: tables.Intent) -> Intent:
    """The intent that a row holds."""
    return Intent(
        client_id=row.client_id,
        account=row.account,
        portfolio=row.portfolio,
        slot=row.slot,
        instrument=row.instrument,
        leg=row.leg,
        attempt=row.attempt,
        side=Side(row.side),
        quantity=row.quantity,
        created_at=row.created_at,
    )


def unsettled(session: Session, account: str, portfolio: str) -> list[tuple[Intent, IntentStatus]]:
    """Intents whose fate is not known, in the order in which they are sent: oldest first, sales before purchases."""
    open_statuses = [IntentStatus.CREATED.value, IntentStatus.UNRESOLVED.value]
    rows = session.scalars(
        select(tables.Intent).where(
            tables.Intent.account == account,
            tables.Intent.portfolio == portfolio,
            tables.Intent.status.in_(open_statuses),
        )
    )
    found = [(intent_of(row), IntentStatus(row.status)) for row in rows]
    return sorted(found, key=lambda item: (item[0].created_at, item[0].side is Side.BUY, item[0].instrument))


def order_row(state: OrderState, broker: str) -> tables.Order:
    """A new order as a row: at work, whatever the broker already says of it.

    Its end (which for an order found again after a crash may have come long ago) is booked by `reconcile` alone, with
    its fills and its cash in one transaction.
    """
    return tables.Order(
        client_id=state.client_id,
        broker=broker,
        broker_order_id=state.broker_order_id,
        side=state.order.side.value,
        quantity=state.order.quantity,
        state=OrderStatus.ACCEPTED.value,
        submitted_at=state.submitted_at,
        updated_at=state.submitted_at,
        valid_for_session=state.order.valid_for_session,
    )


def working_orders(session: Session, account: str, portfolio: str) -> list[tables.Order]:
    """Orders that the ledger believes to be at work, oldest first."""
    statement = (
        select(tables.Order)
        .join(tables.Intent, tables.Intent.client_id == tables.Order.client_id)
        .where(
            tables.Intent.account == account,
            tables.Intent.portfolio == portfolio,
            tables.Order.state == OrderStatus.ACCEPTED.value,
        )
        .order_by(tables.Order.submitted_at, tables.Order.broker_order_id)
    )
    return list(session.scalars(statement))


def open_quantities(session: Session, account: str, portfolio: str) -> dict[str, Decimal]:
    """Signed units by instrument that intents without an end may still add to the position."""
    alive = [intent for intent, _ in unsettled(session, account, portfolio)]
    for order in working_orders(session, account, portfolio):
        alive.append(intent_of(session.get_one(tables.Intent, order.client_id)))
    quantities: dict[str, Decimal] = {}
    for intent in alive:
        so_far = quantities.get(intent.instrument, Decimal(0))
        quantities[intent.instrument] = exact_sum(so_far, intent.signed_quantity)
    return quantities


def fill_row(fill: Fill) -> tables.Fill:
    """A fill as a row."""
    return tables.Fill(
        id=fill.id,
        client_id=fill.client_id,
        instrument=fill.instrument,
        side=fill.side.value,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        ts=fill.ts,
        source_bar_ts=fill.source_bar_ts,
        reference_price=fill.reference_price,
    )


def cash_rows(
    fill: Fill, *, account: str, portfolio: str, currency: str, multiplier: Decimal
) -> list[tables.CashMovement]:
    """What a fill moves: its value, and its fee where there is one."""
    value = -fill.side.sign * fill_value(fill.price, fill.quantity, multiplier)
    amounts = {"fill": value} | ({"fee": -fill.fee} if fill.fee else {})
    return [
        cash_row(account, portfolio, currency, amount, kind, fill.ts, fill.id) for kind, amount in amounts.items()
    ]


def cash_row(
    account: str, portfolio: str, currency: str, amount: Decimal, kind: str, ts: datetime, fill_id: str | None = None
) -> tables.CashMovement:
    """One movement of cash."""
    return tables.CashMovement(
        account=account, portfolio=portfolio, currency=currency, amount=amount, kind=kind, ts=ts, fill_id=fill_id
    )
