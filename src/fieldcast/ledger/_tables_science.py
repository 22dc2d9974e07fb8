"""Tables about what was tried and what it showed: trials, gate results, evidence, sealed spans, live packets and their watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
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


class Registration(Base):
    """An experiment frozen before its run, with the smallest effect that the run could find."""

    __tablename__ = "registration"
    __table_args__ = (UniqueConstraint("configuration_hash", "instruments", "first", "last"),)

    id: Mapped[str] = natural_id("configuration_hash", "instruments", "first", "last")
    family: Mapped[str] = mapped_column(index=True)
    configuration_hash: Mapped[str]
    configuration: Mapped[dict[str, Any]]
    instruments: Mapped[str]  # ids, sorted, joined by commas
    first: Mapped[date]
    last: Mapped[date]
    metric: Mapped[str]
    sessions: Mapped[int]
    standard_error: Mapped[float]
    alpha: Mapped[float]
    power: Mapped[float]
    minimum_effect: Mapped[float]
    measured_on: Mapped[str]  # data span of the standard error
    compute: Mapped[dict[str, Any]]  # the compute axis
    registered_at: Mapped[datetime]


class SealedSpan(Base):
    """Sessions that no fit and no score may touch before they are opened."""

    __tablename__ = "sealed_span"

    name: Mapped[str] = mapped_column(primary_key=True)
    table: Mapped[str]
    instruments: Mapped[str]  # ids, sorted, joined by commas; * = every instrument
    first: Mapped[date]
    last: Mapped[date]
    sealed_at: Mapped[datetime]


class SealOpening(Base):
    """The one opening of a sealed span; its key is the span, so that there cannot be a second."""

    __tablename__ = "seal_opening"

    seal: Mapped[str] = mapped_column(primary_key=True)
    configuration_hash: Mapped[str]
    registration: Mapped[str]
    opened_at: Mapped[datetime]


class LookedAt(Base):
    """Sessions whose outcomes have been seen: a figure on them is no fresh test any more."""

    __tablename__ = "looked_at"
    __table_args__ = (UniqueConstraint("instruments", "first", "last", "label"),)

    id: Mapped[str] = natural_id("instruments", "first", "last", "label")
    instruments: Mapped[str]
    first: Mapped[date]
    last: Mapped[date]
    label: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime]


class PaperPacket(Base):
    """The one packet of an instrument and a session that a watch goes by."""

    __tablename__ = "paper_packet"

    watch: Mapped[str] = mapped_column(primary_key=True)
    instrument: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[date] = mapped_column(primary_key=True)
    as_of: Mapped[datetime]
    digest: Mapped[str]  # of the packet, which stands whole in `packet`
    configuration_hash: Mapped[str]
    regime: Mapped[dict[str, Any]]  # probability of each regime; empty where unknown
    recorded_at: Mapped[datetime]


class WatchDay(Base):
    """What the watch found on a session: rolling figures, runs of failures, evidence against the forecasts."""

    __tablename__ = "watch_day"

    watch: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[date] = mapped_column(primary_key=True)
    rows: Mapped[int]
    auc: Mapped[float | None]
    coverage: Mapped[float | None]
    ic: Mapped[float | None]
    regime: Mapped[dict[str, Any]]
    auc_run: Mapped[int]
    ic_run: Mapped[int]
    evidence: Mapped[float]  # the sequential test's e-value
    recorded_at: Mapped[datetime]


class WatchKill(Base):
    """A rule that has tripped, on the session on which it did; it stays."""

    __tablename__ = "watch_kill"

    watch: Mapped[str] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[date]
    figure: Mapped[float | None]
    recorded_at: Mapped[datetime]
