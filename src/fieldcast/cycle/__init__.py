"""The governed decision cycle: one decision path for history, paper and live."""

from fieldcast.cycle.config import CycleConfig
from fieldcast.cycle.result import CycleResult, CycleStatus, PendingOrder
from fieldcast.cycle.run import run
from fieldcast.cycle.source import CycleSource, Snapshot

__all__ = ["CycleConfig", "CycleResult", "CycleSource", "CycleStatus", "PendingOrder", "Snapshot", "run"]
