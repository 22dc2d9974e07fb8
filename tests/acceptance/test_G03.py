"""G03: Append-only audit, 15-field record, written in the decision transaction, JSON-lines twin, halt on failure

Done when: "UPDATE and DELETE are refused by the database, and a failed audit write leaves no decision"
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from fieldcast.ground import FieldcastError, Halted, IntegrityError
from fieldcast.ledger import AuditRecord, AuditTrail, Database, open_database, tables, verify

pytestmark = pytest.mark.feature("G03")
OPEN_PARTS: tuple[str, ...] = ()

AT = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with open_database(url, tmp_path / "audit") as db:
        yield db


def record(symbol: str, **changes: Any) -> AuditRecord:
    values: dict[str, Any] = {
        "cycle_id": "cycle",
        "symbol": symbol,
        "timestamp": AT,
        "final_decision": "BUY",
        "position_size": Decimal("12.5"),
        "stop_loss": None,
        "reason_codes": ("gate_passed", "volatility_target"),
        "mu_hat": 4.2,
        "sigma_hat": 110.0,
        "conviction": 0.56,
        "data_quality_score": 0.99,
        "provider_confidence": 1.0,
        "agent_results": {},
        "risk_checks": {"nav_limit": "ALLOW"},
        "metadata": {"slot": "2018-12-31:daily"},
    }
    return AuditRecord(**(values | changes))


def add_decision(session: Session, symbol: str) -> None:
    key = {"account": "paper", "portfolio": "main", "slot": f"{AT.date()}:{symbol}", "revision": 0}
    cycle = tables.CycleMeta(
        **key, id=f"cycle {symbol}", as_of=AT, started_at=AT, configuration_hash="c", data_hash="d", universe_size=1,
        status="started",
    )  # fmt: skip
    decision = tables.Decision(
        **key, cycle_id=cycle.id, instrument=symbol, action="BUY", current_position=Decimal(0),
        target_position=Decimal("12.5"), reduce_only=False, status="ordered", reasons=["gate_passed"], sizing={},
        decided_at=AT,
    )  # fmt: skip
    session.add_all([cycle, decision])
    session.flush()


def decide(db: Database, symbol: str) -> None:
    with db.begin(label="decide") as session:
        add_decision(session, symbol)
        AuditTrail.append(session, record(symbol))


def counts(db: Database) -> tuple[int, int, int]:
    """Cycles, decisions, audit entries."""
    with db.read() as session:
        found = [
            session.scalar(select(func.count()).select_from(table))
            for table in (tables.CycleMeta, tables.Decision, tables.AuditLog)
        ]
    return found[0] or 0, found[1] or 0, found[2] or 0


def twin(db: Database) -> list[dict[str, Any]]:
    assert db.audit_dir is not None
    return [json.loads(line) for line in (db.audit_dir / "audit.jsonl").read_bytes().splitlines()]


# UPDATE and DELETE are refused by the database ----------------------------------------------------------------------

CHANGES = [
    "UPDATE audit_log SET record = '{}' WHERE sequence = 1",
    "UPDATE audit_log SET cycle_id = NULL",
    "UPDATE audit_log SET hash = hash",
    "UPDATE audit_log SET sequence = sequence + 10",
    "DELETE FROM audit_log WHERE sequence = 2",
    "DELETE FROM audit_log",
]
ONLY = {
    "sqlite": [
        "INSERT OR REPLACE INTO audit_log SELECT sequence, cycle_id, entry_type, '{}', previous_hash, hash, "
        "recorded_at FROM audit_log WHERE sequence = 1",
        "UPDATE OR REPLACE audit_log SET sequence = 1 WHERE sequence = 2",
    ],
    "postgresql": [
        "TRUNCATE audit_log",
        "INSERT INTO audit_log SELECT * FROM audit_log WHERE sequence = 1 "
        "ON CONFLICT (sequence) DO UPDATE SET record = '{}'",
    ],
}


def test_update_and_delete_are_refused_by_the_database(ledger: Database) -> None:
    for symbol in ("XNAS:A", "XNAS:B", "XNAS:C"):
        decide(ledger, symbol)
    entries = select(tables.AuditLog.sequence, tables.AuditLog.record, tables.AuditLog.hash)
    with ledger.read() as session:
        before = session.execute(entries.order_by(tables.AuditLog.sequence)).all()
    assert len(before) == 3
    for change in CHANGES + ONLY[ledger.dialect]:
        with pytest.raises(IntegrityError, match=r"append-only|continue the chain"), ledger.begin() as session:
            session.execute(text(change))
    with ledger.read() as session:
        assert session.execute(entries.order_by(tables.AuditLog.sequence)).all() == before
    assert ledger.audit_dir is not None
    assert verify(ledger, ledger.audit_dir).ok


def test_changes_through_the_orm_are_refused_by_the_database(ledger: Database) -> None:
    decide(ledger, "XNAS:A")

    def edit() -> None:
        with ledger.begin() as session:
            session.get_one(tables.AuditLog, 1).record = "{}"

    def remove() -> None:
        with ledger.begin() as session:
            session.delete(session.get_one(tables.AuditLog, 1))

    for change in (edit, remove):
        with pytest.raises(IntegrityError, match="append-only"):
            change()
    assert counts(ledger) == (1, 1, 1)


def test_an_entry_that_does_not_continue_the_chain_is_refused_by_the_database(ledger: Database) -> None:
    decide(ledger, "XNAS:A")
    for sequence, previous in ((2, "f" * 64), (3, None), (1, "0" * 64)):
        forged = "SELECT :sequence, cycle_id, entry_type, record, coalesce(:previous, hash), :hash, recorded_at"
        with pytest.raises(IntegrityError, match="continue the chain"), ledger.begin() as session:
            session.execute(
                text(f"INSERT INTO audit_log {forged} FROM audit_log WHERE sequence = 1"),
                {"sequence": sequence, "previous": previous, "hash": "e" * 64},
            )


# a failed audit write leaves no decision ----------------------------------------------------------------------------


def unwritable(db: Database) -> None:
    """From here on the database refuses every new audit entry, as a full disk or a broken table would."""
    statements = {
        "sqlite": [
            "CREATE TRIGGER broken BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        ],
        "postgresql": [
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$",
            "CREATE TRIGGER broken BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION broken()",
        ],
    }
    with db.begin() as session:
        for statement in statements[db.dialect]:
            session.execute(text(statement))


def failing_record(db: Database) -> None:
    with db.begin() as session:
        add_decision(session, "XNAS:B")
        AuditTrail.append(session, record("XNAS:B", metadata={"figure": float("nan")}))


def failing_database(db: Database) -> None:
    unwritable(db)
    decide(db, "XNAS:B")


def swallowed_failure(db: Database) -> None:
    unwritable(db)
    with db.begin() as session:
        add_decision(session, "XNAS:B")
        with pytest.raises(Exception, match="disk is full"):
            AuditTrail.append(session, record("XNAS:B"))


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (failing_record, "found nan"),
        (failing_database, "disk is full"),
        (swallowed_failure, "nothing of this transaction is kept"),
    ],
)
def test_a_failed_audit_write_leaves_no_decision(
    ledger: Database, fail: Callable[[Database], None], message: str
) -> None:
    decide(ledger, "XNAS:A")
    with pytest.raises(FieldcastError, match=message):
        fail(ledger)
    assert counts(ledger) == (1, 1, 1)
    assert [line["record"]["symbol"] for line in twin(ledger)] == ["XNAS:A"]


def test_a_decision_whose_transaction_fails_later_leaves_no_audit_entry(ledger: Database) -> None:
    with pytest.raises(RuntimeError), ledger.begin() as session:  # noqa: PT012
        add_decision(session, "XNAS:A")
        AuditTrail.append(session, record("XNAS:A"))
        raise RuntimeError
    assert counts(ledger) == (0, 0, 0)
    assert twin(ledger) == []


# 15 fields, JSON-lines twin, halt -----------------------------------------------------------------------------------


def test_the_record_has_fifteen_fields_and_the_twin_holds_it_whole(ledger: Database) -> None:
    decide(ledger, "XNAS:A")
    names = [field.name for field in fields(AuditRecord)]
    assert len(names) == 15
    (line,) = twin(ledger)
    with ledger.read() as session:
        stored = session.get_one(tables.AuditLog, 1)
    assert sorted(line["record"]) == sorted(names)
    assert line["record"] == json.loads(stored.record)
    assert line["record"]["position_size"] == "12.5"
    assert line["hash"] == stored.hash


def test_a_twin_that_cannot_be_written_halts_before_the_next_decision(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(ledger, "XNAS:A")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Halted, match="No space left"):
        decide(ledger, "XNAS:B")
    monkeypatch.undo()
    with pytest.raises(Halted, match="start again"):
        decide(ledger, "XNAS:C")
    assert counts(ledger) == (2, 2, 2)  # the commit stood; nothing came after it
