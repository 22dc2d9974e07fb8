"""Every table of the ledger, one ORM class each; the floors above map their own types to these rows."""

from fieldcast.ledger._base import Base
from fieldcast.ledger._tables_audit import AuditLog
from fieldcast.ledger._tables_cycle import CycleMeta, Decision
from fieldcast.ledger._tables_market import Instrument, StoreChange, StoreDelivery, StoreFile, StoreLease, StoreSpan
from fieldcast.ledger._tables_models import ModelPrediction, ModelPromotion, ModelVersion, RetrainRequest
from fieldcast.ledger._tables_reference import ImportLog, InstrumentState, Membership, TickerAlias
from fieldcast.ledger._tables_science import (
    Evidence,
    GateResultRow,
    LookedAt,
    Packet,
    PaperPacket,
    Registration,
    SealedSpan,
    SealOpening,
    Trial,
    WatchDay,
    WatchKill,
)
from fieldcast.ledger._tables_trading import CashMovement, Fill, Intent, NavSnapshot, Order

__all__ = [
    "AuditLog",
    "Base",
    "CashMovement",
    "CycleMeta",
    "Decision",
    "Evidence",
    "Fill",
    "GateResultRow",
    "ImportLog",
    "Instrument",
    "InstrumentState",
    "Intent",
    "LookedAt",
    "Membership",
    "ModelPrediction",
    "ModelPromotion",
    "ModelVersion",
    "NavSnapshot",
    "Order",
    "Packet",
    "PaperPacket",
    "Registration",
    "RetrainRequest",
    "SealOpening",
    "SealedSpan",
    "StoreChange",
    "StoreDelivery",
    "StoreFile",
    "StoreLease",
    "StoreSpan",
    "TickerAlias",
    "Trial",
    "WatchDay",
    "WatchKill",
]
