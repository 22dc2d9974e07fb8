"""Model versions and promotions, pre-registrations and sealed spans, paper packets and their watch.

A migration is history: it repeats names in full and never follows later changes of the code.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fieldcast.ledger.types import CanonicalJson, UtcMicros

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _models()
    _seals()
    _watch()


def _models() -> None:
    """Fitted models: versions, promotions, predictions, wishes."""
    op.create_table(
        "model_version",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("trained_until", UtcMicros(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("reference_sha256", sa.String(), nullable=False),
        sa.Column("baselines", CanonicalJson(), nullable=False),
        sa.Column("registered_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_model_version")),
        sa.UniqueConstraint("name", "sha256", name=op.f("uq_model_version_name")),
    )
    op.create_table(
        "model_promotion",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("name", "sequence", name=op.f("pk_model_promotion")),
    )
    op.create_table(
        "model_prediction",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("as_of", UtcMicros(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", "instrument", "as_of", name=op.f("pk_model_prediction")),
    )
    op.create_table(
        "retrain_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrain_request")),
    )
    op.create_index(op.f("ix_retrain_request_name"), "retrain_request", ["name"], unique=False)


def _seals() -> None:
    """What was registered beforehand, what is sealed, and what has been seen."""
    op.create_table(
        "registration",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("configuration", CanonicalJson(), nullable=False),
        sa.Column("instruments", sa.String(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("standard_error", sa.Double(), nullable=False),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("power", sa.Double(), nullable=False),
        sa.Column("minimum_effect", sa.Double(), nullable=False),
        sa.Column("measured_on", sa.String(), nullable=False),
        sa.Column("compute", CanonicalJson(), nullable=False),
        sa.Column("registered_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registration")),
        sa.UniqueConstraint(
            "configuration_hash", "instruments", "first", "last", name=op.f("uq_registration_configuration_hash")
        ),
    )
    op.create_index(op.f("ix_registration_family"), "registration", ["family"], unique=False)
    op.create_table(
        "sealed_span",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("table", sa.String(), nullable=False),
        sa.Column("instruments", sa.String(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("sealed_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sealed_span")),
    )
    op.create_table(
        "seal_opening",
        sa.Column("seal", sa.String(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("registration", sa.String(), nullable=False),
        sa.Column("opened_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("seal", name=op.f("pk_seal_opening")),
    )
    op.create_table(
        "looked_at",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("instruments", sa.String(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_looked_at")),
        sa.UniqueConstraint("instruments", "first", "last", "label", name=op.f("uq_looked_at_instruments")),
    )


def _watch() -> None:
    """Daily paper packets and what the watch found."""
    op.create_table(
        "paper_packet",
        sa.Column("watch", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("as_of", UtcMicros(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("regime", CanonicalJson(), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("watch", "instrument", "session", name=op.f("pk_paper_packet")),
    )
    op.create_table(
        "watch_day",
        sa.Column("watch", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("auc", sa.Double(), nullable=True),
        sa.Column("coverage", sa.Double(), nullable=True),
        sa.Column("ic", sa.Double(), nullable=True),
        sa.Column("regime", CanonicalJson(), nullable=False),
        sa.Column("auc_run", sa.Integer(), nullable=False),
        sa.Column("ic_run", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Double(), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("watch", "session", name=op.f("pk_watch_day")),
    )
    op.create_table(
        "watch_kill",
        sa.Column("watch", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("figure", sa.Double(), nullable=True),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("watch", "rule", name=op.f("pk_watch_kill")),
    )
