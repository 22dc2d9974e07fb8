"""Reconciliation: the broker's books are what happened, the ledger follows them, and then the two must agree.

    position(ledger) = position(broker)   for every instrument
    cash(ledger)     = cash(broker)       to the last digit

Each working order is asked for; where it has ended, its new state, its fill, the movements of cash and an audit entry
are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.execution._rows import cash_row, cash_rows, fill_row, working_orders
from fieldcast.execution.desk import Desk
from fieldcast.ground import Halted
from fieldcast.ledger import AuditRecord, AuditTrail, cash, positions, tables
from fieldcast.trading import Fill, NotFound, OrderState, OrderStatus, exact_sum


def open_books(desk: Desk, paid_in: Decimal) -> bool:
    """Write the first deposit, once; True where it was written now."""
    with desk.ledger.read() as session:
        if _has_books(session, desk):
            return False
    with desk.ledger.begin(label=f"open:{desk.portfolio}") as session:
        if _has_books(session, desk):
            return False
        session.add(cash_row(desk.account, desk.portfolio, desk.currency, paid_in, "deposit", desk.now()))
    return True


def _has_books(session: Session, desk: Desk) -> bool:
    statement = select(tables.CashMovement.id).where(
        tables.CashMovement.account == desk.account,
        tables.CashMovement.portfolio == desk.portfolio,
        tables.CashMovement.kind == "deposit",
    )
    return session.execute(statement.limit(1)).first() is not None


def book_outcomes(desk: Desk) -> tuple[OrderState, ...]:
    """Write what became of the orders at work; the orders that have ended.

    Raises
    ------
    Halted : the broker does not answer, does not know an order of ours, or its fills do not add up to its orders
    """
    with desk.ledger.read() as session:
        working = working_orders(session, desk.account, desk.portfolio)
        since = min((order.submitted_at for order in working if order.submitted_at is not None), default=None)
    if not working:
        return ()
    try:
        ended = [state for order in working if (state := _ask(desk, order.client_id)).status.is_final]
        fills = desk.broker.fills(since) if ended else ()
    except TimeoutError as error:
        raise Halted(f"expected {desk.broker.name} to answer before anything is decided, found {error}") from error
    if not ended:
        return ()
    by_order = {state.client_id: _fills_of(state, fills) for state in ended}
    with desk.ledger.begin(label=f"book:{desk.portfolio}:{desk.now().date()}") as session:
        for state in ended:
            row = session.get_one(tables.Order, state.client_id)
            row.state = state.status.value
            row.updated_at = state.updated_at
            for fill in by_order[state.client_id]:
                session.add(fill_row(fill))
                session.flush()
                session.add_all(
                    cash_rows(
                        fill,
                        account=desk.account,
                        portfolio=desk.portfolio,
                        currency=desk.currency,
                        multiplier=desk.instrument(fill.instrument).multiplier,
                    )
                )
            record = _audit(state, by_order[state.client_id], row.intent.decision.cycle_id)
            AuditTrail.append(session, record, entry_type="order")
    return tuple(ended)


def _ask(desk: Desk, client_id: str) -> OrderState:
    state = desk.broker.order(client_id)
    if isinstance(state, NotFound):
        raise Halted(
            f"expected {desk.broker.name} to know the order {client_id}, which it accepted, found that it does not; "
            "compare its books with the ledger by hand"
        )
    return state


def _fills_of(state: OrderState, fills: Sequence[Fill]) -> list[Fill]:
    own = [fill for fill in fills if fill.client_id == state.client_id]
    filled = exact_sum(*(fill.quantity for fill in own))
    if filled != state.filled_quantity or (filled != 0) != (state.status is OrderStatus.FILLED):
        raise Halted(
            f"expected fills over {state.filled_quantity} for the order {state.client_id} ({state.status}), found "
            f"{filled}; compare the broker's books with the ledger by hand"
        )
    return own


def _audit(state: OrderState, fills: Sequence[Fill], cycle_id: str) -> AuditRecord:
    return AuditRecord(
        cycle_id=cycle_id,
        symbol=state.order.instrument,
        timestamp=state.updated_at,
        final_decision=state.status.value,
        reason_codes=state.reasons,
        metadata={
            "client_id": state.client_id,
            "side": state.order.side,
            "quantity": state.order.quantity,
            "fills": [{"id": fill.id, "price": fill.price, "fee": fill.fee, "ts": fill.ts} for fill in fills],
        },
    )


def compare(desk: Desk) -> None:
    """Hold the ledger's positions and cash against the broker's.

    Raises
    ------
    Halted : they differ; the message names every difference
    """
    with desk.ledger.read() as session:
        ours = positions(session, desk.account, desk.portfolio)
        our_cash = cash(session, desk.account, desk.portfolio).get(desk.currency, Decimal(0))
    try:
        theirs = {position.instrument: position.quantity for position in desk.broker.positions()}
        their_cash = desk.broker.account().cash
    except TimeoutError as error:
        raise Halted(f"expected {desk.broker.name} to answer before anything is decided, found {error}") from error
    differences = [
        f"{instrument}: ledger {ours.get(instrument, Decimal(0))}, broker {theirs.get(instrument, Decimal(0))}"
        for instrument in sorted(ours.keys() | theirs.keys())
        if ours.get(instrument, Decimal(0)) != theirs.get(instrument, Decimal(0))
    ]
    if our_cash != their_cash:
        differences.append(f"{desk.currency}: ledger {our_cash}, broker {their_cash}")
    if differences:
        raise Halted(
            f"expected the ledger and {desk.broker.name} to agree on {desk.account}/{desk.portfolio}, found "
            f"{'; '.join(differences)}; nothing is decided until a person has looked"
        )
