"""`verify` names what was changed and where; states that a crash leaves behind are in order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from fieldcast.ground import InvalidInput
from fieldcast.ledger import AuditRecord, AuditReport, AuditTrail, Database, open_database, verify


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six audited decisions, and a database whose triggers an attacker has removed."""
    home = tmp_path_factory.mktemp("written")
    with open_database(f"sqlite:///{home / 'ledger.db'}", home) as db:
        for n in range(6):
            at = datetime(2018, 12, 3 + n, 21, 30, tzinfo=UTC)
            with db.begin() as session:
                AuditTrail.append(session, AuditRecord(f"cycle-{n}", f"XNAS:S{n}", at, "HOLD", mu_hat=0.5 * n))
        with db.begin() as session:
            for name in ("audit_log_no_update", "audit_log_no_delete", "audit_log_chain"):
                session.execute(text(f"DROP TRIGGER {name}"))
    return home


@pytest.fixture
def trail(written: Path, folder: Path) -> Iterator[Database]:
    shutil.copytree(written, folder)
    with open_database(f"sqlite:///{folder / 'ledger.db'}", None) as db:
        yield db


def attack(db: Database, folder: Path, *statements: str) -> AuditReport:
    assert verify(db, folder).ok
    with db.begin() as session:
        for statement in statements:
            session.execute(text(statement))
    return verify(db, folder)


def places(report: AuditReport) -> set[tuple[str, int | None]]:
    return {(problem.place, problem.sequence) for problem in report.problems}


@pytest.mark.parametrize(
    "change",
    [
        "record = replace(record, 'XNAS:S3', 'XNAS:S4')",
        "record = record || ' '",
        "record = ''",
        "record = x'00ff'",
        "cycle_id = 'other'",
        "cycle_id = NULL",
        "entry_type = 'other'",
        "recorded_at = recorded_at + 1",
        "recorded_at = 'yesterday'",
        "recorded_at = 9223372036854775807",
        "hash = lower(hex(zeroblob(32)))",
    ],
)
def test_an_edited_column_is_seen_at_its_entry(trail: Database, folder: Path, change: str) -> None:
    report = attack(trail, folder, f"UPDATE audit_log SET {change} WHERE sequence = 4")
    assert ("database", 4) in places(report)
    assert (report.entries, report.lines, report.anchor) == (6, 6, 6)


def test_a_deleted_entry_is_seen_where_it_is_missing(trail: Database, folder: Path) -> None:
    report = attack(trail, folder, "DELETE FROM audit_log WHERE sequence = 3")
    assert ("database", 4) in places(report)
    assert ("database", 3) not in places(report)


def test_a_cut_off_end_is_seen_by_twin_and_anchor(trail: Database, folder: Path) -> None:
    report = attack(trail, folder, "DELETE FROM audit_log WHERE sequence > 4")
    assert places(report) == {("database", 5), ("database", 6), ("anchor", 6)}


def test_an_emptied_log_is_seen(trail: Database, folder: Path) -> None:
    assert ("anchor", 6) in places(attack(trail, folder, "DELETE FROM audit_log"))


def test_a_foreign_entry_at_the_end_is_seen(trail: Database, folder: Path) -> None:
    report = attack(
        trail,
        folder,
        f"INSERT INTO audit_log SELECT 7, cycle_id, entry_type, record, hash, '{'b' * 64}', recorded_at FROM audit_log "
        "WHERE sequence = 6",
    )
    assert places(report) == {("database", 7)}


def test_an_edited_line_of_the_twin_is_seen_at_its_line(trail: Database, folder: Path) -> None:
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"XNAS:S2", b"XNAS:S9"))
    assert places(verify(trail, folder)) == {("twin", 3)}


def test_a_twin_or_an_anchor_that_is_missing_is_reported_with_all_else_checked(trail: Database, folder: Path) -> None:
    (folder / "audit.jsonl").rename(folder / "elsewhere")
    report = verify(trail, folder)
    assert places(report) == {("twin", None)}
    assert report.entries == 6
    (folder / "audit.anchor").unlink()
    assert places(verify(trail, folder)) == {("twin", None), ("anchor", None)}


def test_an_anchor_ahead_of_the_database_is_never_accepted(trail: Database, folder: Path) -> None:
    (folder / "audit.anchor").write_text('{"hash":"' + "c" * 64 + '","sequence":7}\n')
    assert places(verify(trail, folder)) == {("anchor", 7), ("twin", 7)}


def test_a_database_and_a_twin_ahead_of_the_anchor_are_what_a_crash_leaves(trail: Database, folder: Path) -> None:
    older = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)[3]
    hash_of_four = older.split(b'"hash":"')[1][:64].decode()
    (folder / "audit.anchor").write_text('{"hash":"' + hash_of_four + '","sequence":4}\n')
    report = verify(trail, folder)
    assert report.ok
    assert (report.entries, report.anchor) == (6, 4)


def test_an_empty_trail_is_in_order(sqlite_ledger: Database, folder: Path) -> None:
    assert verify(sqlite_ledger, folder) == AuditReport(0, 0, 0, ())


def test_a_folder_that_is_not_there_is_wrong_use(sqlite_ledger: Database, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="found none"):
        verify(sqlite_ledger, tmp_path / "nowhere")
