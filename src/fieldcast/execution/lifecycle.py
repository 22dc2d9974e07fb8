"""The life of an intent, from its commit to the broker's answer: the same code in a cycle and after a crash.

For each intent whose fate is not known, oldest first and sales before purchases:

    the broker knows its id           the order row is written                                submitted
    it does not, and the kill switch stands in the way of a purchase                          blocked
    it does not, and the session's open has passed                                            lapsed
    it does not                       the order is sent, the order row is written             submitted
    no answer came                    nothing is concluded; asked again at the next start     unresolved

Asking first costs one question and makes a process that died between sending and writing safe: the order is found, not
sent twice. What has become of an order is not written here but booked by `reconcile`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fieldcast.execution._rows import order_row, unsettled
from fieldcast.execution.desk import Desk, opening_after
from fieldcast.ground import Reason
from fieldcast.ledger import AuditRecord, AuditTrail, tables
from fieldcast.trading import Intent, IntentStatus, NotFound, Order, OrderState, Side


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the intents that were open."""

    submitted: tuple[OrderState, ...] = ()
    blocked: tuple[str, ...] = ()
    lapsed: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()


def settle_intents(desk: Desk) -> Settlement:
    """Bring every open intent of the portfolio to an answer, or leave it unresolved where none came."""
    with desk.ledger.read() as session:
        waiting = unsettled(session, desk.account, desk.portfolio)
    submitted: list[OrderState] = []
    ended: dict[IntentStatus, list[str]] = {
        IntentStatus.BLOCKED: [],
        IntentStatus.LAPSED: [],
        IntentStatus.UNRESOLVED: [],
    }
    for intent, status in waiting:
        answer = _answer(desk, intent, status)
        if isinstance(answer, OrderState):
            _record_order(desk, intent, answer)
            submitted.append(answer)
        else:
            if answer is not status:
                _record_end(desk, intent, answer)
            ended[answer].append(intent.client_id)
    return Settlement(
        tuple(submitted),
        tuple(ended[IntentStatus.BLOCKED]),
        tuple(ended[IntentStatus.LAPSED]),
        tuple(ended[IntentStatus.UNRESOLVED]),
    )


def _answer(desk: Desk, intent: Intent, status: IntentStatus) -> OrderState | IntentStatus:
    try:
        known = desk.broker.order(intent.client_id)
    except TimeoutError:
        return IntentStatus.UNRESOLVED
    if not isinstance(known, NotFound):
        return known
    session, opens_at = opening_after(desk.instrument(intent.instrument).calendar, intent.created_at)
    if desk.now() >= opens_at:
        return IntentStatus.LAPSED
    if status is IntentStatus.UNRESOLVED and not desk.broker.capabilities.idempotent_submit:
        return IntentStatus.UNRESOLVED  # the first message may still be under way, and would become a second order
    order = Order(intent.client_id, intent.instrument, intent.side, intent.quantity, session)
    if intent.side is Side.BUY and desk.kill_switch.is_on(desk.ledger):
        return IntentStatus.BLOCKED
    try:
        return desk.broker.submit(order)
    except TimeoutError:
        return IntentStatus.UNRESOLVED


def _record_order(desk: Desk, intent: Intent, state: OrderState) -> None:
    with desk.ledger.begin(label=f"submitted:{intent.client_id}") as session:
        session.add(order_row(state, desk.broker.name))
        session.get_one(tables.Intent, intent.client_id).status = IntentStatus.SUBMITTED.value


def _record_end(desk: Desk, intent: Intent, status: IntentStatus) -> None:
    with desk.ledger.begin(label=f"{status}:{intent.client_id}") as session:
        row = session.get_one(tables.Intent, intent.client_id)
        row.status = status.value
        if status is IntentStatus.UNRESOLVED:
            return
        reason = Reason.KILL_SWITCH if status is IntentStatus.BLOCKED else Reason.TOO_LATE
        record = AuditRecord(
            cycle_id=row.decision.cycle_id,
            symbol=intent.instrument,
            timestamp=desk.now(),
            final_decision=status.value,
            reason_codes=(reason,),
            metadata={"client_id": intent.client_id, "side": intent.side, "quantity": intent.quantity},
        )
        AuditTrail.append(session, record, entry_type="order")
