"""Dated tickers, index membership, states of quality, imported files.

A migration is history: it repeats names in full and never follows later changes of the code.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fieldcast.ledger.types import ReasonCodes, UtcMicros

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ticker_alias",
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("ticker", sa.String(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=True),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "ticker", "first"),
    )
    op.create_index(op.f("ix_ticker_alias_instrument"), "ticker_alias", ["instrument"])
    op.create_table(
        "membership",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("ticker", sa.String(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("index", "ticker", "first"),
    )
    op.create_table(
        "instrument_state",
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("at", UtcMicros(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("reasons", ReasonCodes(), nullable=False),
        sa.PrimaryKeyConstraint("instrument", "at"),
    )
    op.create_table(
        "import_log",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("options", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("rows_kept", sa.Integer(), nullable=False),
        sa.Column("at", UtcMicros(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "options"),
    )

