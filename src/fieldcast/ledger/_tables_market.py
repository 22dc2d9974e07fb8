"""Tables about the market and the bar store: instruments, and the index of the store's Parquet files."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Text
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
    """Index entry of one Parquet file; can be rebuilt from the file's own footer."""

    __tablename__ = "store_file"

    path: Mapped[str] = mapped_column(primary_key=True)  # relative to the data folder
    dataset: Mapped[str] = mapped_column(index=True)
    timeframe: Mapped[str]
    year: Mapped[int]
    generation: Mapped[int]
    sha256: Mapped[str]
    rows: Mapped[int]
    first_ts: Mapped[datetime]
    last_ts: Mapped[datetime]
    instruments: Mapped[str] = mapped_column(Text)  # JSON text
    lineage: Mapped[str] = mapped_column(Text)  # JSON text
    simulated: Mapped[bool]
    written_at: Mapped[datetime]
