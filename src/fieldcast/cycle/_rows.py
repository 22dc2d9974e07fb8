"""Cycles, decisions and net asset values as rows of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fieldcast.cycle.result import PendingOrder
from fieldcast.execution import working_orders
from fieldcast.ground import digest, reason_codes
from fieldcast.ledger import tables
from fieldcast.trading import Action, Decision, DecisionStatus, IntentStatus, Side

ID_LENGTH = 32
DECIDED, FINISHED = "decided", "finished"  # states of a cycle's row


def cycle_id(account: str, portfolio: str, slot: str, revision: int) -> str:
    """The id of a cycle, from its own key."""
    return digest([account, portfolio, slot, revision])[:ID_LENGTH]


def decision_id(cycle: str, instrument: str) -> str:
    """The id of a decision, from its cycle and instrument."""
    return digest([cycle, instrument])[:ID_LENGTH]


def newest_cycle(session: Session, account: str, portfolio: str) -> tables.CycleMeta | None:
    """The cycle of the latest moment, in its latest revision."""
    statement = (
        select(tables.CycleMeta)
        .where(tables.CycleMeta.account == account, tables.CycleMeta.portfolio == portfolio)
        .order_by(tables.CycleMeta.as_of.desc(), tables.CycleMeta.slot.desc(), tables.CycleMeta.revision.desc())
    )
    return session.scalars(statement.limit(1)).first()


def newest_moment(session: Session, account: str, portfolio: str) -> datetime | None:
    """The latest moment of anything that is recorded of the portfolio: a cycle, or news of an order."""
    cycle = session.scalar(
        select(func.max(tables.CycleMeta.as_of)).where(
            tables.CycleMeta.account == account, tables.CycleMeta.portfolio == portfolio
        )
    )
    order = session.scalar(
        select(func.max(tables.Order.updated_at))
        .join(tables.Intent, tables.Intent.client_id == tables.Order.client_id)
        .where(tables.Intent.account == account, tables.Intent.portfolio == portfolio)
    )
    return max((moment for moment in (cycle, order) if moment is not None), default=None)


def revisions(session: Session, account: str, portfolio: str, slot: str) -> list[tables.CycleMeta]:
    """Every revision of a slot, the latest first."""
    statement = (
        select(tables.CycleMeta)
        .where(
            tables.CycleMeta.account == account,
            tables.CycleMeta.portfolio == portfolio,
            tables.CycleMeta.slot == slot,
        )
        .order_by(tables.CycleMeta.revision.desc())
    )
    return list(session.scalars(statement))


def unfinished_cycles(session: Session, account: str, portfolio: str) -> list[tables.CycleMeta]:
    """Cycles that were decided, and of which no intent is open any more though the row does not say so yet."""
    open_statuses = [IntentStatus.CREATED.value, IntentStatus.UNRESOLVED.value]
    still_open = (
        select(tables.Decision.cycle_id)
        .join(tables.Intent, tables.Intent.decision_id == tables.Decision.id)
        .where(tables.Intent.status.in_(open_statuses))
    )
    statement = (
        select(tables.CycleMeta)
        .where(
            tables.CycleMeta.account == account,
            tables.CycleMeta.portfolio == portfolio,
            tables.CycleMeta.status == DECIDED,
            tables.CycleMeta.id.not_in(still_open),
        )
        .order_by(tables.CycleMeta.as_of, tables.CycleMeta.revision)
    )
    return list(session.scalars(statement))


def decision_row(decision: Decision, cycle: str) -> tables.Decision:
    """A decision as a row."""
    return tables.Decision(
        id=decision_id(cycle, decision.instrument),
        cycle_id=cycle,
        account=decision.account,
        portfolio=decision.portfolio,
        slot=decision.slot,
        instrument=decision.instrument,
        revision=decision.revision,
        action=decision.action.value,
        current_position=decision.current_position,
        target_position=decision.target_position,
        reduce_only=decision.reduce_only,
        status=decision.status.value,
        reasons=[reason.value for reason in decision.reasons],
        packet_digest=decision.packet_digest,
        gate_result=decision.gate_result,
        sizing=dict(decision.sizing),
        reference_price=decision.reference_price,
        decided_at=decision.decided_at,
    )


def decisions_of(session: Session, cycle: str) -> tuple[Decision, ...]:
    """The decisions of a cycle, by instrument."""
    rows = session.scalars(select(tables.Decision).where(tables.Decision.cycle_id == cycle))
    found = [
        Decision(
            account=row.account,
            portfolio=row.portfolio,
            slot=row.slot,
            instrument=row.instrument,
            revision=row.revision,
            action=Action(row.action),
            current_position=row.current_position,
            target_position=row.target_position,
            reduce_only=row.reduce_only,
            status=DecisionStatus(row.status),
            reasons=reason_codes(row.reasons),
            decided_at=row.decided_at,
            packet_digest=row.packet_digest,
            gate_result=row.gate_result,
            sizing=row.sizing,
            reference_price=row.reference_price,
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda decision: decision.instrument))


def nav_history(session: Session, account: str, portfolio: str) -> list[tables.NavSnapshot]:
    """Every recorded net asset value, oldest first."""
    statement = (
        select(tables.NavSnapshot)
        .where(tables.NavSnapshot.account == account, tables.NavSnapshot.portfolio == portfolio)
        .order_by(tables.NavSnapshot.as_of, tables.NavSnapshot.slot)
    )
    return list(session.scalars(statement))


def drawdown(nav: Decimal, earlier: Sequence[Decimal]) -> float:
    """1 - nav / highest nav so far, the present one included; 0 at a new high."""
    highest = max([nav, *earlier])
    return float(1 - nav / highest) if highest > 0 else 0.0


def pending_orders(session: Session, account: str, portfolio: str) -> tuple[PendingOrder, ...]:
    """Orders that wait for their open."""
    found = []
    for order in working_orders(session, account, portfolio):
        if order.valid_for_session is not None:
            found.append(
                PendingOrder(
                    order.client_id,
                    order.intent.instrument,
                    Side(order.side),
                    order.quantity,
                    order.valid_for_session,
                )
            )
    return tuple(found)
