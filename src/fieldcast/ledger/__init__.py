"""The relational ledger: what was decided, ordered, filled and found out, in SQLite or PostgreSQL, with an audit trail.

Open it with `open_database`; write in `with db.begin(label=...) as session`, read in `with db.read() as session`. The
rows are the ORM classes of `fieldcast.ledger.tables`; each floor above maps its own types to them.
"""

from fieldcast.ledger import tables
from fieldcast.ledger.audit import AuditRecord, AuditTrail
from fieldcast.ledger.database import Database, open_database
from fieldcast.ledger.positions import cash, positions
from fieldcast.ledger.types import CanonicalJson, ExactDecimal, ReasonCodes, UtcMicros
from fieldcast.ledger.verification import AuditProblem, AuditReport, verify

__all__ = [
    "AuditProblem",
    "AuditRecord",
    "AuditReport",
    "AuditTrail",
    "CanonicalJson",
    "Database",
    "ExactDecimal",
    "ReasonCodes",
    "UtcMicros",
    "cash",
    "open_database",
    "positions",
    "tables",
    "verify",
]
