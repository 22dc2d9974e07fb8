"""Tables about instruments over time: dated tickers, index membership, states of quality; and which files were imported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from fieldcast.ledger._base import Base


class TickerAlias(Base):
    """A ticker that meant an instrument from `first` to `last` (none = still does), both included."""

    __tablename__ = "ticker_alias"

    venue: Mapped[str] = mapped_column(primary_key=True)
    ticker: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[date] = mapped_column(primary_key=True)
    last: Mapped[date | None]
    instrument: Mapped[str] = mapped_column(index=True)
    source: Mapped[str]


class Membership(Base):
    """A ticker that belonged to an index from `first` to `last` (none = still does), both included."""

    __tablename__ = "membership"

    index: Mapped[str] = mapped_column(primary_key=True)
    ticker: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[date] = mapped_column(primary_key=True)
    last: Mapped[date | None]
    source: Mapped[str]


class InstrumentState(Base):
    """A change of an instrument's state of quality, and the figures that led to it."""

    __tablename__ = "instrument_state"

    instrument: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    state: Mapped[str]
    score: Mapped[float]
    reasons: Mapped[Sequence[str]]


class ImportLog(Base):
    """A file that was imported to its end, so that importing a folder again can pass it over."""

    __tablename__ = "import_log"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    options: Mapped[str] = mapped_column(primary_key=True)  # digest of what was said about the file, and of where it stood
    dataset: Mapped[str]
    name: Mapped[str]
    format: Mapped[str]
    rows_read: Mapped[int]
    rows_kept: Mapped[int]
    at: Mapped[datetime]
    summary: Mapped[str] = mapped_column(Text)  # JSON text
