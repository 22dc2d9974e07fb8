"""Tables about the market and the bar store: instruments, and the index of the store's Parquet files."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from fieldcast.ledger._base import Base


class Instrument(Base):
    """One instrument; the id is assigned once."""

    __tablename__ = "instrument"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    currency: Mapped[str]
    calendar: Mapped[str]
    tick: Mapped[Decimal]
    lot: Mapped[Decimal]
    multiplier: Mapped[Decimal]
    tradable: Mapped[bool]
    notional: Mapped[bool]
    simulated: Mapped[bool]
    name: Mapped[str]


class StoreFile(Base):
    """Index entry of one Parquet file of the store; can be rebuilt from the file's own footer."""

    __tablename__ = "store_file"
    __table_args__ = (Index("ix_store_file_place", "table", "dataset"),)

    path: Mapped[str] = mapped_column(primary_key=True)  # relative to the data folder
    unit: Mapped[str] = mapped_column(unique=True)  # the path without generation and hash: what a newer generation replaces
    table: Mapped[str]
    dataset: Mapped[str]
    instrument: Mapped[str]  # empty where the file holds many
    period: Mapped[str]  # a year, or the UTC date of a segment
    generation: Mapped[int]
    sha256: Mapped[str]
    content_sha256: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    first_ts: Mapped[datetime]
    last_ts: Mapped[datetime]
    simulated: Mapped[bool]
    written_at: Mapped[datetime]
    entry_sha256: Mapped[str]  # over everything that the index says about the file


class StoreSpan(Base):
    """What a file holds of one instrument. Moments are microseconds since 1970 in UTC."""

    __tablename__ = "store_span"
    __table_args__ = (Index("ix_store_span_instrument", "instrument"),)

    unit: Mapped[str] = mapped_column(primary_key=True)
    instrument: Mapped[str] = mapped_column(primary_key=True)
    rows: Mapped[int] = mapped_column(BigInteger)
    first_us: Mapped[int] = mapped_column(BigInteger)
    last_us: Mapped[int] = mapped_column(BigInteger)
    deliveries: Mapped[str] = mapped_column(Text)  # ids of `store_delivery`, joined by commas, oldest first


class StoreDelivery(Base):
    """One delivery of rows to the store, kept once however many instruments it had."""

    __tablename__ = "store_delivery"

    id: Mapped[str] = mapped_column(primary_key=True)  # digest of the lineage
    lineage: Mapped[str] = mapped_column(Text)  # JSON text


class StoreChange(Base):
    """One row: how often the index was changed. A reader whose copy has the same number need not read the index again."""

    __tablename__ = "store_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class StoreLease(Base):
    """One row: who writes to a store in a bucket. Held while `token` is not empty and `until` has not passed."""

    __tablename__ = "store_lease"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str]  # of one write; empty where nobody writes
    host: Mapped[str]  # digest of the machine's name
    name: Mapped[str]  # the machine's name
    pid: Mapped[int]
    until: Mapped[datetime]
