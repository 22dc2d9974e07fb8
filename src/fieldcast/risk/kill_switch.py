"""The kill switch: a file that anyone can make, and a row that says who and why.

It is on while the file exists or while the newest `kill_switch` entry of the audit log says `on`. Both latch: a restart
changes nothing, and only `release` (which needs a reason) turns it off. Making the file alone, with any editor or with
`touch`, is enough to stop every increase; deleting the file alone is not enough to go on where the row stands.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.ledger import AuditRecord, AuditTrail, Database, tables

ENTRY_TYPE = "kill_switch"
ON, OFF = "on", "off"


class KillSwitch:
    """One switch for everything that trades from one home folder.

    Parameters
    ----------
    path : the file; its folder must exist by the time that the switch is turned on
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_on(self, ledger: Database) -> bool:
        """Asked immediately before every submission of an increase."""
        return self.path.exists() or self._row_is_on(ledger)

    def engage(self, ledger: Database, *, at: datetime, why: str) -> None:
        """Turn it on: first the file, which stops everything, then the row."""
        _check_why(why)
        temporary = self.path.with_name(self.path.name + ".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"at": utc(at).isoformat(), "why": why}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        self._record(ledger, ON, at, why)

    def release(self, ledger: Database, *, at: datetime, why: str) -> None:
        """Turn it off: first the row, then the file, so that a crash between the two leaves it on."""
        _check_why(why)
        self._record(ledger, OFF, at, why)
        self.path.unlink(missing_ok=True)

    @staticmethod
    def _row_is_on(ledger: Database) -> bool:
        with ledger.read() as session:
            newest = session.execute(
                select(tables.AuditLog.record)
                .where(tables.AuditLog.entry_type == ENTRY_TYPE)
                .order_by(tables.AuditLog.sequence.desc())
                .limit(1)
            ).scalar_one_or_none()
        return newest is not None and json.loads(newest)["final_decision"] == ON

    @staticmethod
    def _record(ledger: Database, state: str, at: datetime, why: str) -> None:
        record = AuditRecord(
            cycle_id=None,
            symbol=None,
            timestamp=at,
            final_decision=state,
            reason_codes=(Reason.KILL_SWITCH,),
            metadata={"why": why},
        )
        with ledger.begin(label=ENTRY_TYPE) as session:
            AuditTrail.append(session, record, entry_type=ENTRY_TYPE)


def _check_why(why: str) -> None:
    if not why.strip():
        raise InvalidInput("expected a reason for moving the kill switch, found none")
