"""What makes the audit log append-only inside the database itself, in both dialects.

UPDATE, DELETE (and on PostgreSQL TRUNCATE) are refused. An INSERT is refused unless it continues the chain: its
sequence is the next one and its `previous_hash` is the hash of the entry before. That also closes SQLite's side door,
where `INSERT OR REPLACE` removes a row without firing a DELETE trigger.
"""

from __future__ import annotations

GENESIS = "0" * 64  # `previous_hash` of the first entry

_REFUSED = "audit_log is append-only"
_BROKEN = "audit_log entry does not continue the chain"
_CONTINUES = f"""
    NEW.sequence = (SELECT coalesce(max(sequence), 0) + 1 FROM audit_log)
    AND NEW.previous_hash = coalesce((SELECT hash FROM audit_log ORDER BY sequence DESC LIMIT 1), '{GENESIS}')
""".strip()

SQLITE = (
    f"CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
    f"CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
    f"CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log WHEN NOT ({_CONTINUES}) "
    f"BEGIN SELECT RAISE(ABORT, '{_BROKEN}'); END",
)

POSTGRESQL = (
    f"CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
    f"BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    f"CREATE FUNCTION audit_log_continue() RETURNS trigger LANGUAGE plpgsql AS $$ "
    f"BEGIN IF NOT ({_CONTINUES}) THEN "
    f"RAISE EXCEPTION '{_BROKEN}' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()",
    "CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log "
    "FOR EACH ROW EXECUTE FUNCTION audit_log_continue()",
)
