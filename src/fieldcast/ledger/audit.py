"""The audit trail: what was decided, why, and in which order, so that no later change stays unseen.

Every entry carries the hash of the one before it (`fieldcast.ledger._chain`). It is written in the transaction of the
decision that it describes: both are there, or neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from fieldcast.ground import Halted, InvalidInput, canonical_json, reason_codes, utc
from fieldcast.ledger._chain import Entry
from fieldcast.ledger._tables_audit import AuditLog
from fieldcast.ledger._twin import database_head

PENDING = "fieldcast_audit"  # key of `Session.info` under which a write transaction keeps its `PendingAudit`


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audited decision: fifteen fields.

    Parameters
    ----------
    cycle_id, symbol : which cycle and instrument; None for an entry about the system itself
    timestamp : when it was decided, by the clock that the cycle was given
    final_decision : BUY, SELL, HOLD or REJECT (or what else the entry's type says)
    position_size : target position in units; None where there is none
    stop_loss : price; None where there is none
    reason_codes : registered codes
    mu_hat, sigma_hat : expected return and its standard deviation over the horizon, basis points
    conviction, data_quality_score, provider_confidence : in [0, 1]
    agent_results, risk_checks, metadata : plain values; NaN is refused

    Raises
    ------
    InvalidInput : a naive timestamp, an unregistered reason code, a figure that is not finite, a float for money
    """

    cycle_id: str | None
    symbol: str | None
    timestamp: datetime
    final_decision: str
    position_size: Decimal | None = None
    stop_loss: Decimal | None = None
    reason_codes: Iterable[str] = ()
    mu_hat: float | None = None
    sigma_hat: float | None = None
    conviction: float | None = None
    data_quality_score: float | None = None
    provider_confidence: float | None = None
    agent_results: Mapping[str, Any] = field(default_factory=dict)
    risk_checks: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timestamp", utc(self.timestamp))
        object.__setattr__(self, "reason_codes", reason_codes(self.reason_codes))
        for name in ("position_size", "stop_loss"):
            amount = getattr(self, name)
            if amount is not None and not (isinstance(amount, Decimal) and amount.is_finite()):
                raise InvalidInput(f"expected {name} as a finite Decimal or None, found {amount!r}")
        for name in ("mu_hat", "sigma_hat", "conviction", "data_quality_score", "provider_confidence"):
            figure = getattr(self, name)
            if figure is not None and not math.isfinite(figure):
                raise InvalidInput(f"expected {name} as a finite number or None, found {figure!r}")

    def canonical(self) -> str:
        """The record as one line of canonical JSON: what is stored and hashed."""
        return canonical_json({item.name: getattr(self, item.name) for item in fields(self)})


@dataclass
class PendingAudit:
    """What a write transaction knows of its audit entries: are their files kept, how many, did one fail."""

    kept: bool
    written: int = 0
    failed: bool = False


class AuditTrail:
    """Appends entries to the chain inside the caller's transaction."""

    @staticmethod
    def append(
        session: Session, record: AuditRecord, *, entry_type: str = "decision", recorded_at: datetime | None = None
    ) -> AuditLog:
        """Append one entry in the transaction of `session`.

        Any failure here makes the whole transaction uncommittable, even where the caller swallows the exception.

        Parameters
        ----------
        session : from `Database.begin()`
        recorded_at : default the record's own timestamp, so that a replay writes the same bytes

        Raises
        ------
        Halted : the ledger was opened without a folder for the audit files
        InvalidInput : the session is not one of `Database.begin()`, or the record holds a value that cannot be hashed
        """
        pending = session.info.get(PENDING)
        if not isinstance(pending, PendingAudit):
            raise InvalidInput("expected a session of Database.begin(), found another one")
        try:
            if not pending.kept:
                raise Halted(
                    "expected a ledger that was opened with audit_dir, found none; without twin and anchor an entry "
                    "could be removed unseen: open_database(url, audit_dir)"
                )
            row = _next_row(session, record, entry_type, utc(recorded_at or record.timestamp))
            session.add(row)
            session.flush()
        except BaseException:
            pending.failed = True
            raise
        pending.written += 1
        return row


def _next_row(session: Session, record: AuditRecord, entry_type: str, recorded_at: datetime) -> AuditLog:
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        session.execute(text("LOCK TABLE audit_log IN SHARE ROW EXCLUSIVE MODE"))
    entry = Entry.after(
        database_head(session),
        cycle_id=record.cycle_id,
        entry_type=entry_type,
        record=record.canonical(),
        recorded_at=recorded_at,
    )
    return AuditLog(**{item.name: getattr(entry, item.name) for item in fields(entry)})
