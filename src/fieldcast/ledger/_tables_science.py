"""Tables about what was tried and what it showed: trials, gate results, evidence and live projection packets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fieldcast.ledger._base import Base, natural_id


class Trial(Base):
    """One configuration scored on one test span; `looks` counts how often it was scored again."""

    __tablename__ = "trial"

    id: Mapped[str] = mapped_column(primary_key=True)  # digest of family, configuration hash and data span hash
    family: Mapped[str] = mapped_column(index=True)
    configuration: Mapped[dict[str, Any]]
    configuration_hash: Mapped[str]
    instrument: Mapped[str]
    label: Mapped[str]
    horizon: Mapped[int]
    span_start: Mapped[datetime]
    span_end: Mapped[datetime]
    metric: Mapped[str]
    estimate: Mapped[float | None]
    n: Mapped[int]
    series_path: Mapped[str | None]
    looks: Mapped[int]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class GateResultRow(Base):
    """What a gate answered for an instrument at a moment."""

    __tablename__ = "gate_result"
    __table_args__ = (UniqueConstraint("instrument", "gate", "as_of", "configuration_hash", "data_hash"),)

    id: Mapped[str] = natural_id("instrument", "gate", "as_of", "configuration_hash", "data_hash")
    instrument: Mapped[str]
    gate: Mapped[str]
    as_of: Mapped[datetime]
    configuration_hash: Mapped[str]
    data_hash: Mapped[str]
    result: Mapped[str]
    estimate: Mapped[float | None]
    standard_error: Mapped[float | None]
    lower_bound: Mapped[float | None]
    n: Mapped[int]
    reasons: Mapped[Sequence[str]]
    recorded_at: Mapped[datetime]


class Evidence(Base):
    """A claim with the estimate and interval that carry it, until it expires."""

    __tablename__ = "evidence"

    id: Mapped[str] = natural_id("claim", "configuration_hash", "data_span", "recorded_at")
    claim: Mapped[str] = mapped_column(index=True)
    configuration_hash: Mapped[str]
    data_span: Mapped[str]
    estimate: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    n: Mapped[int]
    command: Mapped[str]
    recorded_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Packet(Base):
    """A live projection packet, whole, as canonical JSON text."""

    __tablename__ = "packet"
    __table_args__ = (UniqueConstraint("instrument", "as_of", "digest"),)

    id: Mapped[str] = natural_id("instrument", "as_of", "digest")
    instrument: Mapped[str]
    as_of: Mapped[datetime]
    schema_version: Mapped[str]
    digest: Mapped[str]
    json: Mapped[str] = mapped_column(Text)
    simulated: Mapped[bool]
