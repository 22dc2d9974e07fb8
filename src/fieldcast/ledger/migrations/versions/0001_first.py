"""The first schema of the ledger.

A migration is history: it repeats names and triggers in full and never follows later changes of the code.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fieldcast.ledger.types import CanonicalJson, ExactDecimal, ReasonCodes, UtcMicros

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GENESIS = "0" * 64

_REFUSED = "audit_log is append-only"
_BROKEN = "audit_log entry does not continue the chain"
_CONTINUES = f"""
    NEW.sequence = (SELECT coalesce(max(sequence), 0) + 1 FROM audit_log)
    AND NEW.previous_hash = coalesce((SELECT hash FROM audit_log ORDER BY sequence DESC LIMIT 1), '{GENESIS}')
""".strip()

SQLITE_TRIGGERS = (
    f"CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
    f"CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
    f"CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log WHEN NOT ({_CONTINUES}) "
    f"BEGIN SELECT RAISE(ABORT, '{_BROKEN}'); END",
)

POSTGRESQL_TRIGGERS = (
    f"CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
    f"BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    f"CREATE FUNCTION audit_log_continue() RETURNS trigger LANGUAGE plpgsql AS $$ "
    f"BEGIN IF NOT ({_CONTINUES}) THEN "
    f"RAISE EXCEPTION '{_BROKEN}' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()",
    "CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_continue()",
)


def upgrade() -> None:
    _market()
    _science()
    _cycle()
    _trading()
    _audit()


def _market() -> None:
    """Instruments and the index of the bar store."""
    op.create_table(
        "instrument",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("calendar", sa.String(), nullable=False),
        sa.Column("tick", ExactDecimal(), nullable=False),
        sa.Column("lot", ExactDecimal(), nullable=False),
        sa.Column("multiplier", ExactDecimal(), nullable=False),
        sa.Column("tradable", sa.Boolean(), nullable=False),
        sa.Column("notional", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument")),
    )
    op.create_table(
        "store_file",
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("timeframe", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("first_ts", UtcMicros(), nullable=False),
        sa.Column("last_ts", UtcMicros(), nullable=False),
        sa.Column("instruments", sa.Text(), nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("written_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_store_file")),
    )
    op.create_index(op.f("ix_store_file_dataset"), "store_file", ["dataset"], unique=False)


def _science() -> None:
    """Trials, gate results, evidence, live packets."""
    op.create_table(
        "trial",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("configuration", CanonicalJson(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("span_start", UtcMicros(), nullable=False),
        sa.Column("span_end", UtcMicros(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("estimate", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("series_path", sa.String(), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("first_seen", UtcMicros(), nullable=False),
        sa.Column("last_seen", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
    )
    op.create_index(op.f("ix_trial_family"), "trial", ["family"], unique=False)
    op.create_table(
        "gate_result",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("as_of", UtcMicros(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("estimate", sa.Double(), nullable=True),
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.Column("lower_bound", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("reasons", ReasonCodes(), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_result")),
        sa.UniqueConstraint(
            "instrument", "gate", "as_of", "configuration_hash", "data_hash", name=op.f("uq_gate_result_instrument")
        ),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("claim", sa.String(), nullable=False),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("data_span", sa.String(), nullable=False),
        sa.Column("estimate", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.Column("expires_at", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_claim"), "evidence", ["claim"], unique=False)
    op.create_table(
        "packet",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("as_of", UtcMicros(), nullable=False),
        sa.Column("schema_version", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("json", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packet")),
        sa.UniqueConstraint("instrument", "as_of", "digest", name=op.f("uq_packet_instrument")),
    )


def _cycle() -> None:
    """Cycles and decisions."""
    op.create_table(
        "cycle_meta",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("portfolio", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("as_of", UtcMicros(), nullable=False),
        sa.Column("started_at", UtcMicros(), nullable=False),
        sa.Column("finished_at", UtcMicros(), nullable=True),
        sa.Column("configuration_hash", sa.String(), nullable=False),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("nav", ExactDecimal(), nullable=True),
        sa.Column("drawdown", sa.Double(), nullable=True),
        sa.Column("universe_size", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_cycle_meta_revision")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycle_meta")),
        sa.UniqueConstraint("account", "portfolio", "slot", "revision", name=op.f("uq_cycle_meta_account")),
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("cycle_id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("portfolio", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("current_position", ExactDecimal(), nullable=False),
        sa.Column("target_position", ExactDecimal(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reasons", ReasonCodes(), nullable=False),
        sa.Column("packet_digest", sa.String(), nullable=True),
        sa.Column("gate_result", sa.String(), nullable=True),
        sa.Column("sizing", CanonicalJson(), nullable=False),
        sa.Column("reference_price", ExactDecimal(), nullable=True),
        sa.Column("decided_at", UtcMicros(), nullable=False),
        sa.CheckConstraint("action IN ('BUY', 'SELL', 'HOLD', 'REJECT')", name=op.f("ck_decision_action")),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_decision_revision")),
        sa.ForeignKeyConstraint(["cycle_id"], ["cycle_meta.id"], name=op.f("fk_decision_cycle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint("account", "portfolio", "slot", "instrument", "revision", name=op.f("uq_decision_account")),
    )
    op.create_index(op.f("ix_decision_cycle_id"), "decision", ["cycle_id"], unique=False)


def _trading() -> None:
    """Intents, orders, fills, cash, net asset value."""
    op.create_table(
        "intent",
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("portfolio", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("leg", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("created_at", UtcMicros(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_intent_side")),
        sa.CheckConstraint("length(client_id) = 26", name=op.f("ck_intent_client_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_intent_decision_id")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_intent")),
        sa.UniqueConstraint(
            "account", "portfolio", "slot", "instrument", "leg", "attempt", name=op.f("uq_intent_account")
        ),
    )
    op.create_index(op.f("ix_intent_decision_id"), "intent", ["decision_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("broker", sa.String(), nullable=False),
        sa.Column("broker_order_id", sa.String(), nullable=True),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("submitted_at", UtcMicros(), nullable=True),
        sa.Column("updated_at", UtcMicros(), nullable=False),
        sa.Column("valid_for_session", sa.Date(), nullable=True),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_orders_side")),
        sa.ForeignKeyConstraint(["client_id"], ["intent.client_id"], name=op.f("fk_orders_client_id")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_state"), "orders", ["state"], unique=False)
    op.create_table(
        "fill",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("price", ExactDecimal(), nullable=False),
        sa.Column("fee", ExactDecimal(), nullable=False),
        sa.Column("ts", UtcMicros(), nullable=False),
        sa.Column("source_bar_ts", UtcMicros(), nullable=True),
        sa.Column("reference_price", ExactDecimal(), nullable=True),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_fill_side")),
        sa.ForeignKeyConstraint(["client_id"], ["intent.client_id"], name=op.f("fk_fill_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fill")),
    )
    op.create_index(op.f("ix_fill_client_id"), "fill", ["client_id"], unique=False)
    op.create_table(
        "cash_movement",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("portfolio", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("amount", ExactDecimal(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ts", UtcMicros(), nullable=False),
        sa.Column("fill_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["fill_id"], ["fill.id"], name=op.f("fk_cash_movement_fill_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cash_movement")),
    )
    op.create_index(op.f("ix_cash_movement_fill_id"), "cash_movement", ["fill_id"], unique=False)
    op.create_table(
        "nav_snapshot",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("portfolio", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("as_of", UtcMicros(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("cash", ExactDecimal(), nullable=False),
        sa.Column("positions_value", ExactDecimal(), nullable=False),
        sa.Column("nav", ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint("account", "portfolio", "slot", name=op.f("pk_nav_snapshot")),
    )


def _audit() -> None:
    """The append-only, hash-chained audit log and the triggers that keep it so."""
    op.create_table(
        "audit_log",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("cycle_id", sa.String(), nullable=True),
        sa.Column("entry_type", sa.String(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("recorded_at", UtcMicros(), nullable=False),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_audit_log_sequence")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_log_hash")),
    )
    op.create_index(op.f("ix_audit_log_cycle_id"), "audit_log", ["cycle_id"], unique=False)
    statements = SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_TRIGGERS
    for statement in statements:
        op.execute(statement)
